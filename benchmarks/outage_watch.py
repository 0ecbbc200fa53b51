"""What `drill outage` watches: how fast the backlog arrives, how late live cases are, what the uplink's memory does."""

import os
import threading
import time
from pathlib import Path
from typing import Self

import sqlalchemy as sa

from benchmarks import feeding
from benchmarks.installation import SETTLE_S, until
from cloud_sync import gaps
from cloud_sync.tables import cases
from edge_agent.outbox import Outbox
from edge_agent.records import Case

LOOK_S, COUNT_S, MEMORY_S = 0.02, 0.25, 0.25
STUCK_S = 120.0


class LiveCases:
    """Cases of now: how long each took from `put` to being committed in the cloud's database."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._waiting: dict[str, float] = {}
        self.delays_s: list[float] = []

    def put(self, outbox: Outbox, case: Case) -> None:
        """The clock runs from when `put` is called: it is part of the delay."""
        self._waiting[case.case_id] = time.monotonic()
        feeding.put(outbox, case)

    def look(self) -> None:
        """Which of them are there now."""
        time.sleep(LOOK_S)
        if not self._waiting:
            return
        with self._engine.connect() as connection:
            there = connection.scalars(sa.select(cases.c.case_id).where(cases.c.case_id.in_(list(self._waiting)))).all()
        now_s = time.monotonic()
        self.delays_s += [now_s - self._waiting.pop(id) for id in there]

    def wait(self) -> None:
        """For the last of them; what never comes has the whole wait as its delay, and the ledger finds it lost."""
        until(self._all_there, SETTLE_S)
        self.delays_s += [time.monotonic() - put_s for put_s in self._waiting.values()]

    def _all_there(self) -> bool:
        self.look()
        return not self._waiting


class Drain:
    """The backlog's way into the database: numbers 1 to `count`."""

    def __init__(self, engine: sa.Engine, count: int) -> None:
        self._engine, self._count = engine, count
        self._first: tuple[float, int] | None = None
        self._last: tuple[float, int] = time.monotonic(), 0
        self._counted_s = 0.0
        self.cpu_ms: dict[str, float] = {}
        """Processor time of each process for a case, by the process' name."""
        self.cried = 0
        """Most cases that the cloud ever told to be missing."""

    @property
    def flows(self) -> bool:
        return self._first is not None

    @property
    def per_s(self) -> float:
        """From the first look that found any of them to the last."""
        if self._first is None or self._last[0] == self._first[0]:
            return 0.0
        return (self._last[1] - self._first[1]) / (self._last[0] - self._first[0])

    def is_over(self) -> bool:
        """All are there, or no more have come for long."""
        now_s = time.monotonic()
        if now_s - self._counted_s < COUNT_S:
            return False
        self._counted_s = now_s
        with self._engine.connect() as connection:
            query = sa.select(sa.func.count()).where(cases.c.sequence <= self._count)
            there = connection.scalar(query) or 0
            self.cried = max(self.cried, sum(gaps.lacking(connection).values()))
        if there > self._last[1]:
            self._last = now_s, there
            self._first = self._first or self._last
        return there >= self._count or now_s - self._last[0] > STUCK_S


def cpu_s(pid: int | None) -> float:
    """Processor time that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Memory:
    """Resident memory of a process, looked at again and again in a thread of its own."""

    def __init__(self, pid: int | None) -> None:
        self._status = Path(f"/proc/{pid}/status")
        self.before_mb = self.most_mb = self._now_mb()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def look(self) -> None:
        self.most_mb = max(self.most_mb, self._now_mb())

    def _watch(self) -> None:
        while not self._end.wait(MEMORY_S):
            self.look()

    def _now_mb(self) -> float:
        (line,) = (line for line in self._status.read_text().splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024
