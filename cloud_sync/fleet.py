"""Database -> the fleet as people look at it: every station now, one station's day, and stations side by side.

One query over the cases of the time asked for, and one each over statuses and alarms, whatever the number of stations.
"""

from collections import defaultdict
from datetime import UTC, datetime

import msgspec
import sqlalchemy as sa

from cloud_sync import clip_parts, concord, device_health
from cloud_sync.tables import case_groups, cases, dead_letters, stations
from edge_agent import alarms as alarm_rules
from edge_agent.messages import Alarm, Status
from edge_agent.records import OutcomeWord, VerdictWord

Place = tuple[str, str]
"""Site and station."""
COMPARED = ("agree", "machine_leak", "human_leak")
DAY_S, HOUR_S = 86_400.0, 3600.0
QUIET_S = 3600.0
"""A device sends metrics every ten seconds; one that has sent none for an hour is not online, whatever it said last."""

REFUSED_S = 7200.0
"""A device offers a clip that is not taken again within the hour (`deliveries`); twice that, for one that was away."""


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """Of the cases of one station in some time."""

    cases: int = 0
    compared: int = 0
    """Both machine and inspector gave an answer."""
    agreed: int = 0
    uncertain: int = 0
    not_tested: int = 0
    machine_leaks: int = 0
    human_leaks: int = 0
    usable_s: float | None = None
    """Mean of the cases."""
    clarity: float | None = None
    light_levels: float | None = None

    @property
    def agreement(self) -> tuple[float, float, float] | None:
        """Share, and the limits of its 95 % interval; None without compared cases."""
        if not self.compared:
            return None
        return (self.agreed / self.compared, *concord.proportion(self.agreed, self.compared))


class StationNow(msgspec.Struct, frozen=True, kw_only=True):
    """One station as the list shows it."""

    place: Place
    status: Status | None
    heard_at: float | None
    """When its status or its metrics came last, seconds since 1970."""
    alarms: tuple[Alarm, ...]
    """Active, the most urgent first."""
    day: Counts
    """Of the last 24 hours."""
    last_case_at: float | None
    last_case_id: str | None
    last_verdict: VerdictWord | None
    cases: int
    """All that are held."""
    is_online: bool
    quota_words: str = ""
    """Why its clips are refused; empty while they are not."""

    @property
    def wants_somebody(self) -> bool:
        """Somebody should look: it is away, its clips are refused, or an alarm is high."""
        return not self.is_online or bool(self.quota_words) or any(alarm.priority == "high" for alarm in self.alarms)


class DayCase(msgspec.Struct, frozen=True):
    """One cell of the strip."""

    case_id: str
    started_at: float
    verdict: VerdictWord
    outcome: OutcomeWord


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """One station's cases of one day, UTC."""

    began_at: float
    hours: tuple[tuple[DayCase, ...], ...]
    """24 of them."""
    counts: Counts


def now(connection: sa.Connection, at: float, only: Place | None = None) -> list[StationNow]:
    """Every station that was ever heard of, or `only` that one: those that want somebody first, then by name."""
    said, alarms, quotas = device_health.statuses(connection), _alarms(connection), over_quota(connection, at)
    heard = {place: at for place, (_, at) in device_health.reports(connection).items()}
    days, held, last = counts(connection, at - DAY_S, at + DAY_S, only), _held(connection), _last(connection)
    found = []
    for place in sorted({*said, *held}) if only is None else [only]:
        status, seen_at = said.get(place, (None, None))
        case = last.get(place)
        found.append(
            StationNow(
                place=place,
                status=status,
                heard_at=max(filter(None, (seen_at, heard.get(place))), default=None),
                alarms=alarms.get(place, ()),
                day=days.get(place, Counts()),
                last_case_at=case.started_at if case else None,
                last_case_id=case.case_id if case else None,
                last_verdict=case.verdict if case else None,
                cases=held.get(place, 0),
                is_online=_is_online(status, heard.get(place), at),
                quota_words=quotas.get(place, ""),
            )
        )
    return sorted(found, key=lambda one: (not one.wants_somebody, one.place))


