"""Phases of an immersion, from thumbnails alone."""

from dataclasses import replace

import numpy as np
import pytest

from calibration.look import at_pose, draw_station
from calibration.twin import profile_of
from calibration.view import Viewer
from edge_agent.empty_tank import EmptyTank, ImmersionLimits
from edge_agent.framing import homography, markers_in_view, rectify
from edge_agent.immersion import ImmersionWatch, thumbnail, water_cells

EMPTY = np.full((24, 32), 150.0, np.float32) + np.arange(32, dtype=np.float32)


def with_unit(bottom: int) -> np.ndarray:
    """A dark unit that reaches from above down to row `bottom`."""
    thumb = EMPTY.copy()
    thumb[max(0, bottom - 10) : bottom, 10:22] = 70
    return thumb


def story(empty=EMPTY, fps=20, noise=0.0):
    """2 s empty, 1 s going in, 6 s of rest with the lamp after 5 s, 1 s going out, 2 s empty."""
    rng = np.random.default_rng(5)
    watch = ImmersionWatch(empty)
    states = []
    for n in range(12 * fps):
        now_s = n / fps
        depth = np.interp(now_s, [2, 3, 9, 10], [0, 20, 20, 0])
        thumb = with_unit(int(depth)) if depth >= 1 else EMPTY
        thumb = thumb + rng.normal(0, noise, thumb.shape).astype(np.float32)
        states.append((now_s, watch.step(thumb, now_s, decided=8 <= now_s < 10)))
    return states


def test_phases_follow_one_another():
    phases = [state.phase for _, state in story(noise=0.3)]
    order = [phase for n, phase in enumerate(phases) if n == 0 or phase != phases[n - 1]]
    assert order == ["empty", "entering", "watching", "decided", "leaving", "empty"]


def test_entry_rest_and_exit_are_timed_within_three_tenths_of_a_second():
    final = next(state for _, state in story(noise=0.3) if state.entered_s is not None and state.left_s is not None)
    assert abs(final.entered_s - 2.05) <= 0.3
    assert abs(final.settled_s - 3.0) <= 0.35
    assert abs(final.left_s - 9.95) <= 0.3


def test_bubbles_and_noise_are_no_unit():
    rng = np.random.default_rng(1)
    watch = ImmersionWatch(EMPTY)
    for n in range(200):
        thumb = EMPTY + rng.normal(0, 1.5, EMPTY.shape).astype(np.float32)
        assert watch.step(thumb, n / 20).phase == "empty"


def test_light_that_flickers_or_ages_slowly_is_no_unit():
    watch = ImmersionWatch(EMPTY)
    for n in range(1200):
        level = (1 - 0.25 * n / 1200) * (1 + 0.03 * np.sin(n))
        assert watch.step(EMPTY * np.float32(level), n / 20).phase == "empty"


def test_the_empty_tank_is_learned_where_no_profile_knows_it():
    assert story(empty=None)[-1][1].left_s is not None


def test_a_unit_left_in_stays_one_immersion():
    watch = ImmersionWatch(EMPTY)
    entered = set()
    for n in range(1200):
        state = watch.step(with_unit(20) if n > 40 else EMPTY, n / 20)
        entered.add(state.entered_s)
    assert len(entered - {None}) == 1


def test_water_that_has_cleared_is_no_unit():
    rng = np.random.default_rng(3)
    murky, clear = np.full((24, 32), 120.0, np.float32), rng.uniform(60, 170, (24, 32)).astype(np.float32)
    watch = ImmersionWatch(murky)
    for n in range(60):
        thumb = (murky if n < 20 else clear) + rng.normal(0, 0.2, (24, 32)).astype(np.float32)
        state = watch.step(thumb, n / 20)
    assert state.phase == "empty"
    assert state.entered_s is None


@pytest.mark.parametrize("pose", range(4))
def test_murky_water_that_clears_within_a_picture_just_after_a_unit_has_left_is_no_unit(pose: int) -> None:
    look = at_pose(draw_station(9000, "reference"), pose)
    profile, size = profile_of(look), profile_of(look).view_size_px
    murky, clear = (
        thumbnail(rectify(Viewer(replace(look, haze=haze), 0).empty_station(), homography(look.tank_px, size), size))
        for haze in (2.4, look.haze)
    )
    watch, rng = ImmersionWatch(murky, water_cells(markers_in_view(profile, size), size)), np.random.default_rng(0)
    settled = set()
    for n in range(20 * 14):
        now_s = n / 20
        depth = int(np.interp(now_s, [1, 2, 7, 8], [0, 20, 20, 0]))
        seen = (murky if now_s < 8.3 else clear) + rng.normal(0, 0.2, murky.shape).astype(np.float32)
        seen[max(0, depth - 10) : depth, 10:22] -= 6
        state = watch.step(seen, now_s, decided=6 < now_s < 8)
        settled |= {state.settled_s} - {None}
    assert (state.phase, state.entered_s) == ("empty", None)
    assert len(settled) == 1


def test_a_unit_that_follows_at_once_never_begins_before_the_last_one_left():
    watch, depths = (
        ImmersionWatch(EMPTY),
        np.interp(np.arange(200) / 20, [1, 2, 5, 5.5, 5.8, 6.5], [0, 20, 20, 1, 1, 20]),
    )
    states = [watch.step(with_unit(int(depth)) if depth >= 1 else EMPTY, n / 20) for n, depth in enumerate(depths)]
    left_s = next(state.left_s for state in states if state.left_s is not None)
    entered_s = states[-1].entered_s
    assert entered_s is not None
    assert entered_s >= left_s


