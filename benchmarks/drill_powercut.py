"""`drill powercut`: the device's disk loses its power again and again; what `put` had returned for is there afterwards.

Outbox and spool lie on an ext4 disk in a file. After each cut the device goes on with what the cut has left. The same
with SQLite's synchronous=NORMAL, and without fsync, has to lose something: else the cuts would prove nothing.
"""

import json
import multiprocessing
import os
import random
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks import feeding, wholeness
from benchmarks.disk_image import Copying, Disk, NoMounts, own_mounts, shelf
from benchmarks.exercise import Exercise, Ledger, Say
from benchmarks.made_cases import make_case
from edge_agent import outbox_table, wire
from edge_agent.outbox import Outbox
from edge_agent.spool import Spool

PACE_S = 0.003
"""Between two cases, so that the disk lasts for all the lives."""
LONGEST_S = 0.6
"""Between two cuts; the kernel would write by itself after 5 s and more."""
FAULTS = ("lost", "rows_lost", "changed", "clips_lost", "integrity", "half_written", "gaps")
NO_CLIP = "-"
_FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True, slots=True)
class Plan:
    """Cuts of the device as it is, and of each of the two that have to lose something."""

    cuts: int
    counter_cuts: int
    disk_mb: int
    seed: int


@dataclass(frozen=True, slots=True)
class Bench:
    """Where disks are made, and how they are copied."""

    place: Path
    copying: Copying
    plan: Plan
    say: Say


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """One case as `put` returned it."""

    case_id: str
    sequence: int
    sha256: str
    clip_sha256: str


def run(argv: list[str]) -> int:
    """`tankwatch drill powercut`; 1 where anything acknowledged is lost, or where nobody can mount."""
    return Exercise("powercut", "The disk loses its power; needs root.", plan_of, drill, is_good).run(argv)


def plan_of(full: bool, seed: int) -> Plan:
    return Plan(200, 20, 768, seed) if full else Plan(12, 4, 128, seed)


def is_good(found: Ledger) -> bool:
    """Nothing acknowledged is lost, and what leaves out a sync loses something."""
    if not found["mounts"] or any(found[name] for name in FAULTS):
        return False
    unsynced = found["unsynced"]["lost"] + found["unsynced"]["changed"]
    return found["cuts"] == found["asked"] and found["normal"]["rows_lost"] > 0 and unsynced > 0


def drill(plan: Plan, folder: Path, say: Say = lambda _: None) -> Ledger:
    """In a process of its own, whose mounts end with it; gives the ledger."""
    result = folder / "ledger.json"
    process = _FORK.Process(target=_in_own_mounts, args=(plan, folder, say, result))
    process.start()
    process.join()
    if not result.is_file():
        raise RuntimeError(f"the drill's process ended with status {process.exitcode}")
    return json.loads(result.read_bytes())


def _in_own_mounts(plan: Plan, folder: Path, say: Say, result: Path) -> None:
    began_s = time.monotonic()
    try:
        place = own_mounts(folder, 4 * plan.disk_mb + 512)
        found = _drill(plan, *shelf(place, 3 * plan.disk_mb), say)
    except NoMounts as error:
        say(str(error))
        found = {"mounts": False, "why": str(error), "asked": plan.cuts, "cuts": 0}
    told = {"drill": "powercut", **found, "seed": plan.seed, "seconds": round(time.monotonic() - began_s, 1)}
    result.write_text(json.dumps(told))


def _drill(plan: Plan, place: Path, copying: Copying, say: Say) -> Ledger:
    bench = Bench(place, copying, plan, say)
    return {
        "mounts": True,
        "copied": copying,
        "asked": plan.cuts,
        **_lives(bench, plan.cuts, weaken=lambda: None, name="as it is"),
        "normal": _lives(bench, plan.counter_cuts, weaken=synchronous_normal, name="synchronous=NORMAL"),
        "unsynced": _lives(bench, plan.counter_cuts, weaken=without_fsync, name="files without fsync"),
    }


def _lives(bench: Bench, cuts: int, *, weaken: Callable[[], None], name: str) -> Ledger:
    """The device lives until the next cut, and again; what all of them took."""
    disk = Disk.make(bench.place / "disk.img", bench.place / "disk", bench.plan.disk_mb, bench.copying)
    journal, chance = bench.place / "journal", random.Random(bench.plan.seed)
    counts: Counter = Counter()
    journal.write_bytes(b"")
    for number in range(1, cuts + 1):
        before = len(read_journal(journal))
        said = _one_life(disk, journal, weaken, chance)
        counts.update(look(disk.at, said, bench.place), acknowledged=len(said) - before)
        # What one cut has taken is counted once.
        _write_journal(journal, [one for one in said if not fate(disk.at, one)])
        if number % 10 == 0 or number == cuts:
            words = ", ".join(f"{key} {count}" for key, count in counts.items())
            bench.say(f"{name}: {number} of {cuts} cuts, {words}")
    disk.unmount()
    disk.file.unlink()
    return {"cuts": cuts, "acknowledged": counts["acknowledged"], **{fault: counts[fault] for fault in FAULTS}}


