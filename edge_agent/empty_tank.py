"""The picture of the empty tank -> which share of its cells something takes now. PURE.

It follows light and water, and what was left lying in the tank becomes a part of it; it is then also known without.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np

from edge_agent.quick_median import median

CLEARED_VARIANCE = 9.0
"""Of cells that were all alike, in grey levels squared: more is no noise."""
HAS_CLEARED = 2.0
"""Times the spread of the empty tank's cells. A large unit before a flat background spreads them so too: contrast is
then up to 1.1, as long as the unit takes less than 45 % of the cells."""
SETTLED_SLOPE, SETTLED_LEVELS = 0.003, 0.15
"""A fit that its last round moved by less is done."""
TOUCH_LEVEL = 0.5
"""Of the level from which a cell is taken, though never less than noise allows (`cell_level_least`)."""
EDGE_CELLS = 2
"""One cell may be noise."""


@dataclass(frozen=True, slots=True)
class ImmersionLimits:
    """Limits in shares of the thumbnail's cells, grey levels and seconds."""

    cell_level: float = 7.0
    """A cell that differs by more from the empty tank is taken by something; less where the water is murky."""
    cell_level_least: float = 1.2
    clear_spread: float = 10.0
    """Haze weakens the unit as it weakens the tank's own contrast: the spread of the empty tank's cells, in grey
    levels, against what it was at set-up, or against this where that is not known or more."""
    clear_spread_least: float = 3.0
    """A set-up picture with less was taken in murky water (2 of 30 stations have as little in clear water, twin)."""
    beside_share: float = 0.6
    """Of the difference between two cells side by side: what lies on their border is seen in the other one when the
    picture lies 2 px beside that of set-up."""
    touch_share: float = 0.005
    """Share of taken cells, beyond the usual, from which a unit has touched the water (found by looking back)."""
    unit_share: float = 0.05
    """Share of taken cells that only a unit can have; hysteresis down to half of it."""
    murky_share: float = 0.6
    """Of `unit_share` where nearly nothing is seen: only the darkest parts of a unit stand out of murk."""
    move_level: float = 6.0
    """A cell that changed by more within `move_lag_s` has moved."""
    move_share: float = 0.035
    """A moving unit changes 7 % of the cells and more, the densest column of bubbles 1 % (twin, five stations)."""
    move_lag_s: float = 0.25
    still_s: float = 0.3
    """A unit is at rest after this long without movement."""
    gone_s: float = 0.2
    """The tank is empty after this long without a unit."""
    entry_s: float = 0.4
    """What changed the tank in less time is no unit that was lowered."""
    hazed_contrast: float = 0.6
    """Water that shows so much less of the empty tank's contrast, or more, has changed since that was learned."""
    adapt_s: float = 20.0
    """Time constant with which the picture of the empty tank follows light and water; at first the time since the
    start, for the picture of set-up may be weeks old."""
    adapt_at_first_s: float = 0.5
    remains_share: float = 0.5
    """Of the cells that a unit took: what keeps less of them, at rest, is no longer the unit."""
    remains_s: float = 1.0
    """What stays behind so long after the unit was decided on and moved lies in the tank."""
    remains_undecided_s: float = 10.0
    """The same for a unit without a decision, which may be raised halfway for a look."""
    left_in_s: float = 600.0
    """What rests in the tank for so long belongs to it."""


@dataclass(frozen=True, slots=True, eq=False)
class _Comparison:
    """Cells of water, (n,) each, against an empty tank's. `difference` in grey levels; `beside`: how much of it the
    empty tank's own lines may make; `contrast` of the tank; `cell_level`: from which difference a cell is taken."""

    difference: np.ndarray
    beside: np.ndarray
    contrast: float
    cell_level: float

    def over(self, level: float) -> np.ndarray:
        """(n,) bool: cells that differ by more than `level`, and by more than lines would make."""
        return self.difference > np.maximum(level, self.beside)

    def share_over(self, level: float) -> float:
        """Share of such cells."""
        return np.count_nonzero(self.over(level)) / len(self.difference)


