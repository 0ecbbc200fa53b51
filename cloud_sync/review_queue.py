"""The cases that wait for an expert, in the order in which they are worth looking at."""

import msgspec
import sqlalchemy as sa

from cloud_sync import triage
from cloud_sync.tables import cases, clips, reviews
from cloud_sync.triage import ClipWord

SHOWN = 200


class Waiting(msgspec.Struct, frozen=True):
    """One case in the queue. Nothing here tells what machine or inspector said."""

    case_id: str
    site: str
    station: str
    started_at: float
    seconds: float
    clip: ClipWord
    arrived: float | None
    """Share of the clip that has arrived, while it is coming."""


class Counts(msgspec.Struct, frozen=True):
    """How many cases need an eye, and how far that has come."""

    waiting: int
    """Not yet reviewed, the video ready."""
    coming: int
    """Not yet reviewed, the video on its way or overdue."""
    without_clip: int
    """Not yet reviewed, and no video to come."""
    reviewed: int


def waiting(connection: sa.Connection, now: float, overdue_h: int, *, limit: int = SHOWN) -> list[Waiting]:
    """The queue: what can be watched first; then what is worth most; then what has waited longest."""
    query = (
        _joined().where(needs_eye(), ~_reviewed()).order_by(~_stored(), _rank(), cases.c.started_at, cases.c.case_id)
    )
    return [_waiting(row, now, overdue_h) for row in connection.execute(query.limit(limit))]


def next_case(connection: sa.Connection, *, after: str | None = None) -> str | None:
    """The first case in the queue that can be watched, other than `after`."""
    query = _joined().where(needs_eye(), ~_reviewed(), _stored())
    if after is not None:
        query = query.where(cases.c.case_id != after)
    row = connection.execute(query.order_by(_rank(), cases.c.started_at, cases.c.case_id).limit(1)).first()
    return None if row is None else row.case_id


def counts(connection: sa.Connection) -> Counts:
    """One look at the whole queue."""
    has_clip = cases.c.clip_sha256.isnot(None)
    groups = {
        "waiting": ~_reviewed() & _stored(),
        "coming": ~_reviewed() & ~_stored() & has_clip,
        "without_clip": ~_reviewed() & ~has_clip,
        "reviewed": _reviewed(),
    }
    sums = [
        sa.func.coalesce(sa.func.sum(sa.case((group, 1), else_=0)), 0).label(name) for name, group in groups.items()
    ]
    tables = cases.outerjoin(clips, clips.c.sha256 == cases.c.clip_sha256)
    row = connection.execute(sa.select(*sums).select_from(tables).where(needs_eye())).one()
    return Counts(**row._mapping)


def needs_eye() -> sa.ColumnElement[bool]:
    """`triage.needs_eye` as the database says it; a test holds the two together."""
    return (cases.c.sampled_for != "none") | cases.c.outcome.in_(triage.EYE_OUTCOMES)


def _joined() -> sa.Select:
    return sa.select(cases, clips.c.state, clips.c.next_part, clips.c.parts).outerjoin(
        clips, clips.c.sha256 == cases.c.clip_sha256
    )


def _stored() -> sa.ColumnElement[bool]:
    return sa.func.coalesce(clips.c.state, "missing") == "stored"


def _reviewed() -> sa.ColumnElement[bool]:
    return sa.exists().where(reviews.c.case_id == cases.c.case_id)


def _rank() -> sa.ColumnElement[int]:
    return sa.case(triage.RANKS, value=cases.c.sampled_for, else_=triage.LAST_RANK)


def _waiting(row: sa.Row, now: float, overdue_h: int) -> Waiting:
    stored = row.state == "stored"
    return Waiting(
        case_id=row.case_id,
        site=row.site,
        station=row.station,
        started_at=row.started_at,
        seconds=max(0.0, row.ended_at - row.started_at),
        clip=triage.clip_word(row.clip_sha256, stored, now - row.received_at, overdue_h),
        arrived=row.next_part / row.parts if row.parts and not stored else None,
    )
