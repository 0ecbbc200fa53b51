"""Every k-th write of this process is refused as by a full disk: for drills, in a process that they forked.

What counts as a write: a file opened for it, bytes, fsync, a rename, a new folder, and what SQLite commits. Python's
calls meet ENOSPC, half of the bytes written; SQLite meets the kernel's own refusal, by a limit on the size of files.
"""

import builtins
import errno
import io
import os
import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

CHANGES = ("INSERT", "UPDATE", "DELETE", "CREATE", "COMMIT", "DROP")


class RefusingDisk:
    """Counts the writes below `folder`; while `every` is set the k-th of them is refused."""

    def __init__(self, folder: Path, *, first: int = 0) -> None:
        """`first`: as if so many had been written already."""
        self._folder = str(folder)
        self._count = first
        self.every: int | None = None
        self.writes = self.refused = 0

    @contextmanager
    def installed(self) -> Iterator[None]:
        """As long as this lasts the process writes through it."""
        opening, really_connect, rows = self._opening(builtins.open), sqlite3.connect, self._rows_class()
        with ExitStack() as stack:
            for place, instead in {
                "builtins.open": opening,
                "io.open": opening,
                "io.FileIO": self._bytes_class(),
                "sqlite3.connect": lambda *about, **more: really_connect(*about, factory=rows, **more),
                **{f"os.{name}": self._checked(getattr(os, name)) for name in ("fsync", "replace", "link", "mkdir")},
            }.items():
                stack.enter_context(mock.patch(place, instead))
            yield

    def _opening(self, really: Callable[..., Any]) -> Callable[..., Any]:
        def opening(file: Any, mode: str = "r", *rest: Any, **more: Any) -> Any:
            found = really(file, mode, *rest, **more)
            if not self._is_ours(file) or not set(mode) & set("wax+"):
                return found
            return _Writing(found, self) if self._takes() else self._refuse(found)

        return opening

    def _bytes_class(disk) -> type[io.FileIO]:
        class Bytes(io.FileIO):
            def write(self, data: Any) -> int:
                if not disk._is_ours(self.name) or disk._takes():
                    return super().write(data)
                super().write(memoryview(data)[: len(data) // 2])
                raise _full()

        return Bytes

    def _rows_class(disk) -> type[sqlite3.Connection]:
        class Rows(sqlite3.Connection):
            def execute(self, sql: str, *rest: Any) -> sqlite3.Cursor:
                if not sql.lstrip().upper().startswith(CHANGES):
                    return super().execute(sql, *rest)
                with disk._perhaps_refusing():
                    return super().execute(sql, *rest)

            def __exit__(self, *raised: Any) -> Any:
                with disk._perhaps_refusing():
                    return super().__exit__(*raised)

        return Rows

    def _is_ours(self, file: object) -> bool:
        return isinstance(file, str | os.PathLike) and os.fspath(file).startswith(self._folder)

    def _takes(self) -> bool:
        self.writes += 1
        self._count += 1
        if self.every is None or self._count % self.every:
            return True
        self.refused += 1
        return False

    def _refuse(self, file: Any) -> Any:
        """The file is there, and empty."""
        file.close()
        raise _full()

    def _checked(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def checked(*about: Any, **more: Any) -> Any:
            if not self._takes():
                raise _full()
            return call(*about, **more)

        return checked

    @contextmanager
    def _perhaps_refusing(self) -> Iterator[None]:
        if self._takes():
            yield
            return
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class _Writing:
    """A file whose bytes count."""

    def __init__(self, file: Any, disk: RefusingDisk) -> None:
        self._file, self._disk = file, disk

    def write(self, data: Any) -> int:
        if self._disk._takes():
            return self._file.write(data)
        self._file.write(data[: len(data) // 2])
        raise _full()

    def __enter__(self) -> "_Writing":
        self._file.__enter__()
        return self

    def __exit__(self, *raised: Any) -> Any:
        return self._file.__exit__(*raised)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _full() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
