"""A tank view -> how clear the water is: 0 opaque, 1 clear. Murky water has to be changed before it hides bubbles."""

import cv2
import numpy as np

from edge_agent.infer import Net

GAUGE_SIZE = (64, 48)
"""Width and height of what the water net sees."""


class WaterGauge:
    """Reads the clarity of one station's water."""

    def __init__(self, data: bytes) -> None:
        self._net = Net(data, "water", 4)

    def clarity(self, view_grey: np.ndarray) -> float:
        """`view_grey`: (h, w) uint8 tank view."""
        return float(np.clip(self._net(small_view(view_grey)[None, None]).ravel()[0], 0.0, 1.0))


def small_view(view_grey: np.ndarray) -> np.ndarray:
    """(h, w) uint8 -> (48, 64) uint8."""
    return cv2.resize(view_grey, GAUGE_SIZE, interpolation=cv2.INTER_AREA)
