"""PURE. Single judgements on cases whose truth was settled by others as well -> how good a person is: human level.

The truth is what two experts agree on, what a third decided, or what was known before. Where experts still disagree,
the judgement counts as wrong in the bounds and not at all in the estimates. What both experts miss is seen by nobody.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from models import bounds

CONFIDENCE = 0.95
FEWEST = 10
"""With fewer cases of a kind than this no estimate is given, only the bound."""


class Look(msgspec.Struct, frozen=True):
    """Judgements alike of one person, or of one kind of person."""

    who: str
    judgement: str
    truth: Literal["leak", "ok"] | None
    """None while experts disagree."""
    looks: int = 1


class Skill(msgspec.Struct, frozen=True):
    """A share of wrong answers; None: too few to say."""

    wrong: int
    of: int
    estimate: float | None
    at_most: float | None
    """One-sided, 95 %, each by itself and for one look."""


class Performance(msgspec.Struct, frozen=True):
    """One person's, or one kind's, misses and false alarms. `cannot_tell` is wrong."""

    who: str
    miss: Skill
    false_alarm: Skill
    unsettled: int


def performance(looks: Sequence[Look]) -> list[Performance]:
    """One of each `who`, in order of their names."""
    return [_one(who, [look for look in looks if look.who == who]) for who in sorted({look.who for look in looks})]


def _one(who: str, looks: Sequence[Look]) -> Performance:
    unsettled = sum(look.looks for look in looks if look.truth is None)
    return Performance(who, _skill(looks, "leak", unsettled), _skill(looks, "ok", unsettled), unsettled)


def _skill(looks: Iterable[Look], truth: str, unsettled: int) -> Skill:
    of_kind = [look for look in looks if look.truth == truth]
    cases = sum(look.looks for look in of_kind)
    wrong = sum(look.looks for look in of_kind if look.judgement != truth)
    at_most = bounds.upper(wrong + unsettled, cases + unsettled, CONFIDENCE) if cases else None
    return Skill(wrong, cases, wrong / cases if cases >= FEWEST else None, at_most)
