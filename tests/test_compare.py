"""Machine against inspector, in the contract's order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent import compare


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
