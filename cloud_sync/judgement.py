"""What experts say of cases: every judgement is added, none is changed; the latest counts."""

from typing import Annotated

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from cloud_sync import audit_log
from cloud_sync.routing import Judged, Split, split_of
from cloud_sync.tables import cases, examples, reviews

KINDS: dict[str, dict[str, str]] = {
    "leak": {
        "stream": "Steady stream",
        "single": "Single bubbles, slowly",
        "many": "From several points",
        "fine": "Fine mist",
        "other_leak": "Something else",
    },
    "ok": {
        "nothing": "Nothing rises",
        "trapped": "Trapped air that stops",
        "debris": "Particles or dirt",
        "surface": "Ripples or reflections",
        "hand": "Hand or tool",
        "other_ok": "Something else",
    },
    "cannot_tell": {
        "murky": "Water too murky",
        "hidden": "View blocked or moved",
        "short": "Too short",
        "no_video": "No video",
        "other_cannot_tell": "Something else",
    },
}
"""Kinds of bubble, or of what was taken for one, by judgement; their words on the page."""
TRIES = 5


class Review(msgspec.Struct, frozen=True, kw_only=True):
    """An expert's judgement on a case."""

    judgement: Judged
    seen: str | None = None
    """One of KINDS, or None where the expert did not say."""
    familiar: bool | None = None
    note: Annotated[str, msgspec.Meta(max_length=2000)] = ""


class Kept(msgspec.Struct, frozen=True):
    """A review as the database holds it."""

    case_id: str
    revision: int
    reviewer: str
    judgement: Judged
    seen: str | None
    familiar: bool | None
    note: str
    at: float
    split: Split | None = None

    @property
    def seen_words(self) -> str:
        return KINDS[self.judgement].get(self.seen or "", "")


def incomplete(review: Review) -> str | None:
    """What is still missing or contradictory, for a person; None = complete."""
    if review.judgement != "cannot_tell" and review.familiar is None:
        return "Say whether this is familiar (F) or unfamiliar (U)."
    if review.seen is not None and review.seen not in KINDS[review.judgement]:
        return "What is seen does not fit the judgement: choose again."
    return None


def record(engine: Engine, case_id: str, review: Review, reviewer: str, now: float) -> Kept | None:
    """Adds the review, and the example that follows from it, with one commit. None: no such case."""
    for _ in range(TRIES - 1):
        try:
            return _record(engine, case_id, review, reviewer, now)
        except sa.exc.IntegrityError:
            continue  # somebody else took this revision number a moment ago
    return _record(engine, case_id, review, reviewer, now)


def reviews_of(connection: sa.Connection, case_id: str) -> list[Kept]:
    """Every review of a case, the oldest first."""
    rows = connection.execute(
        sa.select(reviews, examples.c.split)
        .outerjoin(examples, examples.c.review_id == reviews.c.id)
        .where(reviews.c.case_id == case_id)
        .order_by(reviews.c.revision)
    )
    return [Kept(**{name: getattr(row, name) for name in Kept.__struct_fields__}) for row in rows]


def latest_reviews() -> sa.Subquery:
    """case_id, revision of the review that counts, for every reviewed case."""
    return (
        sa.select(reviews.c.case_id, sa.func.max(reviews.c.revision).label("revision"))
        .group_by(reviews.c.case_id)
        .subquery()
    )


def _record(engine: Engine, case_id: str, review: Review, reviewer: str, now: float) -> Kept | None:
    with engine.begin() as connection:
        case = connection.execute(
            sa.select(cases.c.verdict, cases.c.clip_sha256).where(cases.c.case_id == case_id)
        ).first()
        if case is None:
            return None
        last = connection.scalar(sa.select(sa.func.max(reviews.c.revision)).where(reviews.c.case_id == case_id))
        split = split_of(case.verdict, review.judgement, review.familiar) if case.clip_sha256 else None
        kept = Kept(
            case_id, (last or 0) + 1, reviewer, review.judgement, review.seen, review.familiar, review.note, now, split
        )
        values = {name: value for name, value in msgspec.structs.asdict(kept).items() if name != "split"}
        added = sa.insert(reviews).values(**values, clip_sha256=case.clip_sha256).returning(reviews.c.id)
        review_id = connection.scalar(added)
        if split is not None:
            example = {"review_id": review_id, "case_id": case_id, "label": review.judgement, "split": split}
            connection.execute(sa.insert(examples).values(**example, clip_sha256=case.clip_sha256))
        audit_log.note(connection, who=reviewer, did="judged", now=now, about=f"{case_id} {review.judgement}")
    return kept
