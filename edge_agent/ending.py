"""How a process ends that cannot go on: its reason on stderr and status 75, so that its supervisor starts it again.

What is on the disk is whole at every moment; threads that do not come back are not waited for.
"""

import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

EXIT_STUCK = 75
"""Of a process that does not come back or has failed beside its loop (EX_TEMPFAIL)."""


def end_now(words: str) -> None:
    """From any thread; does not return."""
    print(f"WARNING the process ends: {words}", file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(EXIT_STUCK)


@contextmanager
def with_its_threads() -> Iterator[None]:
    """An error that nobody expected ends the process in whatever thread it is raised: half of one helps nobody."""
    former = threading.excepthook
    threading.excepthook = _end
    try:
        yield
    finally:
        threading.excepthook = former


@contextmanager
def within(seconds: float, late: Callable[[], str]) -> Iterator[None]:
    """What takes longer hangs, and only a new process is rid of it; `late` is done then and says why."""
    timer = threading.Timer(seconds, lambda: end_now(late()))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _end(failed: threading.ExceptHookArgs) -> None:
    if failed.exc_type is SystemExit:
        return
    traceback.print_exception(failed.exc_type, failed.exc_value, failed.exc_traceback)
    name = failed.thread.name if failed.thread else "a thread"
    end_now(f"{name} has failed ({failed.exc_type.__name__}): send this log to the makers of Tankwatch")
