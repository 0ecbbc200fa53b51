"""A few successive pictures -> how the camera is aimed: corner by corner, light, noise, shake, and what to do. PURE.

The limits are those of `fitting`: what is well here is not called unfit there.
"""

from collections.abc import Sequence

import cv2
import msgspec
import numpy as np

from calibration import fitting, marker_faults
from calibration.fitting import BLURRED_MODULES, LEAST_CONTRAST, MOVED_PX
from calibration.markers import LEAST_MODULE_PX
from edge_agent import codes, framing, sheets_seen
from edge_agent.camera_watch import BLACK_LEVEL, WHITE_LEVEL
from edge_agent.codes import MARKER_MODULES, Code
from edge_agent.corners import module_px
from edge_agent.records import CORNERS, Corner, Frame, Marker
from edge_agent.station import Point
from edge_agent.visibility import noise_levels

DARK_LEVEL = 40.0
"""The darkest of the simulated stations that the nets were trained on has 60; below this bubbles drown in the noise."""
BRIGHT_LEVEL = 225.0
"""A bubble's bright rim needs room above the water's light."""
CLIPPED_LEVEL, CLIPPED_SHARE = 252, 0.02
"""Where the picture is white nothing can be seen; the lamps and a reflection or two are less than this share."""
NOISY_LEVELS = 5.0
"""The noisiest of the simulated stations that the nets were trained on."""
SMEARED_RATIO = 1.4
"""An edge that is so much wider one way than the other was moved, not out of focus."""
CODEC_WORDS = (
    "a network camera's codec hides small bubbles: set its highest quality, constant, without noise filter, or use a "
    "USB camera"
)


class CornerSeen(msgspec.Struct, frozen=True, kw_only=True):
    """One marker; figures are None where it is not seen."""

    corner: Corner
    seen: bool
    module_px: float | None = None
    """Camera pixels a module."""
    contrast: float | None = None
    """Grey levels between its white and black."""
    edge_modules: float | None = None
    """How wide its edges are: the focus."""
    corners_px: tuple[Point, ...] = ()
    """Its own TL, TR, BR, BL in the picture."""
    words: str = ""
    """What is wrong with it, the limit and the cure; empty while nothing is."""


class Aiming(msgspec.Struct, frozen=True, kw_only=True):
    """How the camera is aimed now."""

    frame_size_px: tuple[int, int]
    corners: tuple[CornerSeen, ...]
    tank_px: tuple[Point, ...] = ()
    """The tank view's corners TL, TR, BR, BL, where all four markers are seen."""
    light_level: float
    """Median grey level of the tank, or of the whole picture while the tank is not known."""
    clipped_share: float
    """Share of it that is white."""
    noise_levels: float | None = None
    """Standard deviation; None where there was one picture alone."""
    shake_px: float | None = None
    """How far the markers moved between two pictures, at most."""
    faults: tuple[str, ...] = ()
    """What has to be mended before the station can be set up, the most urgent first."""
    advice: tuple[str, ...] = ()
    """What would make it better."""

    @property
    def ready(self) -> bool:
        return not self.faults


def measure(frames: Sequence[Frame], station: str, *, network: bool = False) -> Aiming:
    """`frames`: one or more successive pictures of one size, the newest last; `network`: the camera sends a video."""
    greys = [_grey(frame.image) for frame in frames]
    expected = [f"{station}:{corner}" for corner in CORNERS]
    found = codes.read(greys[-1], expected)
    placed = {marker.corner: marker.corners_px for marker in codes.markers_of(found, station)}
    tank = framing.tank_quad(placed) if len(placed) == len(CORNERS) else None
    corners = tuple(_corner(corner, placed, greys[-1]) for corner in CORNERS)
    light, clipped = _light(greys[-1], tank)
    wrong = marker_faults.of(found, station, greys[-1])
    shake = _shake_px(greys, placed, station)
    noise = noise_levels(greys[-1], greys[-2]) if len(greys) > 1 else None
    return Aiming(
        frame_size_px=(greys[-1].shape[1], greys[-1].shape[0]),
        corners=corners,
        tank_px=() if tank is None else _points(tank),
        light_level=light,
        clipped_share=clipped,
        noise_levels=noise,
        shake_px=shake,
        faults=(*wrong, *_light_faults(light), *_corner_faults(corners, found, station, explained=bool(wrong))),
        advice=(*_light_advice(light, clipped), *_steady_advice(noise, shake), *((CODEC_WORDS,) if network else ())),
    )


def _corner(corner: Corner, placed: dict[Corner, np.ndarray], grey: np.ndarray) -> CornerSeen:
    points = placed.get(corner)
    if points is None:
        return CornerSeen(corner=corner, seen=False, words=_missing_words(corner, placed, grey.shape))
    quality = fitting.print_quality(grey, points)
    module = float(module_px(points, MARKER_MODULES))
    return CornerSeen(
        corner=corner,
        seen=True,
        module_px=round(module, 2),
        contrast=round(quality.contrast, 1),
        edge_modules=round(quality.edge_modules, 3),
        corners_px=_points(points),
        words=_print_words(corner, module, quality),
    )


