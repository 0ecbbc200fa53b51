"""Phases of an immersion, from thumbnails alone."""

import numpy as np

from edge_agent.immersion import ImmersionWatch, thumbnail

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
