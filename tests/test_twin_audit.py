"""Leaked labels: nothing but bubbles may tell a leaky unit from a tight one.

The judges here are ridge classifiers, held to chance across folds; they would find a label that shows in the light, in
the part's look, in the noise, or in any number that a manifest gives besides the leak's own.
"""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from calibration import bubbles
from calibration.manifest import row_of
from calibration.scene import draw_scene, draw_station
from calibration.twin import Twin, scene_seed
from calibration.twin_spec import TwinSpec

SMALL = (320, 240)
LEAK_KEYS = {
    "rate", "diameter_px", "diameter_mm", "leak_std_cm3_s", "leak_required", "bubbles_released", "silent", "slides",
    "leaks", "odd", "spot",
}  # fmt: skip


def auc_across_folds(features, labels, folds=5):
    """How well a ridge classifier tells the labels of cases that it has not seen; 0.5 = chance."""
    features = (features - features.mean(0)) / (features.std(0) + 1e-9)
    scores, fold = np.zeros(len(labels)), np.arange(len(labels)) % folds
    for number in range(folds):
        known = fold != number
        seen, wanted = features[known], np.where(labels[known], 1.0, -1.0)
        centre = wanted.mean()
        weights = np.linalg.solve(seen.T @ seen + len(seen) * np.eye(seen.shape[1]), seen.T @ (wanted - centre))
        # Each fold is ranked within itself: its share of leaks would otherwise show as a step between folds.
        scores[~known] = np.argsort(np.argsort(features[~known] @ weights)) / (~known).sum()
    ranks = np.argsort(np.argsort(scores)) + 1
    leaky = labels.sum()
    return (ranks[labels].sum() - leaky * (leaky + 1) / 2) / (leaky * (len(labels) - leaky))


def first_frame(seed, profile, leaky=None, **changes):
    look = replace(draw_station(scene_seed(91, seed), profile, SMALL), **changes)
    scene = draw_scene(scene_seed(92, seed), look, profile, leaky=leaky)
    frame, truth = next(Twin(look, [scene], seed=seed, single=True).frames())
    return frame.image[:, :, 0], truth, scene


def described(grey):
    """A thumbnail and plain statistics of a picture."""
    thumb = cv2.resize(grey, (16, 12), interpolation=cv2.INTER_AREA).astype(np.float64).reshape(-1)
    fine = cv2.Laplacian(grey, cv2.CV_64F)
    steps = [grey.mean(), grey.std(), np.abs(fine).mean(), fine.std(), *np.percentile(grey, [1, 10, 50, 90, 99])]
    return np.concatenate([thumb, steps])


@pytest.fixture(scope="module")
def first_frames():
    rows = [first_frame(seed, "reference") for seed in range(200)]
    return np.array([described(grey) for grey, _, _ in rows]), np.array([scene.leaky for _, _, scene in rows])


@pytest.mark.full
def test_the_judge_finds_a_label_that_is_there(first_frames):
    features, labels = first_frames
    brighter = features + np.outer(labels, np.where(np.arange(features.shape[1]) % 16 == 3, features.std(0), 0.0))
    assert auc_across_folds(brighter, labels) > 0.75


@pytest.mark.full
def test_the_first_frame_alone_does_not_tell_leaky_from_tight(first_frames):
    assert 0.38 < auc_across_folds(*first_frames) < 0.62


@pytest.mark.parametrize("profile", ["reference", "hard"])
def test_no_number_of_a_manifest_but_the_leaks_own_tells_the_label(profile):
    rows = [row_of(TwinSpec(seed=93, profile=profile), number) for number in range(1500)]
    keys = [key for key in rows[0] if key not in LEAK_KEYS | {"seed"} and all(_is_number(row[key]) for row in rows)]
    features = np.array([[float(row[key]) for key in keys] for row in rows])
    assert len(keys) > 25
    assert 0.46 < auc_across_folds(features, np.array([row["label"] == "leak" for row in rows])) < 0.54


def _is_number(value):
    return isinstance(value, int | float)


def test_twins_of_one_seed_begin_alike_but_for_the_leaks_bubbles_already_under_way():
    differing = 0
    for seed in range(12):
        profile = ("reference", "plant", "hard")[seed % 3]
        leaky, truth, _ = first_frame(seed, profile, leaky=True, codec="none", jpeg_quality=None)
        tight, _, _ = first_frame(seed, profile, leaky=False, codec="none", jpeg_quality=None)
        apart = cv2.absdiff(leaky, tight) > 0
        differing += apart.any()
        for x, y, vx, vy, diameter in truth.bubbles[truth.bubbles[:, 6] == bubbles.LEAK, :5]:
            # Motion over the longest exposure smears a bubble along its way.
            reach = diameter / 2 + max(abs(vx), abs(vy)) / 60 + 6
            left, top = max(int(x - reach), 0), max(int(y - reach), 0)
            apart[top : int(y + reach) + 2, left : int(x + reach) + 2] = False
        assert not apart.any()
    assert differing > 3
