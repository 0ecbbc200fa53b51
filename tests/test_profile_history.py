"""Every profile that ever held, and who changed it: nothing is lost, forged or put over a newer one unseen."""

import base64
from pathlib import Path

import msgspec
import pytest
from fakes_camera import profile
from fakes_disk import full_disk

from edge_agent import profile_history, station
from edge_agent.errors import StationError, StoreError
from edge_agent.profile_history import Change, ProfilePlace

FITTED = Change(who="erna", through="browser", reason="set up")
NOW = 1_790_000_000.0
DAY = 86_400.0


@pytest.fixture
def place(tmp_path: Path) -> ProfilePlace:
    return ProfilePlace(tmp_path / "station.toml", tmp_path / "profiles")


def another(hold_s: float) -> station.StationProfile:
    empty = base64.b64encode(bytes(range(256)) * 3).decode()
    return msgspec.structs.replace(profile(), required_hold_s=hold_s, empty_view=empty)


def save(place: ProfilePlace, hold_s: float, now: float = NOW) -> str:
    holds = profile_history.present(place)
    return profile_history.save(place, another(hold_s), FITTED, expected=holds, now=now)


def told(place: ProfilePlace) -> list[tuple[str, str | None, str | None]]:
    return [(entry.through, entry.old, entry.new) for entry in profile_history.trail(place).entries]


def test_what_is_saved_holds_and_is_kept_with_who_and_why(place: ProfilePlace) -> None:
    first = save(place, 5)
    second = save(place, 6)
    assert station.load(place.station) == (another(6), second)
    assert profile_history.kept(place, first) == another(5)
    assert told(place) == [("browser", None, first), ("browser", first, second)]
    entry = profile_history.trail(place).entries[-1]
    assert (entry.who, entry.reason, entry.at) == ("erna", "set up", "2026-09-21T14:13:20.000Z")


def test_undo_is_a_new_entry_and_undone_twice_the_change_holds_again(place: ProfilePlace) -> None:
    first, second = save(place, 5), save(place, 6)
    assert profile_history.undo(place, FITTED, expected=second, now=NOW) == first
    assert station.load(place.station)[1] == first
    assert profile_history.undo(place, FITTED, expected=first, now=NOW) == second
    assert [new for _, _, new in told(place)] == [first, second, first, second]


def test_there_is_nothing_to_undo_before_the_second_profile(place: ProfilePlace) -> None:
    first = save(place, 5)
    with pytest.raises(StationError, match="nothing to undo"):
        profile_history.undo(place, FITTED, expected=first, now=NOW)


def test_any_profile_that_held_can_be_restored(place: ProfilePlace) -> None:
    first, _, third = save(place, 5), save(place, 6), save(place, 7)
    profile_history.restore(place, first, FITTED, expected=third, now=NOW)
    assert station.load(place.station)[0] == another(5)


def test_a_profile_is_not_saved_over_one_that_came_meanwhile(place: ProfilePlace) -> None:
    first = save(place, 5)
    save(place, 6)
    with pytest.raises(StationError, match="another profile was saved meanwhile"):
        profile_history.save(place, another(7), FITTED, expected=first, now=NOW)
    assert station.load(place.station)[0] == another(6)


def test_a_change_by_hand_is_noticed_once_and_kept(place: ProfilePlace) -> None:
    first = save(place, 5)
    place.station.write_bytes(station.dump(another(9)))
    entry = profile_history.notice(place, NOW)
    assert entry is not None and (entry.through, entry.old, entry.who) == ("by hand", first, "unknown")
    assert profile_history.notice(place, NOW) is None
    assert profile_history.kept(place, entry.new or "") == another(9)


def test_a_change_by_hand_is_not_overwritten_by_somebody_who_has_not_seen_it(place: ProfilePlace) -> None:
    first = save(place, 5)
    place.station.write_bytes(station.dump(another(9)))
    with pytest.raises(StationError, match="another profile was saved meanwhile"):
        profile_history.save(place, another(7), FITTED, expected=first, now=NOW)
    assert told(place)[-1][0] == "by hand"


