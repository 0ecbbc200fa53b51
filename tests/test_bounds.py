"""Exact bounds against the binomial distribution itself, and a certificate on cases that had no part in the choice."""

import numpy as np
import pytest
from scipy.stats import beta, binom

from edge_agent.bundle import open_bundle
from edge_agent.inspection import shipped_bundle
from models import bounds
from models.bounds import ErrorCounts, JudgedSet


@pytest.mark.parametrize(("events", "trials"), [(0, 59), (0, 299), (1, 473), (5, 1049), (3, 20)])
def test_bounds_are_exact(events, trials):
    bound = bounds.upper(events, trials, 0.95)
    assert binom.cdf(events, trials, bound) == pytest.approx(0.05, abs=1e-4)


def test_bounds_are_those_of_clopper_and_pearson_for_weighted_counts_too():
    for events, trials in ((0, 59), (3, 200), (40, 100), (2.5, 33.3)):
        assert bounds.at_most(events, trials, 0.95) == pytest.approx(beta.ppf(0.95, events + 1, trials - events))
        below = beta.ppf(0.05, events, trials - events + 1) if events else 0.0
        assert bounds.at_least(events, trials, 0.95) == pytest.approx(below)
    assert bounds.at_most(0, 0, 0.95) == bounds.at_most(7, 7, 0.95) == bounds.at_most(7.2, 7, 0.95) == 1.0
    assert bounds.at_least(0, 0, 0.95) == 0.0 < bounds.at_least(7.2, 7, 0.95) < 1.0


def test_known_bounds_of_the_design():
    assert bounds.upper(0, 59, 0.95) == pytest.approx(0.05, abs=1e-3)
    assert bounds.upper(0, 2995, 0.95) == pytest.approx(0.001, abs=1e-5)
    assert bounds.upper(4, 4, 0.95) == 1.0
    assert bounds.lower(4, 4, 0.95) == pytest.approx(0.05 ** (1 / 4), abs=1e-6)
    assert bounds.upper(0, 0, 0.95) is bounds.lower(0, 0, 0.95) is bounds.estimate(0, 0) is None


def test_limits_named_before_need_no_part_of_each_others_risk():
    assert bounds.keeps(ErrorCounts(2371, 1, 2371, 1), 0.002, 0.002)
    assert not bounds.keeps(ErrorCounts(2370, 1, 2371, 1), 0.002, 0.002)
    assert not bounds.keeps(ErrorCounts(2371, 1, 2371, 2), 0.002, 0.002)
    assert not bounds.keeps(ErrorCounts(0, 0, 2371, 1), 0.002, 0.002)
    # Bounds that are read off afterwards need it.
    assert bounds.both(ErrorCounts(2371, 1, 2371, 1)).miss_rate > 0.002


def test_the_estimate_is_more_than_nothing_and_less_than_the_bound():
    assert 0 < bounds.estimate(0, 1000) < bounds.upper(0, 1000, 0.95)
    assert bounds.estimate(50, 1000) == pytest.approx(0.05, abs=1e-3)


@pytest.mark.parametrize("rate", [0.001, 0.004, 0.02])
def test_both_bounds_hold_together_as_often_as_promised(rate):
    rng = np.random.default_rng(7)
    held = 0
    for missed, alarms in rng.binomial(1500, rate, (2000, 2)):
        found = bounds.both(ErrorCounts(1500, int(missed), 1500, int(alarms)))
        held += found.miss_rate >= rate and found.false_alarm_rate >= rate
    assert held / 2000 >= 0.935


def test_a_certificate_names_its_data_and_its_limits():
    thresholds = open_bundle(shipped_bundle()).manifest.thresholds
    judged = JudgedSet("reference.jsonl", "ab" * 32, "2026-11-25T12:00:00Z", cases=5000, silent=130, program="cd" * 32)
    found = bounds.certificate(ErrorCounts(2400, 1, 2500, 0), thresholds, judged)
    assert (found.data, found.silent, found.leak_above) == ("reference.jsonl", 130, thresholds.leak_above)
    assert found.program == "cd" * 32
    assert found.coverage == pytest.approx(0.98)
    assert found.miss_rate_estimate < found.miss_rate_upper == bounds.upper(1, 2400, 0.975)
    assert bounds.certificate(ErrorCounts(0, 0, 2500, 0), thresholds, judged) is None
