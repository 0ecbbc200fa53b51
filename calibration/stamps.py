"""Bubbles, beads and specks -> grey levels added to a picture, with exact area integration and motion blur.

Every object is sampled at many points of each pixel, of the lens's blur and of the exposure at once (a
low-discrepancy set), so that a bubble of 1.5 px weighs the same wherever it lies between the pixels.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from calibration.bubbles import LOOKS

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
_SIZES = ((4, 48), (9, 24), (28, 12))
"""Half size of a stamp in pixels and samples a pixel: small bubbles decide, so they get the most."""


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """`back`: share of the background's light that a look adds (or takes, negative); `front`: share of the front light.

    Both flat float32 of (6 softnesses, 3 * LOOKS, 3 tilts, 48, 48): bubbles, then beads, then specks.
    """

    back: np.ndarray
    front: np.ndarray


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


def look_index(kind: np.ndarray, look: np.ndarray, tilt: np.ndarray) -> np.ndarray:
    """Row of a look; `kind` as in calibration/bubbles.py, `tilt` -1, 0, 1."""
    family = np.array([0, 0, 0, 1, 2])[kind]
    return (family * LOOKS + look) * _TILTS + tilt + 1


def paint_looks(seed: int) -> Looks:
    """A station's looks: which optics its bubbles show depends on its lamps, so they are drawn by station."""
    rng = np.random.default_rng([seed, 41])
    painters = [_bubble] * LOOKS + [_bead] * LOOKS + [_speck] * LOOKS
    states = rng.integers(2**31, size=len(painters))
    sharp = [
        paint(np.random.default_rng(state), tilt)
        for paint, state in zip(painters, states, strict=True)
        for tilt in (-0.35, 0.0, 0.35)
    ]
    back, front = (np.stack(layers).astype(np.float32) for layers in zip(*sharp, strict=True))
    return Looks(_softened(back).reshape(-1), _softened(front).reshape(-1))


def _softened(looks: np.ndarray) -> np.ndarray:
    """(n, 144, 144) sharp looks over the widest span -> (6, n, 48, 48), each softness over its own span."""
    layers = []
    for soft, span in zip(_SOFT, _SPANS, strict=True):
        cut = round((1 - span / _SPANS[-1]) * _FINE / 2)
        kept = (look[cut : _FINE - cut, cut : _FINE - cut] for look in looks)
        small = [cv2.resize(look, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA) for look in kept]
        cells = float(soft * _SIDE / (2 * span))
        layers.append(np.stack([cv2.GaussianBlur(look, (0, 0), cells) if soft else look for look in small]))
    return np.stack(layers)


def draw(
    picture: np.ndarray, blobs: Blobs, looks: Looks, front_level: float, blur_px: float, hidden: np.ndarray | None
) -> np.ndarray:
    """Adds every blob to `picture` (h, w) float32 in place and returns the strongest grey level of each, (n,) float32.

    `hidden`: (h, w) float32, 1 where the unit covers what is behind it.
    """
    reach = (
        1.1 * blobs.width_px / 2 + np.maximum(np.abs(blobs.blur_x_px), np.abs(blobs.blur_y_px)) / 2 + 2 * blur_px + 0.5
    )
    contrast = np.zeros(blobs.x_px.size, np.float32)
    smaller = 0.0
    for half, samples in _SIZES:
        last = half == _SIZES[-1][0]
        rows = np.flatnonzero((reach > smaller) & ((reach <= half) | last))
        if rows.size:
            contrast[rows] = _draw_group(picture, blobs, rows, half, samples, looks, front_level, blur_px, hidden)
        smaller = half
    return contrast


