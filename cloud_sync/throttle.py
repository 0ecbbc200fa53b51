"""How often somebody may be wrong: attempts are lines of the audit log, so that every process and restart knows them.

An attempt is written before it is looked at, in turn: a hundred at the same moment are counted like a hundred after
each other, and the slow look at a password keeps nobody waiting.
"""

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from cloud_sync import audit_log
from cloud_sync.tables import audit

FAILURES_NAME, FAILURES_ADDRESS, FAILURES_WITHIN_S = 5, 30, 900
"""So many wrong passwords for one name, or for any, from one address, and it has to wait for a quarter of an hour."""
SAID_EVERY_S = 60
"""A closed door is noted once in this time, or knocking could fill the log."""


class Attempt(msgspec.Struct, frozen=True):
    """Somebody says who they are."""

    who: str
    address: str
    at: float
    kind: str = "sign_in"
    """What the lines are called: KIND_tried, KIND once it was right, KIND_throttled."""
    most: int = FAILURES_NAME


def admitted(engine: Engine, attempt: Attempt) -> bool:
    """Whether this attempt may be looked at; it counts as a failure until `succeeded`."""
    with engine.begin() as connection:
        audit_log.take_turn(connection)
        closed = _closed(connection, attempt)
        if not closed:
            _note(connection, attempt, "_tried")
        elif not _said(connection, attempt):
            _note(connection, attempt, "_throttled")
    return not closed


def ended(engine: Engine, attempt: Attempt, *, right: bool, about: str = "") -> None:
    """What became of it."""
    with engine.begin() as connection:
        _note(connection, attempt, "" if right else "_failed", about)


def failed(engine: Engine, attempt: Attempt, about: str) -> None:
    """A failure that no password was tried for, noted; only so many of one address, or they could fill the log."""
    lately = (audit.c.at > attempt.at - FAILURES_WITHIN_S) & (audit.c.address == attempt.address)
    mine = sa.select(sa.func.count()).where(lately, audit.c.did == f"{attempt.kind}_failed")
    with engine.begin() as connection:
        audit_log.take_turn(connection)
        if (connection.scalar(mine) or 0) < FAILURES_ADDRESS:
            _note(connection, attempt, "_failed", about)


def _closed(connection: sa.Connection, attempt: Attempt) -> bool:
    lately = (audit.c.at > attempt.at - FAILURES_WITHIN_S) & (audit.c.address == attempt.address)
    by_kind = sa.case((audit.c.did == f"{attempt.kind}_tried", 1), (audit.c.did == attempt.kind, -1), else_=0)
    failures = sa.select(sa.func.coalesce(sa.func.sum(by_kind), 0)).where(lately)
    of_address = connection.scalar(failures) or 0
    of_name = connection.scalar(failures.where(audit.c.who == attempt.who)) or 0
    return of_name >= attempt.most or of_address >= FAILURES_ADDRESS


def _said(connection: sa.Connection, attempt: Attempt) -> bool:
    lines = (audit.c.did == f"{attempt.kind}_throttled") & (audit.c.address == attempt.address)
    recent = lines & (audit.c.at > attempt.at - SAID_EVERY_S)
    return connection.execute(sa.select(audit.c.id).where(recent).limit(1)).first() is not None


def _note(connection: sa.Connection, attempt: Attempt, ending: str, about: str = "") -> None:
    audit_log.note(
        connection,
        who=attempt.who,
        did=attempt.kind + ending,
        about=about,
        now=attempt.at,
        address=attempt.address,
    )
