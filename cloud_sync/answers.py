"""A search -> the cases that answer it, page by page, by the cheapest way there is; and how many there are.

No way costs more with a million cases than with a thousand: few candidates are all looked at; groups of cases are
followed by their index, and what is left is looked through in the order of time, so many at a time, and says how far.
"""

from collections.abc import Iterator, Sequence

import msgspec
import sqlalchemy as sa

from cloud_sync import search_terms as terms
from cloud_sync.search import Place, Search
from cloud_sync.tables import case_groups, cases, tags, truths

PAGE = 50
PIECE = 500
"""Cases that a download reads at a time."""
FEW = 2000
"""Candidates that are simply all looked at."""
BUDGET = 10_000
"""Cases that are looked through for one page."""
EXACT_WITHIN_S = 31 * 86400
"""A time this short is counted out, whatever else is asked."""

BEFORE_ALL = -1e12
"""A time before any that a case can have."""

Key = tuple[float, str]
"""started_at and case_id: the order of every answer."""
_KEY = sa.select(cases.c.started_at, cases.c.case_id)


class Page(msgspec.Struct, frozen=True):
    """Part of an answer, the latest case first."""

    keys: tuple[Key, ...]
    older: Place | None
    """Where older cases go on; None = there are none."""
    newer: Place | None
    looked_to: float | None = None
    """The search broke off at this time, before it had found a whole page."""


class Way(msgspec.Struct, frozen=True):
    """How a search is best answered."""

    keys: tuple[Key, ...] | None = None
    """The whole answer, the latest first, where there were few candidates."""
    by_group: bool = False
    """What is asked for is what the cases of a group have in common."""
    by_truth: bool = False
    """Only what experts have judged is looked through."""
    latest: float | None = None
    """When the last case began that may answer."""


class _Found(msgspec.Struct, frozen=True):
    """The next keys in one direction; `end`: the place where looking broke off."""

    keys: list[Key]
    end: Key | None = None


def way(connection: sa.Connection, search: Search) -> Way:
    """Looked up once for all pages of an answer."""
    for naming in _naming(search, connection.dialect.name):
        if _is_few(connection, naming):
            return Way(_whole(connection, search, cases.c.case_id.in_(naming)))
    if not _asks_of_each(search):
        return Way(by_group=not _asks_only_for_time(search))
    if search.truth not in (None, "none", "conflict") and _truths_know_their_time(connection, search):
        return Way(by_truth=True)
    if _is_short(search) and _is_few(connection, sa.select(cases.c.case_id).where(*terms.within(search, cases.c))):
        return Way(_whole(connection, search, sa.true()))
    sums = sa.select(sa.func.coalesce(sa.func.sum(case_groups.c.cases), 0), sa.func.max(case_groups.c.last_at))
    held, latest = connection.execute(sums.where(*_possible(search))).one()
    return Way(_whole(connection, search, _in_groups(search)) if held <= FEW else None, latest=latest)


def page(connection: sa.Connection, search: Search, way: Way, place: Place | None = None, *, size: int = PAGE) -> Page:
    """At most `size` cases beyond `place`."""
    found = _next(connection, search, way, place, size + 1)
    keys, more = found.keys[:size], len(found.keys) > size
    newer = place is not None and place.newer
    end = keys[-1] if more else found.end
    onward = Place(*end, newer=newer) if end else None
    back = Place(*keys[0], newer=not newer) if place and keys else None
    ordered = tuple(reversed(keys)) if newer else tuple(keys)
    looked_to = found.end[0] if found.end and not more else None
    return Page(ordered, back if newer else onward, onward if newer else back, looked_to)


def every(connection: sa.Connection, search: Search, *, limit: int) -> Iterator[tuple[Key, ...]]:
    """All of the answer, the oldest first, up to `limit` cases; piece by piece, so that nobody waits for the end."""
    found, place = way(connection, search), Place(BEFORE_ALL, "", newer=True)
    onward: Place | None = place
    while onward is not None and limit > 0:
        piece = page(connection, search, found, onward, size=min(PIECE, limit))
        yield tuple(reversed(piece.keys))
        limit -= len(piece.keys)
        onward = piece.newer


