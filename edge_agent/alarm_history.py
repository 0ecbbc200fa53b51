"""What has happened to alarms <-> data_dir/alarms/history.db: rows are only added, and the oldest go.

The processes that raise alarms write it, the panel and the command line read it; none waits long for another.
"""

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from edge_agent.alarms import Event
from edge_agent.errors import StoreError

KEPT = 100_000
"""Rows, some 20 MB: at one alarm in ten minutes, each with its end and its acknowledgement, most of a year. It is a
number and no age, so that a clock which is wrong takes nothing away."""
SPARE = 1_000
"""Rows too many before the oldest go."""
WAIT_S = 0.1
"""For another process that writes; what was not written goes with the next look."""
_TABLE = """
CREATE TABLE IF NOT EXISTS events (n INTEGER PRIMARY KEY, at REAL NOT NULL, id TEXT NOT NULL, event BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS events_at ON events (at);
"""
DAMAGED = ("malformed", "not a database", "disk image")


class AlarmHistory:
    """The file. Any thread, one at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, events: Iterable[Event]) -> None:
        """All of them or none. Raises StoreError; a damaged file is put aside: the next attempt begins a new one."""
        rows = [(event.at_s, event.id, msgspec.json.encode(event)) for event in events]
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._open() as database:
                database.executescript(_TABLE)
                with database:
                    database.executemany("INSERT INTO events (at, id, event) VALUES (?, ?, ?)", rows)
                    self._thin(database)
        except (sqlite3.Error, OSError) as error:
            self._put_aside(error)
            raise StoreError(f"{self._path} takes no alarms ({error}): free space, or check who owns it") from error

    def since(self, at_s: float, until_s: float = float("inf")) -> list[Event]:
        """In the order in which they came; none where there is no file or it cannot be read."""
        query = "SELECT event FROM events WHERE at >= ? AND at < ? ORDER BY n"
        try:
            with self._open("?mode=ro") as database:
                rows = database.execute(query, (at_s, until_s)).fetchall()
            return [msgspec.json.decode(row[0], type=Event) for row in rows]
        except (sqlite3.Error, OSError, msgspec.DecodeError):
            return []

    @contextlib.contextmanager
    def _open(self, mode: str = "") -> Iterator[sqlite3.Connection]:
        database = sqlite3.connect(f"{self._path.absolute().as_uri()}{mode}", uri=True, timeout=WAIT_S)
        try:
            if not mode:
                database.execute("PRAGMA journal_mode = WAL")
                database.execute("PRAGMA synchronous = FULL")
            yield database
        finally:
            database.close()

    def _thin(self, database: sqlite3.Connection) -> None:
        first, last = database.execute("SELECT min(n), max(n) FROM events").fetchone()
        if first is not None and last - first >= KEPT + SPARE:
            database.execute("DELETE FROM events WHERE n <= ?", (last - KEPT,))

    def _put_aside(self, error: Exception) -> None:
        if isinstance(error, sqlite3.DatabaseError) and any(word in str(error) for word in DAMAGED):
            for name in (self._path.name, f"{self._path.name}-wal", f"{self._path.name}-shm"):
                with contextlib.suppress(OSError):
                    self._path.with_name(name).replace(self._path.with_name(f"{name}.damaged"))
