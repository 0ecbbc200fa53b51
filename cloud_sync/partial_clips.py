"""Clips on their way: `partial/<sha256>` on this machine's own disk, whatever keeps them once they are whole.

A part is written in place and counts once it is synced. All ingest processes of one cloud share this folder.
"""

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from edge_agent import durable
from edge_agent.errors import StoreError
from edge_agent.messages import SHA256


class ClipLost(StoreError):
    """The store answers, and does not hold the clip, or holds other bytes under its name."""


class PartialClips:
    """The folder of unfinished clips; it is made where it is missing. Raises StoreError for the disk's faults."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise durable.failure(folder, error) from error

    def path(self, sha256: str) -> Path:
        return self._folder / sha256

    def size(self, sha256: str) -> int:
        """Bytes that are there; 0 where nothing is."""
        try:
            return self.path(sha256).stat().st_size
        except FileNotFoundError:
            return 0

    def write(self, sha256: str, offset: int, data: bytes) -> None:
        """Bytes at `offset`, with nothing behind them; not on the disk before `sync`."""
        path = self.path(sha256)
        try:
            with open(path, "r+b" if path.exists() else "wb") as file:
                file.truncate(offset)
                file.seek(offset)
                file.write(data)
        except OSError as error:
            raise durable.failure(path, error) from error

    def sync(self, sha256: str) -> None:
        """What was written is on the disk."""
        path = self.path(sha256)
        try:
            with open(path, "rb") as file:
                os.fsync(file.fileno())
        except OSError as error:
            raise durable.failure(path, error) from error

    def whole(self, sha256: str) -> Path | None:
        """The file, on the disk, if its bytes have that hash; otherwise it is thrown away: None."""
        path = self.path(sha256)
        try:
            with open(path, "rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
                os.fsync(file.fileno())
        except OSError as error:
            raise durable.failure(path, error) from error
        if found != sha256:
            self.discard(sha256)
            return None
        return path

    def discard(self, sha256: str) -> None:
        durable.remove(self.path(sha256))

    def untouched_since(self, at: float) -> Iterator[str]:
        """Names of those that were written last before then, seconds since 1970."""
        for path in self._folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if re.fullmatch(SHA256, path.name) and path.stat().st_mtime < at:
                    yield path.name

    def fault(self) -> str | None:
        """Why nothing can be taken in, for a person; None where it can."""
        free = shutil.disk_usage(self._folder).free
        return f"data folder: {free / 1e6:.0f} MB are free" if free < durable.RECORD_ROOM_BYTES else None
