"""<data_dir>/profiles/checked.json <-> which station profile was seen in place, when, and how its markers lay then.

A profile that was never seen so counts for no more than the human's word. The inspection itself looks.
"""

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from edge_agent import durable, framing, utc
from edge_agent.records import Frame, Framing, Marker
from edge_agent.station import StationProfile

FILE = "checked.json"
LOOKS = 15
"""Whose median is believed, as `calibrate check` does: shake and noise of one picture are no evidence."""
LOOK_EVERY_S = 0.045
"""Each frame of a camera with 20 a second: a good second is enough."""
PAUSE_S = 2.0
"""After looks that were not good: looking for markers that are not there costs the most."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """All markers of one profile were where it says."""

    schema: str = "tankwatch/profile-check/1"
    profile_sha256: str
    at: str
    """UTC, ISO 8601."""
    corners_seen: int
    shift_px: float | None
    rotation_deg: float | None


class InPlace:
    """Looks at a station's pictures until all markers were seen where the profile says.

    `read`: picture -> the station's markers in it (`codes.MarkerReader(profile)`).
    """

    def __init__(self, profile: StationProfile, read: Callable[[np.ndarray], list[Marker]]) -> None:
        self._profile, self._read = profile, read
        self._looks: list[list[Marker]] = []
        self._due_s = float("-inf")

    def see(self, frame: Frame) -> Framing | None:
        """What the median of LOOKS pictures says, each time so many have been looked at; else None."""
        if frame.monotonic_s < self._due_s:
            return None
        self._due_s = frame.monotonic_s + LOOK_EVERY_S
        self._looks.append(self._read(frame.image))
        if len(self._looks) < LOOKS:
            return None
        seen = framing.check(framing.median_of(self._looks), self._profile)
        self._looks = []
        if seen.status != "ok":
            self._due_s = frame.monotonic_s + PAUSE_S
        return seen


def checked(folder: Path) -> str | None:
    """Hash of the profile that was seen in place last; None where none was, or nobody can tell."""
    found = last(folder)
    return found.profile_sha256 if found else None


def last(folder: Path) -> Check | None:
    """The last check that was good; None where there was none, or it cannot be read."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=Check)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def mark_checked(folder: Path, profile_sha256: str, seen: Framing, *, now: float) -> bool:
    """Keeps that this profile was `seen` so at `now` (UTC, seconds since 1970), durably; False, and
    nothing is kept, where that is not `ok`. Raises StoreError."""
    if seen.status != "ok":
        return False
    check = Check(
        profile_sha256=profile_sha256,
        at=utc.text(now),
        corners_seen=seen.corners_seen,
        shift_px=_rounded(seen.shift_px),
        rotation_deg=_rounded(seen.rotation_deg),
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise durable.failure(folder, error) from error
    durable.write(folder / FILE, msgspec.json.format(msgspec.json.encode(check)) + b"\n")
    return True


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
