"""Cases -> the outbox, in a thread of their own: no disk holds up a frame, and nothing is said before it is durable."""

import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path

from edge_agent.errors import StoreError
from edge_agent.outbox import PendingCases
from edge_agent.records import Case

RETRY_S = 1.0
"""Between attempts while the disk refuses."""


class Keeper:
    """Puts cases in the order in which they came. `said` gets each that is on the disk, `warn` hears of trouble."""

    def __init__(
        self,
        pending: PendingCases,
        *,
        said: Callable[[Case], None],
        warn: Callable[[str], None],
        took: Callable[[float], None] | None = None,
        retry_s: float = RETRY_S,
    ) -> None:
        """`took` hears how many seconds each case that was handed over took the outbox, or to be refused."""
        self._took = took
        self._pending, self._said, self._warn, self._retry_s = pending, said, warn, retry_s
        self._queue: queue.SimpleQueue[tuple[Case, Path | None] | None] = queue.SimpleQueue()
        self._failure: BaseException | None = None
        self._fault = ""
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)
        self._thread.start()

    def keep(self, case: Case, clip: Path | None) -> None:
        """Hands the case over and returns at once. What ended the thread, a bug of ours, is raised here."""
        if self._failure:
            raise self._failure
        self._queue.put((case, clip))

    def close(self) -> None:
        """Everything that was handed over is put. Raises StoreError where the disk still refuses."""
        self._queue.put(None)
        self._thread.join()
        if self._failure:
            while not self._queue.empty() and (item := self._queue.get()):
                self._pending.put(*item)
            raise self._failure
        if len(self._pending):
            lost = f"the disk has not taken {len(self._pending)} of the last cases, they are lost"
            raise StoreError(f"{lost}: {self._pending.fault}")

    def _run(self) -> None:
        try:
            while self._step():
                pass
        except Exception as error:  # noqa: BLE001 - outermost in its thread; the frame loop raises it
            self._failure = error

    def _step(self) -> bool:
        """One case, or another attempt; False after the last."""
        try:
            item = self._queue.get(timeout=self._retry_s if self._pending.fault else None)
        except queue.Empty:
            self._tell(self._pending.retry())
            return True
        self._tell(self._put(*item) if item else self._pending.retry())
        return item is not None

    def _put(self, case: Case, clip: Path | None) -> list[Case]:
        began_s = time.perf_counter()
        stored = self._pending.put(case, clip)
        if self._took:
            self._took(time.perf_counter() - began_s)
        return stored

    def _tell(self, stored: list[Case]) -> None:
        self._complain()
        for case in stored:
            self._said(case)

    def _complain(self) -> None:
        """Once for each fault, not for each attempt."""
        fault = str(self._pending.fault or "")
        if fault and not self._fault:
            self._warn(f"{len(self._pending)} cases wait in memory: {fault}")
        elif self._fault and not fault:
            self._warn("the disk takes cases again: none waits in memory")
        self._fault = fault
