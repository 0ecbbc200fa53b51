"""What the picture can show: whether anything at all, how small a bubble, how small a leak. PURE."""

from collections.abc import Sequence
from math import exp, log, pi
from statistics import median

import cv2
import numpy as np

from edge_agent.bundle import RecallCurve, Sensitivity
from edge_agent.records import Visibility

MEAN_BUBBLES_NEEDED = {1: 3.00, 2: 4.74, 3: 6.30}
"""Poisson means at which that many bubbles are seen with 95 % probability (Clopper & Pearson's m95)."""

WORSE = {"noise_levels": 1, "light_levels": -1, "paper_levels": -1, "blur_px": 1, "smear_px": 1, "clarity": -1}
"""Fields of Visibility that decide what is seen: 1 where more is worse, -1 where less is."""
LEAST_READING = 0.02
"""No logarithm is taken of less: clarity 0 is opaque anyway."""
BUBBLE_PX = 0.5, 200.0
"""No curve is believed beyond."""
LEAST_NOISE_LEVELS = 0.5
"""Codecs smooth noise away, and bubbles with it: a picture is never taken to be cleaner."""
LEAST_BLUR_PX = 0.3
BLURRED_ABOUT_PX = 20.0


class VisibilityGauge:
    """Measures one station's tank views: noise, light, and how its markers' print comes out."""

    def __init__(self, markers_px: Sequence[np.ndarray], water: np.ndarray, smear_px: float | None = None) -> None:
        """`markers_px`: (4, 2) corners of each code in the tank view; `water`: (24, 32) bool, cells without them;
        `smear_px`: known from the camera's settings, for a picture of still water does not show it."""
        self._papers = [_box(corners) for corners in markers_px]
        self._water = water
        self._smear_px = smear_px

    def measure(self, grey: np.ndarray, before: np.ndarray, thumb: np.ndarray) -> Visibility:
        """`grey`, `before`: (h, w) uint8 views of one moment and the one before it; `thumb`: cell means of `grey`."""
        noise = noise_levels(grey, before)
        prints = [found for rows, columns in self._papers if (found := _print(grey[rows, columns], noise))]
        contrast, blur = np.median(prints, axis=0).tolist() if prints else (None, None)
        light = float(np.median(thumb[self._water] if self._water.any() else thumb))
        return Visibility(
            noise_levels=noise, light_levels=light, paper_levels=contrast, blur_px=blur, smear_px=self._smear_px
        )


def noise_levels(grey: np.ndarray, before: np.ndarray) -> float:
    """Standard deviation of the noise in each of two successive views, from what changes everywhere."""
    # Against that of a neighbour three pixels on: flicker changes both alike.
    change = cv2.subtract(grey[::3, ::3], before[::3, ::3], dtype=cv2.CV_16S)
    counts = np.bincount(np.abs(change[:, 1:] - change[:, :-1]).ravel(), minlength=256)
    # Changes are whole grey levels: the median is taken as if each were spread evenly over its own.
    upto = np.cumsum(counts)
    half = upto[-1] / 2
    level = int(np.searchsorted(upto, half))
    below = upto[level - 1] if level else 0
    low, wide = (level - 0.5, 1.0) if level else (0.0, 0.5)
    median = low + wide * (half - below) / counts[level]
    return max(LEAST_NOISE_LEVELS, float(median * 1.4826 / 2))


def median_of(seen: Sequence[Visibility], clarity: float | None) -> Visibility | None:
    """Of each quantity the median over a case; None where nothing was measured."""
    if not seen:
        return None
    middles = {name: _median([getattr(one, name) for one in seen]) for name in ("paper_levels", "blur_px", "smear_px")}
    noise, light = (median(getattr(one, name) for one in seen) for name in ("noise_levels", "light_levels"))
    return Visibility(noise_levels=noise, light_levels=light, clarity=clarity, **middles)


def smallest_bubble_px(seen: Visibility | None, sensitivity: Sensitivity) -> float:
    """Diameter in the tank view from which the bundle finds its share of bubbles, in a picture as it was `seen`."""
    curve = sensitivity.curve
    if seen is None or not isinstance(curve, RecallCurve):
        return sensitivity.smallest_bubble_px
    wanted = log(sensitivity.recall / (1 - sensitivity.recall)) - curve.offset + sum(costs(seen, sensitivity).values())
    smallest, largest = map(log, BUBBLE_PX)
    # Before exp: what a damaged clip claims to have measured may be anything.
    return exp(min(max(wanted / curve.size, smallest), largest))


def costs(seen: Visibility | None, sensitivity: Sensitivity) -> dict[str, float]:
    """Field of Visibility -> what it costs against the usual, in logits; negative where it is better than usual. Empty
    where nothing was measured, now or by the bundle's makers."""
    curve, cost = sensitivity.curve, {}
    if seen is None or not isinstance(curve, RecallCurve):
        return {}
    for name, sign in WORSE.items():
        now, usual = getattr(seen, name), getattr(curve.usual, name)
        if now is not None and usual is not None:
            cost[name] = sign * getattr(curve, name) * log(max(now, LEAST_READING) / max(usual, LEAST_READING))
    return cost


def smallest_leak_std_cm3_s(
    px_per_mm: float | None, usable_s: float, sensitivity: Sensitivity, seen: Visibility | None = None
) -> float | None:
    """The smallest leak seen with 95 % probability, m95(k) * V_bubble / (r * T); None where that is not known."""
    if px_per_mm is None or usable_s <= 0:
        return None
    diameter_cm = smallest_bubble_px(seen, sensitivity) / px_per_mm / 10
    volume_cm3 = pi / 6 * diameter_cm**3
    leak = MEAN_BUBBLES_NEEDED[sensitivity.bubbles_needed] * volume_cm3 / (sensitivity.recall * usable_s)
    return float(f"{leak:.3g}")


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _box(corners: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of a code."""
    left, top = (max(0, int(edge)) for edge in np.floor(corners.min(axis=0)))
    right, bottom = (int(edge) for edge in np.ceil(corners.max(axis=0)))
    return slice(top, bottom), slice(left, right)


def _print(paper: np.ndarray, noise: float) -> tuple[float, float] | None:
    """Grey levels between a code's black and white, and the blur of its edges in px; None where it shows no print."""
    if min(paper.shape, default=0) < 21:
        return None
    dark, light = np.percentile(paper[::2, ::2], (5, 95))
    contrast = float(light - dark)
    # Three pixels along an edge are averaged: noise would look like sharpness.
    steepest = [
        float(np.median(np.abs(np.diff(cv2.blur(paper.astype(np.float32), window), axis=axis)).max(axis=axis)))
        for axis, window in ((1, (1, 3)), (0, (3, 1)))
    ]
    slope = sum(steepest) / 2 - noise
    if contrast < 4 * noise or slope <= 0:
        return contrast, BLURRED_ABOUT_PX
    # The steepest slope of a Gaussian edge is contrast / (sqrt(2 pi) blur); a pixel alone blurs by 1 / 12.
    return contrast, float(np.sqrt(max(LEAST_BLUR_PX**2, (contrast / slope) ** 2 / (2 * pi) - 1 / 12)))
