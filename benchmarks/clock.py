"""CPU time of single functions while the whole agent runs: a wrapper that is put on for a while and taken off again."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class CpuClock:
    """Counts the calls of a function and adds up the CPU seconds of the process during them."""

    def __init__(self) -> None:
        self.start_anew()

    def start_anew(self) -> None:
        self.calls, self.spent_s = 0, 0.0


@contextmanager
def clocked(owner: Any, name: str) -> Iterator[CpuClock]:
    """Times `owner.name` as long as the context lasts. `owner`: an object, or a class for all of its objects."""
    clock, function, own = CpuClock(), getattr(owner, name), name in vars(owner)

    def timed(*args: Any, **kwargs: Any) -> Any:
        began_s = time.process_time()
        try:
            return function(*args, **kwargs)
        finally:
            clock.calls += 1
            clock.spent_s += time.process_time() - began_s

    setattr(owner, name, timed)
    try:
        yield clock
    finally:
        if own:
            setattr(owner, name, function)
        else:
            delattr(owner, name)
