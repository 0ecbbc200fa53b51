"""Frames of a set-up station -> StationProfile, with a report in words: what was found, and what is unfit. No I/O."""

import base64
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import cv2
import msgspec
import numpy as np

from calibration import marker_faults
from calibration.markers import LEAST_MODULE_PX
from edge_agent import codes, framing, station
from edge_agent.codes import MARKER_MODULES
from edge_agent.corners import module_px
from edge_agent.errors import ConfigError, StationError
from edge_agent.eyes import hide, lamp_mask
from edge_agent.immersion import thumbnail
from edge_agent.records import CORNERS, Corner, Frame, Marker
from edge_agent.station import CameraSettings, Lamp, MarkerReference, Point, StationProfile

MAX_VIEW_PX = (960, 720)
"""A larger tank view costs the device more than 10 ms a frame."""
EARLY_EVERY_S, EARLY_S, LATER_EVERY_S, LONGEST_S = 0.2, 5.0, 1.0, 30.0
"""Pictures are read often at first, then now and then: shake is averaged out, a camera that moves is noticed."""
EMPTY_S = 1.0
LEAST_SEEN_SHARE = 0.5
MOVED_PX = 1.0
LEAST_CONTRAST = 40.0
BLURRED_MODULES = 0.75
"""Width of a black-white edge; from about 0.9 modules zxing-cpp misses codes."""
STILL_LEVELS = 12.0


@dataclass(frozen=True, slots=True)
class Report:
    """For a person: what was found, and what is unfit with its cure."""

    found: tuple[str, ...]
    unfit: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PrintQuality:
    """Of one code in a picture: grey levels between its white and black, and how wide the edges between them are."""

    contrast: float
    across_modules: float
    """Along its rows."""
    down_modules: float
    """Along its columns: what moves while the shutter is open smears one of the two."""

    @property
    def edge_modules(self) -> float:
        return max(self.across_modules, self.down_modules)


@dataclass(slots=True)
class _Sightings:
    """What the pictures showed."""

    times_s: list[float] = field(default_factory=list)
    markers: list[list[Marker]] = field(default_factory=list)
    foreign: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    early: list[np.ndarray] = field(default_factory=list)
    taken: list[tuple[float, int]] = field(default_factory=list)
    """Time and number of each picture."""
    size_px: tuple[int, int] = (0, 0)


def fit(
    frames: Iterable[Frame],
    station_id: str,
    lamps: Sequence[Lamp] = (),
    *,
    marker_mm: float | None = None,
    rtsp: bool = False,
) -> tuple[StationProfile, Report]:
    """Reads pictures spread over the first 30 s, times from 0. StationError where a corner's marker is not seen.

    The tank must be empty in the first second. `marker_mm`: side of the printed codes; gives the scale.
    """
    if not re.fullmatch(station.STATION_ID, station_id):
        raise ConfigError(f"station id {station_id!r} is not usable: take 1 to 16 of A-Z, 0-9 and '-', e.g. TANK1")
    seen = _look(frames, station_id)
    placed = {marker.corner: marker.corners_px for marker in _all_four(seen, station_id)}
    lamps_fit(lamps, seen.size_px)
    tank_px = framing.tank_quad(placed)
    view_size_px = framing.view_size_for(tank_px, MAX_VIEW_PX)
    homography = framing.homography(tank_px, view_size_px)
    profile = StationProfile(
        station=station_id,
        frame_size_px=seen.size_px,
        tank_px=_points(tank_px),
        view_size_px=view_size_px,
        px_per_mm=_px_per_mm(placed, homography, marker_mm),
        markers=tuple(MarkerReference(corner, _points(placed[corner])) for corner in CORNERS),
        marker_size_mm=marker_mm,
        lamps=tuple(lamps),
    )
    thumbs = _thumbs(profile, seen.early)
    empty = np.median(thumbs, axis=0)
    profile = msgspec.structs.replace(
        profile,
        camera=CameraSettings(fps=_fps(seen.taken), brightness=round(float(empty.mean()), 1)),
        empty_view=base64.b64encode(np.round(empty).astype(np.uint8).tobytes()).decode(),
    )
    unfit = [*_unfit_markers(placed, seen.early[0]), *_unfit_pictures(seen, thumbs)]
    return profile, Report(_found(profile, seen), (*unfit, *_lacking(profile, rtsp=rtsp)))


def lamps_fit(lamps: Sequence[Lamp], size_px: tuple[int, int]) -> None:
    """Raises ConfigError where a lamp does not lie in a picture of this size (width, height)."""
    for lamp in lamps:
        x, y, width, height = lamp.rect_px
        if x < 0 or y < 0 or width < 4 or height < 4 or x + width > size_px[0] or y + height > size_px[1]:
            place = (
                f"lamp {lamp.means}:{x},{y},{width},{height} does not lie in the picture of {size_px[0]}x{size_px[1]}"
            )
            raise ConfigError(f"{place} with at least 4x4 px: mark it again")


