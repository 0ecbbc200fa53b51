"""The database -> the figures of the whole cloud at one moment, from counts that are kept and from small tables.

Nothing here reads cases one by one, but for the latest hundred.
"""

from collections import Counter
from collections.abc import Mapping
from statistics import median
from typing import Any

import msgspec
import sqlalchemy as sa

from cloud_sync import backup, counters, device_health, fleet, gaps, mode_orders, speakers
from cloud_sync import looks as looks_module
from cloud_sync.tables import (
    case_groups,
    cases,
    clips,
    dead_letters,
    device_alarms,
    looks,
    parallel_runs,
    rollouts,
    runs,
)
from edge_agent.messages import Metrics, ModeCertificate, Status

Place = tuple[str, str]
ASIDE = ("shelved", "suppressed", "out_of_service")
LAG_CASES = 100
"""Latest cases whose way into the database is looked at."""


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """One look. Keys are (site, station) unless they say otherwise."""

    statuses: dict[Place, Status | None]
    """Every station that has said anything."""
    seen_at: dict[Place, float]
    last_case_at: dict[Place, float]
    cases: dict[tuple[str, ...], int]
    """(site, station, verdict, decision, outcome) -> how many."""
    gap_cases: dict[Place, int]
    """Numbers that are missing and do not wait at the station."""
    over_quota: dict[Place, str]
    """Stations whose clips are refused, and why."""
    alarms: dict[tuple[str, str, str], int]
    """(site, station, priority) -> how many are on its screen."""
    doubled: frozenset[Place]
    """Those in whose name two devices speak."""
    health: dict[Place, Metrics]
    health_at: dict[Place, float]
    certificates: dict[Place, ModeCertificate]
    """Of the order in force, where it holds one."""
    looks: Mapping[str, int]
    oldest_look_at: float | None
    dead_letters: int
    refused: int
    """Messages, however often the same one came."""
    backup_at: float
    """When the last whole one was begun; 0 where none ever was."""
    lag_s: float | None
    """Of the latest cases, from their end by the device's clock to the database; the median station's median."""
    runs: dict[str, int]
    rollouts: dict[str, int]
    parallel_runs: dict[str, int]


class ClipFigures(msgspec.Struct, frozen=True):
    """How many clips are in which state, and their bytes."""

    count: dict[str, int]
    bytes: dict[str, int]
    station_bytes: dict[Place, int]
    """Of what each station has here, whole or on its way."""


def figures(connection: sa.Connection, now: float) -> Figures:
    """A look at everything but the clips."""
    said, told = device_health.statuses(connection), device_health.reports(connection)
    letters = connection.execute(sa.select(sa.func.count(), sa.func.sum(dead_letters.c.count))).one()
    return Figures(
        statuses={place: status for place, (status, _) in said.items()},
        seen_at={place: at for place, (_, at) in said.items()},
        last_case_at=_last_case(connection),
        cases=_cases(connection),
        gap_cases=gaps.lacking(connection),
        over_quota=fleet.over_quota(connection, now),
        alarms=_alarms(connection),
        doubled=_doubled(connection),
        health={place: metrics for place, (metrics, _) in told.items() if metrics},
        health_at={place: at for place, (_, at) in told.items()},
        certificates=_certificates(connection),
        looks=looks_module.counts(connection),
        oldest_look_at=_oldest_look(connection),
        dead_letters=letters[0],
        refused=int(letters[1] or 0),
        backup_at=counters.values(connection, backup.COUNTER).get("begun_at", 0),
        lag_s=_lag(connection),
        runs=_by(connection, runs.c.state),
        rollouts=_by(connection, rollouts.c.state),
        parallel_runs=_by(connection, parallel_runs.c.state),
    )


def clip_figures(connection: sa.Connection) -> ClipFigures:
    """Reads every row of `clips`: not for every look."""
    query = sa.select(clips.c.state, sa.func.count(), sa.func.sum(clips.c.bytes)).group_by(clips.c.state)
    rows = connection.execute(query).all()
    here = clips.c.state.in_(("stored", "partial")), clips.c.station.is_not(None)
    place = (clips.c.site, clips.c.station)
    sums = connection.execute(sa.select(*place, sa.func.sum(clips.c.bytes)).where(*here).group_by(*place))
    return ClipFigures(
        {row[0]: row[1] for row in rows},
        {row[0]: int(row[2]) for row in rows},
        {(site, station): int(size) for site, station, size in sums},
    )


def _last_case(connection: sa.Connection) -> dict[Place, float]:
    place = (case_groups.c.site, case_groups.c.station)
    rows = connection.execute(sa.select(*place, sa.func.max(case_groups.c.last_at)).group_by(*place))
    return {(site, station): at for site, station, at in rows}


def _cases(connection: sa.Connection) -> dict[tuple[str, ...], int]:
    group = case_groups.c
    key = (group.site, group.station, group.verdict, group.decision, group.outcome)
    rows = connection.execute(sa.select(*key, sa.func.sum(group.cases)).group_by(*key))
    return {tuple(row[:-1]): int(row[-1]) for row in rows}


def _alarms(connection: sa.Connection) -> dict[tuple[str, str, str], int]:
    """Without those that are put aside at the station."""
    found: Counter[tuple[str, str, str]] = Counter()
    for place, priority, alarm in device_health.alarms(connection):
        if alarm is None or alarm.state not in ASIDE:
            found[*place, priority] += 1
    return found


def _doubled(connection: sa.Connection) -> frozenset[Place]:
    query = sa.select(*_place(device_alarms)).where(device_alarms.c.id == speakers.ALARM)
    return frozenset((site, station) for site, station in connection.execute(query))


def _certificates(connection: sa.Connection) -> dict[Place, ModeCertificate]:
    orders = {place: mode_orders.latest(connection, place) for place in mode_orders.ordered_places(connection)}
    return {place: order.certificate for place, order in orders.items() if order and order.certificate}


def _oldest_look(connection: sa.Connection) -> float | None:
    """Looks are numbered as they come, so the first of them has waited longest."""
    query = sa.select(looks.c.wanted_at).where(looks.c.state == "waiting").order_by(looks.c.id).limit(1)
    return connection.scalar(query)


def _lag(connection: sa.Connection) -> float | None:
    """When a case ended a device's clock says: of each station one median, so that one clock that is wrong is one voice
    among all. A clock that runs ahead would have the latest cases to itself; no case began after it came."""
    place = (cases.c.site, cases.c.station)
    query = sa.select(*place, cases.c.received_at - cases.c.ended_at).where(cases.c.started_at <= cases.c.received_at)
    found: dict[Place, list[float]] = {}
    for site, station, lag_s in connection.execute(query.order_by(cases.c.started_at.desc()).limit(LAG_CASES)):
        found.setdefault((site, station), []).append(lag_s)
    return median(map(median, found.values())) if found else None


def _by(connection: sa.Connection, state: sa.Column[Any]) -> dict[str, int]:
    rows = connection.execute(sa.select(state, sa.func.count()).group_by(state))
    return {str(word): int(many) for word, many in rows}


def _place(table: sa.Table) -> tuple[sa.Column[Any], sa.Column[Any]]:
    return table.c.site, table.c.station