def test_a_thumbnail_holds_cell_means():
    view = np.zeros((480, 640), np.uint8)
    view[:, 320:] = 200
    thumb = thumbnail(view)
    assert thumb.shape == (24, 32)
    assert thumb[:, 0].max() == 0
    assert thumb[:, -1].min() == 200


def with_scrap(bottom: int = 0) -> np.ndarray:
    """A fallen part on the tank's floor, and a unit down to row `bottom`."""
    thumb = with_unit(bottom) if bottom else EMPTY.copy()
    thumb[19:23, 14:25] = 60
    return thumb


def play(watch, times_s, depths, *, show=with_unit, decided=lambda now_s: False, seconds, fps=20, start_s=0.0):
    """States while a unit hangs at the depths (rows) that it has at these times; depth 0 = no unit."""
    states = []
    for n in range(int(seconds * fps)):
        now_s = start_s + n / fps
        depth = int(np.interp(now_s, times_s, depths))
        thumb = show(depth) if depth else (EMPTY if show is with_unit else show())
        states.append((now_s, watch.step(thumb, now_s, decided=decided(now_s))))
    return states


def entries(states) -> list[float]:
    return sorted({state.entered_s for _, state in states if state.entered_s is not None})


def test_a_part_that_falls_off_a_unit_does_not_hide_the_next_units():
    watch = ImmersionWatch(EMPTY)
    play(watch, [1, 2], [0, 20], seconds=5)
    times_s, depths = [6, 7, 10, 11, 16, 17], [20, 0, 0, 20, 20, 0]
    states = play(watch, times_s, depths, show=with_scrap, decided=lambda now_s: now_s < 10, seconds=15, start_s=5.0)
    left = [state for _, state in states if state.left_s is not None and state.entered_s is not None]
    assert abs(left[0].left_s - 7) < 0.5 and abs(left[-1].left_s - 17) < 1.5
    first, second = entries(states)
    assert abs(second - 10.1) < 0.3
    assert states[-1][1].remains and states[-1][1].phase == "empty"


def test_what_lay_in_the_tank_is_forgotten_when_it_is_taken_out():
    watch = ImmersionWatch(EMPTY)
    play(watch, [0, 1, 3, 4], [0, 20, 20, 0], show=with_scrap, decided=lambda now_s: now_s > 2, seconds=8)
    states = play(watch, [8], [0], seconds=2, start_s=8.0)
    assert (states[-1][1].phase, states[-1][1].remains) == ("empty", False)
    assert abs(entries(play(watch, [11, 12], [0, 20], seconds=3, start_s=10.0))[-1] - 11.1) < 0.3


def test_a_unit_left_in_for_ever_is_in_the_end_a_part_of_the_tank_and_is_seen_again_when_it_comes_back():
    watch = ImmersionWatch(EMPTY)
    states = play(watch, [1, 2], [0, 20], seconds=604, fps=5)
    assert states[-1][1].phase == "empty" and states[-1][1].remains
    assert max(state.left_s for _, state in states if state.left_s) >= 602
    out = play(watch, [605, 606], [20, 0], seconds=4, start_s=604.0)
    assert (out[-1][1].phase, out[-1][1].entered_s, out[-1][1].remains) == ("empty", None, False)
    again = play(watch, [609, 610], [0, 20], seconds=4, start_s=608.0)
    assert again[-1][1].phase == "watching" and abs(entries(again)[-1] - 609.1) < 0.3


def test_a_unit_raised_halfway_and_lowered_again_before_its_lamp_is_one_immersion():
    watch = ImmersionWatch(EMPTY)
    states = play(watch, [1, 2, 6, 6.5, 9, 9.5], [0, 20, 20, 5, 5, 20], seconds=14)
    assert len(entries(states)) == 1 and states[-1][1].phase == "watching"


def test_a_unit_taken_out_and_dipped_again_is_two_immersions():
    watch = ImmersionWatch(EMPTY)
    states = play(watch, [1, 2, 6, 7, 9, 10], [0, 20, 20, 0, 0, 20], seconds=14)
    assert len(entries(states)) == 2


def test_a_unit_that_is_in_the_tank_at_the_start_is_not_taken_for_the_empty_tank():
    watch = ImmersionWatch(None)
    states = play(watch, [0, 3, 4, 8, 9, 14, 15], [20, 20, 0, 0, 20, 20, 0], seconds=17)
    settled = {state.settled_s for _, state in states if state.settled_s is not None and state.left_s is None}
    assert any(abs(settled_s - 9) < 0.5 for settled_s in settled)
    assert states[-1][1].phase == "empty" and states[-1][1].left_s is not None
    assert all(state.settled_s is None for now_s, state in states if now_s < 8)


def test_what_lies_in_murky_water_is_not_said_to_be_gone():
    rng = np.random.default_rng(0)
    clear = rng.normal(100, 20, (24, 32)).astype(np.float32)
    murky = clear * 0.12 + 88 + rng.normal(0, 0.05, (24, 32)).astype(np.float32)
    with_thing = murky.copy()
    with_thing.ravel()[:16] -= 8  # 2.1 % of the cells: more than half of what only a unit takes in such murk
    tank = EmptyTank(clear, np.ones((24, 32), bool), ImmersionLimits())
    assert tank.unit_share / 2 > tank.taken_share(murky)
    assert tank.taken_share(with_thing) > tank.unit_share / 2
    tank.take_over(with_thing)
    assert not any(tank.is_as_before(with_thing, now_s) for now_s in (0.0, 0.1, 0.2, 0.3))
    assert [tank.is_as_before(murky, now_s) for now_s in (0.4, 0.5, 0.61)] == [False, False, True]
