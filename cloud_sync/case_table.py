"""Keys of cases -> what a list, a CSV or a download says of them, with what experts say and the clip's state."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

import sqlalchemy as sa

from cloud_sync import answers
from cloud_sync.answers import Key
from cloud_sync.search import Search
from cloud_sync.search_terms import result_of
from cloud_sync.tables import cases, clips, reviews, truths

LARGEST_CSV = 200_000
COLUMNS = (
    "case_id",
    "site",
    "station",
    "sequence",
    "serial",
    "started_at",
    "ended_at",
    "result",
    "usable_s",
    "smallest_leak_std_cm3_s",
    "clarity",
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
    "clip_bytes",
    "clip_state",
    "judgement",
    "judgement_state",
    "reviewer",
    "record_sha256",
    "received_at",
)
TIMES = ("started_at", "ended_at", "received_at")
_ELSEWHERE = {
    "clip_state": clips.c.state,
    "judgement": truths.c.judgement,
    "judgement_state": truths.c.state,
    "reviewer": reviews.c.reviewer,
    "record_sha256": cases.c.sha256,
}
_QUERY = sa.select(
    *((_ELSEWHERE[name] if name in _ELSEWHERE else cases.c[name]).label(name) for name in COLUMNS if name != "result")
).select_from(
    cases.outerjoin(truths, truths.c.case_id == cases.c.case_id)
    .outerjoin(reviews, reviews.c.id == truths.c.review_id)
    .outerjoin(clips, clips.c.sha256 == cases.c.clip_sha256)
)


def rows(connection: sa.Connection, keys: Sequence[Key]) -> list[sa.Row]:
    """In the order of the keys; COLUMNS less `result`, which `result_of` tells."""
    ids = [case_id for _, case_id in keys]
    held = {row.case_id: row for row in connection.execute(_QUERY.where(cases.c.case_id.in_(ids)))}
    return [held[case_id] for case_id in ids]


def every(connection: sa.Connection, search: Search, *, limit: int) -> Iterator[sa.Row]:
    """The whole answer, the oldest first."""
    for keys in answers.every(connection, search, limit=limit):
        yield from rows(connection, keys)


def as_csv(connection: sa.Connection, search: Search) -> Iterator[str]:
    """The answer as CSV, as `csv_of` has it."""
    yield from csv_of(connection, answers.every(connection, search, limit=LARGEST_CSV + 1))


def csv_of(connection: sa.Connection, found: Iterable[Sequence[Key]]) -> Iterator[str]:
    """COLUMNS of these cases, a piece at a time; a last line says so where there are more than LARGEST_CSV."""
    yield _lines([COLUMNS])
    held = 0
    for keys in found:
        held += len(keys)
        kept = rows(connection, keys[: len(keys) - max(0, held - LARGEST_CSV)])
        yield _lines([_cells(row) for row in kept])
    if held > LARGEST_CSV:
        yield _lines([[f"cut off after {LARGEST_CSV} cases: ask for less time"]])


def as_values(row: sa.Row) -> dict[str, object]:
    """COLUMNS by name, for JSON."""
    return {name: _value(row, name) for name in COLUMNS}


def safe(value: object) -> object:
    """A spreadsheet would run some texts as formulas: these are quoted."""
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return "'" + value
    return value


def _cells(row: sa.Row) -> list[object]:
    return [safe(_value(row, name)) for name in COLUMNS]


def _value(row: sa.Row, name: str) -> object:
    if name == "result":
        return result_of(row)
    value = getattr(row, name)
    return datetime.fromtimestamp(value, UTC).isoformat(timespec="milliseconds") if name in TIMES else value


def _lines(lines: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(lines)
    return text.getvalue()
