"""What a station saves: worked by hand, true in simulation, and silent where cases are too few."""

import numpy as np
import pytest

from cloud_sync import human_level, value
from cloud_sync.human_level import Look
from cloud_sync.value import Costs, Scored

COSTS = Costs(miss=100.0, false_alarm=10.0, expert_minute=1.0, minutes_a_case=1.0, units_a_day=1000, days_a_year=200)


def scored(day: int, score: int, decision: str, truth: str | None, units: int, probability: float = 1.0) -> Scored:
    verdict = "ok" if score < 25 else "leak" if score >= 80 else "uncertain"
    drawn = truth is not None or probability == 1.0
    about = {"verdict": verdict, "decision": decision, "truth": truth, "units": units, "score": score}
    return Scored(day=day, drawn=drawn, probability=probability, **about)


def a_day(day: int) -> list[Scored]:
    """1,000 units: the inspector misses 2 leaks that the machine sees and rejects 3 good units; 10 are in between."""
    return [
        scored(day, 1, "ok", None, 955, 0.02),
        scored(day, 1, "ok", "ok", 20, 0.02),
        scored(day, 99, "leak", "leak", 10),
        scored(day, 99, "ok", "leak", 2),
        scored(day, 1, "leak", "ok", 3),
        scored(day, 50, "ok", "ok", 10),
    ]


def test_a_year_is_worked_out_by_hand():
    found = value.saving([*a_day(0), *a_day(1)], COSTS)
    # 2 misses at 100 and 3 false alarms at 10 saved, 10 looks at 1 paid, a day of 1,000 units, 200 days.
    assert found.estimate == pytest.approx(200 * (200 + 30 - 10))
    assert found.low == pytest.approx(found.estimate)
    assert (found.measured_on, found.units, found.unjudged) == (45, 1000, 0)
    assert found.decided == pytest.approx(0.99)
    assert found.leaking == pytest.approx(0.012)
    assert 0 < found.ok_below <= 0.25 < 0.8 <= found.leak_above < 1


def test_what_nobody_judged_is_the_worse_for_one_end_and_the_better_for_the_other():
    open_cases = [scored(1, 99, "ok", None, 5)]
    found = value.saving([*a_day(0), *a_day(1), *open_cases], COSTS)
    assert found.unjudged == 5
    assert found.low < found.estimate <= found.high
    assert found.high - found.low == pytest.approx(5 * 110 * 200_000 / 1005)


def test_dear_experts_narrow_the_band_and_dear_misses_widen_it():
    days = [
        one
        for day in (0, 1)
        for one in (*a_day(day), scored(day, 15, "ok", "ok", 100), scored(day, 15, "leak", "leak", 4))
    ]
    cheap = value.saving(days, COSTS)
    dear = value.saving(days, Costs(miss=1.0, false_alarm=1.0, expert_minute=50.0))
    assert cheap.ok_below <= 0.15 < dear.ok_below


def test_the_plants_own_share_of_leaks_is_taken():
    more = value.saving([*a_day(0), *a_day(1)], Costs(miss=100, false_alarm=0, expert_minute=0, leaking=0.024))
    same = value.saving([*a_day(0), *a_day(1)], Costs(miss=100, false_alarm=0, expert_minute=0))
    assert more.estimate == pytest.approx(2 * same.estimate)


@pytest.mark.parametrize("units", [[], a_day(0)])
def test_too_few_cases_give_no_money(units):
    found = value.saving(units, COSTS)
    assert (found.estimate, found.low, found.high) == (None, None, None)


def test_without_a_case_the_limits_are_the_most_careful_ones():
    found = value.saving([], COSTS)
    assert (found.ok_below, found.leak_above) == pytest.approx((0.01, 0.99))


def test_the_interval_holds_the_true_saving():
    """80 stations of 20 days, 10 % of the judgements missing, seed 21; the truth is known to the simulation."""
    random = np.random.default_rng(21)
    covered = [_covers(random) for _ in range(80)]
    assert np.mean(covered) >= 0.95


def _covers(random: np.random.Generator) -> bool:
    units, truths = [], []
    for day in range(20):
        for score, decision, truth, rate, probability in (
            (1, "ok", "ok", 500, 0.02),
            (1, "ok", "leak", 0.3, 0.02),
            (99, "ok", "leak", 0.5, 1.0),
            (99, "ok", "ok", 0.3, 1.0),
            (1, "leak", "ok", 2, 1.0),
            (1, "leak", "leak", 0.2, 1.0),
            (20, "ok", "leak", 0.3, 0.3),
            (50, "ok", "ok", 5, 1.0),
            (50, "ok", "leak", 1, 1.0),
            (99, "leak", "leak", 5, 0.02),
        ):
            count = random.poisson(rate)
            drawn = random.binomial(count, probability)
            judged = random.binomial(drawn, 0.9)
            about = {"day": day, "verdict": "x", "decision": decision, "probability": probability, "score": score}
            for number, is_drawn, said in (
                (count - drawn, False, None),
                (judged, True, truth),
                (drawn - judged, True, None),
            ):
                if number:
                    units.append(Scored(drawn=is_drawn, truth=said, units=int(number), **about))
                    truths.append(truth)
    found = value.saving(units, COSTS)
    newer = set(map(id, value._halves(units)[1]))
    known = [
        Scored(**{**_fields(one), "truth": truth, "drawn": True, "probability": 1.0})
        for one, truth in zip(units, truths, strict=True)
        if id(one) in newer
    ]
    low, high = round(100 * found.ok_below), round(100 * found.leak_above)
    true = sum(value._gain(group) for group in value._sets(known, low, high, COSTS)) * 200_000 / found.units
    return found.low - 1e-6 <= true <= found.high + 1e-6


def _fields(one: Scored) -> dict:
    return {name: getattr(one, name) for name in Scored.__struct_fields__}


def test_human_level_counts_what_is_settled_and_takes_the_rest_as_wrong_in_the_bound():
    looks = [
        Look("erna", "leak", "leak", 38),
        Look("erna", "ok", "leak", 2),
        Look("erna", "ok", "ok", 60),
        Look("erna", "leak", None, 4),
        Look("emil", "ok", "ok", 3),
    ]
    emil, erna = human_level.performance(looks)
    assert erna.miss.estimate == pytest.approx(0.05)
    assert erna.miss.at_most == pytest.approx(0.2557, abs=0.02)
    assert erna.false_alarm.estimate == 0.0 < erna.false_alarm.at_most
    assert emil.false_alarm.estimate is None
    assert emil.miss == human_level.Skill(0, 0, None, None)
