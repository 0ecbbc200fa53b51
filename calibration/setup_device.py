"""What the commissioning pages are handed of a device: its places, its pictures, and what its inspection says."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import msgspec

from calibration import aiming
from calibration.aiming import Aiming
from edge_agent.bundle import Bundle
from edge_agent.camera import Camera
from edge_agent.errors import StationError
from edge_agent.profile_history import ProfilePlace
from edge_agent.records import Case, Frame, Mode, Phase

AIMED_FRAMES = 2
"""Shake and noise show between two successive pictures."""
SILENT_S = 5.0
"""The inspection says something four times a second; after so long it does not run."""


class StationNow(msgspec.Struct, frozen=True, kw_only=True):
    """What the running inspection said last."""

    at_s: float
    """UTC, seconds since 1970."""
    mode: Mode
    mode_words: str = ""
    phase: Phase | None = None
    """None before it inspects anything."""
    profile_sha256: str | None = None
    """Of the profile that it works with."""
    checked: str | None = None
    """Of the profile whose markers it has seen in their places."""
    framing_words: str = ""
    """What is wrong with the framing, and the cure."""
    camera: Literal["ok", "stalled", "lost", "unknown"] = "unknown"


@dataclass(frozen=True, slots=True)
class SetupDevice:
    """One device, as far as commissioning knows it."""

    place: ProfilePlace
    camera: str
    """How the camera is called, without a password."""
    network: bool
    """Whether it sends a video over the network."""
    pictures: Callable[[], Camera]
    """Opens the station's pictures; raises StationError where there are none."""
    now: Callable[[], StationNow | None]
    """None where the inspection has never run."""
    cases: Callable[[str], Sequence[Case]]
    """Cases that ended after a time (UTC, ISO 8601), the oldest first."""
    bundle: Callable[[], Bundle]
    """The champion."""
    keeping: threading.RLock = field(default_factory=threading.RLock, compare=False)
    """Held by whoever changes how far one is: a page, or the fit in its thread."""

    @property
    def reports(self) -> Path:
        return self.place.folder / "reports"


def newest(device: SetupDevice, count: int = 1) -> list[Frame]:
    """The next `count` pictures. Raises StationError where the camera gives none."""
    taken: list[Frame] = []
    camera = device.pictures()
    try:
        for frame in camera.frames():
            taken.append(frame)
            if len(taken) == count:
                return taken
    finally:
        camera.close()
    raise StationError(f"the camera {device.camera} gives no pictures: check its cable, its power and the inspection")


def aimed(device: SetupDevice, station: str) -> tuple[Frame, Aiming]:
    """The newest picture and how the camera is aimed in it. Raises StationError."""
    frames = newest(device, AIMED_FRAMES)
    return frames[-1], aiming.measure(frames, station, network=device.network)


def for_seconds(device: SetupDevice, seconds: float, told: Callable[[float], None] = lambda _: None):
    """Pictures with times from 0; `told` hears how many seconds have gone. Raises StationError."""
    camera, first_s = device.pictures(), None
    try:
        for frame in camera.frames():
            first_s = frame.monotonic_s if first_s is None else first_s
            gone_s = frame.monotonic_s - first_s
            told(gone_s)
            if gone_s > seconds:
                return
            yield replace(frame, monotonic_s=gone_s)
    finally:
        camera.close()


def speaks(now: StationNow | None, at_s: float) -> bool:
    """Whether the inspection runs."""
    return now is not None and at_s - now.at_s < SILENT_S
