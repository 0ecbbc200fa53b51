"""Curves by hand, and slope and interval against data drawn with known truth."""

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm

from models import curves


def test_the_roc_of_four_cases_goes_through_the_known_points():
    scores, leaky = np.array([0.9, 0.6, 0.4, 0.1]), np.array([True, False, True, False])
    assert curves.roc(scores, leaky).tolist() == [[0, 0], [0, 0.5], [0.5, 0.5], [0.5, 1], [1, 1]]
    assert len(curves.roc(scores, np.ones(4, bool))) == 0


def test_equal_scores_are_one_step_of_the_roc():
    assert curves.roc(np.array([0.5, 0.5]), np.array([True, False])).tolist() == [[0, 0], [1, 1]]


def test_the_surest_cases_are_covered_first():
    rows = curves.risk_coverage(np.array([-1.0, 3.0, 2.0]), np.array([True, False, False]), 4)
    assert rows.tolist() == [[0.25, 0], [0.5, 0], [0.75, pytest.approx(1 / 3)]]
    assert len(curves.risk_coverage(np.empty(0), np.empty(0, bool), 0)) == 0


def test_a_score_is_as_sure_as_it_lies_beyond_its_own_limit():
    scores = np.array([0.001, 0.02, 0.4, 0.89, 0.91, 1.0])
    sure, says_leak = curves.sureness(scores, 0.02, 0.9)
    assert says_leak.tolist() == [False, False, True, True, True, True]
    assert (sure > 0).tolist() == [True, False, False, False, True, True] and sure[1] == 0
    assert np.argsort(-sure).tolist()[:3] == [5, 0, 4] and np.isfinite(sure).all()


def test_a_long_curve_is_thinned_but_keeps_its_ends():
    rng = np.random.default_rng(0)
    points = curves.roc(rng.random(5000), rng.random(5000) < 0.5)
    assert len(points) <= curves.MOST_POINTS
    assert points[0].tolist() == [0, 0] and points[-1].tolist() == [1, 1]


def scored(rng, count, slope, *, leaky_share=0.5):
    """Cases whose scores are too sure by `1 / slope`, drawn with the class share and judged at equal odds."""
    truth = rng.normal(0, 2, count * 6)
    leaky = rng.random(len(truth)) < expit(truth)
    kept = np.concatenate(
        [np.nonzero(leaky)[0][: int(count * leaky_share)], np.nonzero(~leaky)[0][: int(count * (1 - leaky_share))]]
    )
    return expit(truth[kept] / slope), leaky[kept]


@pytest.mark.parametrize("slope", [0.7, 1.0, 1.4])
@pytest.mark.parametrize("leaky_share", [0.5, 0.2])
def test_the_slope_is_found_whatever_the_share_of_leaks(slope, leaky_share):
    found = curves.calibration(*scored(np.random.default_rng(1), 4000, slope, leaky_share=leaky_share))
    assert found.slope.low < slope < found.slope.high
    assert found.slope.high - found.slope.low < 0.3
    assert abs(found.intercept.value) < 0.25
    assert found.enough


def test_the_slopes_interval_holds_it_as_often_as_it_says():
    rng = np.random.default_rng(2)
    found = [curves.calibration(*scored(rng, 600, 1.0)) for _ in range(400)]
    assert 0.92 < np.mean([one.slope.low < 1.0 < one.slope.high for one in found]) < 0.98


def test_no_slope_where_the_data_have_none():
    assert curves.calibration(np.array([0.01, 0.99]), np.array([False, True])) is None
    assert curves.calibration(np.array([0.3, 0.7]), np.array([False, True])) is None
    assert curves.calibration(np.array([0.3, 0.7]), np.array([True, True])) is None
    few = curves.calibration(np.array([0.3, 0.7, 0.4, 0.6]), np.array([False, True, True, False]))
    assert few.cases == 4 and not few.enough


def test_the_areas_interval_holds_it_as_often_as_it_says():
    rng, true_area = np.random.default_rng(3), float(norm.cdf(1.5 / np.sqrt(2)))
    leaky = np.arange(160) < 80
    held = []
    for _ in range(400):
        found = curves.auc_interval(rng.normal(0, 1, 160) + 1.5 * leaky, leaky)
        held.append(found.low <= true_area <= found.high)
    assert 0.92 < np.mean(held) < 0.985


def test_a_perfect_area_is_no_certainty():
    scores, leaky = np.linspace(0, 1, 100), np.arange(100) >= 50
    found = curves.auc_interval(scores, leaky)
    assert found.value == found.high == 1.0
    assert found.low == pytest.approx(0.025 ** (1 / 50))
    assert curves.auc_interval(scores, np.ones(100, bool)) is None


def test_reliability_is_at_equal_odds():
    scores, leaky = np.array([0.55] * 12), np.array([True] * 4 + [False] * 8)
    assert curves.reliability(scores, leaky).tolist() == [[pytest.approx(0.55), pytest.approx(0.5), 4, 8]]
