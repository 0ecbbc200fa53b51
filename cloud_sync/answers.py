"""A search -> the cases that answer it, page by page, by the cheapest way there is; and how many there are.

No way costs more with a million cases than with a thousand: few candidates are all looked at, groups of cases are
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
FOLLOWED = 40
"""Groups whose indexes are followed side by side."""
COMMON = 20
"""Where one case of so many fits, looking through all of them by time is quicker."""
EXACT_WITHIN_S = 31 * 86400
"""A time this short is counted out, whatever else is asked."""

Key = tuple[float, str]
"""started_at and case_id: the order of every answer."""
_KEY = sa.select(cases.c.started_at, cases.c.case_id)


class Group(msgspec.Struct, frozen=True):
    """Cases that are alike."""

    id: int
    cases: int
    first_at: float
    last_at: float


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

    keys: tuple[Key, ...] | None
    """The whole answer, the latest first, where there were few candidates."""
    held: int | None = None
    """Cases of all groups that may hold cases of the answer, where that was looked up."""
    follow: tuple[Group, ...] = ()
    """Groups that are worth following one by one."""


class _Found(msgspec.Struct, frozen=True):
    """The next keys in one direction; `end`: the place where looking broke off."""

    keys: list[Key]
    end: Key | None = None


def way(connection: sa.Connection, search: Search) -> Way:
    """Looked up once for all pages of an answer."""
    named = _named(connection, search)
    if named is not None:
        return Way(_whole(connection, search, cases.c.case_id.in_(named)))
    if _few_in_time(connection, search):
        return Way(_whole(connection, search, sa.true()))
    if _asks_only_for_time(search):
        return Way(None)
    number, held = _held(connection, search)
    if held <= FEW:
        groups = [group.id for group in _groups(connection, search)]
        return Way(_whole(connection, search, _in_groups(groups)), held)
    rare = number <= FOLLOWED and not _asks_of_each(search) and held * COMMON < _all_cases(connection)
    return Way(None, held, _groups(connection, search) if rare else ())


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
    found, place = way(connection, search), Place(-1e12, "", newer=True)
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
        return _count_groups(connection, search, way)
    if search.since is not None and search.until is not None and search.until - search.since <= EXACT_WITHIN_S:
        return _count_rows(connection, search)
    return None


def _count_groups(connection: sa.Connection, search: Search, way: Way) -> int:
    """By their counters where all of a group lies within the time, by their index where some of it does."""
    if search.since is None and search.until is None:
        return _all_cases(connection) if way.held is None else way.held
    groups = way.follow or _groups(connection, search)
    whole = sum(group.cases for group in groups if _inside(search, group))
    parts = [group.id for group in groups if not _inside(search, group)]
    counted = sa.select(sa.func.count()).where(_in_groups(parts), *terms.within(search, cases.c))
    return whole + (connection.scalar(counted) or 0)


def _count_rows(connection: sa.Connection, search: Search) -> int:
    counted = sa.select(sa.func.count()).select_from(cases).where(*_all(connection, search, cases.c))
    return connection.scalar(counted) or 0


def _next(connection: sa.Connection, search: Search, way: Way, place: Place | None, size: int) -> _Found:
    if way.keys is not None:
        return _cut(way.keys, place, size)
    if way.follow:
        return _follow(connection, search, place, way.follow, size)
    return _look_through(connection, search, place, size)


def _named(connection: sa.Connection, search: Search) -> list[str] | None:
    """Ids, where an id, a serial, a tag or what experts say leaves few; None where it leaves many."""
    for query in _naming(search, connection.dialect.name):
        ids = connection.scalars(query.limit(FEW + 1)).all()
        if len(ids) <= FEW:
            return list(ids)
    return None


def _naming(search: Search, dialect: str) -> Iterator[sa.Select]:
    if search.case:
        yield sa.select(cases.c.case_id).where(terms.begins(cases.c.case_id, search.case, dialect))
    if search.serial:
        yield sa.select(cases.c.case_id).where(terms.begins(cases.c.serial, search.serial, dialect))
    if search.tag:
        yield sa.select(tags.c.case_id).where(*terms.tagged(search.tag))
    if search.truth and search.truth != "none":
        yield sa.select(truths.c.case_id).where(terms.truth_is(search.truth))


def _groups(connection: sa.Connection, search: Search) -> tuple[Group, ...]:
    """Those that may hold cases of this answer."""
    c = case_groups.c
    query = sa.select(c.id, c.cases, c.first_at, c.last_at).where(*_possible(search))
    return tuple(Group(*row) for row in connection.execute(query))


def _held(connection: sa.Connection, search: Search) -> tuple[int, int]:
    """How many groups those are, and how many cases they have."""
    sums = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(case_groups.c.cases), 0))
    number, held = connection.execute(sums.where(*_possible(search))).one()
    return number, int(held)


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


def _follow(
    connection: sa.Connection, search: Search, place: Place | None, groups: Sequence[Group], size: int
) -> _Found:
    """The next of each group by its index; of those, the next of all."""
    newer = place is not None and place.newer
    best: list[Key] = []
    for group in sorted(groups, key=lambda group: group.first_at if newer else -group.last_at):
        if len(best) == size and (group.first_at > best[-1][0] if newer else group.last_at < best[-1][0]):
            break
        wanted = (*terms.within(search, cases.c), *terms.beyond(place, cases.c))
        query = _KEY.where(cases.c.group_id == group.id, *wanted)
        rows = connection.execute(query.order_by(*_order(cases.c, newer=newer)).limit(size))
        best = _sorted([*best, *((row[0], row[1]) for row in rows)], place)[:size]
    return _Found(best)


def _look_through(connection: sa.Connection, search: Search, place: Place | None, size: int) -> _Found:
    """The next BUDGET cases in the order of time, and which of them fit."""
    newer = place is not None and place.newer
    bounds = (*terms.within(search, cases.c), *terms.beyond(place, cases.c))
    in_time = sa.select(cases).where(*bounds).order_by(*_order(cases.c, newer=newer))
    some = in_time.limit(BUDGET).subquery("some")
    fitting = (*terms.shared(search, some.c), *terms.single(search, some.c, connection.dialect.name))
    rows = connection.execute(sa.select(some.c.started_at, some.c.case_id).where(*fitting).limit(size))
    keys = _sorted(((row[0], row[1]) for row in rows), place)
    if len(keys) == size:
        return _Found(keys)
    keyed = in_time.with_only_columns(cases.c.started_at, cases.c.case_id)
    end = connection.execute(keyed.offset(BUDGET - 1).limit(1)).first()
    return _Found(keys, None if end is None else (end[0], end[1]))


def _asks_only_for_time(search: Search) -> bool:
    return not any(True for _ in (*terms.shared(search, case_groups.c), *terms.near(search, case_groups.c)))


def _asks_of_each(search: Search) -> bool:
    """More than a group's cases have in common?"""
    if search.clarity_below is not None and terms.is_whole_tenth(search.clarity_below):
        search = msgspec.structs.replace(search, clarity_below=None)
    return any(True for _ in terms.single(search, cases.c, ""))