def count(connection: sa.Connection, search: Search, way: Way) -> int | None:
    """How many there are; None where only reading them all would tell."""
    if way.keys is not None:
        return len(way.keys)
    if not _asks_of_each(search):
        return _count_groups(connection, search)
    if way.by_truth and search == Search(truth=search.truth, since=search.since, until=search.until):
        counted = sa.select(sa.func.count()).where(terms.truth_is(str(search.truth)), *terms.within(search, truths.c))
        return connection.scalar(counted) or 0
    if _is_short(search):
        counted = sa.select(sa.func.count()).select_from(cases).where(*_all(connection, search, cases.c))
        return connection.scalar(counted) or 0
    return None


def _count_groups(connection: sa.Connection, search: Search) -> int:
    """By their counters where all of a group lies within the time, by their index where some of it does."""
    c = case_groups.c
    inside = sa.and_(
        sa.true() if search.since is None else c.first_at >= search.since,
        sa.true() if search.until is None else c.last_at < search.until,
    )
    whole = connection.scalar(sa.select(sa.func.sum(c.cases)).where(inside, *_possible(search))) or 0
    if search.since is None and search.until is None:
        return int(whole)
    parts = cases.c.group_id.in_(sa.select(c.id).where(~inside, *_possible(search)))
    counted = sa.select(sa.func.count()).select_from(cases).where(parts, *terms.within(search, cases.c))
    return int(whole) + (connection.scalar(counted) or 0)


def _next(connection: sa.Connection, search: Search, way: Way, place: Place | None, size: int) -> _Found:
    if way.keys is not None:
        return _cut(way.keys, place, size)
    if way.by_group:
        return _follow(connection, search, place, size)
    return _look_through(connection, search, way, place, size)


def _naming(search: Search, dialect: str) -> Iterator[sa.Select]:
    if search.case:
        yield sa.select(cases.c.case_id).where(terms.begins(cases.c.case_id, search.case, dialect))
    if search.serial:
        yield sa.select(cases.c.case_id).where(terms.begins(cases.c.serial, search.serial, dialect))
    if search.tag:
        yield sa.select(tags.c.case_id).where(*terms.tagged(search.tag))
    if search.truth and search.truth != "none":
        yield sa.select(truths.c.case_id).where(terms.truth_is(search.truth))


def _possible(search: Search) -> Iterator[terms.Condition]:
    yield from terms.shared(search, case_groups.c)
    yield from terms.near(search, case_groups.c)
    if search.since is not None:
        yield case_groups.c.last_at >= search.since
    if search.until is not None:
        yield case_groups.c.first_at < search.until


def _whole(connection: sa.Connection, search: Search, these: terms.Condition) -> tuple[Key, ...]:
    """Few candidates, all looked at; sorted here, since a database might rather walk through everything by time."""
    rows = connection.execute(_KEY.where(these, *_all(connection, search, cases.c)))
    return tuple(sorted(((row[0], row[1]) for row in rows), reverse=True))


def _cut(keys: Sequence[Key], place: Place | None, size: int) -> _Found:
    if place is None:
        return _Found(list(keys[:size]))
    here = (place.started_at, place.case_id)
    beyond = [key for key in keys if (key > here if place.newer else key < here)]
    return _Found(beyond[::-1][:size] if place.newer else beyond[:size])


