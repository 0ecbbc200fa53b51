"""What devices say of themselves beside their cases: the latest metrics and the active alarms, kept by station.

The last message of a batch counts; whoever hears it twice keeps it once.
"""

from collections.abc import Iterator, Mapping
from typing import TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from cloud_sync.tables import device_alarms, device_health, stations
from edge_agent import wire
from edge_agent.errors import LinkError
from edge_agent.messages import Alarm, Metrics, Status

Station = tuple[str, str]
T = TypeVar("T", bound=msgspec.Struct)


def checked_metrics(payload: bytes) -> bytes:
    """Raises LinkError where these are no metrics."""
    wire.decode(payload, Metrics)
    return payload


def checked_alarm(topic: wire.Topic, payload: bytes) -> Alarm | None:
    """None: it has ended. Raises LinkError where it is no alarm, or another one than its topic says."""
    if not payload:
        return None
    alarm = wire.decode(payload, Alarm)
    if alarm.id != topic.id:
        raise LinkError(f"alarm {alarm.id[:40]!r} came on the topic of {topic.id!r}: refused")
    return alarm


def kept(said: bytes | str | None, what: type[T]) -> T | None:
    """What the database keeps of a device's word; None for none, and for one of a version that cannot be read."""
    try:
        return wire.decode(said.encode() if isinstance(said, str) else bytes(said), what) if said else None
    except LinkError:
        return None


def statuses(connection: sa.Connection) -> dict[Station, tuple[Status | None, float]]:
    """What every station that was ever heard of said of itself last, and when (UTC, seconds since 1970)."""
    rows = connection.execute(sa.select(stations))
    return {(row.site, row.station): (kept(row.status, Status), row.seen_at) for row in rows}


def reports(connection: sa.Connection) -> dict[Station, tuple[Metrics | None, float]]:
    """The latest metrics of each, and when they came."""
    rows = connection.execute(sa.select(device_health))
    return {(row.site, row.station): (kept(row.metrics, Metrics), row.at) for row in rows}


def alarms(connection: sa.Connection) -> Iterator[tuple[Station, str, Alarm | None]]:
    """Every active one: its station, its priority, and the alarm."""
    for row in connection.execute(sa.select(device_alarms)):
        yield (row.site, row.station), row.priority, kept(row.alarm, Alarm)


def take_metrics(connection: sa.Connection, latest: Mapping[Station, bytes], now: float) -> None:
    """The caller commits."""
    rows = [{"site": site, "station": station, "metrics": data, "at": now} for (site, station), data in latest.items()]
    if rows:
        added = _insert(connection, device_health)
        changes = {"metrics": added.excluded.metrics, "at": added.excluded.at}
        connection.execute(added.on_conflict_do_update(index_elements=["site", "station"], set_=changes), rows)


def take_alarms(connection: sa.Connection, latest: Mapping[tuple[str, str, str], Alarm | None], now: float) -> None:
    """`latest`: (site, station, id) -> the alarm, None where it has ended. One that goes on keeps its beginning."""
    key = device_alarms.c
    for (site, station, name), alarm in latest.items():
        if alarm is None:
            mine = (key.site == site) & (key.station == station) & (key.id == name)
            connection.execute(sa.delete(device_alarms).where(mine))
    rows = [
        {"site": site, "station": station, "id": name, "first_at": now}
        | {"priority": alarm.priority, "alarm": wire.encode(alarm)}
        for (site, station, name), alarm in latest.items()
        if alarm is not None
    ]
    if rows:
        added = _insert(connection, device_alarms)
        changes = {"priority": added.excluded.priority, "alarm": added.excluded.alarm}
        connection.execute(added.on_conflict_do_update(index_elements=["site", "station", "id"], set_=changes), rows)


def _insert(connection: sa.Connection, table: sa.Table) -> postgresql.Insert | sqlite.Insert:
    return (postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert)(table)
