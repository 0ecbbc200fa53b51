"""The outbox -> how the units of this shift were decided. It reads what is new alone, beside the writer, never waiting.

What cannot be read just now is not known: no number of before stands for it.
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from datetime import tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from edge_agent import utc
from edge_agent.errors import ConfigError
from edge_agent.records import DecidedBy, DecisionWord, DispositionWord, VerdictWord
from edge_agent.shifts import Counts, Shift, shift_at

LOOK_EVERY_S = 1.0
PATIENCE_S = 0.05
"""Readers of a write-ahead log wait for nobody; this is for the moment in which a database is made."""
AT_ONCE = 500
"""Rows of a look: ten milliseconds. A whole shift is read in a few looks."""
BEFORE = 50
"""So many cases in a row of before the shift, counted back from the newest, and no older one is of it."""
LOCAL = Path("/etc/localtime")


class _Counted(msgspec.Struct):
    """What matters of a case."""

    ended_at: str
    verdict: VerdictWord
    decision: DecisionWord
    decided_by: DecidedBy
    disposition: DispositionWord | None = None


class ShiftCounts:
    """Of one device. Any thread may ask."""

    def __init__(
        self, database: Path, begins: Sequence[str], zone: tzinfo, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._database, self._begins, self._zone, self._clock = database, begins, zone, clock
        self._turn = threading.Lock()
        self._rows: sqlite3.Connection | None = None
        self._inode: int | None = None
        self._looked_s = float("-inf")
        self._counts: Counts | None = None
        self._last = 0
        """Sequence of the newest case that was counted."""

    def now(self, now: float) -> Counts | None:
        """`now`: UTC, seconds since 1970. None where the outbox cannot be read."""
        with self._turn:
            shift = shift_at(now, self._begins, self._zone)
            is_same = self._counts is not None and self._counts.shift == shift
            if is_same and self._clock() - self._looked_s < LOOK_EVERY_S:
                return self._counts
            self._looked_s = self._clock()
            try:
                self._look(shift, anew=not is_same)
            except (sqlite3.Error, msgspec.DecodeError):
                self._forget()
            return self._counts

    def _look(self, shift: Shift, *, anew: bool) -> None:
        inode = _inode(self._database)
        if inode is None:
            # Before the first case of a new device there is no outbox, and that is nought.
            self._forget()
            self._counts = Counts(shift)
            return
        if self._rows is None or inode != self._inode:
            self._forget()
            self._rows, self._inode, anew = _connect(self._database), inode, True
        newest = _newest(self._rows)
        if anew or self._counts is None or newest < self._last:
            self._counts, self._last = Counts(shift), _first_of(self._rows, shift, newest) - 1
        while self._last < newest:
            self._last, self._counts = _next(self._rows, self._last, self._counts)

    def _forget(self) -> None:
        if self._rows is not None:
            self._rows.close()
        self._rows = self._counts = None


def zone_of(name: str | None) -> tzinfo:
    """None = the device's own. Raises ConfigError for a name that is none."""
    if name is None:
        try:
            with open(LOCAL, "rb") as file:
                return ZoneInfo.from_file(file, "local")
        except (OSError, ValueError):
            return ZoneInfo("UTC")
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(f"[panel] timezone '{name}' is not known here: give one such as Europe/Berlin") from error


def _connect(database: Path) -> sqlite3.Connection:
    """Reads alone: it takes no lock that a writer would meet. Threads take turns at it."""
    uri = f"{database.absolute().as_uri()}?mode=ro"
    rows = sqlite3.connect(uri, uri=True, timeout=PATIENCE_S, check_same_thread=False)
    rows.execute("PRAGMA query_only=1")
    return rows


def _inode(database: Path) -> int | None:
    try:
        return database.stat().st_ino
    except OSError:
        return None


def _newest(rows: sqlite3.Connection) -> int:
    return rows.execute("SELECT coalesce(max(sequence), 0) FROM cases").fetchone()[0]


def _first_of(rows: sqlite3.Connection, shift: Shift, newest: int) -> int:
    """Sequence from which on cases are of this shift."""
    first, before = newest + 1, 0
    found = rows.execute("SELECT sequence, ended_at FROM cases WHERE sequence <= ? ORDER BY sequence DESC", (newest,))
    for sequence, ended_at in found:
        is_of_it = shift.begins <= (utc.seconds(ended_at) or 0.0) < shift.ends
        first, before = (sequence, 0) if is_of_it else (first, before + 1)
        if before >= BEFORE:
            break
    found.close()
    return first


def _next(rows: sqlite3.Connection, last: int, counts: Counts) -> tuple[int, Counts]:
    """Some more cases, each as a short transaction."""
    found = rows.execute(
        "SELECT sequence, payload FROM cases WHERE sequence > ? ORDER BY sequence LIMIT ?", (last, AT_ONCE)
    ).fetchall()
    cases = [msgspec.json.decode(payload, type=_Counted) for _, payload in found]
    of_it = [case for case in cases if counts.shift.begins <= (utc.seconds(case.ended_at) or 0.0) < counts.shift.ends]
    words = [_word(case) for case in of_it]
    more = Counts(
        counts.shift,
        units=counts.units + len(of_it),
        good=counts.good + words.count("ok"),
        leak=counts.leak + words.count("leak"),
        undecided=counts.undecided + words.count("none"),
        not_tested=counts.not_tested + sum(case.verdict == "not_tested" for case in of_it),
    )
    return (found[-1][0] if found else last + AT_ONCE), more


def _word(case: _Counted) -> str:
    """Who decided last counts: the inspector, else the machine where it may."""
    if case.decision != "none":
        return case.decision
    return case.disposition if case.decided_by == "machine" and case.disposition in ("ok", "leak") else "none"
