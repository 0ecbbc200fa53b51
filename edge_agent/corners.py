"""Codes' corners to a fraction of a pixel: the four outer edges of each are found again and crossed.

Along each side the picture is sampled across the edge wherever the code's border module is dark; the edge lies at the
centre of the slope, which blur and brightness do not move. All codes of a picture are done at once. PURE.
"""

import cv2
import numpy as np

PER_MODULE = (0.35, 0.65)
"""Places along a border module where the edge is measured: away from the module's own ends."""
REACH_MODULES = 0.55
STEP_PX = 0.5
LEAST_POINTS = 6
"""A side with fewer edge points (three dark modules) is not trusted."""
LEAST_CONTRAST = 12.0
FARTHEST_MODULES = 2.5
"""zxing-cpp guesses the corner that has no finder pattern: up to two modules wrong in 1 of 200."""
LARGEST_RESIDUAL_PX = 0.6
OUTSIDE_MODULES = 0.6
QUIET_SHARE = 0.97
ROUNDS = 4
SETTLED_PX = 0.3
"""The next round would move the corners by a small part of this round's move."""


def refine(grey: np.ndarray, corners_px: np.ndarray, modules: int) -> list[np.ndarray | None]:
    """(4, 2) float32 corners TL, TR, BR, BL for each of `corners_px` (m, 4, 2); None where the edges are not clear.

    `grey`: (H, W) uint8. All codes have `modules` a side; the corners given may be wrong by about a module.
    """
    now = corners_px.astype(np.float64)
    for _ in range(ROUNDS):
        before, (now, trusted) = now, _round(grey, now, modules)
        if np.abs(now - before).max() < SETTLED_PX:
            break
    moved = np.linalg.norm(now - corners_px, axis=2).max(axis=1)
    trusted &= moved <= FARTHEST_MODULES * module_px(corners_px, modules)
    trusted &= _framed(grey, now, modules)
    return [quad.astype(np.float32) if good else None for quad, good in zip(now, trusted, strict=True)]


def module_px(corners_px: np.ndarray, modules: int) -> np.ndarray:
    """(...) camera pixels a module by the shortest side of (..., 4, 2) corners."""
    return np.linalg.norm(corners_px - np.roll(corners_px, -1, axis=-2), axis=-1).min(axis=-1) / modules


def _round(grey: np.ndarray, quads: np.ndarray, modules: int) -> tuple[np.ndarray, np.ndarray]:
    """(m, 4, 2) corners nearer the truth, and (m,) whether all four sides of each are clear."""
    starts = quads.reshape(-1, 2)
    sides = np.roll(quads, -1, axis=1).reshape(-1, 2) - starts
    length = np.maximum(np.linalg.norm(sides, axis=1, keepdims=True), 1e-6)
    outwards = np.stack([sides[:, 1], -sides[:, 0]], axis=1) / length
    along = ((np.arange(modules)[:, None] + np.array(PER_MODULE)) / modules).ravel()
    offsets, weights = _edges(grey, starts, sides, outwards, along, modules)
    at_start, at_end, residual = _lines(along, offsets, weights)
    first = starts + outwards * at_start[:, None]
    second = starts + sides + outwards * at_end[:, None]
    clear = ((weights > 0).sum(axis=1) >= LEAST_POINTS) & (residual <= LARGEST_RESIDUAL_PX)
    crossings, crossed = _crossings(first.reshape(-1, 4, 2), second.reshape(-1, 4, 2))
    trusted = clear.reshape(-1, 4).all(axis=1) & crossed
    return np.where(trusted[:, None, None], crossings, quads), trusted