def _print_words(corner: Corner, module: float, quality: fitting.PrintQuality) -> str:
    """The first thing that is wrong with a marker that is seen."""
    if module < LEAST_MODULE_PX:
        size = f"marker {corner} has {module:.1f} px a module, limit {LEAST_MODULE_PX} px"
        return f"{size}: bring the camera nearer, or print it {LEAST_MODULE_PX / module:.1f} times as large"
    if quality.contrast < LEAST_CONTRAST:
        light = f"marker {corner} is dark or dull: {quality.contrast:.0f} grey levels between black and white"
        return f"{light}, limit {LEAST_CONTRAST:.0f}: give more light or exposure, and avoid glare"
    if quality.edge_modules <= BLURRED_MODULES:
        return ""
    narrow, wide = sorted((quality.across_modules, quality.down_modules))
    limit = f"its edges are {wide:.2f} modules wide, limit {BLURRED_MODULES:.2f}"
    if wide > SMEARED_RATIO * narrow:
        way = "sideways" if quality.across_modules == wide else "up and down"
        return (
            f"marker {corner} is smeared {way}, {limit}: fasten the camera, or shorten the exposure and give more light"
        )
    return f"marker {corner} is blurred, {limit}: turn the focus, clean the lens"


def _missing_words(corner: Corner, placed: dict[Corner, np.ndarray], shape: tuple[int, ...]) -> str:
    outside = _outside(corner, placed, shape)
    if outside:
        return f"marker {corner} lies {outside} the picture: turn the camera there, or move it back"
    return f"marker {corner} is not seen: bring it into the picture, uncover it, and see to size, focus and light"


def _outside(corner: Corner, placed: dict[Corner, np.ndarray], shape: tuple[int, ...]) -> str:
    """On which side a marker lies that the other three place outside; empty where it should be in the picture."""
    if len(placed) != len(CORNERS) - 1:
        return ""
    at = CORNERS.index(corner)
    before, across, after = (placed[CORNERS[(at + step) % 4]] for step in (3, 2, 1))
    guess = before.mean(axis=0) + after.mean(axis=0) - across.mean(axis=0)
    half = float(module_px(across, MARKER_MODULES)) * MARKER_MODULES / 2
    sides = (
        ("left of", guess[0] - half < 0),
        ("right of", guess[0] + half > shape[1] - 1),
        ("above", guess[1] - half < 0),
        ("below", guess[1] + half > shape[0] - 1),
    )
    return " and ".join(side for side, is_there in sides if is_there)


def _corner_faults(
    corners: Sequence[CornerSeen], found: Sequence[Code], station: str, *, explained: bool
) -> tuple[str, ...]:
    """Nothing is said of single markers where none can be seen for one reason."""
    if any(corner.seen for corner in corners):
        return tuple(corner.words for corner in corners if corner.words)
    if explained:
        return ()
    sheets = sheets_seen.seen(found, station)
    if sheets.kind == "other_station":
        name = sheets.stations[0]
        return (f"these are the markers of {name}, not of {station}: take this station's sheet, or name it {name}",)
    return (f"no marker of {station} is seen: point the camera at the tank and see to light and focus",)


def _light(grey: np.ndarray, tank: np.ndarray | None) -> tuple[float, float]:
    """Median level and white share of the tank, or of the whole picture."""
    if tank is None:
        part = grey.ravel()
    else:
        inside = cv2.fillConvexPoly(np.zeros_like(grey), np.round(tank).astype(np.int32), 1)
        part = grey[inside > 0]
    return round(float(np.median(part)), 1), round(float((part >= CLIPPED_LEVEL).mean()), 4)


def _light_faults(level: float) -> tuple[str, ...]:
    if level < BLACK_LEVEL:
        return (f"the picture is black (level {level:.0f}, limit {BLACK_LEVEL:.0f}): check the light and the lens",)
    if level > WHITE_LEVEL:
        return (f"the picture is white (level {level:.0f}, limit {WHITE_LEVEL:.0f}): lower the exposure",)
    return ()


def _light_advice(level: float, clipped: float) -> tuple[str, ...]:
    advice = []
    if BLACK_LEVEL <= level < DARK_LEVEL:
        advice.append(f"the tank is dark (level {level:.0f}, at least {DARK_LEVEL:.0f}): give more light or exposure")
    if BRIGHT_LEVEL < level <= WHITE_LEVEL:
        advice.append(f"the tank is too bright (level {level:.0f}, at most {BRIGHT_LEVEL:.0f}): shorten the exposure")
    elif clipped > CLIPPED_SHARE and level <= WHITE_LEVEL:
        advice.append(
            f"{clipped:.0%} of the tank is white (at most {CLIPPED_SHARE:.0%}), nothing can be seen there: shorten the "
            "exposure, take away reflections"
        )
    return tuple(advice)


def _steady_advice(noise: float | None, shake: float | None) -> tuple[str, ...]:
    advice = []
    if shake is not None and shake > MOVED_PX:
        advice.append(f"the camera shakes by {shake:.1f} px, limit {MOVED_PX:.1f} px: fasten it")
    if noise is not None and noise > NOISY_LEVELS:
        advice.append(
            f"the picture is noisy ({noise:.1f} grey levels, limit {NOISY_LEVELS:.0f}): give more light and less gain"
        )
    return tuple(advice)


def _shake_px(greys: Sequence[np.ndarray], placed: dict[Corner, np.ndarray], station: str) -> float | None:
    """How far a marker moved from the picture before, by the mean of its corners; None where it cannot be told."""
    if len(greys) < 2 or not placed:
        return None
    # Nothing is expected, so that the quick reader alone is asked.
    before: list[Marker] = codes.markers_of(codes.read(greys[-2], ()), station)
    moves = [
        float(np.linalg.norm((placed[marker.corner] - marker.corners_px).mean(axis=0)))
        for marker in before
        if marker.corner in placed
    ]
    return round(max(moves), 2) if moves else None


def _grey(image: np.ndarray) -> np.ndarray:
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)


def _points(points: np.ndarray) -> tuple[Point, ...]:
    return tuple((round(float(x), 2), round(float(y), 2)) for x, y in points)
