"""Heat maps over time -> kymographs: how each upright strip of the tank view glowed, height against time. PURE.

A rising bubble is a slanted line in a kymograph, a leak a row of such lines that all begin at one height.
"""

from collections.abc import Callable
from functools import cache, reduce

import numpy as np

ROWS, STRIPS = 60, 40
"""Cells of a tank view of whatever size: heights from the top, and strips from the left."""
ORIGIN_ROWS = 30
"""Heights at which an origin is looked for."""
STEP_S = 0.1
STEPS = 128
"""Steps of one window; a longer watch is several windows."""
PHASE_STEPS = 0.25
"""Composites come on the grid of the steps, or in the middle between; so far into its step none falls into the next by
a rounding or a camera's jitter, which would leave one step dark and put two composites into another."""
DARK = 0.08
"""A strip that never glowed more holds no bubbles, and no net need look at it."""
MOST_STRIPS = 12
"""The strips that stood out most are looked at: where noise or hands make all glow, the end of a case must not wait."""
WATCHED, GLOW, LEFT, RIGHT, CLOCK, PLAIN = range(6)
"""Planes of a strip's picture: 1 where it was watched; how far it and its neighbours stood out of their ground, in
flickers of the view, as log(1 + x) / 3: a net that is told the glow alone cannot tell a faint line from a noisy ground;
time since immersion; and the strip's glow as it was, 0..1."""
PICTURE = (PLAIN + 1, STEPS, ROWS)
"""Shape of a strip's picture: planes, steps, heights."""
GROUND_FLOOR = 2.0
"""Levels of 255 by which any ground may flicker."""
CLOCK_S = 4.0
"""Time constant with which the clock's plane goes from 0 to 1."""


class Kymograph:
    """Collects the heat of one case and has each window looked at when it is full, and the last one when asked."""

    def __init__(self, look: Callable[[np.ndarray], np.ndarray]) -> None:
        """`look`: (n, *PICTURE) float32 pictures of strips -> (n, ORIGIN_ROWS) log odds of origins."""
        self._look = look
        self._glow = np.zeros((STEPS, ROWS, STRIPS), np.uint8)
        self._watched = np.zeros(STEPS, bool)
        self._window = 0
        self._best = np.full((ORIGIN_ROWS, STRIPS), NEVER, np.float32)

    def add(self, heat: np.ndarray, since_s: float) -> None:
        """`heat`: (h, w) 0..1, at a time that is not before the last."""
        step = int(step_of(since_s))
        if step < self._window * STEPS:
            return
        while step >= (self._window + 1) * STEPS:
            self._best = self.origins()
            self._glow[:], self._watched[:] = 0, False
            self._window = max(self._window + 1, step // STEPS)
        here = step - self._window * STEPS
        self._glow[here] = np.maximum(self._glow[here], cells(heat))
        self._watched[here] = True

    def origins(self) -> np.ndarray:
        """(ORIGIN_ROWS, STRIPS) float32, the highest log odds of each cell in any window; NEVER where no net looked."""
        best = self._best.copy()
        chosen, pictures = strips(self._glow, self._watched, self._window * STEPS * STEP_S)
        if len(chosen):
            best[:, chosen] = np.maximum(best[:, chosen], self._look(pictures).T)
        return best


def step_of(since_s: float | np.ndarray) -> np.ndarray:
    """Seconds since immersion -> int numbers of their steps; an origins net is taught with the same ones."""
    return np.floor(np.asarray(since_s, float) / STEP_S + PHASE_STEPS).astype(int)


NEVER = -8.0
"""Log odds of a strip that never glowed."""


def cells(heat: np.ndarray) -> np.ndarray:
    """(h, w) 0..1 -> (ROWS, STRIPS) uint8, the highest of each cell."""
    height, width = heat.shape
    # Eight times as quick as numpy's reduceat.
    highest = reduce(np.maximum, [heat[rows] for rows in _members(height, ROWS)])
    highest = reduce(np.maximum, [highest[:, columns] for columns in _members(width, STRIPS)])
    return np.rint(np.minimum(np.maximum(highest, 0), 1) * 255).astype(np.uint8)


@cache
def _members(length: int, cells_along: int) -> list[np.ndarray]:
    """Of each cell its first row (or column), its second, ...; a cell that has fewer repeats its last."""
    starts = np.arange(cells_along) * length // cells_along
    lasts = np.maximum(np.append(starts[1:], length) - 1, starts)
    return [np.minimum(starts + number, lasts) for number in range(int((lasts - starts).max()) + 1)]


def strips(glow: np.ndarray, watched: np.ndarray, began_s: float) -> tuple[np.ndarray, np.ndarray]:
    """(n,) the strips that stood out most, at most MOST_STRIPS; (n, *PICTURE) float32 their pictures.

    `glow`: (STEPS, ROWS, STRIPS) uint8, 0 where nobody watched; `watched`: (STEPS,) bool; `began_s`: time since
    immersion at the first step. Fewer than STEPS are taken too.
    """
    upright = np.ascontiguousarray(glow.transpose(2, 0, 1))
    usual, flicker = _ground(glow[watched]) if watched.any() else (glow[0], GROUND_FLOOR)
    ground = np.ascontiguousarray(usual.T)[:, None]
    # Steps that nobody watched are 0, and stay 0.
    above = np.maximum(upright, ground) - ground
    bright = np.flatnonzero(upright.max(axis=(1, 2)) > DARK * 255)
    most = np.argsort(255 - above[bright].max(axis=(1, 2)), kind="stable")[:MOST_STRIPS]
    chosen = bright[np.sort(most)]
    # There are only 256 levels: a table of their logarithms is quicker than a logarithm of each cell.
    told = np.log1p(np.arange(256, dtype=np.uint8) / np.float32(flicker)) / np.float32(3)
    above = np.pad(above, ((1, 1), (0, 0), (0, 0)))
    pictures = np.empty((len(chosen), PICTURE[0], *upright.shape[1:]), np.float32)
    pictures[:, WATCHED] = watched[:, None]
    for plane, beside in ((LEFT, 0), (GLOW, 1), (RIGHT, 2)):
        pictures[:, plane] = told[above[chosen + beside]]
    clock = 1 - np.exp(-(began_s + STEP_S * np.arange(len(watched))) / CLOCK_S)
    pictures[:, CLOCK] = clock[:, None]
    pictures[:, PLAIN] = upright[chosen] / np.float32(255)
    return chosen, pictures


def _ground(glow: np.ndarray) -> tuple[np.ndarray, float]:
    """(n, ROWS, STRIPS) uint8 -> (ROWS, STRIPS) what a cell usually has, and by how much cells of the view flicker.

    The lower quartile, so that a leak's own bubbles are no part of it; of more than some seven a second they are, and
    PLAIN still tells of them.
    """
    lower, upper = len(glow) // 4, 3 * len(glow) // 4
    ordered = np.partition(np.ascontiguousarray(glow.reshape(len(glow), -1).T), (lower, upper), axis=1)
    flicker = float(np.median(ordered[:, upper] - ordered[:, lower])) + GROUND_FLOOR
    return ordered[:, lower].reshape(glow.shape[1:]), flicker
