"""A moment in the code -> SIGKILL there: a wrapper around a call, in a forked process before its work begins.

The product knows nothing of it. A moment lies before a call, after it, or amid it: then half of its bytes are out.
"""

import builtins
import functools
import importlib
import os
import re
import signal
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Literal

Side = Literal["before", "amid", "after"]


@dataclass(frozen=True, slots=True)
class Moment:
    """The `nth` such call. `call`: `module:name`, looked up where the product looks it up."""

    side: Side
    call: str
    within: str = ""
    """Qualified name of a function that has to be under way."""
    holding: str = ""
    """A pattern that the arguments, as `repr` shows them, have to hold."""
    nth: int = 1


class Rows(sqlite3.Connection):
    """SQLite's connection with methods that can be wrapped: leaving its `with` is the commit."""

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        return super().execute(*arguments)

    def __exit__(self, *arguments: Any) -> Any:
        return super().__exit__(*arguments)


COMMIT = "benchmarks.moments:Rows.__exit__"


def armed(moment: Moment, mark: Path, work: Callable[[], None]) -> None:
    """Does the work, and dies at the moment; `mark` is there then. For a process of its own."""
    connect = sqlite3.connect
    sqlite3.connect = functools.partial(connect, factory=Rows)  # type: ignore[assignment]
    owner, name = _place(moment.call)
    setattr(owner, name, _dying(moment, mark, getattr(owner, name, None) or getattr(builtins, name)))
    work()


def _place(call: str) -> tuple[Any, str]:
    module, path = call.split(":")
    owner: Any = importlib.import_module(module)
    *holders, name = path.split(".")
    for holder in holders:
        owner = getattr(owner, holder)
    return owner, name


def _dying(moment: Moment, mark: Path, call: Callable) -> Callable:
    passed = 0

    def instead(*arguments: Any, **named: Any) -> Any:
        nonlocal passed
        here = _is_here(moment, arguments)
        passed += here
        if not here or passed < moment.nth:
            return call(*arguments, **named)
        if moment.side == "amid":
            result = call(*_halved(arguments), **named)
            return _HalfFile(result, mark) if hasattr(result, "write") else _die(mark)
        if moment.side == "after":
            call(*arguments, **named)
        return _die(mark)

    return instead


def _is_here(moment: Moment, arguments: tuple) -> bool:
    if moment.within and not _is_under_way(moment.within):
        return False
    return not moment.holding or re.search(moment.holding, repr(arguments)) is not None


def _is_under_way(function: str) -> bool:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_qualname != function:
        frame = frame.f_back
    return frame is not None


def _halved(arguments: tuple) -> tuple:
    """The last argument that is bytes, cut in the middle."""
    halved = list(arguments)
    for at in reversed(range(len(halved))):
        if isinstance(halved[at], bytes | bytearray | memoryview):
            halved[at] = halved[at][: len(halved[at]) // 2]
            break
    return tuple(halved)


class _HalfFile:
    """A file that takes half of what is written first."""

    def __init__(self, file: Any, mark: Path) -> None:
        self._file, self._mark = file, mark

    def __enter__(self) -> "_HalfFile":
        return self

    def __exit__(self, *_: object) -> None: ...

    def write(self, data: bytes) -> None:
        self._file.write(data[: len(data) // 2])
        self._file.flush()
        _die(self._mark)


def _die(mark: Path) -> None:
    os.close(os.open(mark, os.O_CREAT | os.O_WRONLY))
    os.kill(os.getpid(), signal.SIGKILL)
