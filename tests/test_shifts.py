"""Shifts by the clock on the wall: over midnight, when clocks are changed, and where a plant names few or none."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from edge_agent.shifts import shift_at

BERLIN = ZoneInfo("Europe/Berlin")
THREE = ("06:00", "14:00", "22:00")


def at(text: str, zone: ZoneInfo = BERLIN) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


@pytest.mark.parametrize(
    ("now", "begins", "words"),
    [
        ("2026-11-29 13:59:59", "2026-11-29 06:00", "06:00–14:00"),
        ("2026-11-29 14:00:00", "2026-11-29 14:00", "14:00–22:00"),
        ("2026-11-29 23:30:00", "2026-11-29 22:00", "22:00–06:00"),
        ("2026-11-30 00:30:00", "2026-11-29 22:00", "22:00–06:00"),
        ("2027-01-01 05:59:59", "2026-12-31 22:00", "22:00–06:00"),
    ],
)
def test_a_shift_is_found_by_the_wall_clock_and_goes_over_midnight(now: str, begins: str, words: str) -> None:
    found = shift_at(at(now), THREE, BERLIN)
    assert (found.begins, found.words) == (at(begins), words)


@pytest.mark.parametrize(("night", "hours"), [("2026-03-28", 7), ("2026-10-24", 9), ("2026-11-28", 8)])
def test_the_night_in_which_clocks_change_is_an_hour_shorter_or_longer(night: str, hours: int) -> None:
    found = shift_at(at(f"{night} 23:00"), THREE, BERLIN)
    assert found.ends - found.begins == hours * 3600
    assert found.words == "22:00–06:00"


def test_a_time_that_comes_twice_begins_its_shift_once() -> None:
    first = shift_at(at("2026-10-25 01:59"), ("02:30", "14:00"), BERLIN)
    begins = first.ends
    assert datetime.fromtimestamp(begins, UTC).hour == 0
    second_half_past_two = begins + 3600
    assert shift_at(second_half_past_two, ("02:30", "14:00"), BERLIN).begins == begins


def test_a_time_that_is_left_out_begins_its_shift_all_the_same() -> None:
    found = shift_at(at("2026-03-29 04:00"), ("02:30", "14:00"), BERLIN)
    assert datetime.fromtimestamp(found.begins, UTC).isoformat() == "2026-03-29T01:30:00+00:00"


def test_shifts_follow_each_other_without_a_gap_for_a_year() -> None:
    now, end = at("2026-01-01 00:00"), at("2027-01-01 00:00")
    while now < end:
        found = shift_at(now, THREE, BERLIN)
        assert found.begins <= now < found.ends
        assert shift_at(found.ends, THREE, BERLIN).begins == found.ends
        now = found.ends


@pytest.mark.parametrize("begins", [(), ("00:00",)])
def test_a_plant_without_shifts_counts_by_the_day(begins: tuple[str, ...]) -> None:
    found = shift_at(at("2026-11-29 13:00"), begins, BERLIN)
    assert (found.begins, found.ends) == (at("2026-11-29 00:00"), at("2026-11-30 00:00"))
