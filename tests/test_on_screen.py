"""What the screen may show of unit, camera and profile: never more than the mode allows, and why time stands still."""

from types import SimpleNamespace

import numpy as np
import pytest
from test_disposition import run
from test_selfreport import sight

from benchmarks.made_cases import make_case
from edge_agent import framing
from edge_agent.case import Progress
from edge_agent.immersion import Immersion
from edge_agent.on_screen import MOVING, MURKY, OnScreen, corners_in_frame, hindrance
from edge_agent.records import Framing
from tests.fakes_camera import profile

RESTING = Immersion("watching", entered_s=1.0, settled_s=2.0)
WATCHED = Progress("TANK1-1", 2.1, False, False)


def screen(case=None, *, shows_before: bool = False, **seen) -> OnScreen:
    found = OnScreen(shows_before=shows_before)
    found.set_up(profile(), "c" * 64)
    if case is not None:
        found.ended(case)
    now = {"sight": sight(), "immersion": RESTING, "progress": WATCHED} | seen
    found.saw(SimpleNamespace(**now))
    return found


@pytest.mark.parametrize(
    ("ran_in", "now", "decision", "shows_before", "told"),
    [
        ("human_only", "human_only", "ok", True, False),
        ("shadow", "shadow", "ok", True, False),
        ("assist", "assist", "ok", False, True),
        ("assist", "assist", "none", False, False),
        ("assist", "assist", "none", True, True),
        ("partial", "partial", "none", False, True),
        ("full", "full", "ok", False, True),
        ("partial", "shadow", "ok", False, False),
        ("shadow", "partial", "ok", False, False),
    ],
)
def test_the_last_verdict_is_told_only_where_the_mode_lets_the_inspector_read_it(
    ran_in, now, decision, shows_before, told
):
    case = make_case(3, mode=ran_in, decision=decision)
    seen = screen(case, shows_before=shows_before).last_case(now)
    assert (seen.verdict, seen.outcome) == (("leak", "machine_leak") if told else (None, None))
    assert bool(seen.reason) is told
    assert (seen.decision, seen.usable_s, seen.required_s) == (decision, 7.4, 5.0)


def test_that_a_unit_was_not_tested_is_told_in_every_mode_with_its_reason():
    case = make_case(1, mode="human_only", verdict="not_tested", outcome="not_tested", reason="held 2.1 s: hold longer")
    seen = screen(case).last_case("human_only")
    assert (seen.verdict, seen.reason, seen.outcome) == ("not_tested", "held 2.1 s: hold longer", "not_tested")


def test_the_ring_counts_usable_seconds_of_those_required_and_says_why_it_stands():
    watched = screen().watched()
    assert (watched.phase, watched.case_id, watched.usable_s, watched.required_s) == ("watching", "TANK1-1", 2.1, 5.0)
    assert watched.words == ""
    assert screen().watched("the camera gives no pictures: check its cable").words.startswith("the camera gives")
    empty = screen(progress=None, immersion=Immersion("empty")).watched("the camera gives no pictures: check its cable")
    assert (empty.phase, empty.case_id, empty.words) == ("empty", None, "")


def test_what_hides_the_unit_comes_before_what_the_unit_does():
    moving = Immersion("entering", entered_s=1.0, moving=True)
    covered = Framing("lost", np.eye(3), 3, words="marker TL not seen: uncover it")
    black = sight(fault="the picture is black (level 3): check the light", framing=covered)
    assert hindrance(black, moving, WATCHED).startswith("the picture is black")
    assert hindrance(sight(framing=covered), moving, WATCHED) == "marker TL not seen: uncover it"
    assert hindrance(sight(), moving, WATCHED) == MOVING
    assert hindrance(sight(), RESTING, Progress("TANK1-1", 0.0, True, False)) == MURKY
    assert "take it out" in hindrance(sight(), RESTING, Progress("TANK1-1", 600.0, False, True))


def test_the_outline_of_the_tank_lies_where_the_picture_shows_it_also_once_the_camera_has_moved():
    station, size = profile(), (588, 436)
    usual = framing.homography(station.tank_px, size)
    assert np.allclose(corners_in_frame(usual, size[::-1]), station.tank_px, atol=0.1)
    moved = usual @ np.linalg.inv(np.array([[1, 0, 12.0], [0, 1, -7.0], [0, 0, 1]]))
    shifted = [(x + 12, y - 7) for x, y in station.tank_px]
    assert np.allclose(corners_in_frame(moved, size[::-1]), shifted, atol=0.1)


def test_before_a_frame_and_before_set_up_nothing_is_shown():
    nothing = OnScreen()
    assert (nothing.station, nothing.watched(), nothing.last_case("full"), nothing.aim()) == ("", None, None, None)


def test_a_whole_run_in_assist_tells_station_profile_aim_and_the_units_word(tmp_path):
    case, last = run(tmp_path, "assist")
    assert (last.station, last.profile_sha256) == (case.station, case.profile_sha256)
    assert (last.last_case.case_id, last.last_case.verdict) == (case.case_id, case.verdict)
    assert (last.aim.frame_size_px, last.aim.status, last.aim.corners_seen) == ((640, 480), "ok", 4)
    assert last.watched is not None and last.watched.case_id is None
