"""/opt/tankwatch/installed.json <-> Installed: which parts there are, which release came before, what is on trial."""

import dataclasses
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from edge_agent import durable
from edge_agent.errors import StoreError
from edge_agent.install_host import Host
from edge_agent.install_parts import HOME, PARTS, Part, widest

FILE = f"{HOME}/installed.json"


@dataclass(frozen=True)
class Trial:
    """A release that has become current and is not yet known to work."""

    release: str
    before: str
    database: str | None = None
    """The cloud's tables before it, to which they go back with it."""
    ill: tuple[str, ...] = ()
    """Services that did not run before it either; they are not held against it."""


@dataclass(frozen=True)
class Installed:
    """`parts`: name -> the launcher's set that it has."""

    parts: dict[str, str] = field(default_factory=dict)
    previous: str | None = None
    trial: Trial | None = None

    @property
    def packages(self) -> str:
        return widest(list(self.parts.values()))

    @property
    def here(self) -> list[Part]:
        return [PARTS[name] for name in sorted(self.parts)]

    def replace(self, **changes: object) -> "Installed":
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]


def read(host: Host) -> Installed:
    """As written; an empty one where nothing is installed. Raises StoreError."""
    path = host.path(FILE)
    try:
        found = json.loads(path.read_text())
        trial = Trial(**found["trial"] | {"ill": tuple(found["trial"]["ill"])}) if found["trial"] else None
        return Installed({name: str(found["parts"][name]) for name in found["parts"]}, found["previous"], trial)
    except FileNotFoundError:
        return Installed()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path} cannot be used ({error}): delete it and run install again for each part") from error


def write(host: Host, installed: Installed) -> None:
    """Survives a power cut. Raises StoreError."""
    host.path(HOME).mkdir(parents=True, exist_ok=True)
    durable.write(host.path(FILE), json.dumps(dataclasses.asdict(installed), indent=1).encode() + b"\n")


@contextmanager
def alone(host: Host) -> Iterator[None]:
    """Nobody else installs on this machine meanwhile. Raises StoreError where somebody does."""
    folder: Path = host.path(HOME)
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise StoreError(f"another installation works on {folder}: wait until it has ended") from error
    finally:
        os.close(handle)
