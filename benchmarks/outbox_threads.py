"""Which thread waits for the disk while the real agent inspects: puts, commits and syncs, on the frame thread or not.

Counted in this process from what really is called; the twin's immersions are all drawn for audit, so that each has a
clip.
"""

import contextlib
import io
import os
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from calibration.scene import draw_station
from calibration.twin import open_twin, profile_of
from edge_agent import agent, config, station
from edge_agent.config import DeviceConfig
from edge_agent.outbox import Outbox
from edge_agent.pipeline import Inspector

SEED = 31
WAITS = ("put", "commit", "sync")


@dataclass(slots=True)
class Watch:
    """What was called, when and by which thread; `steps`: each frame's, in order."""

    steps: list[tuple[int, float]] = field(default_factory=list)
    waits: list[tuple[str, int, float]] = field(default_factory=list)

    def note(self, what: str) -> None:
        self.waits.append((what, threading.get_ident(), time.monotonic()))

    def step(self) -> None:
        self.steps.append((threading.get_ident(), time.monotonic()))

    def figures(self) -> dict:
        """Those on a thread that steps frames, from its first frame to its last, and all others."""
        steppers = {thread for thread, _ in self.steps}
        began_s, ended_s = self.steps[0][1], self.steps[-1][1]
        on = Counter(what for what, thread, at_s in self.waits if thread in steppers and began_s <= at_s <= ended_s)
        off = Counter(what for what, thread, _ in self.waits if thread not in steppers)
        return {
            "frames": len(self.steps),
            "on_frame_thread": {what: on[what] for what in WAITS},
            "elsewhere": {what: off[what] for what in WAITS},
        }


def measure(folder: Path, cases: int) -> dict:
    """`cases` immersions of the twin through `agent inspect`."""
    device = _device(folder, cases)
    with watched() as watch, contextlib.redirect_stdout(io.StringIO()):
        agent.inspect_device(device, lambda: False, openers={"twin:": open_twin})
    return watch.figures() | {"cases": len(list(device.spool_path.glob("*.json")))}


def is_good(figures: dict) -> bool:
    """Cases came and were put, and the frames never waited for one."""
    seen = figures["cases"] > 0 and figures["elsewhere"]["put"] == figures["cases"]
    return seen and all(figures["elsewhere"].values()) and not any(figures["on_frame_thread"].values())


@contextmanager
def watched() -> Iterator[Watch]:
    """As long as it lasts, every step, put, commit and sync of this process is noted."""
    watch = Watch()

    class Noted(sqlite3.Connection):
        def commit(self) -> None:
            watch.note("commit")
            super().commit()

        def __exit__(self, *error: Any) -> Any:
            watch.note("commit")
            return super().__exit__(*error)

    connect = sqlite3.connect
    with ExitStack() as stack:
        for owner, name, note in (
            (Inspector, "step", watch.step),
            (Outbox, "put", lambda: watch.note("put")),
            (os, "fsync", lambda: watch.note("sync")),
        ):
            stack.enter_context(_replaced(owner, name, _noting(note, getattr(owner, name))))
        noted = lambda *args, **kwargs: connect(*args, **{"factory": Noted} | kwargs)  # noqa: E731 - stands for a function
        stack.enter_context(_replaced(sqlite3, "connect", noted))
        yield watch


def _noting(note: Callable[[], None], function: Callable[..., Any]) -> Callable[..., Any]:
    def noted(*args: Any, **kwargs: Any) -> Any:
        note()
        return function(*args, **kwargs)

    return noted


@contextmanager
def _replaced(owner: Any, name: str, by: Callable[..., Any]) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, by)
    try:
        yield
    finally:
        setattr(owner, name, before)


def _device(folder: Path, cases: int) -> DeviceConfig:
    folder.mkdir()
    (folder / "station.toml").write_bytes(station.dump(profile_of(draw_station(SEED, "demo"))))
    return DeviceConfig(
        site="bench",
        station=str(folder / "station.toml"),
        camera=f"twin:seed={SEED},cases={cases},profile=demo",
        data_dir=str(folder / "device"),
        keep_free_mb=0,
        audit=config.AuditConfig(floor=1.0),
        seed=1,
    )
