"""A frame -> what each lamp's picture shows: dark, lit or unreadable. `decision` debounces the readings over time."""

import cv2
import numpy as np

from edge_agent.errors import ModelError
from edge_agent.infer import Net
from edge_agent.lamp_reading import CROP_PX, MARGIN, LampReading
from edge_agent.records import Frame
from edge_agent.station import Lamp

LEAST_SHARE = 0.5
"""Less of a lamp than this in the picture, and nobody can read it."""
UNSEEN = LampReading(0.0, 0.0, 1.0)


class LampReader:
    """Reads the lamps of one station, all in one run of the net."""

    def __init__(self, data: bytes, lamps: tuple[Lamp, ...]) -> None:
        self._net = Net(data, "lamps", 4)
        self._lamps = lamps

    def read(self, frame: Frame) -> dict[str, LampReading]:
        """Lamp meaning ("ok", "leak") -> what its picture shows; empty for a station without lamps."""
        if not self._lamps:
            return {}
        crops = np.stack([crop(frame.image, lamp.rect_px) for lamp in self._lamps])
        readings = _readings(self._net(crops), crops)
        shape = frame.image.shape
        return {
            lamp.means: reading if _share_inside(shape, lamp.rect_px) >= LEAST_SHARE else UNSEEN
            for lamp, reading in zip(self._lamps, readings, strict=True)
        }


def crop(image: np.ndarray, rect_px: tuple[int, int, int, int]) -> np.ndarray:
    """(3, 24, 24) uint8 BGR of the lamp in `rect_px` with its margin, as far as it is in the picture."""
    x, y, width, height = rect_px
    x0, y0 = max(0, round(x - MARGIN * width)), max(0, round(y - MARGIN * height))
    part = image[y0 : max(0, round(y + (1 + MARGIN) * height)), x0 : max(0, round(x + (1 + MARGIN) * width))]
    if part.size == 0:
        return np.zeros((3, CROP_PX, CROP_PX), np.uint8)
    if part.ndim == 2:
        part = cv2.cvtColor(part, cv2.COLOR_GRAY2BGR)
    return cv2.resize(part, (CROP_PX, CROP_PX), interpolation=cv2.INTER_AREA).transpose(2, 0, 1)


def _readings(answer: np.ndarray, crops: np.ndarray) -> list[LampReading]:
    """(n, 3) dark, lit, unreadable, and what was asked about, (n, 3, 24, 24) uint8 -> readings."""
    if answer.ndim != 2 or answer.shape[1] != 3:
        raise ModelError(f"the lamps net gives {answer.shape}, 3 columns are needed: use another bundle")
    sure = zip(*answer.T.tolist(), crops, strict=True)
    return [LampReading(dark, lit, unreadable, asked) for dark, lit, unreadable, asked in sure]


def _share_inside(shape: tuple[int, ...], rect_px: tuple[int, int, int, int]) -> float:
    """Share of the lamp's rectangle that is in a picture of this shape."""
    x, y, width, height = rect_px
    across = min(x + width, shape[1]) - max(x, 0)
    down = min(y + height, shape[0]) - max(y, 0)
    return max(0, across) * max(0, down) / (width * height)
