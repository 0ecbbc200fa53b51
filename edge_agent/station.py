"""station.toml <-> StationProfile: where the tank, its markers and its lamps are in the camera's picture.

The one place where a profile's bytes become a record. `calibrate fit` writes it, everybody else only reads it.
"""

import base64
import hashlib
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np

from edge_agent.errors import StationError
from edge_agent.records import Corner

LARGEST_SIDE_PX = 8192
EMPTY_VIEW_BYTES = 24 * 32
STATION_ID = r"^[A-Z0-9-]{1,16}$"
StationId = Annotated[str, msgspec.Meta(pattern=STATION_ID)]
Point = tuple[float, float]


class MarkerReference(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One code as it was at set-up: its own TL, TR, BR, BL in camera pixels."""

    corner: Corner
    corners_px: tuple[Point, Point, Point, Point]


class Lamp(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One lamp: what it means when lit, and where it is in the camera's picture (x, y, width, height)."""

    means: Literal["ok", "leak"]
    rect_px: tuple[int, int, int, int]


class CameraSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """As they were at set-up; None where the camera does not tell."""

    fps: float | None = None
    exposure_ms: float | None = None
    gain: float | None = None
    brightness: float | None = None
    """Mean grey level of the empty tank, 0..255."""


class StationProfile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A station's calibration."""

    schema: Literal["tankwatch/station/1"] = "tankwatch/station/1"
    station: StationId
    frame_size_px: tuple[int, int]
    """Camera picture, width and height."""
    tank_px: tuple[Point, Point, Point, Point]
    """The tank view's corners TL, TR, BR, BL in camera pixels: the outer corners of the four markers."""
    view_size_px: tuple[int, int]
    """Rectified tank view, width and height."""
    px_per_mm: float | None = None
    """Scale of the tank view; None = unknown."""
    markers: tuple[MarkerReference, ...]
    marker_size_mm: float | None = None
    lamps: tuple[Lamp, ...] = ()
    camera: CameraSettings = CameraSettings()
    tolerance_shift_px: float = 2.0
    tolerance_rotation_deg: float = 0.35
    required_hold_s: float = 5.0
    """A unit watched for less is not tested."""
    required_sensitivity_std_cm3_s: float | None = None
    empty_view: str | None = None
    """The empty tank: base64 of a (24, 32) uint8 grey picture of the tank view; None = unknown."""

    def empty_grey(self) -> np.ndarray | None:
        """(24, 32) uint8, or None where the empty tank was not seen."""
        if self.empty_view is None:
            return None
        return np.frombuffer(base64.b64decode(self.empty_view), np.uint8).reshape(24, 32)


def scale_of(profile: StationProfile, view_size_px: tuple[int, int]) -> float | None:
    """Pixels per mm in a tank view of this size, which may be smaller than the profile's."""
    return None if profile.px_per_mm is None else profile.px_per_mm * view_size_px[0] / profile.view_size_px[0]


def load(path: Path) -> tuple[StationProfile, str]:
    """The profile in `path` and the hash of its bytes. Raises StationError naming the file and the fault."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StationError(
            f"station profile {path} cannot be read ({error.strerror}): make one with 'calibrate fit'"
        ) from error
    return parse(data, str(path)), hashlib.sha256(data).hexdigest()


def parse(data: bytes, name: str = "station.toml") -> StationProfile:
    """Bytes of a TOML file -> StationProfile; unknown keys, wrong types and senseless values are StationErrors."""
    try:
        profile = msgspec.toml.decode(data, type=StationProfile)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unusable(name, str(error)) from error
    if fault := _fault(profile):
        raise _unusable(name, fault)
    return profile


def dump(profile: StationProfile) -> bytes:
    """StationProfile -> TOML; `parse` gives it back."""
    return msgspec.toml.encode(_without_none(msgspec.to_builtins(profile)))


def _unusable(name: str, fault: str) -> StationError:
    return StationError(f"station profile {name} is not usable: {fault}: mend the line or run 'calibrate fit' again")


def _fault(profile: StationProfile) -> str:
    """The first value that has the right type and makes no sense; empty where there is none."""
    for key, value, least, most in (
        ("frame_size_px", min(profile.frame_size_px), 32, LARGEST_SIDE_PX),
        ("frame_size_px", max(profile.frame_size_px), 32, LARGEST_SIDE_PX),
        ("view_size_px", min(profile.view_size_px), 32, LARGEST_SIDE_PX),
        ("view_size_px", max(profile.view_size_px), 32, LARGEST_SIDE_PX),
        ("px_per_mm", profile.px_per_mm, 1e-3, 1e3),
        ("tolerance_shift_px", profile.tolerance_shift_px, 0.1, 1e3),
        ("tolerance_rotation_deg", profile.tolerance_rotation_deg, 0.01, 90),
        ("required_hold_s", profile.required_hold_s, 0, 3600),
        ("required_sensitivity_std_cm3_s", profile.required_sensitivity_std_cm3_s, 1e-9, 1e3),
    ):
        if value is not None and not least <= value <= most:
            return f"{key} is {value}, from {least:g} to {most:g} is allowed"
    if not _is_quadrilateral(profile.tank_px):
        return "tank_px is no quadrilateral with corners TL, TR, BR, BL"
    for marker in profile.markers:
        if not _is_quadrilateral(marker.corners_px):
            return f"marker {marker.corner} is no quadrilateral with corners TL, TR, BR, BL"
    if not 0 < len({marker.corner for marker in profile.markers}) == len(profile.markers):
        return "each corner of the tank needs one marker"
    return _lamp_fault(profile) or _empty_view_fault(profile.empty_view)


def _lamp_fault(profile: StationProfile) -> str:
    width, height = profile.frame_size_px
    for lamp in profile.lamps:
        x, y, w, h = lamp.rect_px
        if x < 0 or y < 0 or w < 2 or h < 2 or x + w > width or y + h > height:
            return f"lamp {lamp.means} at {list(lamp.rect_px)} is not in the picture of {width}x{height} px"
    return "two lamps mean the same" if len({lamp.means for lamp in profile.lamps}) < len(profile.lamps) else ""


def _empty_view_fault(empty_view: str | None) -> str:
    try:
        size = EMPTY_VIEW_BYTES if empty_view is None else len(base64.b64decode(empty_view, validate=True))
    except ValueError:
        return "empty_view is no base64"
    return "" if size == EMPTY_VIEW_BYTES else f"empty_view has {size} bytes, {EMPTY_VIEW_BYTES} are needed"


def _is_quadrilateral(corners: tuple[Point, Point, Point, Point]) -> bool:
    """Convex and clockwise as the picture shows it, with an area that is worth looking at."""
    points = np.array(corners)
    sides = np.roll(points, -1, axis=0) - points
    following = np.roll(sides, -1, axis=0)
    turns = sides[:, 0] * following[:, 1] - sides[:, 1] * following[:, 0]
    return bool(np.isfinite(points).all() and (turns > 1.0).all() and np.abs(points).max() < 1e5)


def _without_none(value):
    """TOML has no null: a field that is not known is left out."""
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_without_none(item) for item in value]
    return value
