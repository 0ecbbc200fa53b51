"""The database -> what became of challenge parts: runs, what is due where, misses, and the units that one calls back.

Nothing of it is kept: a case that arrives late moves every answer to where it belongs.
"""

from collections.abc import Iterator, Mapping

import msgspec
import sqlalchemy as sa

from cloud_sync import challenge, challenge_parts
from cloud_sync.answers import Key
from cloud_sync.case_table import LARGEST_CSV
from cloud_sync.challenge import Due, Interval, Moment, Plan, Run
from cloud_sync.config import CloudConfig
from cloud_sync.tables import case_groups, cases, challenge_runs, stations

CHUNK = 500
MOST_MISSES = 50
"""That a page shows, the latest."""


class Standing(msgspec.Struct, frozen=True):
    """How one station stands with one kind of part."""

    site: str
    station: str
    truth: challenge.Truth
    last: Run | None
    """The latest run that gave an answer."""
    due: Due


class Miss(msgspec.Struct, frozen=True):
    """A leaker that the machine called ok."""

    run: Run
    is_open: bool
    """No good run of that kind has followed."""
    called_back: Interval
    since: Interval


def plan_of(config: CloudConfig) -> Plan:
    wanted = config.challenge
    return Plan(
        when=wanted.when,
        shift_starts_s=tuple(shift.start_s for shift in config.shift),
        hours=wanted.hours,
        a_day=wanted.a_day,
        salt=wanted.salt,
        grace_s=60 * wanted.grace_min,
    )


def runs(connection: sa.Connection, *conditions: sa.ColumnElement[bool], most: int | None = None) -> list[Run]:
    """The latest first; `conditions` on columns of challenge_runs and cases."""
    query = sa.select(challenge_runs, cases.c.bundle_version).join(cases, cases.c.case_id == challenge_runs.c.case_id)
    query = query.where(*conditions).order_by(challenge_runs.c.started_at.desc(), challenge_runs.c.case_id)
    return [_run(row) for row in connection.execute(query.limit(most))]


def places(connection: sa.Connection) -> list[tuple[str, str]]:
    """(site, station) of every one that has said anything."""
    names = sa.union(
        sa.select(stations.c.site, stations.c.station), sa.select(case_groups.c.site, case_groups.c.station)
    )
    return sorted((row.site, row.station) for row in connection.execute(names))


def standings(connection: sa.Connection, plan: Plan, now: float) -> list[Standing]:
    """Each station with each kind of part that is active there."""
    parts = challenge_parts.active(connection)
    known = places(connection)
    wanted: dict[tuple[str, str, challenge.Truth], float] = {}
    for part in parts:
        for site, station in known:
            if part.site == site and part.station in (None, station):
                key = site, station, part.truth
                wanted[key] = min(wanted.get(key, part.registered_at), part.registered_at)
    last = _last_answers(connection)
    return [_standing(plan, key, last.get(key), registered_at, now) for key, registered_at in sorted(wanted.items())]


def misses(connection: sa.Connection) -> list[Miss]:
    """The latest first."""
    found = runs(connection, challenge_runs.c.result == "missed", most=MOST_MISSES)
    beside = {(run.site, run.station): _of_station(connection, run) for run in found}
    return [_miss(run, beside[run.site, run.station]) for run in found]


def missed_since(connection: sa.Connection, since: Mapping[tuple[str, str], float]) -> dict[tuple[str, str], str]:
    """Of these stations, each with a time: where a part was missed after it, and which."""
    table, found = challenge_runs.c, {}
    for (site, station), at in since.items():
        here = (table.site == site) & (table.station == station) & (table.noted_at > at)
        query = sa.select(table.serial, table.case_id).where(here, table.result == "missed")
        row = connection.execute(query.order_by(table.noted_at.desc()).limit(1)).first()
        if row is not None:
            found[site, station] = f"challenge part {row.serial} leaks and was called ok in case {row.case_id}"
    return found


