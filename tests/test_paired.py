"""Bets on pairs: what is not known never helps the challenger, and a hypothesis that is true is seldom refuted."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_sync import betting, paired
from cloud_sync.paired import Margins, Pair

MARGINS = Margins(0.005, 0.005, 0.01)
WORDS = ("ok", "leak", "uncertain", "not_tested")


def a_pair(champion: str, challenger: str, truth: str | None = None, **about) -> Pair:
    return Pair(
        **{"day": 1, "drawn": True, "probability": 1.0} | about, champion=champion, challenger=challenger, truth=truth
    )


def last(pairs: list[Pair]) -> dict[str, float]:
    """Log e-values by name when all is counted."""
    _, counts = paired.counted(pairs)
    wealth = paired.logs(counts, MARGINS).sum(axis=-2)
    return dict(zip(paired.NAMES, betting.mixed(wealth), strict=True))


@pytest.mark.parametrize("margin", [-0.2, 0.0, 0.005, 0.2])
def test_a_bet_is_never_better_than_fair_while_the_hypothesis_is_true(margin: float) -> None:
    one = np.eye(3)
    factors = np.exp(betting.growth(one[:, 0], one[:, 1], one[:, 2], margin))
    assert (factors >= 0).all()
    for less in np.linspace(0, 0.5, 11):
        more = less + margin
        if more >= 0 and more + less <= 1:
            mean = more * factors[0] + less * factors[1] + (1 - more - less) * factors[2]
            assert (mean <= 1 + 1e-12).all()


@pytest.mark.parametrize("probability", [0.02, 0.5, 1.0])
def test_an_audited_unit_stands_for_those_that_were_not_drawn(probability: float) -> None:
    drawn = np.exp(betting.audited(np.ones(1), 0.005, probability))[0]
    assert probability * drawn + (1 - probability) == pytest.approx(
        np.exp(betting.growth(np.zeros(1), np.zeros(1), np.ones(1), 0.005))[0]
    )


def test_a_true_hypothesis_is_refuted_in_few_of_many_long_runs_and_not_in_none() -> None:
    random = np.random.default_rng(1)
    more, less = (random.binomial(20, rate, (2000, 400)) for rate in (0.03, 0.025))
    wealth = np.cumsum(betting.growth(more, less, 20 - more - less, 0.005), axis=1)
    ever = (betting.mixed(wealth) >= math.log(20)).any(axis=1).mean()
    assert 0.005 < ever < 0.05


@given(
    st.lists(
        st.tuples(
            st.sampled_from(WORDS),
            st.sampled_from(WORDS),
            st.sampled_from(("leak", "ok", "cannot_tell")),
            st.booleans(),
        ),
        max_size=30,
    )
)
@settings(max_examples=60)
def test_what_nobody_has_judged_yet_is_never_better_for_the_challenger_than_the_truth(units) -> None:
    def seen(all_judged: bool) -> list[Pair]:
        return [
            a_pair(champion, challenger, truth if judged or all_judged else None)
            for champion, challenger, truth, judged in units
        ]

    if units:
        now, then = last(seen(False)), last(seen(True))
        for name in paired.NAMES:
            assert now[name] <= then[name] + 1e-9, name


def test_uncertain_and_not_tested_are_neither_miss_nor_false_alarm_but_no_answer() -> None:
    _, counts = paired.counted(
        [
            a_pair("ok", "uncertain", "leak"),
            a_pair("leak", "not_tested", "ok"),
            a_pair("uncertain", "not_tested", "leak"),
        ]
    )
    assert (counts.missed_less.sum(), counts.alarmed_less.sum(), counts.answered_less.sum()) == (1, 1, 2)
    assert counts.missed_more.sum() == counts.alarmed_more.sum() == counts.answered_more.sum() == 0
    assert sum(leaks.sum() for _, leaks in counts.alike) == 1


def test_an_agreement_that_somebody_picked_by_hand_does_not_count() -> None:
    picked = a_pair("leak", "leak", "leak", drawn=False, probability=0.02)
    assert paired.counted([picked])[1].alike == ()
    assert last([picked])["no_more_misses"] == pytest.approx(0.0)
    assert last([a_pair("leak", "leak", "leak", probability=0.02)])["no_more_misses"] > 0


def test_a_discordant_unit_counts_whoever_chose_it() -> None:
    assert last([a_pair("leak", "ok", "leak", drawn=False, probability=0.02)])["no_more_misses"] < 0
    assert last([a_pair("ok", "leak", "leak", drawn=False, probability=0.02)])["no_more_misses"] > 0


def test_of_what_experts_cannot_tell_nothing_follows() -> None:
    values = last([a_pair("leak", "ok", "cannot_tell"), a_pair("ok", "leak", "cannot_tell")])
    assert values["no_more_misses"] == values["fewer_alarms"] == values["fewer_misses"] == pytest.approx(0.0)
    assert values == pytest.approx(last([a_pair("ok", "ok", units=2)])), "two units like any other"


@pytest.mark.parametrize("silent", ["uncertain", "not_tested"])
def test_who_never_answers_is_not_better_on_false_alarms(silent: str) -> None:
    pairs = [
        a_pair("ok", silent, "ok", units=900),
        a_pair("leak", silent, "ok", units=50),
        a_pair("leak", silent, "leak", units=50),
    ]
    _, counts = paired.counted(pairs)
    found = paired.course(counts, MARGINS)
    assert found.better[-1] < 0 and found.worse[-1] > math.log(1000)


def test_who_always_says_leak_is_not_better_on_answers() -> None:
    _, counts = paired.counted(
        [
            a_pair("uncertain", "leak", "ok", units=50),
            a_pair("ok", "leak", "ok", units=30),
            a_pair("ok", "leak", None, units=900),
        ]
    )
    found = paired.course(counts, MARGINS)
    assert found.better[-1] < 0 and found.worse[-1] > math.log(100)