def print_quality(grey: np.ndarray, points: np.ndarray) -> PrintQuality:
    """`grey`: (H, W) uint8; `points`: (4, 2) corners TL, TR, BR, BL of a code in it."""
    fine, quiet = 8, 2
    side = (MARKER_MODULES + 2 * quiet) * fine
    low, high = quiet * fine, (quiet + MARKER_MODULES) * fine
    square = np.array([[low, low], [high, low], [high, high], [low, high]], np.float32)
    straight = cv2.warpPerspective(grey, cv2.getPerspectiveTransform(points, square), (side, side)).astype(np.float32)
    dark, light = np.percentile(straight, (5, 95))
    # A finder's edges are long and straight: the steepest slopes of all rows, and of all columns, stand for them.
    steepest = [float(np.percentile(np.abs(np.diff(straight, axis=axis)).max(axis=axis), 50)) for axis in (1, 0)]
    across, down = (float((light - dark) / max(slope, 1e-3) / fine) for slope in steepest)
    return PrintQuality(float(light - dark), across, down)


def _look(frames: Iterable[Frame], station_id: str) -> _Sightings:
    """Reads the codes of pictures on a schedule; stops after LONGEST_S."""
    expected = [f"{station_id}:{corner}" for corner in CORNERS]
    seen, due_s = _Sightings(), float("-inf")
    for frame in frames:
        now_s = frame.monotonic_s
        if now_s > LONGEST_S:
            break
        seen.taken.append((now_s, frame.sequence))
        if now_s < due_s:
            continue
        due_s = now_s + (EARLY_EVERY_S if now_s < EARLY_S else LATER_EVERY_S)
        grey = frame.image if frame.image.ndim == 2 else cv2.cvtColor(frame.image, cv2.COLOR_BGR2GRAY)
        found = codes.read(grey, expected)
        seen.size_px = (grey.shape[1], grey.shape[0])
        seen.times_s.append(now_s)
        seen.markers.append(codes.markers_of(found, station_id))
        seen.foreign.update({code.payload for code in found if code.payload not in expected})
        seen.faults.update(marker_faults.of(found, station_id, grey))
        if now_s <= EMPTY_S:
            seen.early.append(grey)
    if not seen.markers:
        raise StationError("the source gives no picture: check the camera or the recording")
    return seen


def _all_four(seen: _Sightings, station_id: str) -> list[Marker]:
    pictures = len(seen.markers)
    if wrong := [words for words, count in seen.faults.items() if count > LEAST_SEEN_SHARE * pictures]:
        raise StationError(wrong[0])
    counts = Counter(marker.corner for markers in seen.markers for marker in markers)
    missing = [corner for corner in CORNERS if counts[corner] <= LEAST_SEEN_SHARE * pictures]
    if not missing:
        return framing.median_of(seen.markers)
    others = [payload for payload, _ in seen.foreign.most_common(4)]
    hint = f"; other codes seen: {', '.join(others)}" if others else ""
    if len(missing) == len(CORNERS):
        cure = (
            "give --station as printed on the codes"
            if others
            else "point the camera at the tank and see to light and focus"
        )
        raise StationError(f"no marker of {station_id} was seen in {pictures} pictures{hint}: {cure}")
    facts = ", ".join(f"{station_id}:{corner} ({counts[corner]} of {pictures} pictures)" for corner in missing)
    cure = "bring it into the picture, uncover it, and see to size, focus and light"
    raise StationError(f"not seen: {facts}, all four are needed{hint}: {cure}")


def _lacking(profile: StationProfile, *, rtsp: bool) -> list[str]:
    """What a profile could say and does not, and what a camera cannot show."""
    unfit = []
    if not profile.lamps:
        unfit.append("no lamp is marked, so no decision can be read: mark both (--lamp ok:x,y,w,h --lamp leak:x,y,w,h)")
    if profile.marker_size_mm is None:
        unfit.append("the scale is unknown, so no leak rate can be told: give --marker-mm with the codes' printed side")
    if rtsp:
        unfit.append("a network camera's codec hides small bubbles: set its highest quality, or use a USB camera")
    return unfit


