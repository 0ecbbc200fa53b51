"""The outbox's tables and every SQL statement on them. What the rows mean is `outbox`'s matter."""

import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from edge_agent import wire
from edge_agent.records import Case
from edge_agent.spool import Stored

VERSION = 1
_URGENCY = {"disagreement": 0, "unsure": 1, "not_tested": 2, "challenge": 3, "audit": 4, "none": 5}
Worth = Literal["held agreement", "held", "agreement", "other"]
"""Of a clip: whether the cloud holds it too, and whether machine and inspector agreed."""
_WORTH: dict[tuple[int, int], Worth] = {(1, 1): "held agreement", (1, 0): "held", (0, 1): "agreement", (0, 0): "other"}
_TABLES = """
CREATE TABLE cases (
    case_id TEXT PRIMARY KEY, sequence INTEGER NOT NULL, sha256 TEXT NOT NULL, payload BLOB NOT NULL,
    ended_at TEXT NOT NULL, put_at REAL NOT NULL, receipted_at REAL
) WITHOUT ROWID;
CREATE INDEX cases_receipted ON cases (receipted_at) WHERE receipted_at IS NOT NULL;
CREATE INDEX cases_sequence ON cases (sequence);
CREATE TABLE clips (
    sha256 TEXT PRIMARY KEY, case_id TEXT NOT NULL, urgency INTEGER NOT NULL, put_at REAL NOT NULL,
    next_part INTEGER NOT NULL DEFAULT 0, usable INTEGER NOT NULL DEFAULT 1, receipted_at REAL
) WITHOUT ROWID;
CREATE INDEX clips_waiting ON clips (urgency, put_at) WHERE receipted_at IS NULL AND usable = 1;
CREATE INDEX clips_case ON clips (case_id);
CREATE TABLE orders (
    id TEXT PRIMARY KEY, at REAL NOT NULL, reply BLOB NOT NULL, trigger_waits INTEGER NOT NULL
) WITHOUT ROWID;
"""
_ADDED = """
CREATE INDEX IF NOT EXISTS cases_unreceipted ON cases (receipted_at, sequence) WHERE receipted_at IS NULL;
CREATE INDEX IF NOT EXISTS cases_held ON cases (case_id, receipted_at) WHERE receipted_at IS NOT NULL;
DROP INDEX IF EXISTS cases_waiting;
CREATE TABLE IF NOT EXISTS running (one INTEGER PRIMARY KEY CHECK (one = 1), s REAL NOT NULL);
INSERT OR IGNORE INTO running VALUES (1, 0);
CREATE TABLE IF NOT EXISTS ages (case_id TEXT PRIMARY KEY, seen_s REAL NOT NULL) WITHOUT ROWID;
"""
"""Beside the tables of version 1, which software of before goes on with. `seen_s`: on the count of `running`. The
indexes hold all that is needed to count, and to find a clip whose case has its receipt: without them SQLite read each
of 100,000 rows, every second."""
WEIGHED = 1000
"""Of so many waiting cases the bytes are counted, those of more are taken to be as large."""
ORDER_DAYS, ORDERS = 7, 1000
"""Replies stay so long, and so many in any case: by a clock that was set none is forgotten."""


def connect(database: Path) -> sqlite3.Connection:
    """Opens or makes the database. Raises sqlite3.DatabaseError where it is damaged or of another version."""
    rows = sqlite3.connect(database, timeout=10, check_same_thread=False)
    try:
        rows.execute("PRAGMA journal_mode=WAL")
        # NORMAL lost a third of the acknowledged rows in simulated power cuts, FULL none.
        rows.execute("PRAGMA synchronous=FULL")
        (fault,) = rows.execute("PRAGMA quick_check(1)").fetchone()
        if fault != "ok":
            raise sqlite3.DatabaseError(fault)
        rows.execute("BEGIN IMMEDIATE")
        (version,) = rows.execute("PRAGMA user_version").fetchone()
        if version == 0:
            for statement in _TABLES.split(";\n"):
                rows.execute(statement)
            rows.execute(f"PRAGMA user_version={VERSION}")
        elif version != VERSION:
            raise sqlite3.DatabaseError(f"version {version}, wanted {VERSION}")
        for statement in _ADDED.strip().split(";\n"):
            rows.execute(statement)
        rows.execute("COMMIT")
    except sqlite3.Error:
        rows.close()
        raise
    return rows


