"""Questions about the cases held: search and containment, their CSV, and the summary that demo and drills wait for."""

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from cloud_sync import looks
from cloud_sync.tables import cases, clips, dead_letters, gaps, reviews, truths

PAGE = 100
LARGEST_CSV = 200_000
COLUMNS = (
    "case_id",
    "site",
    "station",
    "sequence",
    "started_at",
    "ended_at",
    "usable_s",
    "verdict",
    "score",
    "decision",
    "decided_by",
    "outcome",
    "sampled_for",
    "sampled_probability",
    "bundle_version",
    "bundle_sha256",
    "profile_sha256",
    "clip_sha256",
    "judgement",
    "reviewer",
)


class Search(msgspec.Struct, frozen=True):
    """What is asked for; an empty text asks for nothing. Times in UTC, seconds since 1970."""

    text: str = ""
    """Part of a case id."""
    station: str = ""
    verdict: str = ""
    decision: str = ""
    outcome: str = ""
    bundle_version: int | None = None
    started_from: float | None = None
    started_until: float | None = None


def summary(engine: Engine) -> dict[str, int]:
    """Counts of everything held.

    `queued`: cases that must be reviewed, are not yet, and can be watched; `awaiting_clip`: the same, but the clip is
    still to come. `duplicated`: cases beyond the first that carry the same number of the same station. `missing`:
    numbers in open gaps.
    """
    with engine.connect() as connection:
        queue = looks.counts(connection)
        open_gaps = connection.scalar(
            sa.select(sa.func.coalesce(sa.func.sum(gaps.c.last - gaps.c.first + 1), 0)).where(
                gaps.c.closed_at.is_(None)
            )
        )
        numbers = sa.select(cases.c.site, cases.c.station, cases.c.sequence).distinct().subquery()
        held, distinct = _count(connection, cases), _count(connection, numbers)
        return {
            "cases": held,
            "review_needed": sum(queue.values()),
            "queued": queue["waiting"],
            "awaiting_clip": queue["coming"],
            "without_clip": queue["bare"],
            "reviewed": queue["judged"],
            "duplicated": held - distinct,
            "missing": int(open_gaps or 0),
            "clips": _count(connection, sa.select(clips.c.sha256).where(clips.c.state == "stored").subquery()),
            "dead_letters": _count(connection, dead_letters),
        }


def find(connection: sa.Connection, search: Search, *, limit: int = PAGE) -> Sequence[sa.Row]:
    """Rows of COLUMNS, the latest first; one more than `limit` where there are more."""
    return connection.execute(
        _query(search).order_by(cases.c.started_at.desc(), cases.c.case_id).limit(limit + 1)
    ).all()


def as_csv(connection: sa.Connection, search: Search) -> Iterator[str]:
    """The same as CSV, line by line, the oldest first."""
    yield _line(COLUMNS)
    rows = connection.execution_options(yield_per=500).execute(
        _query(search).order_by(cases.c.started_at, cases.c.case_id).limit(LARGEST_CSV)
    )
    for row in rows:
        yield _line([_cell(name, value) for name, value in zip(COLUMNS, row, strict=True)])


def _query(search: Search) -> sa.Select:
    joined = cases.outerjoin(truths, truths.c.case_id == cases.c.case_id).outerjoin(
        reviews, reviews.c.id == truths.c.review_id
    )
    of = {"judgement": truths, "reviewer": reviews}
    columns = [of.get(name, cases).c[name] for name in COLUMNS]
    return sa.select(*columns).select_from(joined).where(*_conditions(search))


def _conditions(search: Search) -> Iterator[sa.ColumnElement[bool]]:
    for name in ("station", "verdict", "decision", "outcome"):
        if wanted := getattr(search, name):
            yield cases.c[name] == wanted
    if search.text:
        yield cases.c.case_id.contains(search.text, autoescape=True)
    if search.bundle_version is not None:
        yield cases.c.bundle_version == search.bundle_version
    if search.started_from is not None:
        yield cases.c.started_at >= search.started_from
    if search.started_until is not None:
        yield cases.c.started_at < search.started_until


def _count(connection: sa.Connection, table: sa.FromClause) -> int:
    return connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0


def _cell(name: str, value: object) -> object:
    if name in ("started_at", "ended_at"):
        return datetime.fromtimestamp(float(str(value)), UTC).isoformat(timespec="milliseconds")
    text = value if isinstance(value, str) else ""
    # A spreadsheet would run these as formulas.
    return "'" + text if text.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _line(cells: Sequence[object]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow(cells)
    return text.getvalue()