def test_a_profile_from_before_the_history_and_one_that_was_taken_away_are_told(place: ProfilePlace) -> None:
    place.station.write_bytes(station.dump(profile()))
    found = profile_history.notice(place, NOW)
    assert found is not None and found.reason == "found in its place when the history began"
    place.station.unlink()
    gone = profile_history.notice(place, NOW)
    assert gone is not None and gone.new is None and gone.reason == "the file was taken away"


def test_half_a_last_line_is_tolerated_and_goes_with_the_next_entry(place: ProfilePlace) -> None:
    first = save(place, 5)
    with open(place.folder / "trail.jsonl", "ab") as file:
        file.write(b'{"schema":"tankwatch/profile-ch')
    assert told(place) == [("browser", None, first)]
    second = save(place, 6)
    assert [new for _, _, new in told(place)] == [first, second]
    assert profile_history.trail(place).fault == ""


def test_a_line_that_was_changed_afterwards_shows_and_later_changes_are_still_recorded(place: ProfilePlace) -> None:
    save(place, 5), save(place, 6)
    path = place.folder / "trail.jsonl"
    path.write_bytes(path.read_bytes().replace(b"erna", b"emil", 1))
    seen = profile_history.trail(place)
    assert len(seen.entries) == 1 and "line 2 of the history was changed or damaged" in seen.fault
    assert seen.holds == profile_history.present(place)
    assert profile_history.notice(place, NOW) is None
    third = save(place, 7)
    assert profile_history.trail(place).holds == third


def test_a_kept_profile_that_was_changed_afterwards_is_not_restored(place: ProfilePlace) -> None:
    first, second = save(place, 5), save(place, 6)
    place.kept(first).write_bytes(station.dump(another(8)))
    with pytest.raises(StationError, match="was changed since it held"):
        profile_history.undo(place, FITTED, expected=second, now=NOW)


def test_yesterdays_profile_is_found_by_its_time(place: ProfilePlace) -> None:
    first = save(place, 5, NOW - 2 * DAY)
    second = save(place, 6, NOW)
    seen = profile_history.trail(place)
    assert seen.held_at("2026-09-20T14:13:20.000Z") == first
    assert seen.held_at("2026-09-21T14:13:20.000Z") == second
    assert seen.held_at("2026-09-01T00:00:00.000Z") is None


def test_a_power_cut_between_trail_and_file_shows_as_taken_back(place: ProfilePlace) -> None:
    first, _ = save(place, 5), save(place, 6)
    place.station.write_bytes(place.kept(first).read_bytes())
    entry = profile_history.notice(place, NOW)
    assert entry is not None and entry.new == first
    assert entry.reason == "the profile before is in its place: the last change was cut off or taken back by hand"


def test_a_full_disk_changes_nothing_and_is_told_with_its_cure(place: ProfilePlace) -> None:
    first = save(place, 5)
    with full_disk(), pytest.raises(StoreError, match="free space or check who owns"):
        save(place, 6)
    assert station.load(place.station)[1] == first
    assert told(place) == [("browser", None, first)]


def test_a_disk_that_takes_the_entry_and_not_the_profile_leaves_the_old_one_and_the_trail_says_so(
    place: ProfilePlace,
) -> None:
    save(place, 5), save(place, 6)
    holds = profile_history.present(place)
    smaller = place.station.stat().st_size - 1
    assert (place.folder / "trail.jsonl").stat().st_size * 2 < smaller
    with full_disk(smaller), pytest.raises(StoreError):
        profile_history.undo(place, FITTED, expected=holds, now=NOW)
    assert station.load(place.station)[1] == holds
    assert profile_history.trail(place).holds == holds
    assert "nothing was changed" in profile_history.trail(place).entries[-1].reason
