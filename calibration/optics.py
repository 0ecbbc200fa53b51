"""Mild fish-eye: pixels of a straight camera <-> pixels of one whose lens bends straight lines. PURE.

The picture's own corners stay where they are and its middle grows, so nothing that was painted leaves the picture.
"""

import cv2
import numpy as np

Size = tuple[int, int]
_ROUNDS = 8


def bent(points_px: np.ndarray, size_px: Size, fisheye: float) -> np.ndarray:
    """(n, 2) straight -> (n, 2) as the lens shows them; `fisheye`: share of the scale that is lost at the corners."""
    if not fisheye:
        return points_px
    middle, reach = _middle(size_px)
    away = (points_px - middle) / reach
    radius2 = (away * away).sum(-1, keepdims=True)
    return away * (1 - fisheye * radius2) / (1 - fisheye) * reach + middle


def straightened(points_px: np.ndarray, size_px: Size, fisheye: float) -> np.ndarray:
    """The inverse of `bent`, by fixed-point rounds: exact to 1e-6 px for the mild lenses drawn here."""
    if not fisheye:
        return points_px
    middle, reach = _middle(size_px)
    seen = (points_px - middle) / reach
    away = seen
    for _ in range(_ROUNDS):
        away = seen * (1 - fisheye) / (1 - fisheye * (away * away).sum(-1, keepdims=True))
    return away * reach + middle


def projected(mm_to_straight: np.ndarray, points_mm: np.ndarray, size_px: Size, fisheye: float) -> np.ndarray:
    """(n, 2) mm -> (n, 2) pixels; `mm_to_straight`: (3, 3) of a camera without fish-eye."""
    x, y, w = mm_to_straight @ np.vstack([np.asarray(points_mm, np.float64).T, np.ones(len(points_mm))])
    return bent(np.stack([x / w, y / w], -1), size_px, fisheye)


class Lens:
    """Bends whole layers of one size."""

    def __init__(self, size_px: Size, fisheye: float) -> None:
        self._maps: tuple[np.ndarray, np.ndarray] | None = None
        if fisheye:
            width, height = size_px
            places = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float64)
            sources = straightened(places.reshape(-1, 2), size_px, fisheye).reshape(height, width, 2)
            self._maps = sources[..., 0].astype(np.float32), sources[..., 1].astype(np.float32)

    def bend(self, layer: np.ndarray) -> np.ndarray:
        """(h, w) float32 painted by a straight camera -> as the lens shows it."""
        if self._maps is None:
            return layer
        return cv2.remap(layer, *self._maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _middle(size_px: Size) -> tuple[np.ndarray, float]:
    half = (np.array(size_px, np.float64) - 1) / 2
    return half, float(np.linalg.norm(half))
