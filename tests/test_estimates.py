"""Rates of all units from few judged ones: worked by hand, and true on every day of simulated years."""

import math

import numpy as np
import pytest
from in_full import in_full
from scipy.stats import gamma

from cloud_sync import estimates
from cloud_sync.estimates import BETS, Tally

FLOOR = 0.02


def tally(verdict: str, decision: str, units: int, **about) -> Tally:
    said = {"day": 0, "drawn": False, "probability": FLOOR, "verdict": verdict, "decision": decision, "units": units}
    return Tally(**{**said, **about})


def a_month(**judged) -> list[Tally]:
    """1,000 units a day, 1 % leaking, 2 % of the agreements audited, all right."""
    return [
        tally("ok", "ok", 29106),
        tally("ok", "ok", 594, drawn=True, **{"truth": "ok", **judged}),
        tally("leak", "leak", 294),
        tally("leak", "leak", 6, drawn=True, **{"truth": "leak", **judged}),
    ]


def test_disagreements_are_counted_and_audits_stand_for_the_units_not_drawn():
    found = estimates.rates(
        [
            tally("ok", "ok", 900, probability=0.1),
            tally("ok", "ok", 98, drawn=True, probability=0.1, truth="ok"),
            tally("ok", "ok", 2, drawn=True, probability=0.1, truth="leak"),
            tally("ok", "leak", 10, drawn=True, probability=1.0, truth="leak"),
            tally("leak", "ok", 40, drawn=True, probability=1.0, truth="leak"),
            tally("leak", "ok", 10, drawn=True, probability=1.0, truth="ok"),
        ],
        "machine",
    )
    assert found.miss.estimate == pytest.approx((20 + 10) / (20 + 10 + 40))
    assert found.false_alarm.estimate == pytest.approx(10 / (10 + 1000 + 10 - 30))
    assert (found.units, found.judged, found.unjudged) == (1060, 160, 0)
    assert found.miss.at_most > found.miss.estimate


def test_where_everything_is_judged_the_bound_is_the_count():
    units = [
        tally("ok", "ok", 60, drawn=True, probability=1.0, truth="ok"),
        tally("leak", "ok", 39, drawn=True, probability=1.0, truth="leak"),
        tally("ok", "leak", 1, drawn=True, probability=1.0, truth="leak"),
    ]
    assert estimates.rates(units, "machine").miss == estimates.Rate(1 / 40, 1 / 40)


def test_two_per_cent_of_audits_bound_little_and_that_is_said():
    """The design's arithmetic: without a miss seen, 184 hidden ones of 30,000 units cannot be ruled out at 97.5 %."""
    found = estimates.rates(a_month(), "machine")
    assert found.miss.estimate == 0.0
    assert 0.38 < found.miss.at_most < 1.0
    hidden = estimates.at_most(a_month()[:2], "leak", 0.025)
    assert 184 < hidden < 250, "a third more than a single look would have given"


def test_audits_that_nobody_judged_count_as_wrong():
    judged, unjudged = estimates.rates(a_month(), "machine"), estimates.rates(a_month(truth=None), "machine")
    assert unjudged.unjudged == 600
    assert unjudged.miss.at_most > judged.miss.at_most
    assert unjudged.miss.estimate is None
    assert estimates.at_most(a_month(truth=None)[:2], "leak", 0.025) >= 594 / FLOOR * 0.95
    assert estimates.at_most(a_month(truth="cannot_tell")[:2], "leak", 0.025) >= 594 / FLOOR * 0.95


def test_no_bound_falls_when_a_judged_unit_turns_out_wrong():
    bounds = [
        estimates.at_most(
            [
                tally("ok", "ok", 5000),
                tally("ok", "ok", 100 - wrong, drawn=True, truth="ok"),
                tally("ok", "ok", wrong, drawn=True, truth="leak"),
            ],
            "leak",
            0.05,
        )
        for wrong in range(1, 60)
    ]
    assert bounds == sorted(bounds)
    assert bounds[-1] <= 5059


@pytest.mark.parametrize("wrong", [0, 1, 10, 100])
def test_daily_looks_cost_little_more_than_one(wrong):
    units = [tally("ok", "ok", 10**6), tally("ok", "ok", 20000, drawn=True, truth="ok")]
    seen = [tally("ok", "ok", wrong, drawn=True, truth="leak")] if wrong else []
    one_look = gamma.ppf(0.975, wrong + 1) / FLOOR
    assert one_look < estimates.at_most(units + seen, "leak", 0.025) < 1.45 * one_look


def test_nothing_at_all_and_strange_probabilities_give_words_not_faults():
    empty = estimates.rates([], "machine")
    assert (empty.miss, empty.false_alarm) == (estimates.Rate(None, None),) * 2
    assert estimates.at_most([tally("ok", "ok", 7, probability=0.0)], "leak", 0.05) == 7
    assert estimates.at_most([tally("ok", "ok", 7, probability=1e-9)], "leak", 0.05) == 7
    assert estimates.strata([], "machine") == []


def test_units_that_were_not_tested_and_lamps_that_said_nothing_are_no_answers():
    units = [tally("not_tested", "ok", 5, drawn=True, probability=1.0), tally("uncertain", "none", 3)]
    assert estimates.rates(units, "machine").units == estimates.rates(units, "inspector").units == 0


