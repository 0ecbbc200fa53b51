"""Work that is done again and again in threads beside the frame loop, and what asks the process to end."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edge_agent.errors import ConfigError, StoreError

END_S = 5.0
"""A thread that is in the middle of something is waited for so long."""


class Patient:
    """Does what a thread of its own repeats; says once that a file cannot be written or used, and goes on."""

    def __init__(self, work: Callable[[], object], warn: Callable[[str], None]) -> None:
        self._work, self._warn, self._fault = work, warn, ""

    def __call__(self) -> None:
        try:
            self._work()
            self._fault = ""
        except (StoreError, ConfigError) as error:
            if not self._fault:
                self._warn(str(error))
            self._fault = str(error)


@contextmanager
def every(seconds: float, work: Callable[[], None], *, nice: int = 0) -> Iterator[None]:
    """Does `work` again and again in a thread of its own; a `nice` one waits while others need the processor."""
    end = threading.Event()

    def repeat() -> None:
        if nice:
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)
        while not end.wait(seconds):
            work()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join(END_S)


@contextmanager
def asking(asked: list[int]) -> Iterator[None]:
    """SIGTERM and Ctrl-C ask for a clean end; the second one does not wait for it."""

    def ask(number: int, _frame: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    former = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
