"""One process at a time in a folder of the cloud's: the lock goes with the process that holds it, however that ends."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_agent import durable
from edge_agent.errors import StoreError


@contextmanager
def alone(path: Path, words: str) -> Iterator[None]:
    """Holds the lock file `path`. Raises StoreError with `words` where another process does."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = open(path, "w")  # noqa: SIM115 - held until the end
    except OSError as error:
        raise durable.failure(path, error) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(words) from None
        yield
