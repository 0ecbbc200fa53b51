"""Slow questions to other machines on behalf of pages that anybody may call: one thread waits for the answer, so that
the others stay free for the experts.
"""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class OneAtATime(Generic[T]):
    """Whoever comes while another asks gets the answer before; `first` until there is one."""

    def __init__(self, ask: Callable[[], T], first: T) -> None:
        self._ask, self._last = ask, first
        self._lock = threading.Lock()

    def answer(self) -> T:
        """Raises what `ask` raises, in the thread that asked."""
        if self._lock.acquire(blocking=False):
            try:
                self._last = self._ask()
            finally:
                self._lock.release()
        return self._last
