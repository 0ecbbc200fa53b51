"""How long `put` takes beside what the disk alone takes for the same bytes with as many syncs, in turn.

A case costs three syncs: its file, its folder, the database's log; a clip two more: its file, its folder.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.made_cases import make_case, write_clip
from edge_agent import durable, wire
from edge_agent.config import DeviceConfig
from edge_agent.outbox import Outbox
from edge_agent.records import Case, Sampled

SEED = 77
WARM_UP = 10
"""Puts before those that count; by them the log's growth is known."""
LIMIT_P95_MS = 15.0
CLIP_PX = (320, 240)
"""Made pictures are mere noise: so large, three of them weigh about what three of a tank at 640x480 do."""


@dataclass(slots=True)
class Times:
    """Of as many puts and of the disk alone, in ms, pair by pair."""

    put_ms: list[float] = field(default_factory=list)
    bare_ms: list[float] = field(default_factory=list)

    def figures(self) -> dict:
        return {
            "put_ms": percentiles(self.put_ms),
            "bare_ms": percentiles(self.bare_ms),
            "ratio": round(float(np.median(np.array(self.put_ms) / self.bare_ms)), 2),
        }


def percentiles(values: list[float]) -> dict[str, float]:
    """p50, p95, p99."""
    return {f"p{share}": round(float(np.percentile(values, share)), 2) for share in (50, 95, 99)}


def measure(device: DeviceConfig, count: int, folder: Path) -> dict:
    """`count` puts of each kind into the device's outbox; the disk alone writes beside it, in `folder`."""
    outbox = Outbox.open(device.outbox_path, device.spool_path)
    times = {"without_clip": Times(), "with_clip": Times()}
    try:
        log_bytes = _warm_up(outbox, device.outbox_path)
        bare = Bare(folder / "bare", log_bytes)
        for number in range(count):
            for kind, taken in times.items():
                _pair(outbox, bare, _case(number, filmed=kind == "with_clip"), taken)
        bare.close()
    finally:
        outbox.close()
    clip_bytes = max(path.stat().st_size for path in (folder / "bare").glob("*.clip"))
    return {kind: taken.figures() for kind, taken in times.items()} | {"log_bytes": log_bytes, "clip_bytes": clip_bytes}


def is_good(figures: dict) -> bool:
    """Whether 95 of 100 puts of both kinds are within the limit."""
    return all(figures[kind]["put_ms"]["p95"] <= LIMIT_P95_MS for kind in ("without_clip", "with_clip"))


class Bare:
    """What a disk does for a put, and nothing else."""

    def __init__(self, folder: Path, log_bytes: int) -> None:
        folder.mkdir()
        self._folder, self._row = folder, os.urandom(log_bytes)
        # The log of the database is written over, not made longer, once it has been full.
        (folder / "log").write_bytes(self._row)
        self._log = os.open(folder / "log", os.O_WRONLY)

    def write(self, name: str, record: bytes, clip: Path | None) -> None:
        """`clip` was written before, and not synced."""
        if clip:
            durable.sync(clip)
            durable.move(clip, self._folder / f"{name}.clip")
        durable.write(self._folder / name, record)
        os.pwrite(self._log, self._row, 0)
        os.fsync(self._log)

    def close(self) -> None:
        os.close(self._log)


def _pair(outbox: Outbox, bare: Bare, case: Case, times: Times) -> None:
    """One of each; the order changes, so that neither always follows the other."""
    draft, spare = outbox.spool.draft(case.case_id), outbox.spool.draft(f"{case.case_id}-bare")
    filmed = case.sampled.reason != "none"
    if filmed:
        write_clip(spare, case, view_px=CLIP_PX, synced=False)
        clip = write_clip(draft, case, view_px=CLIP_PX, synced=False)
        case = msgspec.structs.replace(case, clip=clip)
    record = wire.encode(case)
    steps: list[tuple[list[float], Callable[[], object]]] = [
        (times.put_ms, lambda: outbox.put(case, draft if filmed else None)),
        (times.bare_ms, lambda: bare.write(case.case_id, record, spare if filmed else None)),
    ]
    for taken, step in steps if len(times.put_ms) % 2 else reversed(steps):
        began_s = time.perf_counter()
        step()
        taken.append((time.perf_counter() - began_s) * 1000)


def _warm_up(outbox: Outbox, database: Path) -> int:
    """By how many bytes a put makes the log longer, which is empty at first."""
    log = Path(f"{database}-wal")
    before = log.stat().st_size
    for number in range(WARM_UP):
        outbox.put(_case(-1 - number, filmed=False))
    return max(1, (log.stat().st_size - before) // WARM_UP)


def _case(number: int, *, filmed: bool) -> Case:
    why = Sampled("audit" if filmed else "none", 0.02)
    # Numbers below zero: those of the warm-up.
    return make_case(2 * (number + WARM_UP) + filmed + 1, seed=SEED, sampled=why)
