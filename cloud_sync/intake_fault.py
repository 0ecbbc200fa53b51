"""That `cloud ingest` takes nothing in, and what refuses <-> an empty file in data_dir, for /readyz and the metrics.

Only whoever writes finds out that a disk or a bucket is full. The file's name says it all: a full disk takes no bytes.
"""

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

from edge_agent.errors import StoreError

Refuses = Literal["clip-store", "database"]
SUFFIX = ".fault"
FRESH_S = 180.0
"""Ingest tries again each second; a bucket that does not answer takes its time."""


class IntakeFault:
    """What one ingest process has to say. A folder that takes not even a name costs the word alone."""

    def __init__(self, folder: Path, client_id: str) -> None:
        about = hashlib.sha256(client_id.encode()).hexdigest()[:8]
        self._paths: dict[Refuses, Path] = {one: folder / f"ingest.{about}.{one}{SUFFIX}" for one in get_args(Refuses)}
        self._holds = True
        self.ends()

    def holds(self, error: Exception) -> None:
        """Nothing is taken in now."""
        self._holds = True
        with contextlib.suppress(OSError):
            self._paths["clip-store" if isinstance(error, StoreError) else "database"].touch()

    def ends(self) -> None:
        """Something was taken in."""
        if self._holds:
            for path in self._paths.values():
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
            self._holds = False


def words(folder: Path, now: float) -> str | None:
    """Why nothing is taken in at the moment, for a person; None where something is. `now`: seconds since 1970."""
    refuses = sorted({path.name.split(".")[2] for path in _fresh(folder, now)})
    return f"ingest takes nothing in: {' and '.join(refuses).replace('-', ' ')} refuses" if refuses else None


def _fresh(folder: Path, now: float) -> Iterator[Path]:
    for path in folder.glob(f"ingest.*{SUFFIX}"):
        with contextlib.suppress(FileNotFoundError):
            if now - path.stat().st_mtime < FRESH_S:
                yield path