def _one_life(disk: Disk, journal: Path, weaken: Callable[[], None], chance: random.Random) -> list[Acknowledged]:
    """Until the power goes; what was acknowledged by then. The disk is what the cut has left."""
    writer = _FORK.Process(target=_write, args=(disk.at, journal, weaken))
    writer.start()
    time.sleep(chance.uniform(0.05, LONGEST_S))
    # Read before the copy is taken: each of these was on the disk by its own word.
    said = read_journal(journal)
    left = disk.cut(writer.pid or 0)
    writer.kill()
    writer.join()
    if writer.exitcode != -9:
        raise RuntimeError(f"the device ended by itself with status {writer.exitcode}")
    disk.fails_over_to(left)
    return said


def _write(at: Path, journal: Path, weaken: Callable[[], None]) -> None:
    """The device: it opens its outbox and puts one case after the other. The journal lies beside the disk."""
    weaken()
    outbox = Outbox.open(at / "outbox.db", at / "spool")
    said = read_journal(journal)
    number = int(said[-1].case_id[-6:]) if said else 0
    with open(journal, "ab", buffering=0) as file:
        while True:
            number += 1
            kept = feeding.put(outbox, make_case(number))
            clip = kept.clip.sha256 if kept.clip else NO_CLIP
            file.write(f"{kept.case_id} {kept.sequence} {wire.sha256_of(wire.encode(kept))} {clip}\n".encode())
            time.sleep(PACE_S)


def synchronous_normal() -> None:
    """From now on this process opens outboxes as SQLite's manual has it for WAL."""
    connect = outbox_table.connect

    def weakened(database: Path) -> sqlite3.Connection:
        rows = connect(database)
        rows.execute("PRAGMA synchronous=NORMAL")
        return rows

    outbox_table.connect = weakened


def without_fsync() -> None:
    """From now on this process syncs no file by itself."""
    os.fsync = lambda fd: None


def look(at: Path, said: list[Acknowledged], place: Path) -> Counter:
    """What the cut took: of the rows as it left them, then of all once the device has started again."""
    counts: Counter = Counter()
    rows, fault = _rows_as_left(at, place / "copy")
    counts["integrity"] += fault != "ok"
    counts["rows_lost"] += sum(rows.get(one.case_id) != one.sha256 for one in said)
    outbox = Outbox.open(at / "outbox.db", at / "spool")
    counts["integrity"] += any("damaged" in note for note in outbox.notes)
    outbox.close()
    with closing(sqlite3.connect(at / "outbox.db")) as database:
        counts["integrity"] += database.execute("PRAGMA integrity_check").fetchone() != ("ok",)
        numbers = [number for (number,) in database.execute("SELECT sequence FROM cases")]
    counts["gaps"] += max(numbers, default=0) - len(set(numbers))
    counts["half_written"] += len(wholeness.half_written(at / "spool"))
    counts.update(filter(None, (fate(at, one) for one in said)))
    return counts


def fate(at: Path, one: Acknowledged) -> str:
    """What has become of it, as the ledger calls it; empty where it is there with its clip, byte for byte."""
    spool = Spool(at / "spool")
    try:
        if wire.sha256_of(spool.case_path(one.case_id).read_bytes()) != one.sha256:
            return "changed"
    except FileNotFoundError:
        return "lost"
    if one.clip_sha256 == NO_CLIP:
        return ""
    clip = spool.clip_path(one.clip_sha256)
    return "" if clip.is_file() and wire.sha256_of(clip.read_bytes()) == one.clip_sha256 else "clips_lost"


def read_journal(journal: Path) -> list[Acknowledged]:
    """A line that was cut short was never said."""
    lines = journal.read_text().split("\n")[:-1]
    return [Acknowledged(id, int(number), sha256, clip) for id, number, sha256, clip in map(str.split, lines)]


def _write_journal(journal: Path, said: list[Acknowledged]) -> None:
    journal.write_text("".join(f"{one.case_id} {one.sequence} {one.sha256} {one.clip_sha256}\n" for one in said))


def _rows_as_left(at: Path, aside: Path) -> tuple[dict[str, str], str]:
    """Hash of each row's bytes by case id, and what SQLite says of its file, before any start has mended anything."""
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    for path in at.glob("outbox.db*"):
        shutil.copy(path, aside)
    try:
        with closing(sqlite3.connect(aside / "outbox.db")) as database:
            (fault,) = database.execute("PRAGMA integrity_check").fetchone()
            rows = database.execute("SELECT case_id, payload FROM cases").fetchall()
    except sqlite3.DatabaseError as error:
        # It may have been cut before its tables were there.
        return {}, "ok" if "no such table" in str(error) else str(error)
    return {id: wire.sha256_of(payload) for id, payload in rows}, fault
