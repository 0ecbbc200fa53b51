"""Kymographs: what the origins net is shown of a case."""

import numpy as np
import pytest

from edge_agent import kymograph
from edge_agent.kymograph import (
    CLOCK,
    GLOW,
    LEFT,
    MOST_STRIPS,
    NEVER,
    ORIGIN_ROWS,
    PICTURE,
    PLAIN,
    RIGHT,
    ROWS,
    STEP_S,
    STEPS,
    STRIPS,
    WATCHED,
    Kymograph,
)

NOTHING = np.zeros((120, 160), np.float32)


def heat(row: int, column: int, *, size=(120, 160), level=0.9) -> np.ndarray:
    picture = np.zeros(size, np.float32)
    picture[row, column] = level
    return picture


class Witness:
    """Keeps what it is shown and says of each strip, at all heights, how much it stood out in sum."""

    def __init__(self) -> None:
        self.seen: list[np.ndarray] = []

    def __call__(self, strips: np.ndarray) -> np.ndarray:
        self.seen.append(strips)
        return np.repeat(strips[:, GLOW].sum((1, 2))[:, None], ORIGIN_ROWS, axis=1)


def test_a_glow_lies_in_its_cell_whatever_the_size_of_the_map():
    for size in ((120, 160), (72, 128), (30, 40), (12, 16)):
        seen = kymograph.cells(heat(size[0] // 2, size[1] // 4, size=size))
        row, strip = np.unravel_index(seen.argmax(), seen.shape)
        assert seen.max() == round(0.9 * 255)
        assert abs(row - ROWS // 2) <= ROWS // size[0] + 1 and abs(strip - STRIPS // 4) <= STRIPS // size[1] + 1


def test_both_ways_of_finding_the_highest_agree():
    heat = np.random.default_rng(1).random((120, 160), np.float32)
    blocks = np.rint(heat.reshape(60, 2, 40, 4).max(axis=(1, 3)) * 255)
    assert np.array_equal(kymograph.cells(heat), blocks)


def test_cells_of_cells_are_the_same():
    seen = kymograph.cells(np.random.default_rng(0).random((120, 160), np.float32))
    assert np.array_equal(kymograph.cells(seen.astype(np.float32) / 255), seen)


def test_a_strip_sees_its_neighbours_and_dark_strips_are_not_looked_at():
    witness = Witness()
    watch = Kymograph(witness)
    watch.add(heat(60, 40), 0.0)
    for step in range(1, 8):
        watch.add(NOTHING, step * STEP_S)
    odds = watch.origins()
    (strips,) = witness.seen
    assert strips.shape == (1, *PICTURE)
    assert strips[0, GLOW].max() > 0.8 and strips[0, LEFT].max() == strips[0, RIGHT].max() == 0
    assert strips[0, PLAIN].max() == round(0.9 * 255) / np.float32(255)
    assert strips[0, WATCHED, :8].all() and not strips[0, WATCHED, 8:].any()
    assert (odds > NEVER).any(axis=0).sum() == 1
    watch.add(heat(60, 44), 0.8)
    watch.origins()
    assert witness.seen[-1].shape[0] == 2 and witness.seen[-1][0, RIGHT, 8].max() > 0.8


def noisy(flicker: float, ground: float = 0) -> np.ndarray:
    """(STEPS, ROWS, STRIPS) uint8 of half normal noise."""
    noise = np.abs(np.random.default_rng(4).normal(0, flicker, (STEPS, ROWS, STRIPS)))
    return np.minimum(noise + ground, 255).astype(np.uint8)


def with_line(glow: np.ndarray, level: int, strip: int = 17) -> np.ndarray:
    """A bubble that rises through a strip from step 40 on."""
    glow = glow.copy()
    for step in range(12):
        glow[40 + step, 50 - 4 * step, strip] = min(255, int(glow[40 + step, 50 - 4 * step, strip]) + level)
    return glow


ALL = np.ones(STEPS, bool)


def test_a_line_stands_out_by_how_noisy_the_ground_is_not_by_how_bright_it_glows():
    faint = kymograph.strips(with_line(noisy(2), 40), ALL, 0.0)
    bright = kymograph.strips(with_line(noisy(20), 160), ALL, 0.0)

    def line(found: tuple[np.ndarray, np.ndarray], plane: int) -> float:
        chosen, pictures = found
        return float(pictures[list(chosen).index(17), plane, 40:52].max(1).mean())

    assert line(faint, PLAIN) < 0.3 < line(bright, PLAIN)
    assert line(faint, GLOW) > line(bright, GLOW)


def test_an_edge_that_always_glows_does_not_stand_out():
    glow = noisy(2)
    glow[:, 30, 10] = 200
    chosen, pictures = kymograph.strips(with_line(glow, 100), ALL, 0.0)
    assert list(chosen) == [10, 17]
    assert pictures[0, PLAIN, :, 30].min() > 0.7 and pictures[0, GLOW, :, 30].max() == 0


def test_where_all_strips_glow_those_that_stand_out_most_are_looked_at():
    for strip in (0, 17, STRIPS - 1):
        chosen, pictures = kymograph.strips(with_line(noisy(20), 160, strip), ALL, 0.0)
        assert len(chosen) == len(pictures) == MOST_STRIPS and strip in chosen
        assert np.array_equal(chosen, np.unique(chosen))


def test_a_line_is_looked_at_though_bright_edges_glow_all_the_time_in_more_strips_than_there_is_time_for():
    glow = noisy(2)
    glow[:, 30, MOST_STRIPS:] = 240
    glow[:, 20, :4] = 240
    chosen, _ = kymograph.strips(with_line(glow, 60, strip=10), ALL, 0.0)
    assert 10 in chosen


def test_planes_have_the_units_that_their_names_say():
    glow = np.zeros((STEPS, ROWS, STRIPS), np.uint8)
    glow[40, 30, 10] = 230
    _, (picture,) = kymograph.strips(glow, ALL, 12.8)
    assert picture[GLOW, 40, 30] == pytest.approx(np.log1p(230 / kymograph.GROUND_FLOOR) / 3)
    assert picture[PLAIN, 40, 30] == pytest.approx(230 / 255)
    at_s = 12.8 + STEP_S * np.arange(STEPS)
    np.testing.assert_allclose(picture[CLOCK, :, 0], 1 - np.exp(-at_s / kymograph.CLOCK_S), rtol=1e-6)


@pytest.mark.parametrize("first_s", (0.0, 0.05))
def test_composites_of_a_jittery_camera_fall_into_a_step_each(first_s):
    times_s = first_s + np.arange(100) * STEP_S
    jitter_s = np.random.default_rng(3).uniform(-0.02, 0.02, 100)
    for at_s in (times_s, times_s.astype(np.float32), times_s + jitter_s):
        assert np.array_equal(kymograph.step_of(at_s), np.arange(100))


def test_what_nobody_watched_neither_glows_nor_tells_of_the_ground():
    glow, watched = with_line(noisy(20), 160), ALL.copy()
    watched[60:] = False
    glow[60:] = 0
    chosen, pictures = kymograph.strips(glow, watched, 0.0)
    assert not pictures[:, :, 60:][:, [WATCHED, GLOW, LEFT, RIGHT, PLAIN]].any()
    short = glow[:60]
    again, shorter = kymograph.strips(short, watched[:60], 0.0)
    assert np.array_equal(chosen, again) and np.array_equal(pictures[:, :, :60], shorter)
    none, nothing = kymograph.strips(np.zeros_like(glow), np.zeros_like(watched), 0.0)
    assert len(none) == len(nothing) == 0


def test_nothing_that_glows_is_no_origin():
    watch = Kymograph(Witness())
    watch.add(NOTHING, 0.0)
    assert (watch.origins() == NEVER).all()


def test_a_long_watch_is_looked_at_window_by_window_and_the_boldest_answer_stays():
    witness = Witness()
    watch = Kymograph(witness)
    for step in range(3 * STEPS):
        glow = heat(60, 40) if STEPS <= step < STEPS + 50 else heat(60, 120, level=step % 2 * 0.2)
        watch.add(glow, step * STEP_S + 0.01)
    odds = watch.origins()
    assert odds[:, 10].max() > 40 and odds[:, 30].max() > 20
    assert len(witness.seen) == 3
    assert np.array_equal(watch.origins(), odds)


def test_a_pause_of_hours_costs_no_windows():
    witness = Witness()
    watch = Kymograph(witness)
    watch.add(heat(60, 40), 0.0)
    watch.add(heat(60, 40), 20_000.0)
    watch.origins()
    assert len(witness.seen) == 2
