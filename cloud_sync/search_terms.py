"""PURE. A search -> conditions on rows: what whole groups of cases meet or not, what each is asked, and the time."""

import operator
from collections.abc import Iterator

import sqlalchemy as sa

from cloud_sync import search as asking
from cloud_sync.case_groups import tenths
from cloud_sync.search import Place, Search
from cloud_sync.tables import tags, truths

Condition = sa.ColumnElement[bool]
Columns = sa.sql.ColumnCollection
LAST_CHARACTER = "\U0010ffff"


def shared(search: Search, c: Columns) -> Iterator[Condition]:
    """What `cases` and `case_groups` are asked alike."""
    for column, wanted in (
        (c.site, search.site),
        (c.station, search.station),
        (c.verdict, search.verdict),
        (c.decision, search.decision),
        (c.outcome, search.outcome),
        (c.sampled_for, search.sampled),
    ):
        if wanted:
            yield column == wanted
    if search.result:
        yield _result(search.result, c)
    version = asking.bundle_version(search)
    if version is not None:
        yield c.bundle_version == version
    elif search.bundle:
        yield c.bundle_sha256.startswith(search.bundle, autoescape=True)
    if search.profile:
        yield c.profile_sha256.startswith(search.profile, autoescape=True)


def near(search: Search, c: Columns) -> Iterator[Condition]:
    """Of `case_groups`: those that may hold cases of the clarity asked for."""
    if search.clarity_below is not None:
        limit = tenths(search.clarity_below)
        yield c.clarity_tenths < limit if is_whole_tenth(search.clarity_below) else c.clarity_tenths <= limit
    if search.clarity_above is not None:
        yield c.clarity_tenths >= tenths(search.clarity_above)


def is_whole_tenth(clarity: float) -> bool:
    """Then groups say exactly what is less clear."""
    return round(clarity, 1) == clarity


def single(search: Search, c: Columns, dialect: str) -> Iterator[Condition]:
    """What each case has to be asked for itself."""
    yield from _amounts(search, c)
    if search.serial:
        yield begins(c.serial, search.serial, dialect)
    if search.case:
        yield begins(c.case_id, search.case, dialect)
    if search.tag:
        yield sa.exists().where(tags.c.case_id == c.case_id, *tagged(search.tag))
    if search.truth:
        yield _truth(search.truth, c)


def within(search: Search, c: Columns) -> Iterator[Condition]:
    """The time asked for."""
    if search.since is not None:
        yield c.started_at >= search.since
    if search.until is not None:
        yield c.started_at < search.until


def beyond(place: Place | None, c: Columns) -> Iterator[Condition]:
    """Cases on the far side of a place, in the order of time and, at one time, of the id."""
    if place is not None:
        here, there = sa.tuple_(c.started_at, c.case_id), sa.tuple_(place.started_at, place.case_id)
        yield here > there if place.newer else here < there


def begins(column: sa.ColumnElement[str], text: str, dialect: str) -> Condition:
    """As an index finds it: SQLite's LIKE knows no capitals and PostgreSQL's order of text is its language's."""
    if dialect == "sqlite":
        return (column >= text) & (column < text + LAST_CHARACTER)
    return column.startswith(text, autoescape=True)


def tagged(tag: str) -> tuple[Condition, Condition]:
    return tags.c.tag == tag, tags.c.removed_at.is_(None)


def truth_is(truth: str) -> Condition:
    """Of a row of `truths`."""
    if truth == "conflict":
        return truths.c.state == "conflict"
    return (truths.c.judgement == truth) & (truths.c.state != "withdrawn")


def _amounts(search: Search, c: Columns) -> Iterator[Condition]:
    for compared, column, amount in (
        (operator.ge, c.score, search.score_from),
        (operator.le, c.score, search.score_to),
        (operator.lt, c.clarity, search.clarity_below),
        (operator.gt, c.clarity, search.clarity_above),
        (operator.lt, c.usable_s, search.usable_below),
        (operator.gt, c.smallest_leak_std_cm3_s, search.smallest_leak_above),
        (operator.le, c.received_at, search.known),
    ):
        if amount is not None:
            yield compared(column, amount)


def _truth(truth: str, c: Columns) -> Condition:
    of_case = truths.c.case_id == c.case_id
    if truth == "none":
        return ~sa.exists().where(of_case, truths.c.state != "withdrawn")
    return sa.exists().where(of_case, truth_is(truth))


def _result(result: str, c: Columns) -> Condition:
    """What let the unit go, or stopped it: whoever decided."""
    human, machine = c.decided_by == "human", c.decided_by == "machine"
    if result == "open":
        return ~((human & c.decision.in_(("ok", "leak"))) | (machine & c.verdict.in_(("ok", "leak"))))
    word = {"passed": "ok", "failed": "leak"}[result]
    return (human & (c.decision == word)) | (machine & (c.verdict == word))


def result_of(row: sa.Row) -> str:
    """The same of one row of `cases`, in Python."""
    word = {"human": row.decision, "machine": row.verdict}.get(row.decided_by)
    return {"ok": "passed", "leak": "failed"}.get(word or "", "open")
