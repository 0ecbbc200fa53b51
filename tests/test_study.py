"""The attribute study: AIAG's own example, bounds by parts, and a plan that is blind, balanced and repeatable."""

import numpy as np
import pytest

from cloud_sync import study
from cloud_sync.study import Candidate, Plan, Trial

PLAN = Plan(name="spring", appraisers=("anna", "bert"), parts=20, borderline=0.4, seed=4)


def candidates(leaks: int = 40, goods: int = 40) -> list[Candidate]:
    return [
        Candidate(f"case-{number:03d}", "leak" if number < leaks else "ok", number % 2 == 0)
        for number in range(leaks + goods)
    ]


def looks(appraiser: str, table: tuple[int, int, int, int], *, first_part: int = 1) -> list[Trial]:
    """Truth leak said leak, leak said ok, ok said leak, ok said ok: three looks to a part, as they come."""
    words = [("leak", "leak"), ("leak", "ok"), ("ok", "leak"), ("ok", "ok")]
    said = [pair for pair, count in zip(words, table, strict=True) for _ in range(count)]
    return [
        Trial(appraiser, first_part + at // 3, at % 3 + 1, truth, judgement)
        for at, (truth, judgement) in enumerate(said)
    ]


@pytest.mark.parametrize(
    ("table", "kappa", "miss", "alarm"),
    [((45, 3, 5, 97), 0.88, 0.063, 0.049), ((45, 3, 2, 100), 0.92, 0.063, 0.020), ((42, 6, 9, 93), 0.77, 0.125, 0.088)],
)
def test_aiags_example_of_50_parts_three_appraisers_and_three_trials(table, kappa, miss, alarm):
    """MSA, 4th edition, chapter III section C: cross-tabulations against the reference and their figures."""
    found = study.appraisal(looks("A", table), "A")
    assert found.kappa.value == pytest.approx(kappa, abs=0.005)
    assert found.miss.value == pytest.approx(miss, abs=0.0006)
    assert found.false_alarm.value == pytest.approx(alarm, abs=0.0006)
    assert found.effectiveness.of == 50


def test_25_parts_seen_three_times_prove_11_3_per_cent_and_not_3_9():
    found = study.appraisal(looks("A", (75, 0, 0, 75)), "A")
    assert (found.miss.value, found.verdict) == (0.0, "acceptable")
    assert found.miss.bound == pytest.approx(0.113, abs=5e-4)
    assert found.proved == "unacceptable"
    assert found.effectiveness.bound == pytest.approx(0.05 ** (1 / 50), abs=1e-5)


def test_a_part_missed_once_in_three_looks_is_a_missed_part_in_the_bound():
    trials = [*looks("A", (72, 0, 0, 75)), *looks("A", (2, 1, 0, 0), first_part=50)]
    found = study.appraisal(trials, "A")
    assert (found.miss.events, found.miss.of, found.miss.parts_with, found.miss.parts) == (1, 75, 1, 25)
    assert found.effectiveness.value == pytest.approx(49 / 50)
    assert found.repeatability.value == pytest.approx(49 / 50)


@pytest.mark.parametrize(
    ("figures", "word"),
    [
        ((0.9, 0.02, 0.05), "acceptable"),
        ((0.89, 0.02, 0.05), "marginal"),
        ((0.95, 0.021, 0.0), "marginal"),
        ((0.95, 0.0, 0.11), "unacceptable"),
        ((None, 0.0, 0.0), "unknown"),
    ],
)
def test_the_verdict_is_the_worst_of_the_three(figures, word):
    assert study.verdict(*figures) == word


def test_cannot_tell_is_right_for_no_part():
    trials = [Trial("A", 1, trial, "leak", "cannot_tell") for trial in (1, 2, 3)]
    found = study.appraisal([*trials, *looks("A", (0, 0, 0, 6), first_part=2)], "A")
    assert (found.miss.value, found.false_alarm.value, found.repeatability.value) == (1.0, 0.0, 1.0)


def test_two_appraisers_are_held_against_each_other_trial_by_trial_and_the_machine_against_each():
    anna, bert = looks("anna", (30, 0, 0, 30)), looks("bert", (30, 0, 3, 27))
    machine = [trial for trial in looks("machine", (30, 0, 0, 30)) if trial.trial == 1]
    found = study.pair([*anna, *bert, *machine], "anna", "bert")
    assert (found.alike.value, found.alike.cases) == (19 / 20, 20)
    assert 0.5 < found.kappa.low < found.kappa.value < found.kappa.high <= 1.0
    assert study.pair([*anna, *machine], "machine", "anna").kappa.value == 1.0
    assert study.pair([], "anna", "bert").kappa.value is None
    assert study.appraisal(machine, "machine").repeatability.value is None


@pytest.mark.parametrize("right", [0.8, 0.9])
def test_looks_at_one_part_are_no_independent_evidence(right):
    """300 studies of 50 parts, every look at a part alike, seed 2: kappa's interval by parts covers."""
    random, true, covered = np.random.default_rng(2), 2 * right - 1, []
    for _ in range(300):
        words = [("leak" if part < 25 else "ok") for part in range(50)]
        said = [word if random.random() < right else ("ok" if word == "leak" else "leak") for word in words]
        trials = [Trial("A", part, trial, words[part], said[part]) for part in range(50) for trial in (1, 2, 3)]
        figure = study.appraisal(trials, "A").kappa
        covered.append(figure.low <= true <= figure.high)
    assert 0.925 <= np.mean(covered) <= 0.985


def test_a_plan_picks_clear_and_borderline_parts_of_both_kinds():
    parts, fault = study.chosen(candidates(), PLAN)
    assert fault is None
    assert len({part.case_id for part in parts}) == 20
    assert sum(part.borderline for part in parts) == 8
    assert sum(part.truth == "leak" for part in parts) == 10
    assert parts == study.chosen(candidates(), PLAN)[0]


@pytest.mark.parametrize(
    ("clips", "words"), [((0, 0), "0 borderline clips"), ((2, 60), "would leak"), ((60, 2), "would leak")]
)
def test_what_a_plan_is_short_of_is_said(clips, words):
    parts, fault = study.chosen(candidates(*clips), PLAN)
    assert parts == []
    assert words in fault


def test_each_appraiser_has_an_order_of_their_own_that_comes_again_with_the_seed():
    anna, bert = study.order(PLAN, "anna", 20), study.order(PLAN, "bert", 20)
    assert anna == study.order(PLAN, "anna", 20)
    assert anna != bert
    assert sorted(anna) == [(trial, part) for trial in (1, 2, 3) for part in range(1, 21)]
    assert [part for _, part in anna[:20]] != [part for _, part in anna[20:40]]
