"""The audit log: who did what, each line chained to the one before by a hash; writers take turns at its end."""

import hashlib
import json

import sqlalchemy as sa

from cloud_sync.tables import audit, audit_end


def take_turn(connection: sa.Connection) -> None:
    """Makes other writers wait until this transaction ends; called first, before anything is read."""
    connection.execute(sa.update(audit_end).where(audit_end.c.id == 1).values(last_id=audit_end.c.last_id))


def note(connection: sa.Connection, *, who: str, did: str, now: float, about: str = "", address: str = "") -> None:
    """One line; the caller commits."""
    take_turn(connection)
    end = connection.execute(sa.select(audit_end).where(audit_end.c.id == 1)).one()
    line = [end.last_id + 1, now, who[:64], address, did, about]
    chain = chained(end.hash, line)
    columns = ("id", "at", "who", "address", "did", "about")
    connection.execute(sa.insert(audit).values(**dict(zip(columns, line, strict=True)), hash=chain))
    connection.execute(sa.update(audit_end).where(audit_end.c.id == 1).values(last_id=line[0], hash=chain))


def chained(before: str, line: list) -> str:
    """The hash of a line [id, at, who, address, did, about] that follows the hash `before`."""
    text = json.dumps(line, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256((before + text).encode()).hexdigest()