def add(rows: sqlite3.Connection, stored: Stored, now: float) -> None:
    """A case waits, and its clip with it; nothing changes where it is known."""
    case = stored.case
    rows.execute(
        "INSERT OR IGNORE INTO cases VALUES (?, ?, ?, ?, ?, ?, NULL)",
        (case.case_id, case.sequence, wire.sha256_of(stored.payload), stored.payload, case.ended_at, now),
    )
    if case.clip:
        rows.execute(
            "INSERT OR IGNORE INTO clips (sha256, case_id, urgency, put_at) VALUES (?, ?, ?, ?)",
            (case.clip.sha256, case.case_id, urgency(case), now),
        )


def urgency(case: Case) -> int:
    """How much its clip is wanted: 0 most."""
    return _URGENCY[case.sampled.reason]


def waiting_cases(
    rows: sqlite3.Connection, limit: int, skip: Iterable[str], *, newest_first: bool
) -> list[tuple[str, int, str, bytes]]:
    order = "DESC" if newest_first else "ASC"
    return rows.execute(
        "SELECT case_id, sequence, sha256, payload FROM cases WHERE receipted_at IS NULL "
        f"AND case_id NOT IN (SELECT value FROM json_each(?)) ORDER BY sequence {order} LIMIT ?",
        (json.dumps(list(skip)), limit),
    ).fetchall()


def after(rows: sqlite3.Connection, sequence: int, limit: int) -> list[tuple[bytes]]:
    """Payloads of later cases, whether they wait or not."""
    return rows.execute(
        "SELECT payload FROM cases WHERE sequence > ? ORDER BY sequence LIMIT ?", (sequence, limit)
    ).fetchall()


def waiting_clips(rows: sqlite3.Connection, limit: int) -> list[tuple[str, str, int]]:
    return rows.execute(
        "SELECT sha256, case_id, next_part FROM clips WHERE receipted_at IS NULL AND usable = 1 AND EXISTS ("
        "SELECT 1 FROM cases INDEXED BY cases_held WHERE cases.case_id = clips.case_id AND cases.receipted_at NOT NULL"
        ") ORDER BY urgency, put_at LIMIT ?",
        (limit,),
    ).fetchall()


def receipted(rows: sqlite3.Connection, cases: Iterable[tuple[str, str]], clips: Iterable[str], now: float) -> int:
    count = 0
    for case_id, sha256 in cases:
        count += rows.execute(
            "UPDATE cases SET receipted_at = ? WHERE case_id = ? AND sha256 = ? AND receipted_at IS NULL",
            (now, case_id, sha256),
        ).rowcount
    for sha256 in clips:
        count += rows.execute(
            "UPDATE clips SET receipted_at = ? WHERE sha256 = ? AND receipted_at IS NULL", (now, sha256)
        ).rowcount
    return count


def resume_at(rows: sqlite3.Connection, parts: Iterable[tuple[str, int]]) -> None:
    rows.executemany("UPDATE clips SET next_part = ? WHERE sha256 = ?", [(part, sha256) for sha256, part in parts])


def clip_unusable(rows: sqlite3.Connection, sha256: str) -> None:
    rows.execute("UPDATE clips SET usable = 0 WHERE sha256 = ?", (sha256,))


def send_again(rows: sqlite3.Connection, since: str | None, case_id: str | None) -> int:
    wanted = "SELECT case_id FROM cases WHERE case_id = ?1 OR ended_at >= ?2"
    names = (case_id, since)
    rows.execute(f"UPDATE clips SET receipted_at = NULL, next_part = 0 WHERE case_id IN ({wanted})", names)
    return rows.execute(f"UPDATE cases SET receipted_at = NULL WHERE case_id IN ({wanted})", names).rowcount


def backlog(rows: sqlite3.Connection) -> tuple[int, int, float | None]:
    return rows.execute(
        "SELECT (SELECT count(*) FROM cases WHERE receipted_at IS NULL), "
        "(SELECT count(*) FROM clips WHERE receipted_at IS NULL AND usable = 1), "
        "(SELECT put_at FROM cases WHERE receipted_at IS NULL ORDER BY sequence LIMIT 1)"
    ).fetchone()