def day(connection: sa.Connection, place: Place, began_at: float) -> Day:
    """`began_at`: midnight UTC, seconds since 1970."""
    columns = (cases.c.case_id, cases.c.started_at, cases.c.verdict, cases.c.outcome)
    within = _within(began_at, began_at + DAY_S)
    query = sa.select(*columns).where(*_here(place), *within).order_by(cases.c.started_at, cases.c.case_id)
    hours: list[list[DayCase]] = [[] for _ in range(24)]
    for row in connection.execute(query):
        hours[int((row.started_at - began_at) // HOUR_S)].append(DayCase(*row))
    counted = counts(connection, began_at, began_at + DAY_S, place).get(place, Counts())
    return Day(began_at=began_at, hours=tuple(tuple(hour) for hour in hours), counts=counted)


def counts(connection: sa.Connection, since: float, until: float, place: Place | None = None) -> dict[Place, Counts]:
    """Of each station that had cases then. `until` is not included."""
    c = cases.c
    query = sa.select(
        c.site,
        c.station,
        sa.func.count().label("cases"),
        _sum(c.outcome.in_(COMPARED)).label("compared"),
        _sum(c.outcome == "agree").label("agreed"),
        _sum(c.verdict == "uncertain").label("uncertain"),
        _sum(c.verdict == "not_tested").label("not_tested"),
        _sum(c.verdict == "leak").label("machine_leaks"),
        _sum(c.decision == "leak").label("human_leaks"),
        sa.func.avg(c.usable_s).label("usable_s"),
        sa.func.avg(c.clarity).label("clarity"),
        sa.func.avg(c.light_levels).label("light_levels"),
    ).where(*_within(since, until), *(_here(place) if place else ()))
    rows = connection.execute(query.group_by(c.site, c.station)).mappings()
    return {
        (row["site"], row["station"]): Counts(**{name: row[name] for name in Counts.__struct_fields__}) for row in rows
    }


def over_quota(connection: sa.Connection, at: float) -> dict[Place, str]:
    """Stations whose clips were refused lately because they have too many here, and the reason. They offer each again
    within the hour, so one that is refused no longer drops out."""
    letters = dead_letters.c
    lately = (letters.last_at > at - REFUSED_S, letters.reason.startswith(clip_parts.QUOTA))
    rows = connection.execute(sa.select(letters.topic, letters.reason).where(*lately).order_by(letters.last_at))
    found = {}
    for topic, reason in rows:
        parts = topic.split("/")
        found[parts[2], parts[3]] = reason
    return found


def known(connection: sa.Connection, place: Place) -> bool:
    """Was the station ever heard of?"""
    here = (stations.c.site == place[0]) & (stations.c.station == place[1])
    if connection.scalar(sa.select(stations.c.site).where(here)) is not None:
        return True
    return connection.scalar(sa.select(cases.c.case_id).where(*_here(place)).limit(1)) is not None


def midnight(at: float) -> float:
    """Of the day that `at` is in, UTC."""
    return datetime.fromtimestamp(at, UTC).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()


def _is_online(status: Status | None, metrics_at: float | None, at: float) -> bool:
    is_silent = metrics_at is not None and at - metrics_at > QUIET_S
    return status is not None and status.status == "online" and not is_silent


def _alarms(connection: sa.Connection) -> dict[Place, tuple[Alarm, ...]]:
    found: dict[Place, list[Alarm]] = defaultdict(list)
    for place, _, alarm in device_health.alarms(connection):
        # One of a version that this cloud does not know: the device keeps it up.
        found[place] += filter(None, [alarm])
    return {place: tuple(sorted(some, key=alarm_rules.rank)) for place, some in found.items()}


def _held(connection: sa.Connection) -> dict[Place, int]:
    group = case_groups.c
    query = sa.select(group.site, group.station, sa.func.sum(group.cases)).group_by(group.site, group.station)
    return {(site, station): int(count) for site, station, count in connection.execute(query)}


def _last(connection: sa.Connection) -> dict[Place, DayCase]:
    """Of each station, by its highest start; sequence numbers may begin anew with a new disk."""
    group = case_groups.c
    latest = sa.select(group.site, group.station, sa.func.max(group.last_at).label("at"))
    newest = latest.group_by(group.site, group.station).subquery()
    c = cases.c
    same = (c.started_at == newest.c.at) & (c.site == newest.c.site) & (c.station == newest.c.station)
    query = sa.select(c.site, c.station, c.case_id, c.started_at, c.verdict, c.outcome).join_from(newest, cases, same)
    return {(row.site, row.station): DayCase(*row[2:]) for row in connection.execute(query)}


def _here(place: Place) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    return cases.c.site == place[0], cases.c.station == place[1]


def _within(since: float, until: float) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    return cases.c.started_at >= since, cases.c.started_at < until


def _sum(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.sum(sa.case((condition, 1), else_=0))
