"""Codes in one picture -> in words, what is wrong with the markers themselves: mirrored, there twice, swapped. PURE."""

import re
from collections import Counter
from collections.abc import Sequence

import cv2
import numpy as np

from calibration.markers import marker_modules
from edge_agent.codes import MARKER_MODULES, Code, markers_of
from edge_agent.records import CORNERS
from edge_agent.station import STATION_ID

MODULE_PX = 6
"""Of a code that is straightened to read its modules."""


def of(found: Sequence[Code], station: str, grey: np.ndarray) -> tuple[str, ...]:
    """What makes it impossible to set the station up with these markers, with its cure; `grey`: (H, W) uint8."""
    own = [code for code in found if code.payload in _payloads(station)]
    upright = [code for code in own if not is_mirrored(code, grey)]
    # A reflection in the glass may show as well; a mirrored picture has nothing else.
    if own and not upright:
        return ("the picture is mirrored: switch mirroring off in the camera's settings, or look past the mirror",)
    return (*_twice(upright), *_swapped(upright, station))


def is_mirrored(code: Code, grey: np.ndarray) -> bool:
    """Whether what was printed shows as in a mirror.

    The readers read a reflection too, and say that it is a code turned by 90 degrees: only its modules tell.
    """
    station, _, corner = code.payload.partition(":")
    printed = np.where(marker_modules(station, corner), -1.0, 1.0)  # type: ignore[arg-type]
    side = MARKER_MODULES
    square = np.array([[0, 0], [side, 0], [side, side], [0, side]], np.float32) * MODULE_PX
    place = cv2.getPerspectiveTransform(code.corners_px.astype(np.float32), square)
    straight = cv2.warpPerspective(grey, place, (side * MODULE_PX, side * MODULE_PX))
    seen = cv2.resize(straight.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA)
    seen -= seen.mean()
    # Finder patterns look the same both ways: what is left decides.
    return bool((seen * (printed.T - printed)).sum() > 0)


def other_stations(found: Sequence[Code], station: str) -> tuple[str, ...]:
    """Ids of other stations whose markers are in the picture."""
    parts = [code.payload.partition(":") for code in found]
    return tuple(
        sorted(
            {
                name
                for name, _, corner in parts
                if name != station and corner in CORNERS and re.fullmatch(STATION_ID, name)
            }
        )
    )


def _twice(own: Sequence[Code]) -> tuple[str, ...]:
    twice = sorted(payload for payload, count in Counter(code.payload for code in own).items() if count > 1)
    if not twice:
        return ()
    return (f"two sheets are in view: {', '.join(twice)} shows twice: take away the one that is not on the tank",)


def _swapped(own: Sequence[Code], station: str) -> tuple[str, ...]:
    """Glued on the wrong corner: the four do not go round the tank in their order."""
    places = {marker.corner: marker.corners_px.mean(axis=0) for marker in markers_of(own, station)}
    if len(places) < len(CORNERS):
        return ()
    middles = np.array([places[corner] for corner in CORNERS])
    sides = np.roll(middles, -1, axis=0) - middles
    following = np.roll(sides, -1, axis=0)
    if (sides[:, 0] * following[:, 1] - sides[:, 1] * following[:, 0] > 0).all():
        return ()
    return ("markers are on the wrong corners: top left, top right, bottom right, bottom left is how they go round",)


def _payloads(station: str) -> set[str]:
    return {f"{station}:{corner}" for corner in CORNERS}
