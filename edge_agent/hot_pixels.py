"""Hot and dead pixels of the camera -> what those around them show.

They stand still on the sensor. Before a still camera that is no matter; but where the camera shakes and that is undone,
they dance instead of the picture, and look like small bubbles. PURE.
"""

import cv2
import numpy as np

LOOK_EVERY_S = 0.2
LOOKS, LEAST_LOOKS = 6, 3
"""A pixel that stands out in so many looks in a row is a faulty one: what moves, or is seen by a camera that shakes,
passes on. A known one stays known while it stands out in so many of them: bubbles and arms cover it now and then."""
STANDS_OUT = 15
"""Grey levels above the brightest of the eight pixels around it, or below the darkest: more than noise has often. No
corner of a marker and no thin line does."""
MOST = 500
"""Pixels; where more stand out it is the scene, a fine pattern before a still camera, and nothing is mended."""
RING = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], np.uint8)
Places = tuple[np.ndarray, ...]
"""Rows and columns, (n,) each."""
NONE: Places = (np.empty(0, int), np.empty(0, int))


class HotPixels:
    """Knows the faulty pixels of one camera, by pictures that come in order."""

    def __init__(self) -> None:
        self._stood_out: np.ndarray | None = None
        """(h, w) uint8: in how many looks of this round each pixel did."""
        self._looks = 0
        self._looked_s = float("-inf")
        self._known = NONE

    def mended(self, grey: np.ndarray, monotonic_s: float) -> np.ndarray:
        """`grey` (h, w) uint8 with its faulty pixels as those around them; the same array where none is known."""
        if self._stood_out is None or self._stood_out.shape != grey.shape:
            self._begin(grey.shape)
            self._known = NONE
        if not 0 <= monotonic_s - self._looked_s < LOOK_EVERY_S:
            self._looked_s = monotonic_s
            self._look(grey)
        rows, columns = self._known
        if not len(rows):
            return grey
        mended = grey.copy()
        mended[rows, columns] = _around(grey, rows, columns)
        return mended

    def _begin(self, shape: tuple[int, ...]) -> None:
        self._stood_out, self._looks = np.zeros(shape, np.uint8), 0

    def _look(self, grey: np.ndarray) -> None:
        assert self._stood_out is not None
        hot, dead = cv2.subtract(grey, cv2.dilate(grey, RING)), cv2.subtract(cv2.erode(grey, RING), grey)
        standing = cv2.threshold(cv2.max(hot, dead), STANDS_OUT, 1, cv2.THRESH_BINARY)[1]
        cv2.add(self._stood_out, standing, dst=self._stood_out)
        self._looks += 1
        if self._looks < LOOKS:
            return
        faulty = self._stood_out == LOOKS
        faulty[self._known] = self._stood_out[self._known] >= LEAST_LOOKS
        self._known = np.nonzero(faulty) if np.count_nonzero(faulty) <= MOST else NONE
        self._begin(grey.shape)


def _around(grey: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(n,) upper median of the eight pixels around each."""
    height, width = grey.shape
    beside = [
        grey[np.clip(rows + y, 0, height - 1), np.clip(columns + x, 0, width - 1)]
        for y in (-1, 0, 1)
        for x in (-1, 0, 1)
        if x or y
    ]
    # numpy's own median takes five times as long for so few.
    return np.sort(beside, axis=0)[4]
