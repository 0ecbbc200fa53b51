"""The drill's parts at every jump, its ledger, and what would show; the whole station in the full suite."""

import dataclasses

import msgspec
import pytest

from benchmarks import clock_jumps, clock_station, drill_clock
from benchmarks.clock_jumps import JUMPS
from benchmarks.clock_station import Result
from benchmarks.made_cases import make_case
from edge_agent import outbox_table, wire

GOOD = {
    "changed": 0, "times_wrong": 0, "lost": 0, "duplicated": 0, "out_of_order": 0, "waiting": 0, "broken": [],
    "crashed": [], "cases": 4, "lived": 4,
}  # fmt: skip


def cases(count: int = 3) -> list:
    return [
        msgspec.structs.replace(make_case(number), sequence=number, started_s=0.0, ended_s=0.9)
        for number in range(1, count + 1)
    ]


def result(kept: list) -> Result:
    return Result(kept, {case.case_id: wire.encode(case) for case in kept}, unchanged=True, waiting=0, crashed=[])


@pytest.mark.parametrize("jump", JUMPS, ids=lambda jump: jump.name)
def test_whatever_the_clock_does_the_parts_of_a_device_do_as_documented(tmp_path, jump):
    assert clock_jumps.broken(jump, tmp_path) == []


def test_a_retention_by_the_clock_would_show(tmp_path, monkeypatch):
    """As it was: what UTC says is older than 30 days goes."""
    by_clock = "SELECT case_id, NULL FROM cases WHERE receipted_at < ? AND sequence < (SELECT max(sequence) FROM cases)"
    (jump,) = [one for one in JUMPS if one.name == "31 days forward"]
    now = jump.to - clock_jumps.RECORD_DAYS * clock_jumps.DAY
    monkeypatch.setattr(outbox_table, "expired", lambda rows, before: rows.execute(by_clock, (now,)).fetchall())
    (words,) = clock_jumps.broken(jump, tmp_path)
    assert words.startswith("31 days forward: outbox: ") and "records were removed" in words


def test_a_crash_and_a_mode_that_stays_up_would_show(tmp_path, monkeypatch):
    monkeypatch.setattr("edge_agent.mode_keeper.JUMP_S", 1e12)
    monkeypatch.setattr("edge_agent.shifts.shift_at", lambda *_: 1 / 0)
    mode, crash = clock_jumps.broken(JUMPS[2], tmp_path)
    assert "the modes were partial, partial" in mode and crash.endswith("ZeroDivisionError: division by zero")


def test_a_ledger_of_what_was_not_kept_is_not_good():
    assert drill_clock.is_good(GOOD)
    for name in GOOD.keys() - {"cases", "lived"}:
        assert not drill_clock.is_good(GOOD | {name: ["w"] if name in ("broken", "crashed") else 1})
    assert not drill_clock.is_good(GOOD | {"cases": 3})


def test_a_verdict_that_changed_and_times_that_jump_within_a_case_are_counted():
    steady = cases()
    assert drill_clock.is_good(GOOD | drill_clock.make_ledger(steady, result(steady)) | {"lived": 3})
    changed = [msgspec.structs.replace(steady[0], verdict="uncertain"), *steady[1:]]
    assert drill_clock.make_ledger(steady, result(changed))["changed"] == 1
    late = [msgspec.structs.replace(steady[0], ended_at="2038-01-19T03:14:08Z"), *steady[1:]]
    assert drill_clock.make_ledger(steady, result(late))["times_wrong"] == 1
    assert drill_clock.make_ledger(steady, result(steady[:2]))["changed"] == 1
    assert drill_clock.make_ledger(steady, result([steady[1], steady[0], steady[2]]))["out_of_order"] == 1
    gone = dataclasses.replace(result(steady), by_cloud={}, unchanged=False)
    assert drill_clock.make_ledger(steady, gone)["lost"] == 4


@pytest.mark.full
def test_a_whole_station_lives_through_a_clock_that_is_set_in_the_middle_of_immersions(tmp_path):
    lived = tuple(jump for jump in JUMPS if jump.name in drill_clock.SHORT)
    ledger = drill_clock.drill(drill_clock.Plan((), lived, 31), tmp_path)
    assert drill_clock.is_good(ledger), ledger
    assert ledger["cases"] == len(drill_clock.SHORT)
    assert ledger["faketime"] == (clock_station.library() is not None)