def _follow(connection: sa.Connection, search: Search, place: Place | None, size: int) -> _Found:
    """By the index of groups alone; SQLite leaves each group as soon as it cannot add to the page."""
    newer = place is not None and place.newer
    groups, wanted = list(_possible(search)), [*terms.within(search, cases.c), *terms.beyond(place, cases.c)]
    if place is None and search.until is None:
        # So many groups have one case at least that is as late: no earlier group is on the first page.
        late = sa.select(case_groups.c.last_at).where(*groups).order_by(case_groups.c.last_at.desc())
        late_at = sa.func.coalesce(late.offset(size - 1).limit(1).scalar_subquery(), BEFORE_ALL)
        groups.append(case_groups.c.last_at >= late_at)
    wanted.append(cases.c.group_id.in_(sa.select(case_groups.c.id).where(*groups)))
    rows = connection.execute(_KEY.where(*wanted).order_by(*_order(cases.c, newer=newer)).limit(size))
    return _Found([(row[0], row[1]) for row in rows])


def _look_through(connection: sa.Connection, search: Search, way: Way, place: Place | None, size: int) -> _Found:
    """The next BUDGET cases in the order of time, and which of them fit."""
    newer, c = place is not None and place.newer, truths.c if way.by_truth else cases.c
    bounds = [*terms.within(search, c), *terms.beyond(place, c)]
    if way.latest is not None:
        bounds.append(c.started_at <= way.latest)
    in_time = sa.select(cases).where(*bounds).order_by(*_order(c, newer=newer))
    if way.by_truth:
        in_time = in_time.join(truths, truths.c.case_id == cases.c.case_id).where(terms.truth_is(str(search.truth)))
    some = in_time.limit(BUDGET).subquery("some")
    fitting = (*terms.shared(search, some.c), *terms.single(search, some.c, connection.dialect.name))
    found = sa.select(some.c.started_at, some.c.case_id).where(*fitting).limit(size)
    if connection.dialect.name != "sqlite":  # which hands rows on as they come; a join elsewhere may forget their order
        found = found.order_by(*_order(some.c, newer=newer))
    keys = [(row[0], row[1]) for row in connection.execute(found)]
    if len(keys) == size:
        return _Found(keys)
    keyed = in_time.with_only_columns(c.started_at, c.case_id)
    end = connection.execute(keyed.offset(BUDGET - 1).limit(1)).first()
    return _Found(keys, None if end is None else (end[0], end[1]))


def _truths_know_their_time(connection: sa.Connection, search: Search) -> bool:
    unknown = sa.select(truths.c.case_id).where(truths.c.judgement == search.truth, truths.c.started_at.is_(None))
    return connection.scalar(unknown.limit(1)) is None


def _asks_only_for_time(search: Search) -> bool:
    return not any(True for _ in (*terms.shared(search, case_groups.c), *terms.near(search, case_groups.c)))


def _asks_of_each(search: Search) -> bool:
    """More than a group's cases have in common?"""
    if search.clarity_below is not None and terms.is_whole_tenth(search.clarity_below):
        search = msgspec.structs.replace(search, clarity_below=None)
    return any(True for _ in terms.single(search, cases.c, ""))


def _is_few(connection: sa.Connection, candidates: sa.Select) -> bool:
    some = candidates.limit(FEW + 1).subquery()
    return (connection.scalar(sa.select(sa.func.count()).select_from(some)) or 0) <= FEW


def _is_short(search: Search) -> bool:
    return search.since is not None and search.until is not None and search.until - search.since <= EXACT_WITHIN_S


def _in_groups(search: Search) -> terms.Condition:
    return cases.c.group_id.in_(sa.select(case_groups.c.id).where(*_possible(search)))


def _all(connection: sa.Connection, search: Search, c: terms.Columns) -> tuple[terms.Condition, ...]:
    asked_of_each = terms.single(search, c, connection.dialect.name)
    return (*terms.within(search, c), *terms.shared(search, c), *asked_of_each)


def _order(c: terms.Columns, *, newer: bool) -> tuple[sa.ColumnElement, sa.ColumnElement]:
    return (c.started_at, c.case_id) if newer else (c.started_at.desc(), c.case_id.desc())
