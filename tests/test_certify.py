"""Bounds of certificates: what they rest on, and that they hold when they are looked at every day."""

import numpy as np
import pytest

from cloud_sync import certify
from cloud_sync.certify import Challenge
from cloud_sync.estimates import Tally
from cloud_sync.policy import Automation, Requirement

PARTIAL = Automation().partial


def tally(verdict: str, truth: str | None, units: int, *, decision: str = "", probability: float = 1.0, drawn=True):
    return Tally(
        day=1,
        verdict=verdict,
        decision=decision or verdict,
        drawn=drawn,
        probability=probability,
        truth=truth,
        units=units,
    )


@pytest.mark.parametrize("rate", [0.05, 0.02, 0.01, 0.001])
def test_without_an_error_a_rate_takes_less_than_twice_the_units_of_a_single_look(rate):
    once = np.log(0.05) / np.log1p(-rate)
    needed = certify._more(0, 0, rate)
    assert needed is not None and once < needed < 1.8 * once
    assert certify.rate_at_most(0, needed) <= rate < certify.rate_at_most(0, needed - 1)


def test_a_bound_only_falls_with_units_and_only_rises_with_errors_and_risk():
    bounds = [[certify.rate_at_most(errors, units) for units in (10, 100, 1000, 10_000)] for errors in (0, 1, 5, 9)]
    assert (np.diff(bounds, axis=1) < 1e-6).all() and (np.diff(bounds, axis=0) > -1e-6).all()
    assert certify.rate_at_most(0, 0) == certify.rate_at_most(9, 9) == 1.0
    assert certify.rate_at_most(3, 100, 0.001) > certify.rate_at_most(3, 100, 0.1)


def test_what_nobody_has_judged_counts_as_wrong():
    judged = [tally("leak", "leak", 300), tally("ok", "ok", 3000)]
    waiting = [tally("ok", None, 5, decision="leak")]
    before, after = certify.measure(judged), certify.measure(judged + waiting)
    right = certify.measure([*judged, tally("ok", "ok", 5, decision="leak")])
    assert (before.missed, after.missed, right.missed) == (0, 5, 0)
    assert after.miss_rate_upper > 0.03 > 0.02 > right.miss_rate_upper
    assert after.unjudged == 5


def test_agreements_that_were_not_drawn_may_hide_misses_by_the_probability_of_the_draw():
    def found(probability: float) -> certify.Measured:
        drawn = round(5000 * probability)
        hidden = tally("ok", None, 5000 - drawn, probability=probability, drawn=False)
        return certify.measure([tally("ok", "ok", drawn, probability=probability), hidden, tally("leak", "leak", 300)])

    bounds = [found(probability).miss_rate_upper for probability in (0.02, 0.1, 0.5, 0.9)]
    assert bounds == sorted(bounds, reverse=True) and bounds[0] > 0.4 and bounds[-1] < 0.06


def test_challenge_parts_stand_apart_and_may_show_the_miss_rate():
    units = [tally("leak", "leak", 20), tally("ok", "ok", 900)]
    alone, with_parts = certify.measure(units), certify.measure(units, Challenge(leaky=400, parts=10))
    assert (with_parts.leaky, with_parts.miss_rate_upper) == (20, alone.miss_rate_upper)
    best = certify.shown(with_parts, least_parts=10)
    assert best == certify.Shown(with_parts.challenge_miss_rate_upper, "challenge parts")
    assert certify.shown(with_parts, least_parts=None).by == "units"
    assert certify.missing(with_parts, PARTIAL, least_parts=10).is_nothing
    assert not certify.missing(with_parts, PARTIAL, least_parts=None).is_nothing


def test_a_thousand_runs_of_one_part_show_that_part_alone():
    found = certify.measure([tally("leak", "leak", 20), tally("ok", "ok", 900)], Challenge(leaky=1000, parts=1))
    assert certify.shown(found, least_parts=10).by == "units"
    lack = certify.missing(found, PARTIAL, least_parts=10)
    assert lack.words == ("1 different leaking challenge parts were run, 10 are needed to count",)
    assert certify.missing(found, PARTIAL, least_parts=1).is_nothing


@pytest.mark.parametrize("truth", ["leak", None])
def test_parts_do_not_outweigh_misses_that_were_seen_or_wait_for_a_judgement(truth):
    units = [tally("leak", "leak", 20), tally("ok", truth, 2, decision="leak"), tally("ok", "ok", 900)]
    lack = certify.missing(certify.measure(units, Challenge(leaky=4000, parts=10)), PARTIAL, least_parts=10)
    assert lack.words[0].startswith("2 of 22 leaks seen were answered ok")
    units[1] = tally("ok", "ok", 2, decision="leak")
    assert certify.missing(certify.measure(units, Challenge(leaky=4000, parts=10)), PARTIAL, least_parts=10).is_nothing


def test_what_is_missing_is_exactly_what_is_enough():
    units = [tally("leak", "leak", 60), tally("ok", "ok", 40)]
    lack = certify.missing(certify.measure(units), PARTIAL, least_parts=10)
    assert lack.leaky and lack.good and not lack.words
    more = [*units, tally("leak", "leak", lack.leaky), tally("ok", "ok", lack.good)]
    assert certify.missing(certify.measure(more), PARTIAL, least_parts=10).is_nothing
    less = [*units, tally("leak", "leak", lack.leaky - 1), tally("ok", "ok", lack.good)]
    assert certify.missing(certify.measure(less), PARTIAL, least_parts=10).leaky == 1


def test_a_machine_that_answers_little_is_told_so():
    units = [tally("leak", "leak", 600), tally("ok", "ok", 900), tally("uncertain", None, 600, decision="ok")]
    found = certify.measure([*units, tally("not_tested", None, 99, decision="ok")])
    assert found.coverage == 1500 / 2100
    assert "71.4 %" in certify.missing(found, Requirement(0.05, 0.05, 0.9), least_parts=None).words[0]


def lies(random: np.random.Generator, rates: np.ndarray, truths: np.ndarray, first: int) -> int:
    """Of 200 stations, those that at one of their looks were told less than the truth."""
    looks, limit = range(first, len(rates) + 1, 20), np.log(1 / certify.RISK)
    found = 0
    for _ in range(200):
        errors = np.cumsum(random.random(len(rates)) < rates)
        found += any(certify._log_wealth(errors[n - 1], n, truths[n - 1]) >= limit for n in looks)
    return found


def test_bounds_hold_on_every_day_for_a_rate_that_is_true():
    rates = np.full(600, 0.03)
    told = lies(np.random.default_rng(8), rates, rates, 20)
    assert told <= 6, "at most 2 are expected, and more than 6 once in 200 such tests"


def test_the_order_of_good_and_bad_days_does_not_matter():
    """The mean of changing rates is bounded too: first good, then bad."""
    rates = np.concatenate([np.full(300, 0.0), np.full(300, 0.08)])
    assert lies(np.random.default_rng(9), rates, np.cumsum(rates) / np.arange(1, 601), 320) <= 6
