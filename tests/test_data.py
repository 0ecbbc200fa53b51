"""Crops: what the detector is told must be where the picture shows it."""

import numpy as np
import pytest

from calibration import scenes_for_training
from edge_agent.records import Composite
from models import data


@pytest.fixture(scope="module")
def crops() -> data.Crops:
    # Six stations in a row: of single pairs, some lie at the limit of what is asked of them all (docs/experiments.md).
    seen = [scenes_for_training.recording(seed, "bubbles") for seed in range(1, 7)]
    found = [data.crops(one, np.random.default_rng(one.seed)) for one in seen]
    return data.Crops(*(np.concatenate([getattr(one, name) for one in found]) for name in ("pictures", "rows")))


@pytest.mark.full
def test_crops_hold_composites_and_rows(crops):
    assert crops.pictures.shape[1:] == (3, data.CROP_PX, data.CROP_PX)
    assert crops.rows.shape[1:] == (data.MOST_ROWS, 6)
    assert (crops.rows[..., 4] == data.RISING).any()


@pytest.mark.full
def test_something_changes_where_a_bubble_is_said_to_be(crops):
    # The middle frame differs from both neighbours at a moving thing, and hardly anywhere else.
    at, beside = [], []
    for picture, rows in zip(crops.pictures.astype(float), crops.rows, strict=True):
        changed = np.minimum(np.abs(picture[1] - picture[0]), np.abs(picture[1] - picture[2]))
        for x, y in rows[rows[:, 4] == data.RISING, :2].astype(int):
            if 3 <= x < data.CROP_PX - 3 and 3 <= y < data.CROP_PX - 3:
                at.append(changed[y - 3 : y + 4, x - 3 : x + 4].max())
                beside.append(
                    np.median([changed[y0 : y0 + 7, x0 : x0 + 7].max() for y0, x0 in ((0, 0), (60, 60), (110, 20))])
                )
    assert len(at) > 20
    assert np.median(at) > 2 * np.median(beside)


@pytest.mark.full
def test_bubbles_rise_in_their_rows(crops):
    assert (crops.rows[crops.rows[..., 4] == data.RISING][:, 3] < 0).all()


def test_faint_and_slow_things_are_neither_demanded_nor_forbidden():
    composite = Composite(np.random.default_rng(0).normal(128, 2, (64, 64, 3)).clip(0, 255).astype(np.uint8), 0.1, 0.05)
    things = np.array(
        [
            [10, 10, 0, -200, 4, 40, 0],  # clear and rising
            [20, 10, 0, -200, 3, 2.5, 0],  # faint
            [30, 10, 0, -200, 1, 0.5, 0],  # not to be seen
            [40, 10, 0, 200, 4, 40, 3],  # a bead that falls
            [50, 10, 0, 0, 4, 40, 2],  # attached
        ],
        np.float32,
    )
    rows = data.rows_of(composite, things)
    roles = {int(row[0]): int(row[4]) for row in rows}
    assert roles == {10: data.RISING, 20: data.UNSURE, 40: data.BEAD, 50: data.ATTACHED}
    assert rows[0, 3] == pytest.approx(-200 * 0.05)


def test_the_same_seed_gives_the_same_scene():
    first, second = (scenes_for_training.recording(5, "cases") for _ in range(2))
    one, two = next(first.frames()), next(second.frames())
    assert np.array_equal(one[0].image, two[0].image) and np.array_equal(one[1].bubbles, two[1].bubbles)
