"""Thresholds and AUC on scores that can be checked by hand."""

import numpy as np
import pytest

from models.select import BOLDEST, auc, limits


def test_perfect_scores_cover_everything_without_error():
    scores, leaky = np.array([0.01, 0.02, 0.98, 0.99] * 20), np.array([False, False, True, True] * 20)
    found = limits(scores, leaky)
    assert (found.coverage, found.error) == (1.0, 0.0)


def test_a_confident_miss_widens_the_doubt():
    rng = np.random.default_rng(0)
    scores = np.concatenate([rng.uniform(0, 0.1, 200), rng.uniform(0.6, 1, 200), [0.15] * 4])
    leaky = np.concatenate([np.zeros(200, bool), np.ones(204, bool)])
    found = limits(scores, leaky)
    assert found.ok_below <= 0.15 and found.error == 0


def test_limits_are_never_bolder_than_allowed():
    rng = np.random.default_rng(1)
    for leaky in (rng.random(300) < 0.5, np.zeros(300, bool)):
        found = limits(rng.random(300), leaky)
        assert found.ok_below <= BOLDEST[0] < BOLDEST[1] <= found.leak_above
    assert limits(rng.random(300), rng.random(300) < 0.5).coverage < 0.5


@pytest.mark.parametrize(
    ("scores", "leaky", "area"),
    [([0.1, 0.9], [False, True], 1.0), ([0.5, 0.5], [False, True], 0.5), ([0.9, 0.1], [False, True], 0.0)],
)
def test_auc_of_two_cases(scores, leaky, area):
    assert auc(np.array(scores), np.array(leaky)) == area


def test_auc_without_one_class_is_not_a_number():
    assert np.isnan(auc(np.array([0.5]), np.array([True])))
