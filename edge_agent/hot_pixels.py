"""Hot and dead pixels of the camera -> what those around them show.

They stand still on the sensor. Before a still camera that is no matter; but where the camera shakes and that is undone,
they dance instead of the picture, and look like small bubbles. Lone ones alone are found: a colour sensor's picture
spreads one over its neighbours. PURE.
"""

import cv2
import numpy as np

LOOK_EVERY_S = 0.2
LOOKS, LEAST_LOOKS = 6, 3
"""A pixel that stands out in so many looks in a row is a faulty one: what moves, or is seen by a camera that shakes,
passes on. A known one is there while it stands out in so many of them."""
FORGET_ROUNDS = 50
"""A minute: an arm, a unit or too much light hide a faulty pixel for a while."""
STANDS_OUT = 15
"""Grey levels above the brightest of the eight pixels around it, or below the darkest: more than noise has often. No
thin line does, nor a corner of a marker whose squares have four pixels a side."""
MOST = 500
"""Known pixels; where more stand out it is the scene, a fine pattern before a still camera, and none is learnt."""
FADE_S = 1.0
"""In which a pixel begins to be mended, or ends: at once it would flash in a composite."""
RING = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], np.uint8)


class HotPixels:
    """Knows the faulty pixels of one camera, by pictures that come in order."""

    def __init__(self) -> None:
        self._last = np.empty((0, 0), np.uint8)
        """The last picture that was looked at. One that is frozen has to stay as it is, or nobody notices."""
        self._last_s = self._looked_s = float("-inf")
        self._stood_out, self._looks = np.empty((0, 0), np.uint8), 0
        """(h, w): in how many looks of this round each pixel did."""
        self._places: tuple[np.ndarray, np.ndarray] = (np.empty(0, int), np.empty(0, int))
        """Rows and columns of the known ones, (n,) each."""
        self._weight, self._missed = np.empty(0, np.float32), np.empty(0, int)
        """(n,) How much of each is mended; in how many rounds it was not there."""

    def mended(self, grey: np.ndarray, monotonic_s: float) -> np.ndarray:
        """`grey` (h, w) uint8 with its faulty pixels as those around them; the same array where none is known."""
        if min(grey.shape) < 3:
            return grey
        if self._stood_out.shape != grey.shape:
            # Another camera. What was known may lie outside of this picture.
            self._stood_out, self._looks = np.zeros(grey.shape, np.uint8), 0
            self._let_go(np.zeros(len(self._weight), bool))
        passed_s, self._last_s = max(0.0, monotonic_s - self._last_s), monotonic_s
        is_due = not 0 <= monotonic_s - self._looked_s < LOOK_EVERY_S
        is_fading = bool(np.any(self._weight != self._is_faulty))
        if (is_due or is_fading) and not np.array_equal(grey, self._last):
            self._last = grey
            self._weight = np.clip(self._weight + np.where(self._is_faulty, passed_s, -passed_s) / FADE_S, 0.0, 1.0)
            if is_due:
                self._looked_s = monotonic_s
                self._look(grey)
        if not self._weight.any():
            return grey
        rows, columns = self._places
        mended = grey.copy()
        now = grey[rows, columns].astype(np.float32)
        mended[rows, columns] = np.rint(now + self._weight * (_around(grey, rows, columns) - now))
        return mended

    @property
    def _is_faulty(self) -> np.ndarray:
        """(n,) bool; the others are about to be forgotten."""
        return self._missed < FORGET_ROUNDS

    def _look(self, grey: np.ndarray) -> None:
        hot, dead = cv2.subtract(grey, cv2.dilate(grey, RING)), cv2.subtract(cv2.erode(grey, RING), grey)
        standing = cv2.threshold(cv2.max(hot, dead), STANDS_OUT, 1, cv2.THRESH_BINARY)[1]
        cv2.add(self._stood_out, standing, dst=self._stood_out)
        self._looks += 1
        if self._looks == LOOKS:
            self._end_round()
            self._stood_out[:], self._looks = 0, 0

    def _end_round(self) -> None:
        """Those that were there all the while are learnt, those not seen for long are let go."""
        self._missed = np.where(self._stood_out[self._places] >= LEAST_LOOKS, 0, self._missed + 1)
        self._let_go(self._is_faulty | (self._weight > 0))
        found = self._stood_out == LOOKS
        found[self._places] = False
        if len(self._weight) + np.count_nonzero(found) > MOST:
            return
        rows, columns = np.nonzero(found)
        self._places = np.append(self._places[0], rows), np.append(self._places[1], columns)
        self._weight = np.append(self._weight, np.zeros(len(rows), np.float32))
        self._missed = np.append(self._missed, np.zeros(len(rows), int))

    def _let_go(self, kept: np.ndarray) -> None:
        """All but the `kept` ones, (n,) bool."""
        self._places = self._places[0][kept], self._places[1][kept]
        self._weight, self._missed = self._weight[kept], self._missed[kept]


def _around(grey: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(n,) upper median of the eight pixels around each; beyond the border the picture goes back as in a mirror."""
    last_row, last_column = grey.shape[0] - 1, grey.shape[1] - 1
    beside = [
        grey[last_row - np.abs(last_row - np.abs(rows + y)), last_column - np.abs(last_column - np.abs(columns + x))]
        for y in (-1, 0, 1)
        for x in (-1, 0, 1)
        if x or y
    ]
    # numpy's own median takes five times as long for so few.
    return np.sort(beside, axis=0)[4]
