"""Whether the picture shows anything at all, and the smallest leak that usable seconds could have shown. PURE."""

from math import pi

import numpy as np

from edge_agent.bundle import Sensitivity

BLACK_LEVEL = 10.0
WHITE_LEVEL = 247.0
FROZEN_S = 1.0
MEAN_BUBBLES_NEEDED = {1: 3.00, 2: 4.74, 3: 6.30}
"""Poisson means at which that many bubbles are seen with 95 % probability (Clopper & Pearson's m95)."""


class PictureWatch:
    """Follows thumbnails of the tank view and says what blinds the camera; empty words while nothing does."""

    def __init__(self) -> None:
        self._previous: np.ndarray | None = None
        self._changed_s = 0.0

    def step(self, thumb: np.ndarray, now_s: float) -> str:
        """`thumb`: (24, 32) float32 cell means of the tank view taken at `now_s`."""
        if self._previous is None or now_s < self._changed_s or not np.array_equal(thumb, self._previous):
            self._changed_s = now_s
        self._previous = thumb
        level = float(np.median(thumb))
        if level < BLACK_LEVEL:
            return f"the picture is black (level {level:.0f}, limit {BLACK_LEVEL:.0f}): check the light and the lens"
        if level > WHITE_LEVEL:
            return f"the picture is white (level {level:.0f}, limit {WHITE_LEVEL:.0f}): lower the exposure"
        if now_s - self._changed_s >= FROZEN_S:
            frozen_s = now_s - self._changed_s
            return (
                f"the picture is frozen ({frozen_s:.1f} s without change, limit {FROZEN_S:.0f} s): restart the camera"
            )
        return ""


def smallest_leak_std_cm3_s(px_per_mm: float | None, usable_s: float, sensitivity: Sensitivity) -> float | None:
    """The smallest leak seen with 95 % probability, m95(k) * V_bubble / (r * T); None where that is not known."""
    if px_per_mm is None or usable_s <= 0:
        return None
    diameter_cm = sensitivity.smallest_bubble_px / px_per_mm / 10
    volume_cm3 = pi / 6 * diameter_cm**3
    leak = MEAN_BUBBLES_NEEDED[sensitivity.bubbles_needed] * volume_cm3 / (sensitivity.recall * usable_s)
    return float(f"{leak:.3g}")
