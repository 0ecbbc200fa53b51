"""The labelling standard: how to judge what experts once disagreed on. The latest text on a subject holds."""

import msgspec
import sqlalchemy as sa

from cloud_sync import audit_log
from cloud_sync.tables import standards
from edge_agent.errors import ConfigError

LONGEST_SUBJECT, LONGEST_TEXT = 120, 4000


class Standard(msgspec.Struct, frozen=True):
    """What holds on one subject."""

    subject: str
    text: str
    written_by: str
    at: float


def current(connection: sa.Connection) -> list[Standard]:
    """By subject; a subject whose latest text is empty was taken back."""
    latest = sa.select(sa.func.max(standards.c.id)).group_by(standards.c.subject)
    query = sa.select(standards).where(standards.c.id.in_(latest), standards.c.text != "").order_by(standards.c.subject)
    return [Standard(row.subject, row.text, row.written_by, row.at) for row in connection.execute(query)]


def write(connection: sa.Connection, subject: str, text: str, *, who: str, now: float) -> None:
    """The caller commits. Raises ConfigError where subject or text are too long or the subject is empty."""
    subject, text = subject.strip(), text.strip()
    if not 0 < len(subject) <= LONGEST_SUBJECT:
        raise ConfigError(f"the subject has {len(subject)} characters, 1 to {LONGEST_SUBJECT} are possible")
    if len(text) > LONGEST_TEXT:
        raise ConfigError(f"the text has {len(text)} characters, limit {LONGEST_TEXT}: say it shorter")
    audit_log.take_turn(connection)
    connection.execute(sa.insert(standards).values(subject=subject, text=text, written_by=who, at=now))
    audit_log.note(connection, who=who, did="standard_written", about=subject, now=now)
