"""Judged clips -> what a bundle makes of each, in several processes; kept by clip, so an interrupted run goes on."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from edge_agent import durable
from edge_agent.bundle import Bundle
from edge_agent.errors import TankwatchError
from models import forked
from models import seen as eyes
from models.seen import Seen

Log = Callable[[str], None]
NOTHING = np.empty(0, np.float32)


@dataclass(frozen=True, slots=True)
class JudgedClip:
    """One line of a dataset's manifest, as far as training needs it."""

    video: Path
    leaky: bool
    sha256: str | None = None
    """Of the file, where the manifest says it."""


@dataclass(frozen=True, slots=True)
class Workroom:
    """Where a retraining keeps what it saw, how many processes look, and who is told."""

    folder: Path
    jobs: int
    log: Log
    told: Callable[[int, int], None] = lambda done, of: None
    """Is told after each clip how many of how many were looked at."""


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What a bundle made of a clip: its features (F,) float32, or NOTHING and the words why there are none."""

    sha256: str
    values: np.ndarray
    left_out: str = ""
    seen: Seen | None = None
    """All that the bundle's eyes made of it; None where the clip cannot be read."""


def folder_of(room: Workroom, bundle: Bundle) -> Path:
    """Where looks are kept: what was seen belongs to the eyes that saw it and to the code that ran them."""
    folder = room.folder / f"looks-{eyes.eyes_of(bundle)[:24]}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise durable.failure(folder, error) from error
    return folder


def looks(judged: Sequence[JudgedClip], bundle: Bundle, folder: Path, jobs: int) -> Iterator[Look]:
    """A look at each clip, in their order. Those that `folder` holds already are not looked at again."""
    return forked.each(partial(look, bundle=bundle, folder=folder), judged, jobs)


def look(one: JudgedClip, bundle: Bundle, folder: Path) -> Look:
    """One clip, seen as the device saw it. Raises StoreError where `folder` takes nothing more."""
    try:
        with one.video.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return Look("", NOTHING, f"cannot be read ({error.strerror})")
    if one.sha256 not in (None, sha256):
        return Look(
            sha256, NOTHING, f"has hash {sha256[:12]}, the manifest says {str(one.sha256)[:12]}: fetch it again"
        )
    file_of = folder / f"{sha256}.json"
    seen = _kept(file_of)
    if seen is None:
        try:
            seen = eyes.of_clip(one.video, bundle)
        except TankwatchError as error:
            return Look(sha256, NOTHING, str(error))
        durable.write(file_of, eyes.encode(seen))
    values = np.array(seen.features, np.float32)
    return Look(sha256, values, _unusable(values), seen)


def _unusable(values: np.ndarray) -> str:
    if not len(values):
        return "shows no watched unit"
    return "" if np.isfinite(values).all() else "gives features that are no numbers: its pictures are damaged"


def _kept(path: Path) -> Seen | None:
    """None where the clip has not been looked at, or the file is not what `look` writes."""
    try:
        return eyes.decode(path.read_bytes())
    except OSError:
        return None
