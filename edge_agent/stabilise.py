"""How far a frame has shaken against a still one, in camera pixels: the markers' edges are compared, not the water.

Inverse-compositional Lucas-Kanade (Baker & Matthews 2004) for a shift, its slant and a change of level, over some
hundred strong edge points. The slant: a rolling shutter reads the lower rows later, when the camera is elsewhere. PURE.
"""

import cv2
import numpy as np

from edge_agent.quick_median import median
from edge_agent.station import StationProfile

POINTS = 600
ITERATIONS = 12
SMOOTH_PX = 2.0
"""Standard deviation of the smoothing that makes edges wide enough to be followed over the whole shake."""
KERNEL = cv2.getGaussianKernel(13, SMOOTH_PX, cv2.CV_32F)
"""(13, 1), three standard deviations to either side."""
LEAST_SPREAD = 0.25
"""Standard deviation of the points' rows, in half picture heights, from which on a slant can be told from a shift."""
MOST_ERROR, MOST_ERROR_PX = 5.0, 0.25
"""The median of the upper or of the lower points, once a slant is fitted, in grey levels and in px of their edges: with
more of either something lies before the markers of one height, and the slant would follow it. A shadow of a tenth over
one height does the same: then the shift holds alone."""
LEAST_STRENGTH = 1.0
"""Of an edge, in squared grey levels a pixel: weaker ones may be noise."""
FARTHEST_PX = 12.0
"""A larger answer is no shake: the camera has moved, or the picture has changed."""
USUAL_FRAMES = 60
"""Shake swings many times in so many frames, and a mount drifts by little."""
MOST_DRIFT_PX_S = 0.5
"""Of where pictures usually lie, in each of the four: within a composite it moves by 0.05 px and slants by as much. The
mean of the first few pictures moves by a pixel, and then everything would glow."""


