"""PURE. What experts said of a case -> what counts as true of it, and whose look is wanted next.

Each expert's last word counts. Where they differ nothing is true until a third has judged; his word stands then. What
is said of a gold case measures the expert and never the case.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

from cloud_sync.routing import Judged

Purpose = Literal["first", "second", "adjudication", "gold"]
TruthState = Literal["single", "agreed", "conflict", "adjudicated"]


class Said(msgspec.Struct, frozen=True):
    """One review, as far as it matters here; in the order in which they came."""

    review_id: int
    reviewer: str
    judgement: Judged
    purpose: Purpose


class Truth(msgspec.Struct, frozen=True):
    """What counts as true of a case; `judgement` None while experts disagree."""

    judgement: Judged | None
    state: TruthState
    review_id: int
    """The review whose details (kind, familiar, marks) count."""


def settle(said: Sequence[Said]) -> Truth | None:
    """None: nobody has judged."""
    last = {word.reviewer: word for word in said if word.purpose != "gold"}
    if not last:
        return None
    newest = max(last.values(), key=lambda word: word.review_id)
    thirds = {word.reviewer for word in said if word.purpose == "adjudication"}
    if judges := [word for name, word in last.items() if name in thirds]:
        word = max(judges, key=lambda word: word.review_id)
        return Truth(word.judgement, "adjudicated", word.review_id)
    if len(last) == 1:
        return Truth(newest.judgement, "single", newest.review_id)
    if len({word.judgement for word in last.values()}) == 1:
        return Truth(newest.judgement, "agreed", newest.review_id)
    return Truth(None, "conflict", newest.review_id)


def wanted_next(truth: Truth, *, surprising: bool, drawn: bool) -> Purpose | None:
    """`surprising`: the only judgement contradicts machine and inspector both; `drawn`: the lot asks for a second."""
    if truth.state == "conflict":
        return "adjudication"
    return "second" if truth.state == "single" and (surprising or drawn) else None


def is_surprising(judgement: Judged, verdict: str, decision: str) -> bool:
    """Against both of them: either the rarest find, or a slip."""
    return verdict == decision and (verdict, judgement) in (("ok", "leak"), ("leak", "ok"))