def _edges(
    grey: np.ndarray,
    starts: np.ndarray,
    sides: np.ndarray,
    outwards: np.ndarray,
    along: np.ndarray,
    modules: int,
) -> tuple[np.ndarray, np.ndarray]:
    """(s, p) px by which the edge lies outwards of each place on each side; (s, p) 1 where there is one, else 0."""
    reach = max(1.5, REACH_MODULES * float(np.linalg.norm(sides, axis=1).mean()) / modules)
    across = np.arange(-reach, reach + STEP_PX / 2, STEP_PX)
    places = starts[:, None] + sides[:, None] * along[:, None]
    samples = _sample(grey, places[:, :, None] + outwards[:, None, None] * across[:, None])
    slopes = np.maximum(np.diff(samples, axis=2), 0)
    rise = samples[:, :, -3:].sum(axis=2) - samples[:, :, :3].sum(axis=2)
    contrast = np.sort(rise, axis=1)[:, -LEAST_POINTS, None]
    # A light border module has no slope of the code's contrast: it says nothing of where the edge is.
    weights = (rise > 0.6 * contrast) & (contrast > 3 * LEAST_CONTRAST)
    middles = ((across[:-1] + across[1:]) / 2).astype(np.float32)
    return slopes @ middles / np.maximum(slopes.sum(axis=2), 1e-6), weights.astype(np.float32)


def _lines(along: np.ndarray, offsets: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Offsets of each side's line at its start and end, and the weighted rms residual; outliers lose their weight."""
    centred = along - 0.5
    residuals = np.zeros_like(offsets)
    for spread in (1.0, 1.0, 0.3, 0.3):
        robust = weights / (1 + (residuals / spread) ** 2)
        total = robust.sum(axis=1) + 1e-9
        mean_t, mean_o = (
            robust @ centred / total,
            (robust * offsets).sum(axis=1) / total,
        )
        t = centred[None] - mean_t[:, None]
        slope = (robust * t * offsets).sum(axis=1) / ((robust * t * t).sum(axis=1) + 1e-9)
        level = mean_o - slope * mean_t
        residuals = offsets - level[:, None] - slope[:, None] * centred[None]
    rms = np.sqrt((robust * residuals**2).sum(axis=1) / total)
    return level - slope / 2, level + slope / 2, rms


def _framed(grey: np.ndarray, quads: np.ndarray, modules: int) -> np.ndarray:
    """(m,) whether all four sides have nothing dark just outside: a side that cuts through the code is none."""
    starts = quads.reshape(-1, 2)
    sides = np.roll(quads, -1, axis=1).reshape(-1, 2) - starts
    a_module = np.stack([sides[:, 1], -sides[:, 0]], axis=1) / modules
    along = (np.arange(modules) + 0.5) / modules
    places = starts[:, None] + sides[:, None] * along[:, None]
    across = np.array([-0.5, OUTSIDE_MODULES])
    seen = _sample(grey, places[:, None] + a_module[:, None, None] * across[:, None, None])
    inside, outside = seen[:, 0], seen[:, 1]
    middle = (np.median(outside, axis=1) + inside.min(axis=1)) / 2
    return (outside > middle[:, None]).reshape(len(quads), -1).mean(axis=1) >= QUIET_SHARE


def _sample(grey: np.ndarray, at: np.ndarray) -> np.ndarray:
    """`grey` at (s, ..., 2) x, y, between pixels too; (s, ...) float32."""
    flat = at.astype(np.float32).reshape(len(at), -1, 2)
    seen = cv2.remap(grey, flat[..., 0], flat[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return seen.reshape(at.shape[:-1]).astype(np.float32)


def _crossings(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Corners (m, 4, 2) where each side's line, through `first` and `second`, meets the one before; (m,) if all do."""
    ones = np.ones((*first.shape[:2], 1))
    lines = np.cross(np.concatenate([first, ones], axis=2), np.concatenate([second, ones], axis=2))
    crossings = np.cross(np.roll(lines, 1, axis=1), lines)
    depth = crossings[:, :, 2:]
    safe = np.where(np.abs(depth) > 1e-6, depth, 1.0)
    return crossings[:, :, :2] / safe, (np.abs(depth) > 1e-6).all(axis=(1, 2))