def _unfit_markers(placed: dict[Corner, np.ndarray], grey: np.ndarray) -> list[str]:
    unfit = []
    for corner, points in placed.items():
        module = float(module_px(points, MARKER_MODULES))
        quality = print_quality(grey, points)
        contrast, edge_modules = quality.contrast, quality.edge_modules
        if module < LEAST_MODULE_PX:
            size = f"marker {corner} has {module:.1f} px a module, limit {LEAST_MODULE_PX} px"
            unfit.append(f"{size}: bring the camera nearer, or print it {LEAST_MODULE_PX / module:.1f} times as large")
        if contrast < LEAST_CONTRAST:
            light = f"marker {corner} is dark or dull: {contrast:.0f} grey levels between black and white"
            unfit.append(f"{light}, limit {LEAST_CONTRAST:.0f}: give more light or exposure, and avoid glare")
        elif edge_modules > BLURRED_MODULES:
            blur = f"marker {corner} is blurred: its edges are {edge_modules:.2f} modules wide"
            unfit.append(f"{blur}, limit {BLURRED_MODULES:.2f}: focus, clean the lens, or shorten the exposure")
    return unfit


def _unfit_pictures(seen: _Sightings, thumbs: list[np.ndarray]) -> list[str]:
    unfit = []
    third = max(1, len(seen.markers) // 3)
    first, last = framing.median_of(seen.markers[:third]), framing.median_of(seen.markers[-third:])
    ends = {marker.corner: marker.corners_px for marker in last}
    moved = max((float(np.abs(ends[m.corner] - m.corners_px).mean()) for m in first if m.corner in ends), default=0.0)
    if moved > MOVED_PX:
        unfit.append(
            f"the camera moved by {moved:.1f} px while it was looked at, limit {MOVED_PX:.1f} px: "
            "fasten it and fit again"
        )
    restless = float(np.ptp(thumbs, axis=0).max())
    if restless > STILL_LEVELS:
        unfit.append(
            f"something moved in the tank in the first second ({restless:.0f} grey levels, limit {STILL_LEVELS:.0f}): "
            "fit again while it stands empty"
        )
    for corner in CORNERS:
        seldom = sum(any(marker.corner == corner for marker in markers) for markers in seen.markers)
        if seldom < 0.9 * len(seen.markers):
            unfit.append(
                f"marker {corner} was read in {seldom} of {len(seen.markers)} pictures: "
                "see to its size, focus and light"
            )
    return unfit


def _found(profile: StationProfile, seen: _Sightings) -> tuple[str, ...]:
    modules = [float(module_px(np.array(marker.corners_px), MARKER_MODULES)) for marker in profile.markers]
    spread = float(np.mean([_spread_px(seen.markers, corner) for corner in CORNERS]))
    scale = "scale unknown" if profile.px_per_mm is None else f"{profile.px_per_mm:.2f} px a mm"
    width, height = profile.view_size_px
    lines = [
        f"{profile.station}: all four markers found in {len(seen.markers)} pictures, "
        f"{min(modules):.1f} px a module, steady within {spread:.2f} px",
        f"tank view {width}x{height} px, {scale}, brightness {profile.camera.brightness:.0f} of 255",
    ]
    if seen.foreign:
        lines.append(f"ignored, no markers of {profile.station}: {', '.join(sorted(seen.foreign))}")
    return tuple(lines)


def _spread_px(checks: list[list[Marker]], corner: Corner) -> float:
    seen = np.array([marker.corners_px for markers in checks for marker in markers if marker.corner == corner])
    return float(seen.std(axis=0).mean())


def _thumbs(profile: StationProfile, pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
    """(24, 32) each: the tank of (H, W) uint8 pictures as the device's eyes will see it, its lamps hidden."""
    size = profile.view_size_px
    to_view, mask = framing.homography(profile.tank_px, size), lamp_mask(profile, size)
    views = [framing.rectify(grey, to_view, size) for grey in pictures]
    for view in views:
        hide(view, mask)
    return [thumbnail(view) for view in views]


def _px_per_mm(placed: dict[Corner, np.ndarray], homography: np.ndarray, marker_mm: float | None) -> float | None:
    """Tank view pixels a mm, by the codes' mean side."""
    if marker_mm is None:
        return None
    if marker_mm <= 0:
        raise ConfigError(f"--marker-mm {marker_mm:g} is no length: give the printed side of a code in mm")
    straight = cv2.perspectiveTransform(np.stack(list(placed.values())).astype(np.float64), homography)
    sides = np.linalg.norm(straight - np.roll(straight, -1, axis=1), axis=2)
    return round(float(sides.mean()) / marker_mm, 4)


def _fps(taken: list[tuple[float, int]]) -> float | None:
    """By the camera's own count: some of its pictures may not have come."""
    (first_s, first), (last_s, last) = taken[0], taken[-1]
    return round((last - first) / (last_s - first_s), 2) if len(taken) > 2 and last_s > first_s else None


def _points(corners: np.ndarray) -> tuple[Point, Point, Point, Point]:
    first, second, third, fourth = ((round(float(x), 3), round(float(y), 3)) for x, y in corners)
    return first, second, third, fourth