class EmptyTank:
    """`empty`: (24, 32) thumbnail, or None: then the first half second is it.

    `water`: (24, 32) bool, cells that show water.
    """

    def __init__(self, empty: np.ndarray | None, water: np.ndarray, limits: ImmersionLimits) -> None:
        self._limits, self._water = limits, water
        self._empty = None if empty is None else empty.astype(np.float32)
        self.is_guess = empty is None
        """It was learned, and no unit has been seen to come or go yet."""
        known = limits.clear_spread if self._empty is None else _spread(self._empty[water])
        self._clear_spread = float(np.clip(known, limits.clear_spread_least, limits.clear_spread))
        self._pairs_down, self._pairs_across = water[:-1] & water[1:], water[:, :-1] & water[:, 1:]
        self._edge = _edge(water.shape)[water]
        self.edge_is_taken = False
        """Some of the outermost cells are taken."""
        self.touched_share = 0.0
        """Share of the cells that differ by TOUCH_LEVEL of what makes one taken: what comes first is thin or pale."""
        self._before: np.ndarray | None = None
        """Without what lies there now."""
        self._as_before_since_s: float | None = None
        self._cell_level = limits.cell_level
        self.contrast = 1.0
        """Of the tank as it is seen now, against the picture of it."""
        self._adapted_s = 0.0
        self._learned: deque[np.ndarray] = deque(maxlen=15)
        self._first_s: float | None = None

    @property
    def remains(self) -> bool:
        """Something lies in the tank and counts as a part of it."""
        return self._before is not None

    @property
    def weakening(self) -> float:
        """Share of their usual difference that cells show in this water."""
        return self._cell_level / self._limits.cell_level

    @property
    def unit_share(self) -> float:
        """Share of taken cells that only a unit can have, in this water."""
        least = self._limits.murky_share
        return self._limits.unit_share * (least + (1 - least) * self.weakening)

    def knows(self, thumb: np.ndarray, now_s: float, *, moving: bool) -> bool:
        """Whether the empty tank is known; where not, it is learned once nothing moves."""
        if self._empty is not None:
            return True
        self._first_s = now_s if self._first_s is None else self._first_s
        self._learned.append(thumb)
        if now_s - self._first_s >= 0.5 and not moving:
            self._empty = np.median(self._learned, axis=0).astype(np.float32)
        return self._empty is not None

    def taken_share(self, thumb: np.ndarray) -> float:
        """Share of the water's cells that differ from the empty tank, at equal light and haze."""
        assert self._empty is not None
        now, least = self._against(self._empty, thumb), self._limits.cell_level_least
        taken, self.contrast, self._cell_level = now.over(now.cell_level), now.contrast, now.cell_level
        self.touched_share = now.share_over(max(TOUCH_LEVEL * now.cell_level, least))
        self.edge_is_taken = int(np.count_nonzero(taken & self._edge)) >= EDGE_CELLS
        return np.count_nonzero(taken) / len(taken)

    def forget(self) -> None:
        """What was learned was wrong: the empty tank is learned anew."""
        self._empty, self._first_s = None, None
        self._learned.clear()

    def adapt(self, thumb: np.ndarray, passed_s: float) -> None:
        """The tank is empty: its picture follows."""
        assert self._empty is not None
        passed_s = max(passed_s, 0.0)
        self._adapted_s += passed_s
        lasting_s = min(max(self._adapted_s, self._limits.adapt_at_first_s), self._limits.adapt_s)
        self._empty += min(passed_s / lasting_s, 0.2) * (thumb - self._empty)

    def learn(self, thumb: np.ndarray) -> None:
        """This is the empty tank."""
        self._empty, self._before = thumb.copy(), None

    def take_over(self, thumb: np.ndarray) -> None:
        """What is in the tank belongs to it, until it looks as before again."""
        self._before = self._empty if self._before is None else self._before
        self._empty, self._as_before_since_s = thumb.copy(), None

    def is_as_before(self, thumb: np.ndarray, now_s: float) -> bool:
        """What lay there is gone for a moment now: the former picture is the empty tank again."""
        if self._before is None:
            return False
        now = self._against(self._before, thumb)
        if now.share_over(now.cell_level) >= self.unit_share / 2:
            self._as_before_since_s = None
        elif self._as_before_since_s is None:
            self._as_before_since_s = now_s
        if self._as_before_since_s is None or now_s - self._as_before_since_s < self._limits.gone_s:
            return False
        self._empty, self._before = self._before, None
        return True

    def _against(self, empty_view: np.ndarray, thumb: np.ndarray) -> _Comparison:
        """The water's cells of `thumb` beside those of an empty tank, at equal light and haze."""
        seen, empty = thumb[self._water], empty_view[self._water]
        contrast, level = _haze(empty, seen)
        limits = self._limits
        left = max(0.0, contrast * _spread(empty) / self._clear_spread)
        # Steeper than the haze: ripples and lines beside their place must not count, and murk blurs those too.
        cell_level = float(np.clip(left**1.5 * limits.cell_level, limits.cell_level_least, limits.cell_level))
        beside = limits.beside_share * contrast * self._steps(empty_view)
        return _Comparison(np.abs(seen - contrast * empty - level), beside, contrast, cell_level)

    def _steps(self, empty_view: np.ndarray) -> np.ndarray:
        """(n,) grey levels by which each of the water's cells differs from the one beside it that differs most."""
        steps = np.zeros(empty_view.shape, np.float32)
        for axis, pairs in ((0, self._pairs_down), (1, self._pairs_across)):
            step = np.abs(np.diff(empty_view, axis=axis)) * pairs
            first, second = (steps[:-1], steps[1:]) if axis == 0 else (steps[:, :-1], steps[:, 1:])
            np.maximum(first, step, out=first)
            np.maximum(second, step, out=second)
        return steps[self._water]


