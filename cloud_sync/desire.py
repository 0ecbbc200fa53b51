"""What each device is asked to be and to send: one row a station, kept whole, with a counter that only rises.

`desire_sending` puts the rows on the broker. A sampling order is one of the wishes in the row; which bundle is to
speak, which one to run beside it and how much the device may decide are its other fields.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

import msgspec
import sqlalchemy as sa

from cloud_sync import audit_log
from cloud_sync.tables import desired, stations
from edge_agent import wire
from edge_agent.messages import Desired, SamplingWish
from edge_agent.records import BundleRef

MOST_WISHES = 20
"""Of one station at a time: a message stays small, and nobody orders everything."""
COUNTER_UNIT_S = 60.0
"""A counter is never behind the minutes since 1970, so that it still rises after a restored backup."""


class Due(msgspec.Struct, frozen=True):
    """A row to be published, retained."""

    site: str
    station: str
    counter: int
    payload: bytes

    @property
    def topic(self) -> str:
        return wire.Topics(self.site, self.station).desired


def order(
    connection: sa.Connection, places: Iterable[tuple[str, str]], wish: SamplingWish, *, who: str, now: float
) -> None:
    """Asks the devices at these (site, station) for more of a kind; the caller commits. The same wish twice is one."""
    audit_log.take_turn(connection)
    for place in places:
        _change(connection, place, lambda kept: {"sampling": _with(kept.sampling, wish, now)}, who=who, now=now)
        about = f"{'/'.join(place)} {wish.id}: probability {wish.probability:g} until {wish.until}"
        audit_log.note(connection, who=who, did="sampling_ordered", about=about, now=now)


def withdraw(connection: sa.Connection, place: tuple[str, str], wish_id: str, *, who: str, now: float) -> None:
    """Ends one wish before its time; the caller commits."""
    audit_log.take_turn(connection)
    _change(connection, place, lambda kept: {"sampling": _without(kept.sampling, wish_id)}, who=who, now=now)
    audit_log.note(connection, who=who, did="sampling_ended", about=f"{'/'.join(place)} {wish_id}", now=now)


def want(
    connection: sa.Connection, place: tuple[str, str], *, who: str, reason: str, now: float, **fields: object
) -> bool:
    """Asks one device for another `bundle`, `challenger` or `mode` (fields of `Desired`; None = as the device has it).

    The caller commits. False where nothing changes.
    """
    audit_log.take_turn(connection)
    changed = _change(connection, place, lambda _: fields, who=who, now=now)
    if changed:
        told = ", ".join(f"{name} {_told(value)}" for name, value in fields.items())
        about = f"{'/'.join(place)} {told}: {reason}"
        audit_log.note(connection, who=who, did="device_asked", about=about, now=now)
    return changed


def want_bundles(
    connection: sa.Connection, bundles: Mapping[tuple[str, str], BundleRef], *, who: str, reason: str, now: float
) -> int:
    """`want` for a fleet, each device its bundle, with as many statements as for one. How many rows changed.

    A challenger that is to speak is no longer heard beside itself.
    """
    audit_log.take_turn(connection)
    kept = {place: message for place, message in all_wanted(connection).items() if place in bundles}
    new: list[dict[str, object]] = []
    changed: list[dict[str, object]] = []
    told = []
    for (site, station), bundle in bundles.items():
        before = kept.get((site, station), Desired(counter=0))
        if before.bundle == bundle:
            continue
        challenger = None if before.challenger == bundle else before.challenger
        message = msgspec.structs.replace(before, bundle=bundle, challenger=challenger)
        row = {"site_": site, "station_": station} | _values(message, before.counter, who=who, now=now)
        (changed if (site, station) in kept else new).append(row)
        told.append(f"{site}/{station} bundle {_told(bundle)}: {reason}")
    if new:
        named = sa.insert(desired).values(site=sa.bindparam("site_"), station=sa.bindparam("station_"))
        connection.execute(named, new)
    if changed:
        here = (desired.c.site == sa.bindparam("site_")) & (desired.c.station == sa.bindparam("station_"))
        connection.execute(sa.update(desired).where(here), changed)
    audit_log.note_each(connection, told, who=who, did="device_asked", now=now)
    return len(told)


def all_wanted(connection: sa.Connection) -> dict[tuple[str, str], Desired]:
    """What every device is asked for now that was ever asked for anything."""
    rows = connection.execute(sa.select(desired.c.site, desired.c.station, desired.c.payload))
    return {(row.site, row.station): _message(row.payload) for row in rows}


def wanted(connection: sa.Connection, place: tuple[str, str]) -> Desired:
    """What this device is asked for now."""
    here = (desired.c.site == place[0]) & (desired.c.station == place[1])
    payload = connection.scalar(sa.select(desired.c.payload).where(here))
    return Desired(counter=0) if payload is None else _message(payload)


def wishes(connection: sa.Connection, now: float) -> list[tuple[sa.Row, SamplingWish]]:
    """(row, wish) of every wish that has not ended."""
    rows = connection.execute(sa.select(desired).order_by(desired.c.site, desired.c.station))
    return [(row, wish) for row in rows for wish in _message(row.payload).sampling if wish.until > utc(now)]


def known_places(connection: sa.Connection) -> list[tuple[str, str]]:
    """(site, station) of every device that has ever said that it is there."""
    rows = connection.execute(sa.select(stations.c.site, stations.c.station).order_by(*stations.primary_key))
    return [(row.site, row.station) for row in rows]


def due(connection: sa.Connection, *, everything: bool = False) -> list[Due]:
    """What was not sent since it changed; `everything`: all there is, for a broker that may have forgotten it."""
    query = sa.select(desired.c.site, desired.c.station, desired.c.counter, desired.c.payload)
    rows = connection.execute(query if everything else query.where(desired.c.sent_at.is_(None)))
    return [Due(row.site, row.station, row.counter, bytes(row.payload)) for row in rows]


def sent(connection: sa.Connection, one: Due, now: float) -> None:
    """The broker has it. What has changed in between stays due."""
    same = (desired.c.site == one.site) & (desired.c.station == one.station) & (desired.c.counter == one.counter)
    connection.execute(sa.update(desired).where(same).values(sent_at=now))


def until(now: float, days: float) -> str:
    """The end of a wish that holds for so many days, UTC."""
    return utc(now + 86_400 * days)


def utc(seconds: float) -> str:
    """As wishes and orders write a time, to the second."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def next_counter(before: int, now: float) -> int:
    """Above the one before, and never behind the minutes since 1970."""
    return max(before + 1, int(now // COUNTER_UNIT_S))


def _change(
    connection: sa.Connection,
    place: tuple[str, str],
    change: Callable[[Desired], Mapping[str, object]],
    *,
    who: str,
    now: float,
) -> bool:
    here = (desired.c.site == place[0]) & (desired.c.station == place[1])
    row = connection.execute(sa.select(desired).where(here)).first()
    kept = _message(row.payload) if row else Desired(counter=0)
    message = msgspec.structs.replace(kept, **change(kept))
    if row and message == kept:
        return False
    values = _values(message, kept.counter, who=who, now=now)
    if row:
        connection.execute(sa.update(desired).where(here).values(values))
    else:
        connection.execute(sa.insert(desired).values(site=place[0], station=place[1], **values))
    return True


def _values(message: Desired, before: int, *, who: str, now: float) -> dict[str, object]:
    """Of a row whose counter was `before`."""
    counter = next_counter(before, now)
    payload = wire.encode(msgspec.structs.replace(message, counter=counter))
    return {"counter": counter, "payload": payload, "changed_by": who, "changed_at": now, "sent_at": None}


def _without(kept: tuple[SamplingWish, ...], wish_id: str) -> tuple[SamplingWish, ...]:
    return tuple(wish for wish in kept if wish.id != wish_id)


def _told(value: object) -> str:
    return f"{value.version} {value.sha256[:12]}" if isinstance(value, BundleRef) else str(value)


def _with(kept: tuple[SamplingWish, ...], wish: SamplingWish, now: float) -> tuple[SamplingWish, ...]:
    """Without what has ended; the oldest gives way where there are too many."""
    going = [one for one in kept if one.until > utc(now) and one.id != wish.id]
    return (*going, wish)[-MOST_WISHES:]


def _message(payload: bytes) -> Desired:
    return wire.decode(bytes(payload), Desired)