def test_strata_say_how_each_was_drawn():
    units = [*a_month(), tally("leak", "ok", 9, drawn=True, probability=1.0, truth="ok")]
    first, *_, last = estimates.strata(units, "machine")
    assert (first.verdict, first.decision, first.always, first.units, first.judged) == ("ok", "ok", False, 29700, 594)
    assert (last.always, last.wrong, last.wrong_estimate, last.wrong_at_most) == (True, 9, 9.0, 9.0)


def test_a_bet_is_a_fair_game():
    """p times what a drawn unit does to the wealth and 1 - p times what another does is 1."""
    for probability in (0.02, 0.1, 0.5, 0.999):
        lambdas = BETS * -math.log1p(-0.02)
        drawn = np.exp(estimates.wealth([(probability, 0.02, 1)]))
        assert probability * drawn + (1 - probability) * np.exp(lambdas) == pytest.approx(1.0)


@pytest.mark.parametrize("wrong_a_day", [0.1, 1.0, in_full(5.0)])
def test_the_bound_is_hardly_ever_crossed_in_a_year_of_daily_looks(wrong_a_day):
    """1,000 years of 365 looks, seed 11: wrong units with probabilities between 0.02 and 0.5, as scores give them."""
    random = np.random.default_rng(11)
    years, days = 1000, 365
    log_wealth = np.zeros((years, len(BETS)))
    crossed = np.zeros(years, bool)
    lambdas = BETS * -math.log1p(-FLOOR)
    for _ in range(days):
        count = random.poisson(wrong_a_day, years)
        for nth in range(int(count.max())):
            here = count > nth
            probability = FLOOR + (0.5 - FLOOR) * random.beta(0.3, 3, years)
            with np.errstate(divide="ignore"):
                drawn = np.log(np.maximum(1 - (1 - probability)[:, None] * np.exp(lambdas), 0) / probability[:, None])
            step = np.where((random.random(years) < probability)[:, None], drawn, lambdas)
            log_wealth += np.where(here[:, None], step, 0.0)
        crossed |= np.logaddexp.reduce(log_wealth, axis=1) - math.log(len(BETS)) >= math.log(1 / 0.05)
    assert crossed.mean() <= 0.05
    if wrong_a_day >= 1:
        assert crossed.mean() > 0.002, "a bound that is never crossed promises too little"


def a_station(random: np.random.Generator, *, leaky: float, missed: float, judged: float) -> list[Tally]:
    """60 days of 500 units; where both err alike nobody sees it but the audit, and some audits are never judged."""
    units: list[Tally] = []
    for day in range(60):
        leaks = random.binomial(500, leaky)
        both_miss, only_machine = random.multinomial(leaks, [missed / 2, missed / 2, 1 - missed])[:2]
        alarms = random.binomial(500 - leaks, 0.002)
        for verdict, decision, truth, count, probability in (
            ("ok", "ok", "ok", 500 - leaks - alarms, FLOOR),
            ("ok", "ok", "leak", both_miss, FLOOR),
            ("leak", "leak", "leak", leaks - both_miss - only_machine, 0.2),
            ("ok", "leak", "leak", only_machine, 1.0),
            ("leak", "ok", "ok", alarms, 1.0),
        ):
            drawn = random.binomial(count, probability)
            seen = random.binomial(drawn, judged)
            about = {"day": day, "probability": probability}
            units += [
                tally(verdict, decision, number, drawn=is_drawn, truth=said, inspector=truth, **about)
                for number, is_drawn, said in (
                    (count - drawn, False, None),
                    (seen, True, truth),
                    (drawn - seen, True, None),
                )
                if number
            ]
    return units


@pytest.mark.parametrize(("leaky", "missed", "judged"), [(0.01, 0.1, 1.0), (0.02, 0.3, 0.9)])
def test_both_rates_are_true_on_every_look_at_a_station(leaky, missed, judged):
    """40 stations, looked at every tenth day, seed 5: what `rates` says against the truth that only the twin knows."""
    random = np.random.default_rng(5)
    crossed = 0
    for _ in range(40):
        units = a_station(random, leaky=leaky, missed=missed, judged=judged)
        looks = ([one for one in units if one.day <= day] for day in range(9, 60, 10))
        crossed += any(_is_crossed(look) for look in looks)
    assert crossed / 40 <= 0.05 + 0.03


def test_the_estimate_is_right_on_average():
    random = np.random.default_rng(9)
    found, true = [], []
    for _ in range(80):
        units = a_station(random, leaky=0.02, missed=0.3, judged=0.8)
        found.append(estimates.rates(units, "machine").miss.estimate)
        true.append(_true_miss_rate(units))
    assert np.mean(found) == pytest.approx(np.mean(true), abs=0.04)


def _is_crossed(units: list[Tally]) -> bool:
    said = estimates.rates(units, "machine")
    leaks, goods = (_count(units, "leak"), _count(units, "ok"))
    alarms = sum(one.units for one in units if one.verdict == "leak" and one.inspector == "ok")
    return _true_miss_rate(units) > said.miss.at_most + 1e-9 or (
        bool(goods and leaks) and alarms / goods > said.false_alarm.at_most + 1e-9
    )


def _true_miss_rate(units: list[Tally]) -> float:
    missed = sum(one.units for one in units if one.verdict == "ok" and one.inspector == "leak")
    return missed / max(1, _count(units, "leak"))


def _count(units: list[Tally], truth: str) -> int:
    return sum(one.units for one in units if one.inspector == truth)
