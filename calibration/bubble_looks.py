"""Seed -> how bubbles, caps, beads and specks look, as shares of back light, front light and background.

Air in water bends back light away (a dark rim around a lighter middle that shows the background turned round) and
throws front light back (crescents, bright rims, glints). Which of these a camera sees depends on the station's lamps.
"""

from collections.abc import Callable

import cv2
import numpy as np

TILTS = (-0.35, 0.0, 0.35)
Grid = tuple[np.ndarray, np.ndarray, np.ndarray]
"""x, y in radii and the distance from the centre, (n, n) each, sheared by the tilt."""
Painted = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Layers `back`, `front`, `through` as calibration/stamps.py adds them."""
Painter = Callable[[np.random.Generator, Grid], Painted]


def paint_all(seed: int, count: int, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`count` looks of each family in all tilts over `steps` (radii): three (4 * count * 3, n, n) float32 layers."""
    rng = np.random.default_rng([seed, 41])
    painters: list[Painter] = [paint for paint in (_bubble, _cap, _bead, _speck) for _ in range(count)]
    states = rng.integers(2**31, size=len(painters))
    grids = [_grid(steps, tilt) for tilt in TILTS]
    painted = [
        paint(np.random.default_rng(state), grid)
        for paint, state in zip(painters, states, strict=True)
        for grid in grids
    ]
    back, front, through = (np.stack(layers).astype(np.float32) for layers in zip(*painted, strict=True))
    return back, front, through


def _grid(steps: np.ndarray, tilt: float) -> Grid:
    x, y = np.meshgrid(steps.astype(np.float32), steps.astype(np.float32))
    sheared = y + tilt * x
    return x, y, np.sqrt(x * x * (1 - 0.2 * abs(tilt)) + sheared * sheared)


def _ramp(value: np.ndarray, start: float, end: float) -> np.ndarray:
    share = np.clip((value - start) / (end - start), 0, 1)
    return share * share * (3 - 2 * share)


def _bubble(rng: np.random.Generator, grid: Grid) -> Painted:
    """A ball of air; a third of them ringed by a bright edge, as under side light."""
    x, y, r = grid
    body = 1 - _ramp(r, 0.94, 1.03)
    lean = rng.uniform(-0.2, 0.2, 2).tolist()
    off = np.sqrt((x - lean[0]) ** 2 + (y - lean[1]) ** 2)
    inner = rng.uniform(0.3, 0.75)
    rim = _ramp(off, inner - 0.12, inner + rng.uniform(0.08, 0.3))
    dark = rng.uniform(0.7, 1.0)
    core = rng.uniform(-0.1, 0.25) * (1 - rim) + rng.uniform(0, 0.4) * np.exp(-(off**2) / 0.05)
    back = body * (core - dark * rim)
    front = _thrown_back(rng, grid, body)
    if rng.random() < 0.35:
        width = rng.uniform(0.05, 0.14)
        front += rng.uniform(0.3, 1.1) * np.exp(-(((r - 0.9) / width) ** 2)) * body
    if rng.random() < 0.2:
        # A pale ring around the dark one: light that grazes the bubble.
        back += rng.uniform(0.05, 0.2) * np.exp(-(((r - 1.06) / 0.05) ** 2))
    return back, front, body * (1 - rim) * rng.uniform(0.7, 1.0)


def _thrown_back(rng: np.random.Generator, grid: Grid, body: np.ndarray) -> np.ndarray:
    """What front light makes of it: a crescent, a faint body, one to three glints."""
    x, y, r = grid
    side = rng.uniform(0, 2 * np.pi)
    along = x * float(np.cos(side)) + y * float(np.sin(side))
    crescent = _ramp(r, 0.6, 0.82) * body * np.clip(0.35 + along, 0, 1.2)
    front = rng.uniform(0.2, 0.9) * crescent + rng.uniform(0.02, 0.15) * body
    for _ in range(int(rng.integers(1, 4))):
        where, size = rng.uniform(-0.6, 0.6, 2).tolist(), rng.uniform(0.008, 0.03)
        front += rng.uniform(0.4, 1.4) * np.exp(-((x - where[0]) ** 2 + (y - where[1]) ** 2) / size) * body
    return front


def _cap(rng: np.random.Generator, grid: Grid) -> Painted:
    """A spherical cap of more than 8 mm: round above, flat and ragged below."""
    x, y, r = grid
    wave = 0.1 * np.sin(rng.uniform(4, 9) * x + rng.uniform(0, 6)) + 0.05 * np.sin(rng.uniform(12, 20) * x)
    flat = rng.uniform(0.3, 0.7)
    body = (1 - _ramp(r, 0.94, 1.03)) * (1 - _ramp(y + wave, flat - 0.05, flat + 0.05))
    thickness = np.minimum(1 - r, flat - y - wave)
    rim = 1 - _ramp(thickness, 0.03, rng.uniform(0.12, 0.3))
    back = body * (rng.uniform(-0.15, 0.15) * (1 - rim) - rng.uniform(0.6, 1.0) * rim)
    return back, _thrown_back(rng, grid, body), body * (1 - rim) * rng.uniform(0.4, 0.9)


def _bead(rng: np.random.Generator, grid: Grid) -> Painted:
    """Bubble-like by intent (the same rim and glint), only its motion tells it apart; some are plain grains."""
    if rng.random() >= 0.4:
        return _bubble(rng, grid)
    _, y, r = grid
    body = 1 - _ramp(r, 0.9, 1.05)
    lit = body * np.clip(0.3 - 0.5 * y, 0, 1) * rng.uniform(0.2, 0.8)
    return -rng.uniform(0.2, 0.7) * body, lit, np.zeros_like(body)


def _speck(rng: np.random.Generator, grid: Grid) -> Painted:
    """Dirt: a ragged dark or light spot."""
    _, _, r = grid
    ragged = cv2.GaussianBlur(rng.standard_normal(r.shape, np.float32), (0, 0), 5)
    body = 1 - _ramp(r + ragged / ragged.std() * 0.12, 0.7, 1.0)
    return -rng.uniform(0.2, 0.6) * body, rng.uniform(0.05, 0.5) * body, np.zeros_like(body)
