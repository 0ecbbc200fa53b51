"""Judged clips -> what a bundle makes of each, in several processes; kept by clip, so an interrupted run goes on."""

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from edge_agent import clips, durable
from edge_agent.account import FEATURES
from edge_agent.bundle import Bundle
from edge_agent.errors import TankwatchError
from edge_agent.judge import Judge
from edge_agent.replay import push_views
from models import forked

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


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """What a bundle made of a clip: its features (F,) float32, or NOTHING and the words why there are none."""

    sha256: str
    values: np.ndarray
    left_out: str = ""


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
    file_of = folder / f"{sha256}.npy"
    values = _kept(file_of)
    if values is None:
        try:
            values = _features(one.video, bundle)
        except TankwatchError as error:
            return Look(sha256, NOTHING, str(error))
        _keep(values, file_of)
    return Look(sha256, values, "" if len(values) else "shows no watched unit")


def _features(video: Path, bundle: Bundle) -> np.ndarray:
    clip = clips.read(video)
    judge = Judge(bundle, clip.header.px_per_mm, clip.header.view_size_px)
    push_views(judge, clip)
    return judge.features(clip.watch.visibility) if judge.composites else NOTHING


def _keep(values: np.ndarray, path: Path) -> None:
    out = io.BytesIO()
    np.save(out, values, allow_pickle=False)
    durable.write(path, out.getvalue())


def _kept(path: Path) -> np.ndarray | None:
    """None where the clip has not been looked at, or the file is not what `_keep` writes."""
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return values if values.shape in (NOTHING.shape, (len(FEATURES),)) else None
