"""A frame -> how probably each lamp is lit. `decision` debounces the readings over time."""

import cv2
import numpy as np

from edge_agent.bundle import Thresholds
from edge_agent.infer import Net
from edge_agent.records import Frame
from edge_agent.station import Lamp

CROP_PX = 24
MARGIN = 0.3
"""Of a lamp's size, on each side: a lamp that moved a little is still in the crop, and its housing shows the light."""


class LampReader:
    """Reads the lamps of one station, all in one run of the net."""

    def __init__(self, data: bytes, lamps: tuple[Lamp, ...], thresholds: Thresholds) -> None:
        self._net = Net(data, "lamps", 4)
        self._lamps = lamps
        self.lit_above = thresholds.lamp_lit_above

    def read(self, frame: Frame) -> dict[str, float]:
        """Lamp meaning ("ok", "leak") -> probability that it is lit; empty for a station without lamps."""
        if not self._lamps:
            return {}
        crops = np.stack([crop(frame.image, lamp.rect_px) for lamp in self._lamps])
        lit = self._net(crops).ravel()
        return {lamp.means: float(probability) for lamp, probability in zip(self._lamps, lit, strict=True)}


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
