"""Bubbles, beads and specks -> grey levels added to a picture, with exact area integration and motion blur.

Every object is sampled at many points of each pixel, of the lens's blur and of the exposure at once (a
low-discrepancy set), so that a bubble of 1.5 px weighs the same wherever it lies between the pixels.
"""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from calibration.bubble_looks import paint_all
from calibration.movers import LOOKS

_SIDE = 48
"""Resolution of a look."""
_SOFT = np.array([0.0, 0.12, 0.2, 0.3, 0.45, 0.9])
"""Each look is kept at several softnesses (Gaussian, in radii): part of the lens's blur is done before sampling."""
_SPANS = 1.2 + 2.6 * _SOFT
"""A softened look spans -span..span radii."""
_SOFTEST_PX = 0.4
_FINE = 144
"""Resolution at which looks are painted, over the widest span."""
_TILTS = 3
_FAMILIES = 4
_REFRACTING_HALF_PX = 9
"""In smaller stamps nobody sees what a bubble shows of its background."""
_SIZES = ((4, 48), (9, 24), (28, 12), (60, 6))
"""Half size of a stamp in pixels and samples a pixel: small bubbles decide, so they get the most."""


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """`back`: share of the background's light that a look adds (or takes, negative); `front`: share of the front light;
    `through`: share of the background that is seen upside down and turned round, as by a ball of air.

    Each flat float32 of (6 softnesses, 4 * LOOKS, 3 tilts, 48, 48): bubbles, caps, beads, specks.
    """

    back: np.ndarray
    front: np.ndarray
    through: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Blobs:
    """What to draw: (n,) float32 each, camera pixels; `look` int64 as `look_index` gives it."""

    x_px: np.ndarray
    y_px: np.ndarray
    width_px: np.ndarray
    height_px: np.ndarray
    blur_x_px: np.ndarray
    blur_y_px: np.ndarray
    strength: np.ndarray
    look: np.ndarray
    behind: np.ndarray
    soft_px: np.ndarray
    """Blur of lens and defocus, standard deviation."""


def look_index(kind: np.ndarray, look: np.ndarray, tilt: np.ndarray) -> np.ndarray:
    """Row of a look; `kind` as in calibration/bubbles.py, `tilt` -1, 0, 1."""
    family = np.array([0, 0, 0, 2, 3])[kind]
    return (family * LOOKS + look) * _TILTS + tilt + 1


@lru_cache(maxsize=1)
def paint_looks(seed: int) -> Looks:
    """A station's looks: which optics its bubbles show depends on its lamps, so they are drawn by station. Kept, for a
    recording's profile and its camera both ask: nobody writes into them."""
    steps = ((np.arange(_FINE) + 0.5) / _FINE * 2 - 1) * _SPANS[-1]
    empty = int(np.count_nonzero(steps < -_SPANS[0]))  # nothing is painted beyond the narrowest span
    layers = paint_all(seed, LOOKS, steps[empty : _FINE - empty])
    wide = (np.pad(layer, ((0, 0), (empty, empty), (empty, empty))) for layer in layers)
    return Looks(*(_softened(layer).reshape(-1) for layer in wide))


def _softened(sharp: np.ndarray) -> np.ndarray:
    """(n, 144, 144) sharp looks over the widest span -> (6, n, 48, 48), each softness over its own span."""
    layers = []
    for soft, span in zip(_SOFT, _SPANS, strict=True):
        cut = round((1 - span / _SPANS[-1]) * _FINE / 2)
        kept = (look[cut : _FINE - cut, cut : _FINE - cut] for look in sharp)
        small = [cv2.resize(look, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA) for look in kept]
        cells = float(soft * _SIDE / (2 * span))
        blurred = (cv2.GaussianBlur(look, (0, 0), cells) if soft and look.any() else look for look in small)
        layers.append(np.stack(list(blurred)))
    return np.stack(layers)


def draw(picture: np.ndarray, blobs: Blobs, looks: Looks, front_level: float, hidden: np.ndarray | None) -> np.ndarray:
    """Adds every blob to `picture` (h, w) float32 in place and returns the strongest grey level of each, (n,) float32.

    `hidden`: (h, w) float32, 1 where the unit covers what is behind it.
    """
    smear = np.maximum(np.abs(blobs.blur_x_px), np.abs(blobs.blur_y_px)) / 2
    reach = 1.1 * blobs.width_px / 2 + smear + 2 * blobs.soft_px + 0.5
    contrast = np.zeros(blobs.x_px.size, np.float32)
    smaller = 0.0
    for half, samples in _SIZES:
        last = half == _SIZES[-1][0]
        rows = np.flatnonzero((reach > smaller) & ((reach <= half) | last))
        if rows.size:
            contrast[rows] = _draw_group(picture, blobs, rows, half, samples, looks, front_level, hidden)
        smaller = half
    return contrast


