"""A champion's costs, frame by frame: when it hangs, is slow or grows, and when it has held."""

from edge_agent.trial_run import STABLE_S
from edge_agent.vigil import GROWN_MB, SLOW_FRAMES, STUCK_S, Vigil

FPS = 20.0


def watched(vigil: Vigil, frames: int, cpu_s: float, *, first: int = 0) -> Vigil:
    for number in range(first, first + frames):
        vigil.stepping(number / FPS)
        vigil.stepped(number / FPS, cpu_s, watching=True)
    return vigil


def test_a_frame_that_does_not_come_back_is_seen_and_one_that_does_is_not():
    vigil = Vigil(None, 100.0)
    vigil.stepping(50.0)
    assert vigil.stuck(50.0 + STUCK_S) == ""
    assert "has not come back" in vigil.stuck(50.1 + STUCK_S)
    vigil.stepped(50.0, 0.001, watching=False)
    assert vigil.stuck(99.0) == ""


def test_ten_times_the_usual_cost_is_slow_and_twice_is_not():
    assert watched(Vigil(2.0, 100.0), SLOW_FRAMES + 1, 0.004).trouble(100.0) == ""
    assert "times as long" in watched(Vigil(2.0, 100.0), SLOW_FRAMES + 1, 0.020).trouble(100.0)
    assert watched(Vigil(2.0, 100.0), SLOW_FRAMES - 1, 0.020).trouble(100.0) == ""


def test_what_is_slower_than_the_camera_is_slow_whatever_was_usual():
    assert "one comes every 50 ms" in watched(Vigil(None, 100.0), SLOW_FRAMES + 1, 0.060).trouble(100.0)


def test_a_bundle_that_slows_down_after_hours_is_seen_too():
    vigil = watched(Vigil(2.0, 100.0), 10_000, 0.002)
    assert watched(vigil, 600, 0.030, first=10_000).trouble(100.0)


def test_memory_that_grows_is_trouble_until_something_else_has_taken_it():
    vigil = Vigil(None, 100.0)
    assert vigil.trouble(99.0 + GROWN_MB) == ""
    assert "memory grew" in vigil.trouble(101.0 + GROWN_MB)
    vigil.weighed(400.0)
    assert vigil.trouble(401.0) == ""


def test_it_has_held_after_a_minute_of_frames_with_a_case_in_it_and_not_of_waiting():
    vigil = watched(Vigil(None, 100.0), int(STABLE_S * FPS) + 2, 0.001)
    assert not vigil.has_held
    vigil.said(1)
    assert vigil.has_held
    idle = Vigil(None, 100.0)
    idle.said(3)
    for taken_s in (0.0, 100.0, 200.0):
        idle.stepped(taken_s, 0.001, watching=False)
    assert not idle.has_held
