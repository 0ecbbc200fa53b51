"""What /api/v1 answers about cases and judgements. Experts stay as blind as on the pages."""

from collections.abc import Iterator
from datetime import UTC, datetime

import sqlalchemy as sa
from msgspec import UNSET

from cloud_sync import api_desk, judgement, triage
from cloud_sync.api_records import (
    CasePage,
    CaseQuery,
    CaseTold,
    CaseView,
    QueueCounts,
    Reviews,
    ReviewView,
    cursor_of,
    place_of,
)
from cloud_sync.api_request import Asked, Refused
from cloud_sync.tables import cases, clips, reviews, truths, withdrawals

EQUAL = {"site": "site", "station": "station", "serial": "serial", "verdict": "verdict", "decision": "decision"}
EQUAL |= {"outcome": "outcome", "bundle": "bundle_version"}
"""Names in the query -> columns."""
NO_CASE = "There is no such case."


def page(asked: Asked) -> CasePage:
    """Keyset paging: the millionth case costs what the first does."""
    query: CaseQuery = asked.query
    wanted = _told().where(*_conditions(query)).order_by(cases.c.started_at.desc(), cases.c.case_id.desc())
    with asked.engine.connect() as connection:
        rows = connection.execute(wanted.limit(query.limit + 1)).all()
    found, more = rows[: query.limit], len(rows) > query.limit
    following = cursor_of(found[-1].started_at, found[-1].case_id) if more else None
    return CasePage([_case_told(row) for row in found], following)


def one(asked: Asked) -> CaseView:
    with asked.engine.connect() as connection:
        row = _row(connection, asked.path.case_id)
        known = _known(connection, asked)
    if known:
        _note_shown(asked)
    waited_s = asked.now - row.received_at
    return CaseView(
        case_id=row.case_id,
        site=row.site,
        station=row.station,
        started_at=moment(row.started_at),
        seconds=max(0.0, row.ended_at - row.started_at),
        clip=triage.clip_word(row.clip_sha256, row.clip_state, waited_s, asked.overdue_h),
        told=_case_told(row) if known else None,
    )


def said_of(asked: Asked) -> Reviews:
    with asked.engine.connect() as connection:
        _row(connection, asked.path.case_id)
        if not _known(connection, asked):
            raise Refused(403, "blind", "Judge this case first: until then nobody's judgement is shown.")
        said = Reviews(_reviews(connection, asked.path.case_id))
    _note_shown(asked)
    return said


def judge(asked: Asked) -> Reviews:
    """Adds the judgement; then everything may be known."""
    case_id = asked.path.case_id
    with asked.engine.connect() as connection:
        watchable = _row(connection, case_id).clip_state == "stored"
        fault = api_desk.incomplete(connection, asked.body)
    if fault:
        raise Refused(422, "incomplete", fault)
    if asked.body.judgement != "cannot_tell" and not watchable:
        raise Refused(409, "no_video", "There is no video to judge by, so only “cannot_tell” is possible.")
    if not _added(asked, case_id):
        raise Refused(404, "not_found", NO_CASE)
    with asked.engine.connect() as connection:
        return Reviews(_reviews(connection, case_id))


def queue(asked: Asked) -> QueueCounts:
    with asked.engine.connect() as connection:
        return api_desk.queue_counts(connection)


def _added(asked: Asked, case_id: str) -> bool:
    who = asked.caller.who
    added = api_desk.add_judgement(asked.engine, asked.desk, case_id, asked.body, reviewer=who, now=asked.now)
    return added is not None


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _known(connection: sa.Connection, asked: Asked) -> bool:
    """Whose work it is to see everything, or who has judged."""
    return asked.caller.may("viewer") or api_desk.may_know(connection, asked.path.case_id, asked.caller.who)


def _note_shown(asked: Asked) -> None:
    if asked.caller.may("expert"):
        judgement.note_shown(asked.engine, asked.path.case_id, asked.caller.who, asked.now)


def _row(connection: sa.Connection, case_id: str) -> sa.Row:
    row = connection.execute(_told().where(cases.c.case_id == case_id)).first()
    if row is None:
        raise Refused(404, "not_found", NO_CASE)
    return row


def _told() -> sa.Select:
    names = [name for name in CaseTold.__struct_fields__ if not name.startswith("truth")]
    columns = [cases.c[name] for name in names] + [cases.c.received_at, clips.c.state.label("clip_state")]
    columns += [truths.c.judgement.label("truth"), truths.c.state.label("truth_state")]
    joined = cases.outerjoin(clips, clips.c.sha256 == cases.c.clip_sha256)
    return sa.select(*columns).select_from(joined.outerjoin(truths, truths.c.case_id == cases.c.case_id))


def _case_told(row: sa.Row) -> CaseTold:
    values = {name: row._mapping[name] for name in CaseTold.__struct_fields__}
    times = {name: moment(values[name]) for name in ("started_at", "ended_at")}
    return CaseTold(**(values | times))


def _reviews(connection: sa.Connection, case_id: str) -> list[ReviewView]:
    columns = [reviews.c[name] for name in ReviewView.__struct_fields__ if name != "withdrawn"]
    query = sa.select(*columns, withdrawals.c.review_id.isnot(None).label("withdrawn")).select_from(
        reviews.outerjoin(withdrawals, withdrawals.c.review_id == reviews.c.id)
    )
    rows = connection.execute(query.where(reviews.c.case_id == case_id).order_by(reviews.c.revision))
    return [ReviewView(**(dict(row._mapping) | {"at": moment(row.at)})) for row in rows]


def _conditions(query: CaseQuery) -> Iterator[sa.ColumnElement[bool]]:
    for name, column in EQUAL.items():
        if (wanted := getattr(query, name)) is not UNSET:
            yield cases.c[column] == wanted
    if query.since is not UNSET:
        yield cases.c.started_at >= query.since.timestamp()
    if query.until is not UNSET:
        yield cases.c.started_at < query.until.timestamp()
    if query.clarity_below is not UNSET:
        yield cases.c.clarity < query.clarity_below
    if query.cursor is not UNSET:
        started_at, case_id = _place(query.cursor)
        earlier = (cases.c.started_at < started_at) | (cases.c.case_id < case_id)
        yield (cases.c.started_at <= started_at) & earlier


def _place(cursor: str) -> tuple[float, str]:
    try:
        started_at, case_id = place_of(cursor, tuple[float, str])
    except ValueError as error:
        raise Refused(400, "bad_cursor", "This cursor is none of ours: use `next` of the page before.") from error
    return started_at, case_id.replace("\0", "")