def _draw_group(
    picture: np.ndarray, blobs: Blobs, rows: np.ndarray, half: int, samples: int,
    looks: Looks, front_level: float, hidden: np.ndarray | None,
) -> np.ndarray:  # fmt: skip
    """One size of stamp: gathers looks for (n, k, k, samples) points, means over samples, scatters to the picture."""
    height, width = picture.shape
    left, top = (np.round(blobs.x_px[rows]).astype(np.int64) - half, np.round(blobs.y_px[rows]).astype(np.int64) - half)
    steps = np.arange(2 * half + 1)
    columns, lines = left[:, None] + steps, top[:, None] + steps
    cells = _cells_of(blobs, rows, columns, lines, samples)
    inside = ((columns >= 0) & (columns < width))[:, None, :] & ((lines >= 0) & (lines < height))[:, :, None]
    at = np.clip(lines, 0, height - 1)[:, :, None] * width + np.clip(columns, 0, width - 1)[:, None, :]
    flat = picture.reshape(-1)
    behind = flat[at]
    change = looks.back[cells].mean(-1) * behind + looks.front[cells].mean(-1) * front_level
    if half >= _REFRACTING_HALF_PX:
        # The stamp is centred on the bubble: turned round, it holds what the bubble shows of the background.
        change += looks.through[cells].mean(-1) * (behind[:, ::-1, ::-1] - behind)
    change *= blobs.strength[rows][:, None, None] * inside
    if hidden is not None and blobs.behind[rows].any():
        change *= 1 - blobs.behind[rows][:, None, None] * hidden.reshape(-1)[at]
    np.add.at(flat, at.reshape(-1), change.reshape(-1))
    return np.abs(change).max((1, 2))


def _cells_of(blobs: Blobs, rows: np.ndarray, columns: np.ndarray, lines: np.ndarray, samples: int) -> np.ndarray:
    """(n, k, k, samples) int64: the cells of the looks that each pixel sees."""
    within_x, within_y, when = _points(samples)
    soft = _softness(blobs.width_px[rows])
    lens = blobs.soft_px[rows]
    u = _cells(columns, blobs.x_px[rows], blobs.blur_x_px[rows], blobs.width_px[rows], soft, lens, within_x, when)
    v = _cells(lines, blobs.y_px[rows], blobs.blur_y_px[rows], blobs.height_px[rows], soft, lens, within_y, when)
    first = (soft * _FAMILIES * LOOKS * _TILTS + blobs.look[rows]) * _SIDE * _SIDE
    return (v * _SIDE)[:, :, None, :] + u[:, None, :, :] + first[:, None, None, None]


def _softness(width_px: np.ndarray) -> np.ndarray:
    """The softest look whose blur is still less than pixel and lens blur a bubble of `width_px` anyway."""
    radius = np.maximum(width_px, 0.2) / 2
    return np.searchsorted(_SOFT, _SOFTEST_PX / radius, side="right") - 1


def _cells(
    places: np.ndarray, centre: np.ndarray, blur: np.ndarray, size: np.ndarray, soft: np.ndarray, lens_px: np.ndarray,
    within: np.ndarray, when: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """(n, k) pixel places -> (n, k, samples) int64 cells of a look along one axis."""
    radius = np.maximum(size, 0.2) / 2
    spread = np.sqrt(np.maximum(1 / 12 + lens_px**2 - (_SOFT[soft] * radius) ** 2, 0.01))
    offset = within * spread[:, None] + blur[:, None] * when + centre[:, None]
    scale = (_SIDE / (2 * _SPANS[soft]) / radius)[:, None, None]
    cells = (places[:, :, None] - offset[:, None, :]) * scale + _SIDE / 2
    return np.clip(cells, 0, _SIDE - 1).astype(np.int64)


def _points(samples: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Low-discrepancy points (R3 sequence): x and y of mean 0 and deviation 1, time over the exposure, -0.5..0.5."""
    ratio = 1.22074408460575947536
    steps = (0.5 + np.outer(np.arange(1, samples + 1), ratio ** -np.arange(1.0, 4.0))) % 1.0
    x, y = (_normal(steps[:, axis]) for axis in (0, 1))
    return (x - x.mean()) / x.std(), (y - y.mean()) / y.std(), steps[:, 2] - steps[:, 2].mean()


def _normal(share: np.ndarray) -> np.ndarray:
    """Inverse normal distribution (Tukey's lambda, within 0.01 for the shares used)."""
    return (share**0.1349 - (1 - share) ** 0.1349) / 0.1975