def miss(connection: sa.Connection, case_id: str) -> Miss | None:
    """The miss that this case is; None where it is none."""
    found = runs(connection, challenge_runs.c.case_id == case_id, challenge_runs.c.result == "missed")
    return _miss(found[0], _of_station(connection, found[0])) if found else None


def count(connection: sa.Connection, place: tuple[str, str], interval: Interval) -> int:
    """Units in it."""
    return connection.scalar(sa.select(sa.func.count()).select_from(cases).where(*_units(place, interval))) or 0


def units(
    connection: sa.Connection, place: tuple[str, str], interval: Interval, most: int = LARGEST_CSV + 1
) -> Iterator[list[Key]]:
    """The keys of the cases in it, the oldest first, a piece at a time; parts themselves are left out."""
    query = sa.select(cases.c.started_at, cases.c.case_id).where(*_units(place, interval))
    rows = connection.execute(query.order_by(cases.c.started_at, cases.c.case_id).limit(most))
    for some in rows.partitions(CHUNK):
        yield [(row.started_at, row.case_id) for row in some]


def unexplained(connection: sa.Connection) -> int:
    """Cases that a station called a challenge and that no registered part explains."""
    explained = sa.exists().where(challenge_runs.c.case_id == cases.c.case_id)
    query = sa.select(sa.func.count()).select_from(cases).where(cases.c.sampled_for == "challenge", ~explained)
    return connection.scalar(query) or 0


def _units(place: tuple[str, str], interval: Interval) -> Iterator[sa.ColumnElement[bool]]:
    """`challenge.holds`, as the database finds it."""
    yield cases.c.site == place[0]
    yield cases.c.station == place[1]
    yield ~sa.exists().where(challenge_runs.c.case_id == cases.c.case_id)
    if interval.after is not None:
        yield _beyond(interval.after)
    if interval.until is not None:
        yield ~(_beyond(interval.until))


def _beyond(moment: Moment) -> sa.ColumnElement[bool]:
    """Cases that `moment` comes before."""
    life = challenge.life(moment.boot_id)
    same = (cases.c.boot_id == life) | cases.c.boot_id.startswith(f"{life}-", autoescape=True)
    return sa.case((same, cases.c.sequence > moment.sequence), else_=cases.c.started_at > moment.started_at)


def _of_station(connection: sa.Connection, run: Run) -> list[Run]:
    c = challenge_runs.c
    return runs(connection, c.site == run.site, c.station == run.station, c.truth == run.truth)


def _miss(run: Run, beside: list[Run]) -> Miss:
    return Miss(run, challenge.is_open(run, beside), challenge.called_back(run, beside), challenge.since(run, beside))


def _last_answers(connection: sa.Connection) -> dict[tuple[str, str, challenge.Truth], tuple[Run, float]]:
    """And when each was, at the latest when the cloud heard of it: a clock that is ahead puts off no run."""
    c = challenge_runs.c
    at = sa.case((c.started_at > c.noted_at, c.noted_at), else_=c.started_at)
    latest = (
        sa.select(c.site, c.station, c.truth, sa.func.max(at).label("at"))
        .where(c.result != "repeat")
        .group_by(c.site, c.station, c.truth)
        .subquery()
    )
    same = (latest.c.site == c.site) & (latest.c.station == c.station) & (latest.c.truth == c.truth)
    query = sa.select(challenge_runs, cases.c.bundle_version, at.label("at")).where(c.result != "repeat")
    rows = connection.execute(query.join(cases, cases.c.case_id == c.case_id).join(latest, same & (latest.c.at == at)))
    return {(row.site, row.station, row.truth): (_run(row), row.at) for row in rows}


def _standing(
    plan: Plan,
    key: tuple[str, str, challenge.Truth],
    last: tuple[Run, float] | None,
    registered_at: float,
    now: float,
) -> Standing:
    at = challenge.due(plan, "/".join(key), last[1] if last else None, registered_at)
    return Standing(*key, last[0] if last else None, challenge.told(at, now, plan.grace_s))


def _run(row: sa.Row) -> Run:
    names = [field.name for field in msgspec.structs.fields(Run)]
    return Run(**{name: getattr(row, name) for name in names})
