"""Challenge parts in the database: registered and retired by name, and told to the devices of their site, so that these
mark the cases and keep the clips.
"""

import math

import msgspec
import sqlalchemy as sa

from cloud_sync import audit_log, desire
from cloud_sync.challenge import Part
from cloud_sync.tables import challenge_parts
from edge_agent.errors import ConfigError

WHO = "challenge parts"
"""As the audit log names what follows without a person."""
TRUTHS = ("leak", "ok")
LONGEST_SERIAL = 128
MOST_AT_A_SITE = 50
"""Active ones: what devices are asked for stays a small message."""


class NewPart(msgspec.Struct, frozen=True, kw_only=True):
    """As somebody wants it registered."""

    site: str
    station: str | None
    serial: str
    truth: str
    leak_std_cm3_s: float | None = None


def register(connection: sa.Connection, new: NewPart, *, who: str, now: float) -> int:
    """The part counts from now on; its number. The caller commits. Raises ConfigError."""
    audit_log.take_turn(connection)
    _check(new)
    here = active(connection, new.site)
    if any(part.serial == new.serial for part in here):
        raise ConfigError(f"serial {new.serial} is registered at {new.site} already: retire it first")
    if len(here) >= MOST_AT_A_SITE:
        raise ConfigError(f"{new.site} has {len(here)} challenge parts, the limit is {MOST_AT_A_SITE}: retire one")
    values = msgspec.structs.asdict(new) | {"registered_by": who, "registered_at": now}
    key = connection.scalar(sa.insert(challenge_parts).values(values).returning(challenge_parts.c.id))
    rate = "" if new.leak_std_cm3_s is None else f" {new.leak_std_cm3_s:g} std cm3/s"
    about = f"{new.site}/{new.station or '*'} {new.serial}: {new.truth}{rate}"
    audit_log.note(connection, who=who, did="challenge_part_registered", about=about, now=now)
    _tell_site(connection, new.site, f"{new.serial} was registered", who=who, now=now)
    return int(key or 0)


def retire(connection: sa.Connection, part_id: int, *, who: str, now: float) -> None:
    """It counts no more from now on; what was said of it stays. The caller commits; harmless where it is retired."""
    audit_log.take_turn(connection)
    its = (challenge_parts.c.id == part_id) & challenge_parts.c.retired_at.is_(None)
    row = connection.execute(sa.select(challenge_parts).where(its)).first()
    if row is None:
        return
    connection.execute(sa.update(challenge_parts).where(its).values(retired_by=who, retired_at=now))
    about = f"{row.site}/{row.station or '*'} {row.serial}"
    audit_log.note(connection, who=who, did="challenge_part_retired", about=about, now=now)
    _tell_site(connection, row.site, f"{row.serial} was retired", who=who, now=now)


def active(connection: sa.Connection, site: str | None = None) -> list[Part]:
    """Those that count now, of one site or of all, by their serials."""
    query = sa.select(challenge_parts).where(challenge_parts.c.retired_at.is_(None))
    query = query if site is None else query.where(challenge_parts.c.site == site)
    return _parts(connection, query.order_by(challenge_parts.c.site, challenge_parts.c.serial))


def every(connection: sa.Connection) -> list[Part]:
    """Retired ones too, these last."""
    retired = challenge_parts.c.retired_at.isnot(None)
    order = (retired, challenge_parts.c.site, challenge_parts.c.serial, challenge_parts.c.id)
    return _parts(connection, sa.select(challenge_parts).order_by(*order))


def known(connection: sa.Connection, site: str, serials: set[str]) -> list[Part]:
    """Whatever was ever registered at this site under one of these."""
    mine = (challenge_parts.c.site == site) & challenge_parts.c.serial.in_(serials)
    return _parts(connection, sa.select(challenge_parts).where(mine))


def tell(connection: sa.Connection, place: tuple[str, str], *, why: str, now: float, who: str = WHO) -> None:
    """Asks one device to mark the parts of its site; nothing happens where it does already. The caller commits."""
    serials = tuple(part.serial for part in active(connection, place[0]))
    if serials != desire.wanted(connection, place).challenge_serials:
        desire.want(connection, place, who=who, reason=why, now=now, challenge_serials=serials)


def _tell_site(connection: sa.Connection, site: str, why: str, *, who: str, now: float) -> None:
    for place in desire.known_places(connection):
        if place[0] == site:
            tell(connection, place, who=who, why=why, now=now)


def _parts(connection: sa.Connection, query: sa.Select) -> list[Part]:
    names = [field.name for field in msgspec.structs.fields(Part)]
    return [Part(**{name: getattr(row, name) for name in names}) for row in connection.execute(query)]


def _check(new: NewPart) -> None:
    if new.truth not in TRUTHS:
        raise ConfigError(f"truth {new.truth[:40]!r} is none: choose leak or ok")
    if (
        not new.serial
        or len(new.serial) > LONGEST_SERIAL
        or not new.serial.isprintable()
        or new.serial != new.serial.strip()
    ):
        raise ConfigError(f"a serial has 1 to {LONGEST_SERIAL} characters, all of them visible: type it as it is read")
    if not new.site:
        raise ConfigError("no site is named: choose the station or the site where the part is run")
    rate = new.leak_std_cm3_s
    if rate is None:
        return
    if new.truth == "ok":
        raise ConfigError("a good part has no leak rate: leave the field empty, or say that it leaks")
    if not (math.isfinite(rate) and rate > 0):
        raise ConfigError(f"leak rate {rate:g} is none: give it in std cm3/s, such as 1e-3, or leave it empty")
