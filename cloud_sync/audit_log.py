"""The audit log in the database: who did what, a line at a time, each chained to the one before it.

Writers take turns at the one row of `audit_end`, so that parallel processes make one chain. Whether a chain holds is
`audit_chain`'s matter.
"""

from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from cloud_sync.audit_chain import Checked, Head, Line, chained, check
from cloud_sync.tables import audit, audit_end, audit_heads
from edge_agent import durable
from edge_agent.errors import StoreError

HEADS_FILE = "audit-heads.jsonl"
LONGEST = {"who": 128, "did": 64, "about": 1000, "address": 64}
"""Characters that are kept of each."""
CHUNK = 1000
_written: ContextVar[int] = ContextVar("lines of the audit log that this thread has written", default=0)


def note(connection: sa.Connection, *, who: str, did: str, now: float, about: str = "", address: str = "") -> None:
    """One line; the caller commits, and with it gives the turn to the next writer: so write it last.

    Raises StoreError where the log has lost its end.
    """
    note_each(connection, [about], who=who, did=did, now=now, address=address)


def note_each(
    connection: sa.Connection, abouts: Sequence[str], *, who: str, did: str, now: float, address: str = ""
) -> None:
    """One line about each of `abouts`, as `note` writes it."""
    if not abouts:
        return
    before, lines = take_turn(connection), []
    last_id, last_hash = before.last_id, before.hash
    for about in abouts:
        texts = {"who": who, "did": did, "about": about, "address": address}
        line = Line(last_id + 1, float(now), **{name: _plain(name, text) for name, text in texts.items()})
        line = msgspec.structs.replace(line, hash=chained(last_hash, line))
        last_id, last_hash = line.id, line.hash
        lines.append(msgspec.structs.asdict(line))
    connection.execute(sa.insert(audit), lines)
    connection.execute(sa.update(audit_end).where(audit_end.c.id == 1).values(last_id=last_id, hash=last_hash))
    _written.set(_written.get() + len(lines))


def take_turn(connection: sa.Connection) -> Head:
    """The end of the log, held until this transaction ends: nobody else can write a line in between.

    An update that changes nothing, because it locks the row in PostgreSQL and the file in SQLite, where a transaction
    that had only read would be refused as soon as somebody else had written.
    """
    statement = sa.update(audit_end).where(audit_end.c.id == 1).values(last_id=audit_end.c.last_id)
    row = connection.execute(statement.returning(audit_end.c.last_id, audit_end.c.hash)).first()
    if row is None:
        raise StoreError("the audit log has lost its end (table audit_end is empty): restore the database")
    return Head(0.0, row.last_id, row.hash)


def lines_written() -> int:
    """By this thread, ever: who asks before and after some work knows whether it has left a line."""
    return _written.get()


def end(connection: sa.Connection) -> Head:
    """The last line as the database knows it, without a turn."""
    row = connection.execute(sa.select(audit_end).where(audit_end.c.id == 1)).first()
    return Head(0.0, row.last_id, row.hash) if row else Head(0.0, 0, "")


def heads(connection: sa.Connection) -> list[Head]:
    """What was published, the oldest first."""
    rows = connection.execute(sa.select(audit_heads).order_by(audit_heads.c.id))
    return [Head(row.at, row.last_id, row.hash) for row in rows]


def verified(engine: Engine, kept: Path | None) -> Checked:
    """The whole log against itself, the published heads, and those in the file `kept`. Raises StoreError."""
    copies = heads_in(kept) if kept is not None else []
    with engine.connect() as connection:
        # The end first: lines that are written meanwhile are none of ours.
        last, published = end(connection), heads(connection)
        return check(_lines(connection, last.last_id), last, list(dict.fromkeys([*published, *copies])))


def publish(engine: Engine, kept: Path, now: float) -> Head:
    """The log's end into the database and, synced, into the file `kept`. Raises StoreError."""
    with engine.begin() as connection:
        head = msgspec.structs.replace(take_turn(connection), at=float(now))
        connection.execute(sa.insert(audit_heads).values(**msgspec.structs.asdict(head)))
    held = kept.read_bytes() if kept.is_file() else b""
    durable.write(kept, held + msgspec.json.encode(head) + b"\n")
    return head


def heads_in(path: Path) -> list[Head]:
    """Raises StoreError naming the line that cannot be read."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise StoreError(f"published heads {path} cannot be read ({error.strerror}): restore the file") from error
    found = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(msgspec.json.decode(line, type=Head))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise StoreError(f"line {number} of {path} is no published head ({error}): restore the file") from error
    return found


def _lines(connection: sa.Connection, last_id: int) -> Iterator[Line]:
    """In chunks, so that a million lines need no more memory than a thousand. Lines past `last_id` that nobody's turn
    has made are shown, too."""
    after, query = 0, sa.select(audit).order_by(audit.c.id).limit(CHUNK)
    while rows := connection.execute(query.where(audit.c.id > after)).all():
        for row in rows:
            if row.id > last_id and row.id <= end(connection).last_id:
                return
            yield Line(**row._mapping)
        after = rows[-1].id


def _plain(name: str, text: str) -> str:
    """What every database can hold: no NUL, no half characters, not too long."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()[: LONGEST[name]]
