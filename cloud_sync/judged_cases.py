"""The database -> the judged cases of a time, as an analysis of errors looks at them."""

import msgspec
import sqlalchemy as sa

from cloud_sync.slices import Judged, Opinion
from cloud_sync.tables import cases, reviews, tags, truths, withdrawals
from cloud_sync.tallies import chance_of_draw, is_drawn, is_unit

MOST = 50_000
"""The latest; an analysis of more would say the same."""


class Told(msgspec.Struct):
    """What only the case's message holds."""

    leak_std_cm3_s: float | None = None


def judged(connection: sa.Connection, since: float = 0.0) -> list[Judged]:
    """The latest first: those that began after `since` (UTC, seconds since 1970) and of which leak or ok is true."""
    # Who picks a case by hand picks it for what it is: it stands for itself alone.
    stands_by = sa.case((is_drawn(), chance_of_draw()), else_=1.0).label("stands_by")
    query = (
        sa.select(cases, stands_by, truths.c.judgement, truths.c.state, reviews.c.seen)
        .join(truths, truths.c.case_id == cases.c.case_id)
        .join(reviews, reviews.c.id == truths.c.review_id)
        .where(truths.c.judgement.in_(("leak", "ok")), cases.c.started_at >= since, is_unit())
        .order_by(cases.c.started_at.desc(), cases.c.case_id)
        .limit(MOST)
    )
    named, said = _tags(connection), _opinions(connection)
    return [_judged(row, named, said) for row in connection.execute(query)]


def _judged(row: sa.Row, named: dict[str, list[str]], said: dict[str, dict[str, str]]) -> Judged:
    opinions = said.get(row.case_id, {})
    return Judged(
        case_id=row.case_id,
        place=f"{row.site}/{row.station}",
        started_at=row.started_at,
        verdict=row.verdict,
        decision=row.decision,
        truth=row.judgement,
        state=row.state,
        probability=row.stands_by,
        sampled_for=row.sampled_for,
        clarity=row.clarity,
        light_levels=row.light_levels,
        leak_std_cm3_s=msgspec.json.decode(row.payload, type=Told).leak_std_cm3_s,
        seen=row.seen,
        tags=tuple(sorted(set(named.get(row.case_id, ())))),
        opinions=tuple(Opinion(by, judgement) for by, judgement in opinions.items()),
    )


def _tags(connection: sa.Connection) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in connection.execute(sa.select(tags.c.case_id, tags.c.tag).where(tags.c.removed_at.is_(None))):
        found.setdefault(row.case_id, []).append(row.tag)
    return found


def _opinions(connection: sa.Connection) -> dict[str, dict[str, str]]:
    """First words alone: whoever has seen what others said measures no single expert."""
    blind = (
        sa.select(reviews.c.case_id, reviews.c.reviewer, reviews.c.judgement)
        .outerjoin(withdrawals, withdrawals.c.review_id == reviews.c.id)
        .where(withdrawals.c.review_id.is_(None), reviews.c.blind, reviews.c.purpose.in_(("first", "second")))
        .order_by(reviews.c.id)
    )
    found: dict[str, dict[str, str]] = {}
    for row in connection.execute(blind):
        found.setdefault(row.case_id, {}).setdefault(row.reviewer, row.judgement)
    return found
