"""Who may use an outbox or a camera: one process each, held by a lock on a file as long as the process lives."""

import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from edge_agent import durable
from edge_agent.capture import is_live, without_password
from edge_agent.errors import StationError, StoreError


def lock(path: Path, database: Path, wait_s: float = 1.0) -> TextIO:
    """Waits a little, because the uplink holds the other's lock for a moment while it mends the database."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "a")  # noqa: SIM115 - held as long as the process lives
    except OSError as error:
        raise durable.failure(path, error) from error
    until = time.monotonic() + wait_s
    while not _taken(file):
        if time.monotonic() > until:
            file.close()
            raise StoreError(f"outbox {database} is in use by another agent: stop it or give this one its own data_dir")
        time.sleep(0.02)
    return file


@contextmanager
def borrowed(database: Path, own: TextIO | None) -> Iterator[bool]:
    """True where this process may mend the database: it puts (`own`), or nobody else does at the moment."""
    if own is not None:
        yield True
        return
    path = database.with_name("outbox.lock")
    try:
        file = open(path, "a")  # noqa: SIM115 - closed below, in all cases
    except OSError as error:
        raise durable.failure(path, error) from error
    with file:
        yield _taken(file)


@contextmanager
def in_turn(database: Path) -> Iterator[None]:
    """One process at a time opens a database, makes it, or puts it aside; the others wait for the moment it takes."""
    path = database.with_name("opening.lock")
    try:
        file = open(path, "a")  # noqa: SIM115 - closed below, in all cases
    except OSError as error:
        raise durable.failure(path, error) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _taken(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def alone(path: Path, words: str) -> Iterator[None]:
    """Raises StoreError with `words` where another process holds the lock."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise durable.failure(path, error) from error
    with _opened(path) as file:
        if not _taken(file):
            raise StoreError(words)
        yield


@contextmanager
def lock_camera(source: str) -> Iterator[None]:
    """One agent a camera: a second one would steal its frames. A recording or a twin may be read by many."""
    if not is_live(source):
        yield
        return
    name = hashlib.sha256(source.encode()).hexdigest()[:16]
    path = Path(tempfile.gettempdir()) / f"tankwatch-camera-{name}.lock"
    with _opened(path) as file:
        if not _taken(file):
            raise StationError(f"camera {without_password(source)} is in use by another agent: stop it first")
        yield


def _opened(path: Path) -> TextIO:
    """For reading, also where another user has made it: that is enough for a lock."""
    try:
        try:
            return open(path)
        except FileNotFoundError:
            return os.fdopen(os.open(path, os.O_RDONLY | os.O_CREAT, 0o644))
    except OSError as error:
        raise StoreError(f"lock {path} cannot be opened ({error.strerror}): remove it or run as its owner") from error
