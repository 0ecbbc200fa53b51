"""Codes in one picture -> in words, what is wrong with the markers themselves: mirrored, there twice, swapped. PURE.

`sheets_seen` judges as on the station; set-up has the picture as well, and the time to look at each code's modules.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from calibration.markers import marker_modules
from edge_agent import sheets_seen
from edge_agent.codes import MARKER_MODULES, Code
from edge_agent.records import CORNERS

MODULE_PX = 6
"""Of a code that is straightened to read its modules."""


def of(found: Sequence[Code], station: str, grey: np.ndarray) -> tuple[str, ...]:
    """What makes it impossible to set the station up with these markers, with its cure; `grey`: (H, W) uint8."""
    own = [code for code in found if code.payload in {f"{station}:{corner}" for corner in CORNERS}]
    upright = [code for code in own if not is_mirrored(code, grey)]
    # A reflection in the glass may show as well; a mirrored picture has nothing else.
    if own and not upright:
        return (sheets_seen.MIRRORED,)
    words = sheets_seen.seen(upright, station).words
    return (words,) if words else ()


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