def _draw_group(
    picture: np.ndarray, blobs: Blobs, rows: np.ndarray, half: int, samples: int,
    looks: Looks, front_level: float, blur_px: float, hidden: np.ndarray | None,
) -> np.ndarray:  # fmt: skip
    """One size of stamp: gathers looks for (n, k, k, samples) points, means over samples, scatters to the picture."""
    height, width = picture.shape
    within_x, within_y, when = _points(samples)
    left, top = (np.round(blobs.x_px[rows]).astype(np.int64) - half, np.round(blobs.y_px[rows]).astype(np.int64) - half)
    steps = np.arange(2 * half + 1)
    columns, lines = left[:, None] + steps, top[:, None] + steps
    soft = _softness(blobs.width_px[rows])
    u = _cells(columns, blobs.x_px[rows], blobs.blur_x_px[rows], blobs.width_px[rows], soft, blur_px, within_x, when)
    v = _cells(lines, blobs.y_px[rows], blobs.blur_y_px[rows], blobs.height_px[rows], soft, blur_px, within_y, when)
    first = (soft * 3 * LOOKS * _TILTS + blobs.look[rows]) * _SIDE * _SIDE
    cells = (v * _SIDE)[:, :, None, :] + u[:, None, :, :] + first[:, None, None, None]
    inside = ((columns >= 0) & (columns < width))[:, None, :] & ((lines >= 0) & (lines < height))[:, :, None]
    at = np.clip(lines, 0, height - 1)[:, :, None] * width + np.clip(columns, 0, width - 1)[:, None, :]
    flat = picture.reshape(-1)
    behind = flat[at]
    change = looks.back[cells].mean(-1) * behind + looks.front[cells].mean(-1) * front_level
    change *= blobs.strength[rows][:, None, None] * inside
    if hidden is not None and blobs.behind[rows].any():
        change *= 1 - blobs.behind[rows][:, None, None] * hidden.reshape(-1)[at]
    np.add.at(flat, at.reshape(-1), change.reshape(-1))
    return np.abs(change).max((1, 2))


def _softness(width_px: np.ndarray) -> np.ndarray:
    """The softest look whose blur is still less than pixel and lens blur a bubble of `width_px` anyway."""
    radius = np.maximum(width_px, 0.2) / 2
    return np.searchsorted(_SOFT, _SOFTEST_PX / radius, side="right") - 1


def _cells(
    places: np.ndarray, centre: np.ndarray, blur: np.ndarray, size: np.ndarray, soft: np.ndarray, lens_px: float,
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


def _grid(tilt: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coordinates of a look's cells in radii, and the distance from the centre, tilted."""
    steps = ((np.arange(_FINE) + 0.5) / _FINE * 2 - 1) * _SPANS[-1]
    x, y = np.meshgrid(steps, steps)
    sheared = y + tilt * x
    return x, y, np.sqrt(x * x * (1 - 0.2 * abs(tilt)) + sheared * sheared)


def _ramp(value: np.ndarray, start: float, end: float) -> np.ndarray:
    share = np.clip((value - start) / (end - start), 0, 1)
    return share * share * (3 - 2 * share)


def _bubble(rng: np.random.Generator, tilt: float) -> tuple[np.ndarray, np.ndarray]:
    """Air in water: dark where back light is bent away, a crescent and glints where front light is thrown back."""
    x, y, r = _grid(tilt)
    body = 1 - _ramp(r, 0.94, 1.03)
    lean = rng.uniform(-0.25, 0.25, 2)
    off = np.sqrt((x - lean[0]) ** 2 + (y - lean[1]) ** 2)
    inner = rng.uniform(0.2, 0.65)
    rim = _ramp(off, inner - 0.12, inner + 0.3)
    depth = rng.uniform(0.65, 1.0)
    core = rng.uniform(-0.05, 0.35) * np.exp(-(off**2) / 0.12)
    back = body * (core - depth * rim)
    side = rng.uniform(0, 2 * np.pi)
    along = x * np.cos(side) + y * np.sin(side)
    crescent = _ramp(r, 0.6, 0.82) * body * np.clip(0.35 + along, 0, 1.2)
    front = rng.uniform(0.2, 0.9) * crescent + rng.uniform(0.02, 0.15) * body
    for _ in range(int(rng.integers(1, 4))):
        where = rng.uniform(-0.55, 0.55, 2)
        front += rng.uniform(0.4, 1.4) * np.exp(-((x - where[0]) ** 2 + (y - where[1]) ** 2) / 0.02) * body
    return back, front


def _bead(rng: np.random.Generator, tilt: float) -> tuple[np.ndarray, np.ndarray]:
    """Bubble-like by intent (the same rim and glint), only its motion tells it apart; some are plain grains."""
    back, front = _bubble(rng, 0.0)
    if rng.random() < 0.4:
        _, y, r = _grid(0.0)
        body = 1 - _ramp(r, 0.9, 1.05)
        return -rng.uniform(0.2, 0.7) * body, body * np.clip(0.3 - 0.5 * y, 0, 1) * rng.uniform(0.2, 0.8)
    return back, front


def _speck(rng: np.random.Generator, tilt: float) -> tuple[np.ndarray, np.ndarray]:
    """Dirt: a ragged dark or light spot."""
    _, _, r = _grid(tilt)
    ragged = cv2.GaussianBlur(rng.normal(0, 1, (_FINE, _FINE)), (0, 0), 7)
    body = 1 - _ramp(r + ragged / ragged.std() * 0.12, 0.7, 1.0)
    return -rng.uniform(0.2, 0.6) * body, rng.uniform(0.05, 0.5) * body
