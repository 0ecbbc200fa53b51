"""A tank view -> how clear the water is: 0 opaque, 1 clear. Murky water has to be changed before it hides bubbles."""

import cv2
import numpy as np

from edge_agent.infer import Net

GAUGE_SIZE = (128, 96)
"""Width and height of what a water net sees that does not say so itself."""


class WaterGauge:
    """Reads the clarity of one station's water."""

    def __init__(self, data: bytes) -> None:
        self._net = Net(data, "water", 4)
        height, width = self._net.shape[2:]
        self._size = (width, height) if isinstance(width, int) and isinstance(height, int) else GAUGE_SIZE

    def clarity(self, view_grey: np.ndarray) -> float:
        """`view_grey`: (h, w) uint8 tank view."""
        return float(np.clip(self._net(small_view(view_grey, self._size)[None, None]).ravel()[0], 0.0, 1.0))


def small_view(view_grey: np.ndarray, size: tuple[int, int] = GAUGE_SIZE) -> np.ndarray:
    """(h, w) uint8 -> (96, 128) uint8, or another `size`, width and height."""
    return cv2.resize(view_grey, size, interpolation=cv2.INTER_AREA)