class Stabiliser:
    """Measures the shake of frames against an anchor frame.

    `region`: (H, W) bool, where still, contrasty things are (the markers); None = everywhere.
    """

    def __init__(self, region: np.ndarray | None = None) -> None:
        self._region = region
        self._boxes = _boxes(region)
        self._smooth: np.ndarray | None = None
        self._values: np.ndarray | None = None

    def anchor(self, grey: np.ndarray) -> None:
        """Makes `grey` (H, W) uint8 the frame that the others are measured against."""
        smooth = self._smoothed(grey)
        gx, gy = cv2.Scharr(smooth, cv2.CV_32F, 1, 0) / 32, cv2.Scharr(smooth, cv2.CV_32F, 0, 1) / 32
        strength = gx * gx + gy * gy
        rows, columns = _strongest(strength, self._region)
        self._values = None
        if len(rows) < 40:
            return
        self._xs, self._ys = columns.astype(np.float32), rows.astype(np.float32)
        # No gain: halfway up their edges all points are about equally bright, and a gain fitted to that runs away.
        along, across, level = gx[rows, columns], gy[rows, columns], -np.ones(len(rows))
        depth = self._depth = (self._ys / np.float32(grey.shape[0] / 2) - 1).astype(np.float32)
        jacobian = np.stack([along, across, level, along * depth, across * depth], axis=1)
        self._solve_shift = np.linalg.pinv(jacobian[:, :3]).astype(np.float32)
        self._solve_all = np.linalg.pinv(jacobian).astype(np.float32) if depth.std() > LEAST_SPREAD else None
        self._is_upper = depth < depth.mean()
        self._most_error = min(MOST_ERROR, MOST_ERROR_PX * float(median(np.hypot(along, across))))
        self._values = smooth[rows, columns].astype(np.float32)

    def shake(self, grey: np.ndarray) -> np.ndarray:
        """(4,) x and y at half height: how far the picture lies right of and below the anchor; x and y of the slant:
        how much farther at the lowest row than there. All zero without a usable anchor, and farther than a camera
        shakes; no slant where the markers of one height are hidden.
        """
        if self._values is None:
            return np.zeros(4)
        grey = self._smoothed(grey)
        # The shift alone is found from farther away, and holds where the markers of one height are hidden.
        found, _ = self._fitted(grey, np.zeros(5), self._solve_shift)
        if self._solve_all is not None:
            slanted, errors = self._fitted(grey, found, self._solve_all)
            upper, lower = errors[self._is_upper], errors[~self._is_upper]
            found = slanted if max(median(upper), median(lower)) <= self._most_error else found
        x, y, _, slant_x, slant_y = found
        farthest = np.abs([x, y]) + np.abs([slant_x, slant_y])
        return np.array([x, y, slant_x, slant_y]) if farthest.max() <= FARTHEST_PX else np.zeros(4)

    def _fitted(self, grey: np.ndarray, found: np.ndarray, solve: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """From `found`, x, y, level, x and y of the slant, those of them that `solve` gives steps for; and what is left
        at each point, in grey levels without sign.
        """
        found, steps = found.copy(), len(solve)
        for _ in range(ITERATIONS):
            x, y, level, slant_x, slant_y = found.astype(np.float32)
            seen = _sample(grey, self._xs + x + slant_x * self._depth, self._ys + y + slant_y * self._depth)
            error = seen - level - self._values
            size = np.abs(error)
            # A hand or a unit before an edge is no shake: residuals are capped at three times the median.
            limit = 3 * float(median(size)) + 1.0
            step = solve @ np.minimum(np.maximum(error, -limit), limit)
            found[:steps] -= step
            if np.abs(step).sum() - abs(step[2]) < 0.02:
                break
        return found, size

    def _smoothed(self, grey: np.ndarray) -> np.ndarray:
        """`grey`, smoothed where it is looked at, in a picture that the next call uses again.

        Both frames are: against a smooth anchor the edges of a sharp picture seem to move twice as far as they do.
        """
        if self._smooth is None or self._smooth.shape != grey.shape:
            self._smooth = np.zeros_like(grey)
        for box in self._boxes:
            # A fifth to a third of GaussianBlur's time on a marker. That one is exact to the bit, this one to a level.
            self._smooth[box] = cv2.sepFilter2D(grey[box], -1, KERNEL, KERNEL)
        return self._smooth


class ShakeWatch:
    """How far picture after picture lies beside where the camera usually shows things.

    An anchor is itself taken in mid-shake, and set-up is the mean of many pictures: so what counts is the way from
    where pictures usually lie beside the anchor. Without a station it is the way from the first picture.
    """

    def __init__(self, profile: StationProfile | None) -> None:
        self._profile = profile
        self._stabiliser: Stabiliser | None = None
        self._anchored = False
        self._followed = 0
        """Pictures since the camera was last where it should be."""
        self._usual, self._last = np.zeros(4), np.zeros(4)
        """Where pictures usually lie beside the anchor, and where the last one lay."""
        self._last_s = float("inf")

    def step(self, grey: np.ndarray, monotonic_s: float) -> np.ndarray:
        """(4,) as of `Stabiliser.shake`, of the (h, w) uint8 picture `grey` beside the usual one."""
        if self._stabiliser is None:
            self._stabiliser = Stabiliser(marker_region(self._profile, grey.shape) if self._profile else None)
        if not self._followed:
            self._usual = np.zeros(4)
        shake = self._stabiliser.shake(grey) if self._followed else self._usual
        if not self._anchored:
            self._stabiliser.anchor(grey)
            self._anchored, self._usual, shake = True, self._usual - shake, np.zeros(4)
        self._followed += 1
        # A frozen picture has to stay as it is, or nobody notices: only one that lies elsewhere than the last moves
        # what is usual.
        if self._profile and not np.array_equal(shake, self._last):
            most = MOST_DRIFT_PX_S * max(0.0, monotonic_s - self._last_s)
            step = (shake - self._usual) / min(self._followed, USUAL_FRAMES)
            self._usual = self._usual + np.clip(step, -most, most)
        self._last, self._last_s = shake, monotonic_s
        return shake - self._usual

    def lost(self) -> np.ndarray:
        """This picture is nothing to measure against: it is believed, and the next one begins anew."""
        self._anchored, self._followed = False, 0
        return np.zeros(4)

    def anchor_anew(self) -> None:
        """The next picture becomes the anchor."""
        self._anchored = False


def marker_region(profile: StationProfile, shape: tuple[int, ...]) -> np.ndarray | None:
    """(h, w) bool: where the station's markers are; None = nowhere."""
    region = np.zeros(shape[:2], np.uint8)
    for marker in profile.markers:
        cv2.fillConvexPoly(region, np.int32(np.round(marker.corners_px)), 1)
    return region.astype(bool) if region.any() else None


def _boxes(region: np.ndarray | None) -> list[tuple[slice, slice]]:
    """Around each part of the region, as far as a shake and the smoothing reach."""
    if region is None:
        return [(slice(None), slice(None))]
    reach = int(np.ceil(FARTHEST_PX + 4 * SMOOTH_PX))
    _, _, parts, _ = cv2.connectedComponentsWithStats(region.astype(np.uint8))
    return [
        (slice(max(0, top - reach), top + height + reach), slice(max(0, left - reach), left + width + reach))
        for left, top, width, height, _ in parts[1:].tolist()
    ]


def _strongest(strength: np.ndarray, region: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """The strongest edge point of each 4x4 cell, then the strongest POINTS of those."""
    allowed = strength if region is None else np.where(region, strength, 0)
    height, width = (allowed.shape[0] // 4) * 4, (allowed.shape[1] // 4) * 4
    inner = allowed[:height, :width].copy()
    inner[:8], inner[-8:], inner[:, :8], inner[:, -8:] = 0, 0, 0, 0
    cells = inner.reshape(height // 4, 4, width // 4, 4).transpose(0, 2, 1, 3).reshape(-1, 16)
    where, best = cells.argmax(1), cells.max(1)
    order = np.argsort(best)[::-1][:POINTS]
    order = order[best[order] > LEAST_STRENGTH]
    rows, columns = order // (width // 4) * 4 + where[order] // 4, order % (width // 4) * 4 + where[order] % 4
    return rows, columns


def _sample(grey: np.ndarray, xs: np.ndarray, ys: np.ndarray) -> np.ndarray:
    seen = cv2.remap(grey, xs.reshape(-1, 1), ys.reshape(-1, 1), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return seen.ravel().astype(np.float32)


def undone(shake: np.ndarray, height: int) -> np.ndarray:
    """(3, 3) that takes places in a picture of `height` rows to where they were before it had shaken by `shake`."""
    x, y, slant_x, slant_y = shake
    half = height / 2
    shaken = np.array([[1.0, slant_x / half, x - slant_x], [0.0, 1.0 + slant_y / half, y - slant_y], [0.0, 0.0, 1.0]])
    return np.linalg.inv(shaken)
