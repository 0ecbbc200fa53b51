"""PURE. Which cases need an expert's eye, what a judgement of each is worth, and what to say of an absent clip."""

import math
from typing import Literal

ClipWord = Literal["ready", "coming", "overdue", "none", "damaged", "retired"]
Lane = Literal["value", "audit", "gold", "asked"]
"""From which of them a look is drawn: what is worth most, audits, cases with known truth; or somebody asked for it."""
EYE_OUTCOMES = ("machine_leak", "human_leak", "unsure", "not_tested")
"""Looked at whatever the station says about sampling."""
WORTH = {"disagreement": 1.0, "challenge": 0.9, "unsure": 0.3, "not_tested": 0.2}
"""One of the two was wrong, so each disagreement shows an error; the others only may. What a newer station may add
comes last."""
LEAST_WORTH = 0.1
WORTH_OF_A_BIT = 0.5
"""An uncertain case teaches the more, the less the machine knew."""


def needs_eye(sampled_for: str, outcome: str) -> bool:
    """Every non-agreement, everything uncertain or untested, and whatever the station drew for an audit."""
    return sampled_for != "none" or outcome in EYE_OUTCOMES


def lane_of(sampled_for: str) -> Lane:
    """Audits wait apart: they are mixed in at random, so that nobody can tell one by its place."""
    return "audit" if sampled_for == "audit" else "value"


def worth(sampled_for: str, score: float | None) -> float:
    """Expected value of a judgement, in errors shown: the order within a day."""
    value = WORTH.get(sampled_for, LEAST_WORTH)
    return value + WORTH_OF_A_BIT * _bits(score) if sampled_for == "unsure" else value


def clip_word(clip_sha256: str | None, state: str | None, waited_s: float, overdue_h: int) -> ClipWord:
    """What a case's video is doing, `waited_s` after its record came; `state` as the table `clips` has it."""
    if clip_sha256 is None:
        return "none"
    if state == "stored":
        return "ready"
    if state == "retired":
        return "retired"
    return "overdue" if waited_s > overdue_h * 3600 else "coming"


def _bits(score: float | None) -> float:
    """What is not known of a score, 0..1."""
    if score is None or not 0 < score < 1:
        return 0.0
    return -score * math.log2(score) - (1 - score) * math.log2(1 - score)