def waiting_bytes(rows: sqlite3.Connection) -> tuple[int, list[str]]:
    """Bytes of the cases without a receipt, and the clips that wait."""
    many, weighed, total = rows.execute(
        "SELECT (SELECT count(*) FROM cases WHERE receipted_at IS NULL), count(*), coalesce(sum(bytes), 0) FROM "
        "(SELECT length(payload) AS bytes FROM cases WHERE receipted_at IS NULL ORDER BY sequence LIMIT ?)",
        (WEIGHED,),
    ).fetchone()
    cases = total * many // max(weighed, 1)
    clips = rows.execute("SELECT sha256 FROM clips WHERE receipted_at IS NULL AND usable = 1").fetchall()
    return cases, [sha256 for (sha256,) in clips]


def grow_older(rows: sqlite3.Connection, by_s: float) -> float:
    """So much more time has passed here; since when the receipts of today are known. Seconds, counted since the first.

    What was receipted since the last look is as old as this one, and what waits again has no age.
    """
    rows.execute("UPDATE running SET s = s + ?", (by_s,))
    (now_s,) = rows.execute("SELECT s FROM running").fetchone()
    rows.execute("DELETE FROM ages WHERE case_id NOT IN (SELECT case_id FROM cases WHERE receipted_at IS NOT NULL)")
    rows.execute(
        "INSERT OR IGNORE INTO ages SELECT case_id, ? FROM cases WHERE receipted_at IS NOT NULL",
        (now_s,),
    )
    return now_s


def expired(rows: sqlite3.Connection, before_s: float) -> list[tuple[str, str | None]]:
    """Case id and clip of what was seen receipted before, the newest record and waiting clips left out."""
    return rows.execute(
        "SELECT cases.case_id, clips.sha256 FROM ages JOIN cases USING (case_id) LEFT JOIN clips USING (case_id) "
        "WHERE ages.seen_s < ? AND cases.sequence < (SELECT max(sequence) FROM cases) "
        "AND (clips.sha256 IS NULL OR clips.usable = 0 OR clips.receipted_at IS NOT NULL)",
        (before_s,),
    ).fetchall()


def clips_by_worth(rows: sqlite3.Connection) -> list[tuple[Worth, str]]:
    """Every clip that is here, in the order in which they may go."""
    found = rows.execute(
        "SELECT receipted_at IS NOT NULL AS held, urgency >= ? AS agreed, sha256 FROM clips WHERE usable = 1 "
        "ORDER BY held DESC, agreed DESC, CASE WHEN held THEN 0 ELSE -urgency END, put_at",
        (_URGENCY["audit"],),
    )
    return [(_WORTH[held, agreed], sha256) for held, agreed, sha256 in found.fetchall()]


def forget(rows: sqlite3.Connection, case_id: str) -> None:
    rows.execute("DELETE FROM clips WHERE case_id = ?", (case_id,))
    rows.execute("DELETE FROM ages WHERE case_id = ?", (case_id,))
    rows.execute("DELETE FROM cases WHERE case_id = ?", (case_id,))


def case_ids(rows: sqlite3.Connection) -> set[str]:
    return {case_id for (case_id,) in rows.execute("SELECT case_id FROM cases")}


def clip_hashes(rows: sqlite3.Connection) -> set[str]:
    return {sha256 for (sha256,) in rows.execute("SELECT sha256 FROM clips")}


def last_sequence(rows: sqlite3.Connection) -> int:
    return rows.execute("SELECT coalesce(max(sequence), 0) FROM cases").fetchone()[0]


def answer(rows: sqlite3.Connection, id: str) -> bytes | None:
    """The reply to an order that was carried out before."""
    found = rows.execute("SELECT reply FROM orders WHERE id = ?", (id,)).fetchone()
    return found[0] if found else None


def keep_answer(rows: sqlite3.Connection, id: str, reply: bytes, now: float, trigger: bool) -> None:
    rows.execute("INSERT OR IGNORE INTO orders VALUES (?, ?, ?, ?)", (id, now, reply, trigger))
    rows.execute(
        "DELETE FROM orders WHERE at < ? AND id NOT IN (SELECT id FROM orders ORDER BY at DESC LIMIT ?)",
        (now - ORDER_DAYS * 86_400, ORDERS),
    )


def take_trigger(rows: sqlite3.Connection, now: float, within_s: float) -> bool:
    """By a clock that was set back in between it was ordered later than now, and nobody knows when."""
    found = rows.execute("SELECT at FROM orders WHERE trigger_waits = 1").fetchall()
    fresh = any(abs(now - at) <= within_s for (at,) in found)
    if found:
        rows.execute("UPDATE orders SET trigger_waits = 0 WHERE trigger_waits = 1")
    return fresh