def _edge(shape: tuple[int, ...]) -> np.ndarray:
    """(24, 32) bool: the outermost cells."""
    edge = np.ones(shape, bool)
    edge[1:-1, 1:-1] = False
    return edge


def _haze(empty: np.ndarray, seen: np.ndarray) -> tuple[float, float]:
    """Contrast and veil (slope and offset) with which the empty tank's cells (n,) are seen now.

    Light that flickers or ages and water that grows murky change all cells alike. The flatter picture is fitted by the
    other: what little contrast a murky one has tells nothing of a clear one's.
    """
    if _variance(seen) > HAS_CLEARED**2 * _variance(empty):
        slope, offset = _fitted(seen, empty)
        return 1 / slope, -offset / slope
    return _fitted(empty, seen)


def _fitted(empty: np.ndarray, seen: np.ndarray) -> tuple[float, float]:
    """Slope and offset of `seen` over `empty`, (n,) each.

    A unit takes some of the cells: the two fifths that fit worst are left out.
    """
    slope, offset = min(max(float(median((seen + 1.0) / (empty + 1.0))), 0.5), 2.0), 0.0
    most = int(0.6 * len(seen))
    for _ in range(4):
        error = np.abs(seen - slope * empty - offset)
        kept = error <= np.partition(error, most)[most]
        x, y = empty[kept], seen[kept]
        variance, before = _variance(x), (slope, offset)
        if variance < 1.0:
            # Nothing to fit a slope to. What has contrast now and had none before is water that has cleared.
            spread = _variance(y)
            slope = float(np.sqrt(spread / max(variance, 0.1))) if spread > CLEARED_VARIANCE else 1.0
            return slope, float(median(y - slope * x))
        covariance = float((x - x.sum() / len(x)) @ y) / len(x)
        slope = min(max(covariance / variance, 0.02), 50.0)
        offset = float(median(y - slope * x))
        if abs(slope - before[0]) < SETTLED_SLOPE and abs(offset - before[1]) < SETTLED_LEVELS:
            break
    return slope, offset


def _spread(values: np.ndarray) -> float:
    """Median of the differences to the median."""
    return float(median(np.abs(values - median(values))))


def _variance(values: np.ndarray) -> float:
    """As numpy's own, which takes three times as long."""
    around = values - values.sum() / len(values)
    return float(around @ around) / len(values)
