"""Machine against inspector, in the contract's order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent import compare
from edge_agent.messages import SamplingWish
from edge_agent.records import Sampled

NOON = 1_795_000_000.0


@pytest.mark.parametrize(
    ("verdict", "decision", "decided_by", "expected"),
    [
        ("not_tested", "leak", "human", "not_tested"),
        ("not_tested", "ok", "machine", "not_tested"),
        ("leak", "leak", "machine", "machine_only"),
        ("leak", "none", "none", "undecided"),
        ("uncertain", "none", "none", "undecided"),
        ("uncertain", "ok", "human", "unsure"),
        ("ok", "ok", "human", "agree"),
        ("leak", "leak", "human", "agree"),
        ("leak", "ok", "human", "machine_leak"),
        ("ok", "leak", "human", "human_leak"),
    ],
)
def test_outcome_is_the_first_that_holds(verdict, decision, decided_by, expected):
    assert compare.outcome(verdict, decision, decided_by) == expected


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        ("machine_leak", "disagreement"),
        ("human_leak", "disagreement"),
        ("undecided", "disagreement"),
        ("unsure", "unsure"),
        ("not_tested", "not_tested"),
    ],
)
def test_every_case_without_agreement_goes_to_review(outcome, reason):
    sampled = compare.sampled(outcome, 0.5, audit_floor=0.02, draw=0.999999)
    assert (sampled.reason, sampled.probability) == (reason, 1.0)


@pytest.mark.parametrize("drawn", [Sampled("none", 0.02), Sampled("audit", 0.02)])
def test_what_champion_and_challenger_disagree_on_is_always_sent_and_says_so(drawn):
    assert (
        compare.beside(drawn, "ok", "leak") == compare.beside(drawn, "ok", "uncertain") == Sampled("disagreement", 1.0)
    )
    assert compare.beside(drawn, "ok", "ok") == compare.beside(drawn, "ok", None) == drawn
    assert compare.beside(drawn, "ok", "not_tested") == drawn, "a challenger that is broken floods nobody"


def test_a_case_that_is_sent_anyway_keeps_its_reason():
    unsure = Sampled("unsure", 1.0)
    assert compare.beside(unsure, "uncertain", "ok") == unsure


@given(st.floats(0, 1), st.floats(0.001, 0.5))
def test_the_audit_probability_is_never_zero_and_rises_towards_the_threshold(score, floor):
    probability = compare.audit_probability(score, floor)
    assert floor - 1e-6 <= probability <= 0.5 + 1e-6
    assert compare.audit_probability(0.5, floor) >= probability


def test_an_agreement_is_audited_when_the_draw_falls_below_its_probability():
    assert compare.sampled("agree", 0.99, audit_floor=0.02, draw=0.01).reason == "audit"
    unaudited = compare.sampled("agree", 0.99, audit_floor=0.02, draw=0.9)
    assert unaudited.reason == "none"
    assert unaudited.probability > 0


def wish(**limits) -> SamplingWish:
    return SamplingWish(**({"id": "more-murk", "probability": 0.3, "until": "2099-01-01T00:00:00Z"} | limits))


def seen(**about) -> compare.Seen:
    return compare.Seen(**({"verdict": "ok", "score": 0.02, "clarity": 0.5, "light_levels": 80.0, "at": NOON} | about))


@pytest.mark.parametrize(
    ("limits", "about", "probability"),
    [
        ({}, {}, 0.3),
        ({"verdict": "ok"}, {}, 0.3),
        ({"verdict": "leak"}, {}, 0.0),
        ({"clarity_below": 0.6}, {}, 0.3),
        ({"clarity_below": 0.5}, {}, 0.0),
        ({"clarity_below": 0.6}, {"clarity": None}, 0.0),
        ({"light_below": 90}, {}, 0.3),
        ({"light_below": 90}, {"light_levels": None}, 0.0),
        ({"score_from": 0.01, "score_below": 0.03}, {}, 0.3),
        ({"score_from": 0.03}, {}, 0.0),
        ({"score_from": 0.0}, {"score": None}, 0.0),
        ({"verdict": "ok", "clarity_below": 0.2}, {}, 0.0),
        ({"until": "2020-01-01T00:00:00Z"}, {}, 0.0),
        ({"until": "tomorrow"}, {}, 0.0),
    ],
)
def test_a_wish_is_for_cases_that_fit_every_limit_until_it_ends(limits, about, probability):
    assert compare.wished([wish(**limits)], seen(**about)) == probability


def test_the_largest_of_the_wishes_that_fit_holds():
    assert compare.wished([wish(), wish(probability=0.8), wish(probability=0.9, verdict="leak")], seen()) == 0.8
    assert compare.wished([], seen()) == 0.0


@given(st.floats(0, 1), st.floats(0.001, 1), st.floats(0, 1), st.floats(0, 1))
def test_a_wish_lowers_no_probability_and_is_recorded_as_it_was_drawn(score, floor, wanted, draw):
    without = compare.sampled("agree", score, audit_floor=floor, draw=draw)
    with_it = compare.sampled("agree", score, audit_floor=floor, draw=draw, wished=wanted)
    assert with_it.probability == max(without.probability, round(wanted, 6)) > 0
    assert with_it.reason == ("audit" if draw < with_it.probability else "none")


def test_what_is_always_sent_stays_so_whatever_is_wished():
    sampled = compare.sampled("unsure", 0.5, audit_floor=0.02, draw=0.99, wished=0.1)
    assert (sampled.reason, sampled.probability) == ("unsure", 1.0)
