"""Cases on their way to the cloud: rows in SQLite (WAL, synchronous FULL) over the files of the spool.

`put` hands out the gapless sequence and returns when a power cut can no longer take the case. Only a receipt that names
the very bytes ends the waiting. The database is a view of the spool: damaged or missing, it is made again.
One process puts (`Outbox.open`), one sends (`Outbox.attach`); a second of either is refused.
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from edge_agent import durable, locks, outbox_table, wire
from edge_agent.errors import StoreError
from edge_agent.records import Case
from edge_agent.spool import Spool, Stored

RECORD_DAYS = 30
"""Receipted records stay this long, so that a cloud restored from a backup can ask again. They are days of running: a
clock that is set, forward or back, makes no record older or younger."""
_JOURNALS = ("-wal", "-shm")
"""Endings of the files that SQLite keeps beside a database, and finds by their names."""


@dataclass(frozen=True, slots=True)
class WaitingCase:
    """A case without a receipt; `payload` goes out as it is."""

    case_id: str
    sequence: int
    sha256: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class WaitingClip:
    """A clip without a receipt. `next_part`: where the cloud last asked to resume."""

    sha256: str
    case_id: str
    path: Path
    next_part: int


@dataclass(frozen=True, slots=True)
class Backlog:
    """What has no receipt yet."""

    cases: int
    clips: int
    oldest_s: float | None


class Outbox:
    """The outbox of one device. Any thread may call any method; all raise StoreError for the disk's faults."""

    def __init__(self, database: Path, spool: Spool, role: str, clock: Callable[[], float]) -> None:
        self.spool = spool
        self._database, self._role, self._clock = database, role, clock
        self._guard = threading.RLock()
        self._lock = locks.lock(database.with_name(f"{role}.lock"), database)
        self._retained_s: float | None = None
        self._file: tuple[int, int] | None = None
        self.notes: list[str] = []
        """What had to be mended at start, for the log."""
        self._connect()
        if role == "outbox":
            self._remove_leftovers()

    @classmethod
    def open(cls, database: Path, spool_folder: Path, clock: Callable[[], float] = time.time) -> "Outbox":
        """For the process that puts: mends what an interruption or a fault has left behind."""
        return cls(database, Spool(spool_folder), "outbox", clock)

    @classmethod
    def attach(cls, database: Path, spool_folder: Path, clock: Callable[[], float] = time.time) -> "Outbox":
        """For the process that sends, beside the one that puts."""
        return cls(database, Spool(spool_folder), "uplink", clock)

    def put(self, case: Case, clip: Path | None = None) -> Case:
        """The case, with its sequence, is on the disk for good, and so is its finished clip draft. May run twice."""
        with self._guard:
            stored = self.spool.case(case.case_id)
            if stored is None:
                if case.clip and clip and not self.spool.keep_clip(clip, case.clip.sha256):
                    self.notes.append(f"clip of case {case.case_id} is gone: the case goes without it")
                    case = msgspec.structs.replace(case, clip=None)
                stored = self._keep(msgspec.structs.replace(case, sequence=self._sequence + 1))
            elif clip:
                durable.remove(clip)
            with self._transaction() as rows:
                outbox_table.add(rows, stored, self._clock())
            return stored.case

    def waiting_cases(
        self, limit: int, skip: frozenset[str] = frozenset(), *, newest_first: bool = False
    ) -> list[WaitingCase]:
        """Cases without a receipt in the order of their sequence or against it, without those in `skip`."""
        with self._transaction() as rows:
            found = outbox_table.waiting_cases(rows, limit, skip, newest_first=newest_first)
        return [WaitingCase(*row) for row in found]

    def cases_after(self, sequence: int, limit: int) -> list[Case]:
        """Cases with a later sequence, in its order, as long as they are kept: receipted or not."""
        with self._transaction() as rows:
            found = outbox_table.after(rows, sequence, limit)
        return [wire.decode(payload, Case) for (payload,) in found]

    def waiting_clips(self, limit: int, skip: frozenset[str] = frozenset()) -> list[WaitingClip]:
        """Clips without a receipt whose case has one: disagreements first, then the oldest."""
        with self._transaction() as rows:
            found = outbox_table.waiting_clips(rows, limit + len(skip))
        clips = [WaitingClip(sha256, case_id, self.spool.clip_path(sha256), part) for sha256, case_id, part in found]
        return [clip for clip in clips if clip.sha256 not in skip][:limit]

    def receipted(self, cases: Iterable[tuple[str, str]] = (), clips: Iterable[str] = ()) -> int:
        """The cloud holds these now. A hash that does not match changes nothing. How many were waiting."""
        with self._transaction() as rows:
            return outbox_table.receipted(rows, cases, clips, self._clock())

    def resume_at(self, parts: Iterable[tuple[str, int]]) -> None:
        """The cloud wants these clips from these parts on."""
        with self._transaction() as rows:
            outbox_table.resume_at(rows, parts)

    def clip_unusable(self, sha256: str) -> None:
        """The file is gone or damaged: it is not waited for any more."""
        with self._transaction() as rows:
            outbox_table.clip_unusable(rows, sha256)

    def send_again(self, *, since: str | None = None, case_id: str | None = None) -> int:
        """Cases that ended at or after `since` (UTC, ISO 8601), or one case, wait again with their clips."""
        with self._transaction() as rows:
            return outbox_table.send_again(rows, since, case_id)

    def backlog(self) -> Backlog:
        """How much waits, and since when."""
        with self._transaction() as rows:
            cases, clips, oldest = outbox_table.backlog(rows)
        return Backlog(cases, clips, None if oldest is None else max(0.0, self._clock() - oldest))

    def waiting_bytes(self) -> int:
        """Of the cases and clips without a receipt. Looks at each clip's file: not for every second. Of more than 1,000
        cases the oldest stand for all."""
        with self._transaction() as rows:
            cases, clips = outbox_table.waiting_bytes(rows)
        return cases + sum(self.spool.clip_bytes(sha256) for sha256 in clips)

    def retain(self, now_s: float, free_bytes: int) -> int:
        """Receipted records older than 30 days go, and clips as in `make_room`. How many.

        `now_s`: seconds on a clock that nobody sets; ages are the time between two calls, added up over restarts.
        The newest record always stays: the sequence continues from it when the database has to be made again.
        """
        # First: a disk that is full takes no ages either.
        removed = self.make_room(free_bytes)
        passed_s = 0.0 if self._retained_s is None else max(0.0, now_s - self._retained_s)
        with self._transaction() as rows:
            counted_s = outbox_table.grow_older(rows, passed_s)
        self._retained_s = now_s
        with self._transaction() as rows:
            for case_id, sha256 in outbox_table.expired(rows, counted_s - RECORD_DAYS * 86_400):
                durable.remove(self.spool.case_path(case_id))
                if sha256:
                    durable.remove(self.spool.clip_path(sha256))
                outbox_table.forget(rows, case_id)
                removed += 1
        return removed

    def make_room(self, keep_free_bytes: int = 0, *, refused: bool = False) -> int:
        """Clips go while too little is free, in the order of docs/delivery.md; never a record. How many.

        Those that the cloud holds while less than `keep_free_bytes` are free, those of agreements without a receipt
        below half of it; the others only where the disk has `refused` a record, until there is room for records.
        """
        least = durable.RECORD_ROOM_BYTES if refused else 0
        limits = {"held agreement": keep_free_bytes, "held": keep_free_bytes, "agreement": keep_free_bytes // 2}
        if self.spool.free_bytes() >= max(keep_free_bytes, least):
            return 0
        with self._transaction() as rows:
            here = outbox_table.clips_by_worth(rows)
        gone: list[tuple[outbox_table.Worth, str]] = []
        for worth, sha256 in here:
            if self.spool.free_bytes() >= max(limits.get(worth, 0), least):
                break
            durable.remove(self.spool.clip_path(sha256))
            gone.append((worth, sha256))
        self._tell_of(gone)
        # The files first: a disk that is full does not take the rows.
        with self._transaction() as rows:
            for _, sha256 in gone:
                outbox_table.clip_unusable(rows, sha256)
        return len(gone)

    def _tell_of(self, gone: list[tuple[outbox_table.Worth, str]]) -> None:
        """What nobody has any more is said."""
        for wanted in ("agreement", "other"):
            if count := sum(worth == wanted for worth, _ in gone):
                whose = "agreements" if wanted == "agreement" else "cases without an agreement"
                self.notes.append(f"the disk is short: {count} clips of {whose} went without a receipt")

    def answer(self, order_id: str) -> bytes | None:
        """The reply to an order that was carried out before; None where it was not."""
        with self._transaction() as rows:
            return outbox_table.answer(rows, order_id)

    def keep_answer(self, order_id: str, reply: bytes, *, trigger: bool = False) -> None:
        """The order was carried out; a `trigger` waits for the process that puts."""
        with self._transaction() as rows:
            outbox_table.keep_answer(rows, order_id, reply, self._clock(), trigger)

    def take_trigger(self, within_s: float = 5.0) -> bool:
        """True once after the cloud or the line ordered an inspection, unless that is longer ago."""
        with self._transaction() as rows:
            return outbox_table.take_trigger(rows, self._clock(), within_s)

    def close(self) -> None:
        with self._guard:
            self._rows.close()
            self._lock.close()

    def _keep(self, case: Case) -> Stored:
        try:
            return self.spool.keep_case(case)
        finally:
            # Also where only the last fsync failed: a sequence on the disk is never given to another case.
            if self.spool.case_path(case.case_id).exists():
                self._sequence = case.sequence

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """One commit. A database that is damaged or was removed is made again from the spool, once."""
        with self._guard:
            if self._file != _identity(self._database):
                self._rows.close()
                self._connect()
            try:
                with self._rows:
                    yield self._rows
            except sqlite3.OperationalError as error:
                raise _failure(self._database, error) from error
            except sqlite3.DatabaseError as error:
                self._rows.close()
                self._connect()
                raise StoreError(
                    f"outbox {self._database} was damaged ({error}) and made again: repeat the step"
                ) from error

    def _connect(self) -> None:
        self._file = None
        own = self._lock if self._role == "outbox" else None
        try:
            with locks.in_turn(self._database), locks.borrowed(self._database, own) as writing:
                self._clear_the_way()
                self._rows = self._opened(writing=writing)
                if writing:
                    self._rebuild()
                self._sequence = outbox_table.last_sequence(self._rows)
        except sqlite3.OperationalError as error:
            raise _failure(self._database, error) from error
        self._file = _identity(self._database)

    def _opened(self, *, writing: bool) -> sqlite3.Connection:
        try:
            return outbox_table.connect(self._database)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            if not writing:
                raise StoreError(f"outbox {self._database} is damaged ({error}): 'agent inspect' mends it") from error
            self.notes.append(f"outbox {self._database} was damaged ({error}): kept as {_set_aside(self._database)}")
            return outbox_table.connect(self._database)

    def _clear_the_way(self) -> None:
        """A new database needs a journal and an index of its own: who still has the old one open would share them."""
        if not self._database.exists():
            for ending in _JOURNALS:
                durable.remove(Path(f"{self._database}{ending}"))

    def _rebuild(self) -> None:
        """Rows for the cases that only the spool knows."""
        with self._rows:
            known = outbox_table.case_ids(self._rows)
            missing = [stored for id in self.spool.case_ids() if id not in known and (stored := self.spool.case(id))]
            for stored in missing:
                outbox_table.add(self._rows, stored, self._clock())
        if missing:
            self.notes.append(f"{len(missing)} cases were taken from the spool into {self._database}")

    def _remove_leftovers(self) -> None:
        """Only at start: while the device runs, drafts and clips may be ahead of their case."""
        drafts = self.spool.remove_drafts()
        orphans = set(self.spool.clip_hashes()) - outbox_table.clip_hashes(self._rows)
        for sha256 in orphans:
            durable.remove(self.spool.clip_path(sha256))
        if drafts or orphans:
            self.notes.append(f"{drafts} unfinished files and {len(orphans)} clips without a case were removed")


class PendingCases:
    """Cases that the disk refused, in memory, in order; `limit` cases at most, then the oldest is lost and counted."""

    def __init__(self, outbox: Outbox, limit: int = 1000) -> None:
        self._outbox, self._limit = outbox, limit
        self._waiting: list[tuple[Case, Path | None]] = []
        self.lost = 0
        self.fault: StoreError | None = None
        """Why the first waiting case could not be put; None while all is well."""

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, case: Case, clip: Path | None = None) -> list[Case]:
        """Puts the case behind those that wait; gives those that are on the disk now, oldest first."""
        self._waiting.append((case, clip))
        if len(self._waiting) > self._limit:
            _, draft = self._waiting.pop(0)
            self.lost += 1
            if draft:
                durable.let_go(draft)
        return self.retry()

    def retry(self) -> list[Case]:
        """Puts as many as the disk takes, clips go for them. Call it now and then while `fault` is set."""
        done: list[Case] = []
        while self._waiting:
            try:
                done.append(self._outbox.put(*self._waiting[0]))
            except StoreError as error:
                self.fault = error
                if self._make_room():
                    continue
                return done
            self._waiting.pop(0)
        self.fault = None
        return done

    def _make_room(self) -> bool:
        """A record is worth more than any clip: those in the outbox go first, then those that wait here."""
        try:
            if self._outbox.make_room(refused=True):
                return True
        except StoreError:
            # Files may have gone although the rows could not be changed: the next attempt will tell.
            return False
        return self._outbox.spool.free_bytes() < durable.RECORD_ROOM_BYTES and self._give_up_clip()

    def _give_up_clip(self) -> bool:
        """The one that is wanted least of those that wait; False where there is none."""
        filmed = [number for number, (case, draft) in enumerate(self._waiting) if case.clip and draft]
        if not filmed:
            return False
        number = max(filmed, key=lambda one: outbox_table.urgency(self._waiting[one][0]))
        case, draft = self._waiting[number]
        assert case.clip and draft
        for path in (draft, self._outbox.spool.clip_path(case.clip.sha256)):
            durable.let_go(path)
        self._waiting[number] = (msgspec.structs.replace(case, clip=None), None)
        self._outbox.notes.append(f"the disk is short: the clip of case {case.case_id} went for its record")
        return True


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _set_aside(database: Path) -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    aside = database.with_name(f"{database.name}.damaged-{stamp}")
    for ending in ("", *_JOURNALS):
        part = Path(f"{database}{ending}")
        if part.exists():
            durable.move(part, Path(f"{aside}{ending}"))
    return aside


def _failure(database: Path, error: sqlite3.OperationalError) -> StoreError:
    return StoreError(f"outbox {database} cannot be used ({error}): free space, or check who owns {database.parent}")
