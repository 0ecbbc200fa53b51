"""Kymographs: what the origins net is shown of a case."""

import numpy as np

from edge_agent import kymograph
from edge_agent.kymograph import GLOW, LEFT, NEVER, ORIGIN_ROWS, RIGHT, ROWS, STEPS, STRIPS, WATCHED, Kymograph


def heat(row: int, column: int, *, size=(120, 160), level=0.9) -> np.ndarray:
    picture = np.zeros(size, np.float32)
    picture[row, column] = level
    return picture


class Witness:
    """Keeps what it is shown and says the mean glow of each strip at all heights."""

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
    odds = watch.origins()
    (strips,) = witness.seen
    assert strips.shape == (1, 5, STEPS, ROWS)
    assert strips[0, GLOW].max() > 0.8 and strips[0, LEFT].max() == strips[0, RIGHT].max() == 0
    assert strips[0, WATCHED, 0].all() and not strips[0, WATCHED, 1:].any()
    assert (odds > NEVER).any(axis=0).sum() == 1
    watch.add(heat(60, 44), 0.1)
    watch.origins()
    assert witness.seen[-1].shape[0] == 2 and witness.seen[-1][0, RIGHT, 1].max() > 0.8


def test_nothing_that_glows_is_no_origin():
    watch = Kymograph(Witness())
    watch.add(np.zeros((120, 160), np.float32), 0.0)
    assert (watch.origins() == NEVER).all()


def test_a_long_watch_is_looked_at_window_by_window_and_the_boldest_answer_stays():
    witness = Witness()
    watch = Kymograph(witness)
    for step in range(3 * STEPS):
        watch.add(heat(60, 40) if STEPS <= step < STEPS + 50 else heat(60, 120, level=0.2), step * 0.1 + 0.01)
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
