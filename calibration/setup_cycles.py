"""Cases of a station that is being set up -> whether it works: empty cycles make no case, real ones count. PURE."""

from collections.abc import Sequence

import msgspec

from edge_agent.records import Case, DecisionWord


class CycleSeen(msgspec.Struct, frozen=True, kw_only=True):
    """One real cycle; what the machine thinks of the unit is not told."""

    case_id: str
    ended_at: str
    usable_s: float
    decision: DecisionWord
    good: bool
    words: str
    """What was missing, and the cure; empty where nothing was."""


class CyclesSeen(msgspec.Struct, frozen=True, kw_only=True):
    """All that was watched since the profile holds."""

    empty_done: int
    empty_cases: int
    """Cases that were made while nobody had a unit in the tank: there must be none."""
    real: tuple[CycleSeen, ...] = ()
    wanted: int

    @property
    def good(self) -> int:
        return sum(cycle.good for cycle in self.real)

    @property
    def passed(self) -> bool:
        return self.empty_done >= self.wanted and not self.empty_cases and self.good >= self.wanted


def judged(case: Case, required_hold_s: float, *, has_lamps: bool) -> CycleSeen:
    """What a case says of the set-up."""
    words = _words(case, required_hold_s, has_lamps=has_lamps)
    return CycleSeen(
        case_id=case.case_id,
        ended_at=case.ended_at,
        usable_s=round(case.usable_s, 1),
        decision=case.decision,
        good=not words,
        words=words,
    )


def _words(case: Case, required_hold_s: float, *, has_lamps: bool) -> str:
    # The reason of any other verdict would tell what the machine thinks.
    if case.verdict == "not_tested":
        return f"not tested: {case.reason}"
    if case.usable_s < required_hold_s:
        fact = f"the unit was watched for {case.usable_s:.1f} s, {required_hold_s:g} s are needed"
        return f"{fact}: hold it still in the water for longer"
    if not has_lamps:
        return "no lamp is marked, so no decision was read: mark the lamps"
    if case.decision == "none":
        return "no lamp was read: light one while the unit is in the water or just after, and check the lamps' marks"
    return ""


def seen(
    cases: Sequence[Case], required_hold_s: float, *, has_lamps: bool, empty: tuple[int, int], wanted: int
) -> CyclesSeen:
    """`cases`: the real ones; `empty`: empty cycles that were run, and cases that were made of them."""
    real = tuple(judged(case, required_hold_s, has_lamps=has_lamps) for case in cases)
    return CyclesSeen(empty_done=empty[0], empty_cases=empty[1], real=real, wanted=wanted)
