"""Who may use an outbox: one process in each role, held by a lock on a file as long as the process lives."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from edge_agent import durable
from edge_agent.errors import StoreError


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
    with open(database.with_name("outbox.lock"), "a") as file:
        yield _taken(file)


def _taken(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