def _few_in_time(connection: sa.Connection, search: Search) -> bool:
    """Is the time so short that its cases can all be looked at?"""
    if search.since is None or search.until is None:
        return False
    some = sa.select(cases.c.case_id).where(*terms.within(search, cases.c)).limit(FEW + 1).subquery()
    return (connection.scalar(sa.select(sa.func.count()).select_from(some)) or 0) <= FEW


def _all_cases(connection: sa.Connection) -> int:
    return int(connection.scalar(sa.select(sa.func.sum(case_groups.c.cases))) or 0)


def _in_groups(numbers: Sequence[int]) -> terms.Condition:
    """Cases of these groups, and any whose group nobody named."""
    return cases.c.group_id.in_(numbers) | cases.c.group_id.is_(None)


def _inside(search: Search, group: Group) -> bool:
    begins = search.since is None or group.first_at >= search.since
    return begins and (search.until is None or group.last_at < search.until)


def _all(connection: sa.Connection, search: Search, c: terms.Columns) -> tuple[terms.Condition, ...]:
    asked_of_each = terms.single(search, c, connection.dialect.name)
    return (*terms.within(search, c), *terms.shared(search, c), *asked_of_each)


def _order(c: terms.Columns, *, newer: bool) -> tuple[sa.ColumnElement, sa.ColumnElement]:
    return (c.started_at, c.case_id) if newer else (c.started_at.desc(), c.case_id.desc())


def _sorted(keys: Iterator[Key] | Sequence[Key], place: Place | None) -> list[Key]:
    return sorted(keys, reverse=place is None or not place.newer)
