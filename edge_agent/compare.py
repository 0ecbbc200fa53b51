"""Machine and human side by side: Verdict + Decision -> Outcome, and whether an expert should look. PURE."""

from collections.abc import Iterable
from dataclasses import dataclass

from edge_agent import utc
from edge_agent.messages import SamplingWish
from edge_agent.records import DecidedBy, DecisionWord, OutcomeWord, Sampled, VerdictWord

AUDIT_HIGHEST = 0.5
"""Agreements that the machine was least sure of are audited at most this often."""

CHALLENGE = Sampled(reason="challenge", probability=1.0)
"""Of a part whose truth is known, whatever was said of it: it is no unit, and its clip always goes along."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a sampling wish may ask of a case; None: not measured."""

    verdict: VerdictWord
    score: float | None
    clarity: float | None
    light_levels: float | None
    at: float
    """UTC, seconds since 1970."""


def outcome(verdict: VerdictWord, decision: DecisionWord, decided_by: DecidedBy) -> OutcomeWord:
    """The first that holds, in the order of the contract."""
    if verdict == "not_tested":
        return "not_tested"
    if decided_by == "machine":
        return "machine_only"
    if decision == "none":
        return "undecided"
    if verdict == "uncertain":
        return "unsure"
    if verdict == decision:
        return "agree"
    return "machine_leak" if verdict == "leak" else "human_leak"


def sampled(
    outcome: OutcomeWord,
    score: float | None,
    *,
    audit_floor: float,
    draw: float,
    wished: float = 0.0,
    differ: bool = False,
) -> Sampled:
    """Why this case's clip goes to review. `audit_floor` > 0: smallest audit probability; `draw`: uniform in 0..1;
    `wished`: what the cloud asks for this kind of case; `differ`: a word that was due, the last one and the inspector's
    are not all the same.

    Everything but an agreement (or a decision of the machine alone) is sent. Agreements are drawn with a probability
    that rises from the floor, where the score is sure, to AUDIT_HIGHEST, where it is not: audits are few, and the
    rare hidden errors sit near the threshold.
    """
    if outcome in ("machine_leak", "human_leak", "undecided"):
        return Sampled(reason="disagreement", probability=1.0)
    if outcome == "unsure":
        return Sampled(reason="unsure", probability=1.0)
    if outcome == "not_tested":
        return Sampled(reason="not_tested", probability=1.0)
    if differ:
        return Sampled(reason="disagreement", probability=1.0)
    probability = max(audit_probability(score, audit_floor), round(wished, 6))
    return Sampled(reason="audit" if draw < probability else "none", probability=probability)


def beside(sampled: Sampled, champion: VerdictWord, challenger: VerdictWord | None) -> Sampled:
    """The same where a challenger spoke, too: what the two disagree on is sent, with probability 1, because it decides
    which of them is better. A challenger that could not test has shown nothing; it may be broken, and is to flood
    neither line nor experts."""
    if challenger in (None, "not_tested", champion) or sampled.reason not in ("audit", "none"):
        return sampled
    return Sampled(reason="disagreement", probability=1.0)


def audit_probability(score: float | None, audit_floor: float) -> float:
    """Never 0, so that bounds over all units can be computed from the audited ones."""
    unsureness = 1.0 if score is None else 1.0 - abs(2.0 * score - 1.0)
    return round(min(1.0, audit_floor + max(0.0, AUDIT_HIGHEST - audit_floor) * unsureness**2), 6)


def wished(wishes: Iterable[SamplingWish], seen: Seen) -> float:
    """The largest probability of those wishes that this case fits and that have not ended; 0 where none does."""
    fitting = (wish for wish in wishes if _fits(wish, seen) and seen.at < (utc.seconds(wish.until) or 0.0))
    return max((wish.probability for wish in fitting), default=0.0)


def _fits(wish: SamplingWish, seen: Seen) -> bool:
    limits = (
        (seen.score, wish.score_below),
        (seen.clarity, wish.clarity_below),
        (seen.light_levels, wish.light_below),
    )
    return (
        wish.verdict in (None, seen.verdict)
        and (wish.score_from is None or (seen.score is not None and seen.score >= wish.score_from))
        and all(limit is None or (value is not None and value < limit) for value, limit in limits)
    )
