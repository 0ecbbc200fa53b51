"""A picture -> the few of its pixels that tell a frozen, noisy or drifting camera, at little cost. PURE."""

from collections import deque
from dataclasses import dataclass
from math import exp, log
from statistics import median

import numpy as np

from edge_agent import quick_median
from edge_agent.records import CameraFault

GLANCE_ROWS = 60
"""So many rows, and columns as far apart: some thousand pixels, whatever the picture's size."""
EXPOSURE_EVERY_S = 1.0
EXPOSURE_LIMIT = 0.25
"""A picture that has become darker or brighter by more than this share is another one than was set up. Flicker, units
and haze move the median of all pixels by less (docs/camera-faults.md)."""
EXPOSURE_LOOKS = 3
"""Looks whose median is believed: a hand before the lens is shorter."""
FOLLOW_S = 600.0
"""Daylight and dirt come more slowly; they are followed."""
SETTLED_S, SETTLED_SHARE = 60.0, 0.05
"""What has stayed within this share for so long is the light from now on."""
DARKEST, BRIGHTEST = 16.0, 208.0
"""Pixels beyond are clipped, or nothing but noise."""
OFFSET_LEVELS = 8.0
"""Of a camera's black: without it small changes of dark pixels would look large."""


@dataclass(frozen=True, slots=True, eq=False)
class Glance:
    """`samples`, `beside`: (rows, columns) uint8, pixels all over the picture and those to their right."""

    samples: np.ndarray
    beside: np.ndarray
    key: int
    """The same for the very same picture, and as good as never for another."""
    level: float
    """Mean grey level."""


def glance_of(image: np.ndarray) -> Glance:
    """`image`: (H, W, 3) uint8 BGR, of which green is taken, or (H, W) uint8 grey."""
    plane = image[..., 1] if image.ndim == 3 else image
    step = max(1, min(plane.shape) // GLANCE_ROWS)
    wide = plane.shape[1] // step * step - (step == 1)
    samples = np.ascontiguousarray(plane[::step, :wide:step])
    beside = np.ascontiguousarray(plane[::step, 1 : wide + 1 : step])
    return Glance(samples, beside, hash(samples.tobytes() + beside.tobytes()), float(samples.mean()))


def noise_between(before: Glance, now: Glance) -> float:
    """Standard deviation of the noise in grey levels, from what changes in one pixel and not in the one beside it."""
    if before.samples.shape != now.samples.shape:
        return 0.0
    change = _difference(now) - _difference(before)
    return float(quick_median.median(np.abs(change).ravel())) * 1.4826 / 2


def _difference(glance: Glance) -> np.ndarray:
    # A quarter of them tells the median as well, at a quarter of the cost.
    return np.subtract(glance.samples[::2, ::2], glance.beside[::2, ::2], dtype=np.int16)


class ExposureWatch:
    """Compares the picture, once a second, with what it usually was: a drift is told before a minute is over."""

    def __init__(self) -> None:
        self._usual: list[np.ndarray] = []
        """(rows, columns) float32: the picture as it usually is, and as it was before that."""
        self._looked_s = float("-inf")
        self._changes: deque[float] = deque(maxlen=EXPOSURE_LOOKS)
        self._settling: tuple[float, np.ndarray] | None = None
        self._fault: CameraFault | None = None

    def step(self, glance: Glance, now_s: float) -> CameraFault | None:
        """What is wrong with the exposure; None while nothing is."""
        if 0 <= now_s - self._looked_s < EXPOSURE_EVERY_S:
            return self._fault
        passed_s, self._looked_s = now_s - self._looked_s, now_s
        samples = glance.samples.astype(np.float32)
        if not self._usual or samples.shape != self._usual[0].shape:
            self._usual, self._fault = [samples], None
            return None
        self._changes.append(min((_change(samples, usual) for usual in self._usual), key=abs))
        change = median(self._changes)
        if abs(exp(change) - 1) <= EXPOSURE_LIMIT:
            self._usual[0] += (samples - self._usual[0]) * min(1.0, max(passed_s, 0.0) / FOLLOW_S)
            self._fault = self._settling = None
        else:
            self._fault = _drifted(change)
            self._settle(samples, now_s)
        return self._fault

    def _settle(self, samples: np.ndarray, now_s: float) -> None:
        if self._settling is None or abs(_change(samples, self._settling[1])) > SETTLED_SHARE:
            self._settling = (now_s, samples)
        elif now_s - self._settling[0] >= SETTLED_S:
            self._usual, self._settling = [samples, self._usual[0]], None
            self._changes.clear()


def _change(samples: np.ndarray, usual: np.ndarray) -> float:
    """Logarithm of how much brighter most pixels are."""
    told = (usual > DARKEST) & (usual < BRIGHTEST)
    if 4 * np.count_nonzero(told) < told.size:
        told = np.ones_like(told)
    ratios = (samples[told] + OFFSET_LEVELS) / (usual[told] + OFFSET_LEVELS)
    return log(max(float(quick_median.median(ratios)), 1e-3))


def _drifted(change: float) -> CameraFault:
    share, way = 100 * abs(exp(change) - 1), "brighter" if change > 0 else "darker"
    fact = f"the picture has become {share:.0f} % {way} (limit {100 * EXPOSURE_LIMIT:.0f} %)"
    return CameraFault("exposure", f"{fact}: switch the camera's automatic exposure off, and check the light")
