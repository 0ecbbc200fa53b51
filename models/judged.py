"""Labelled recordings -> what the machine says of each, in order and in several processes.

Each recording goes through the same `inspect --single` that a person would run.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import msgspec
import numpy as np

from edge_agent import framing, station
from edge_agent.bundle import Bundle, Preprocessing
from edge_agent.camera import open_camera
from edge_agent.errors import StationError, TankwatchError
from edge_agent.inspection import Opener, inspect_recording, working_view
from edge_agent.pipeline import Inspector
from edge_agent.records import Case
from edge_agent.station import StationProfile
from models import forked
from models.labelled import Labelled


@dataclass(frozen=True, slots=True)
class Judged:
    """A recording with what the machine said of it."""

    labelled: Labelled
    case: Case
    origin_error_mm: float | None = None
    """From the nearest true origin to where the case says that it leaks; None where one of them or the scale is not
    known."""
    notes: tuple[str, ...] = ()
    """What was odd about the recording and how it was read."""
    origins_tank_px: tuple[tuple[float, float], ...] = ()
    """Where its true origins lie in the tank view. Not kept: empty in what was read back."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What recordings are judged with."""

    bundle: Bundle
    openers: Mapping[str, Opener] | None = None


def judge_all(recordings: Sequence[Labelled], bench: Bench, jobs: int) -> Iterator[Judged]:
    """In their order."""
    return forked.each(partial(judge, bench=bench), recordings, jobs)


def judge(one: Labelled, bench: Bench, at_end: Callable[[Inspector], None] | None = None) -> Judged:
    """Inspects one recording as one case. Where no station is named, a camera that has a `profile` tells its own.

    Raises StationError or ModelError naming the recording.
    """
    try:
        with closing(open_camera(one.source, openers=bench.openers)) as camera:
            profile, sha256 = station.load(one.profile) if one.profile else _own(getattr(camera, "profile", None))
            cases = list(
                inspect_recording(
                    camera, bench.bundle, profile=profile, profile_sha256=sha256, single=True, at_end=at_end
                )
            )
    except TankwatchError as error:
        raise error if one.name in str(error) else type(error)(f"{one.name}: {error}") from error
    if not cases:
        raise StationError(f"{one.name} gave no case: a recording needs at least 3 readable frames")
    preprocessing = bench.bundle.manifest.preprocessing
    error_mm = origin_error_mm(one, cases[0], profile, preprocessing)
    return Judged(
        one, cases[0], error_mm, tuple(getattr(camera, "notes", ())), _origins_tank_px(one, profile, preprocessing)
    )


def line(one: Judged) -> dict[str, Any]:
    """The case as `inspect --json` prints it, with `video`, `label`, `origin_error_mm` and, where there are any,
    `notes`."""
    return {
        "video": one.labelled.name,
        "label": one.labelled.label,
        **msgspec.to_builtins(one.case),
        "origin_error_mm": one.origin_error_mm,
        **({"notes": one.notes} if one.notes else {}),
    }


def origin_error_mm(
    one: Labelled, case: Case, profile: StationProfile | None, preprocessing: Preprocessing
) -> float | None:
    """How far from the nearest of its true origins the case says that the unit leaks; None where a place or the scale
    is unknown."""
    if profile is None or case.leak_at_px is None or not one.leak_origins_px:
        return None
    _, px_per_mm = working_view(profile, preprocessing)
    if px_per_mm is None:
        return None
    said, *true = _in_tank_view([case.leak_at_px, *one.leak_origins_px], profile, preprocessing)
    return round(min(float(np.hypot(*(place - said))) for place in true) / px_per_mm, 2)


def _origins_tank_px(
    one: Labelled, profile: StationProfile | None, preprocessing: Preprocessing
) -> tuple[tuple[float, float], ...]:
    if profile is None or not one.leak_origins_px:
        return ()
    return tuple((x, y) for x, y in _in_tank_view(one.leak_origins_px, profile, preprocessing).tolist())


def _in_tank_view(
    places_px: Sequence[tuple[float, float]], profile: StationProfile, preprocessing: Preprocessing
) -> np.ndarray:
    """(n, 2) in the camera's picture -> (n, 2) in the tank view."""
    size, _ = working_view(profile, preprocessing)
    at = np.array([places_px], np.float32)
    return cv2.perspectiveTransform(at, framing.homography(profile.tank_px, size))[0]


def _own(profile: StationProfile | None) -> tuple[StationProfile | None, str | None]:
    return profile, None if profile is None else hashlib.sha256(station.dump(profile)).hexdigest()
