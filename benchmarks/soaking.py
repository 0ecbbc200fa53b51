"""Months of cases in logical time through outbox, uplink, broker and ingest, and what their processes take meanwhile.

The outbox's clock is handed in, and its retention: a day passes in as little as its cases need. Memory is what a
process has for itself alone (RssAnon): pages of the mapped database are the kernel's, and go when others need them.
"""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from benchmarks import feeding
from benchmarks.ledger import SaidCase, said
from benchmarks.made_cases import make_case
from edge_agent import utc
from edge_agent.config import DeviceConfig
from edge_agent.outbox import RECORD_DAYS, Outbox
from edge_agent.records import Case, Sampled

DAY_S = 86_400.0
RETAIN_EVERY_S = 6 * 3600.0
CLIP_EVERY = 25
"""Every 50th case is a disagreement, and as many agreements are drawn for audit."""
WARM_UP = 0.2
"""Of the cases: caches fill, libraries are loaded."""


@dataclass(frozen=True, slots=True)
class Soak:
    """So many cases, spread over so many days."""

    cases: int
    days: float
    seed: int

    @property
    def spacing_s(self) -> float:
        return self.days * DAY_S / self.cases

    @property
    def most_waiting(self) -> int:
        """Cases without a receipt; then the next ones wait: the cloud is never more than half a day behind."""
        return max(20, int(0.5 * self.cases / self.days))


@dataclass(frozen=True, slots=True)
class Taken:
    """What a process takes at one moment."""

    memory_mb: float
    handles: int
    threads: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One look, after `cases` cases."""

    cases: int
    processes: dict[str, Taken]
    records: int
    """Files of cases in the spool."""
    rows_mb: float
    """The outbox's database."""
    log_mb: float
    """The longest write-ahead log, of outbox and cloud."""


class Counted(Protocol):
    """A number that several processes see."""

    value: int


def put_all(device: DeviceConfig, soak: Soak, journal: Path, done: Counted) -> None:
    """Stands for `agent inspect`, in logical time; retention comes along where the uplink would do it each hour."""
    began_s = time.time()
    clock = [began_s]
    outbox = Outbox.open(device.outbox_path, device.spool_path, lambda: clock[0])
    retained_s = 0.0
    with open(journal, "w") as file:
        for number in range(1, soak.cases + 1):
            passed_s = number * soak.spacing_s
            clock[0] = began_s + passed_s
            case = feeding.put(outbox, the_case(number, soak.seed, clock[0]))
            file.write(_line(case, outbox))
            if passed_s - retained_s >= RETAIN_EVERY_S:
                retained_s = passed_s
                outbox.retain(passed_s, 0)
            done.value = number
            while number % 10 == 0 and outbox.backlog().cases > soak.most_waiting:
                time.sleep(0.02)
    outbox.close()


def the_case(number: int, seed: int, at: float) -> Case:
    """Case `number` of a plant where machine and inspector nearly always agree; every 25th one has a clip."""
    times = {"started_at": utc.text(at - 9.0), "ended_at": utc.text(at)}
    if number % (2 * CLIP_EVERY) == 0:
        return make_case(3 * number, seed=seed, **times)
    why = Sampled("audit", 0.02) if number % CLIP_EVERY == 0 else Sampled("none", 0.02)
    return make_case(3 * number + 1, seed=seed, sampled=why, **times)


def in_journal(journal: Path) -> dict[str, SaidCase]:
    """All that was said, by case id."""
    found = {}
    for line in journal.read_text().splitlines():
        case_id, sha256, sequence, clip, needs_eye = line.split("\t")
        found[case_id] = SaidCase(sha256, int(sequence), clip or None, needs_eye == "1")
    return found


def look(device: DeviceConfig, cloud_db: Path, cases: int, pids: dict[str, int]) -> Sample:
    """At this moment."""
    return Sample(
        cases=cases,
        processes={name: taken(pid) for name, pid in pids.items()},
        records=sum(1 for path in device.spool_path.iterdir() if path.suffix == ".json"),
        rows_mb=_mb(device.outbox_path),
        log_mb=max(_mb(Path(f"{database}-wal")) for database in (device.outbox_path, cloud_db)),
    )


def taken(pid: int) -> Taken:
    """By /proc. Raises ProcessLookupError where it has ended, FileNotFoundError where nobody remembers it."""
    status = Path(f"/proc/{pid}/status").read_text()

    def number(name: str) -> int:
        found = re.search(rf"^{name}:\s+(\d+)", status, re.MULTILINE)
        return int(found.group(1)) if found else 0

    if "RssAnon" not in status:
        raise ProcessLookupError(pid)
    return Taken(number("RssAnon") * 1024 / 1e6, sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()), number("Threads"))


def figures(samples: Sequence[Sample], soak: Soak) -> dict:
    """Of the samples after the warm-up: `slope_mb` for 10,000 cases, how much handles, threads and rows have grown."""
    warm = [sample for sample in samples if sample.cases >= WARM_UP * soak.cases]
    settled = [sample for sample in samples if sample.cases * soak.spacing_s >= (RECORD_DAYS + 5) * DAY_S] or warm
    kept = (RECORD_DAYS + 1) * DAY_S / soak.spacing_s + 2 * soak.most_waiting
    names = samples[0].processes
    at = [sample.cases for sample in warm]
    memory = {name: [sample.processes[name].memory_mb for sample in warm] for name in names}
    return {
        "slope_mb": {name: round(slope(at, memory[name]), 3) for name in names},
        "memory_mb": {name: round(memory[name][-1], 1) for name in names},
        "handles_grown": {name: _grown([s.processes[name].handles for s in warm]) for name in names},
        "threads_grown": {name: _grown([s.processes[name].threads for s in warm]) for name in names},
        "records": max(sample.records for sample in samples),
        "records_limit": int(kept),
        "rows_mb": round(samples[-1].rows_mb, 1),
        "rows_grown": round(max(s.rows_mb for s in settled) / max(settled[0].rows_mb, 0.1), 3),
        "log_mb": round(max(sample.log_mb for sample in samples), 1),
        "samples": len(samples),
    }


def slope(cases: Sequence[float], memory_mb: Sequence[float]) -> float:
    """MB for 10,000 cases, by least squares."""
    if len(cases) < 2:
        return 0.0
    return float(np.polyfit(np.asarray(cases, np.float64), np.asarray(memory_mb, np.float64), 1)[0] * 10_000)


def _grown(counts: Sequence[int]) -> int:
    """From the first third to the last one, by their medians: who looks while a file is open counts it too."""
    third = max(1, len(counts) // 3)
    return int(np.median(counts[-third:]) - np.median(counts[:third]))


def _line(case: Case, outbox: Outbox) -> str:
    told = said(outbox.spool.case_path(case.case_id).read_bytes())
    words = (case.case_id, told.sha256, str(told.sequence), told.clip_sha256 or "", str(int(told.needs_eye)))
    return "\t".join(words) + "\n"


def _mb(path: Path) -> float:
    return path.stat().st_size / 1e6 if path.exists() else 0.0
