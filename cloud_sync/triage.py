"""PURE. Which cases need an expert's eye, in which order, and what to say of a clip that is not there."""

from typing import Literal

ClipWord = Literal["ready", "coming", "overdue", "none", "damaged"]
EYE_OUTCOMES = ("machine_leak", "human_leak", "unsure", "not_tested")
"""Looked at whatever the station says about sampling."""
RANKS = {"disagreement": 0, "challenge": 1, "unsure": 2, "audit": 3, "not_tested": 4}
"""Most is learnt from the first. What a newer station may add comes last."""
LAST_RANK = 9


def needs_eye(sampled_for: str, outcome: str) -> bool:
    """Every non-agreement, everything uncertain or untested, and whatever the station drew for an audit."""
    return sampled_for != "none" or outcome in EYE_OUTCOMES


def rank(sampled_for: str) -> int:
    """Smaller comes first."""
    return RANKS.get(sampled_for, LAST_RANK)


def clip_word(clip_sha256: str | None, stored: bool, waited_s: float, overdue_h: int) -> ClipWord:
    """What a case's video is doing, `waited_s` after its record came."""
    if clip_sha256 is None:
        return "none"
    if stored:
        return "ready"
    return "overdue" if waited_s > overdue_h * 3600 else "coming"
