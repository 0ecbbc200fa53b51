"""Thumbnails of the tank view over time -> which phase of an immersion this is, and when it began. PURE.

A unit is large and still, bubbles are small: on a (24, 32) thumbnail a unit changes whole cells against the empty
tank, and moving shows as cells that differ from a quarter of a second ago.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import cv2
import numpy as np

from edge_agent.records import Phase

THUMB_SIZE = (32, 24)
CLEARED_VARIANCE = 9.0
"""Of cells that were all alike, in grey levels squared: more is no noise."""
PAPER = 0.2
"""Of a marker's side: the quiet zone around it."""


@dataclass(frozen=True, slots=True)
class ImmersionLimits:
    """Limits in shares of the thumbnail's cells, grey levels and seconds."""

    cell_level: float = 7.0
    """A cell that differs by more from the empty tank is taken by something; less where the water is murky."""
    cell_level_least: float = 1.8
    cell_level_per_contrast: float = 0.7
    """Haze weakens the unit as it weakens the tank's own contrast (spread of the empty tank's cells)."""
    touch_share: float = 0.008
    """Share of taken cells from which a unit has touched the water (found by looking back)."""
    unit_share: float = 0.05
    """Share of taken cells that only a unit can have; hysteresis down to half of it."""
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
    """Time constant with which the picture of the empty tank follows light and water."""


@dataclass(frozen=True, slots=True)
class Immersion:
    """What is known of the unit now. Times are capture times; None = has not happened."""

    phase: Phase
    entered_s: float | None = None
    settled_s: float | None = None
    left_s: float | None = None
    moving: bool = False


def thumbnail(view_grey: np.ndarray) -> np.ndarray:
    """(h, w) uint8 tank view -> (24, 32) float32 of cell means."""
    # Area averaging of the whole view costs most of the budget; every second row and column says the same.
    # In float, for whole grey levels are too coarse where the water is murky.
    return cv2.resize(view_grey[::2, ::2].astype(np.float32), THUMB_SIZE, interpolation=cv2.INTER_AREA)


class Immersions(Protocol):
    """What follows the immersions: the picture (ImmersionWatch) or the line's word (TriggeredImmersions)."""

    told: bool
    """The line tells; a picture that shows nothing does not stop it."""

    def step(self, thumb: np.ndarray, now_s: float, *, decided: bool = False) -> Immersion: ...


class TriggeredImmersions:
    """An immersion begins with `trigger` and ends with the next one or with the decision.

    From the picture it takes only whether the unit is at rest.
    """

    told = True

    def __init__(self, limits: ImmersionLimits | None = None) -> None:
        self._limits = limits or ImmersionLimits()
        self._movement = _Movement(self._limits)
        self._triggered = False
        self._still_since: float | None = None
        self._now = Immersion("empty")

    def trigger(self) -> None:
        """A unit is in the water: the next step begins its immersion. May be called from another thread."""
        self._triggered = True

    def step(self, thumb: np.ndarray, now_s: float, *, decided: bool = False) -> Immersion:
        """The state after the thumbnail `thumb` taken at `now_s`; `decided` ends the immersion."""
        moving = self._movement.step(thumb, now_s, self._limits.move_level)
        if self._triggered:
            self._triggered = False
            self._still_since = None
            self._now = Immersion("entering", entered_s=now_s)
        elif decided and self._now.entered_s is not None:
            self._now = Immersion("empty", left_s=now_s)
        self._still_since = None if moving else (now_s if self._still_since is None else self._still_since)
        self._now = replace(self._resting(now_s), moving=moving)
        return self._now

    def _resting(self, now_s: float) -> Immersion:
        now, since_s = self._now, self._still_since
        if now.entered_s is None:
            return now
        resting = since_s is not None and now_s - since_s >= self._limits.still_s
        if now.settled_s is None:
            return replace(now, phase="watching", settled_s=since_s) if resting else now
        return replace(now, phase="watching" if resting else "leaving")


class ImmersionWatch:
    """Follows one station. `empty`: (24, 32) thumbnail of the empty tank, or None: then the first half second is it.

    `water`: (24, 32) bool, cells that show water; the markers are on the glass, before all haze. None = all.
    """

    told = False

    def __init__(
        self, empty: np.ndarray | None, water: np.ndarray | None = None, limits: ImmersionLimits | None = None
    ) -> None:
        self._limits = limits or ImmersionLimits()
        self._water = np.ones(THUMB_SIZE[::-1], bool) if water is None else water
        self._empty = None if empty is None else empty.astype(np.float32)
        self._cell_level = self._limits.cell_level
        self._contrast = 1.0
        self._learned: deque[np.ndarray] = deque(maxlen=15)
        self._first_s: float | None = None
        self._movement = _Movement(self._limits)
        self._shares: deque[tuple[float, float]] = deque(maxlen=240)
        self._still_since: float | None = None
        self._free_since: float | None = None
        self._last_s: float | None = None
        self._now = Immersion("empty")

    def step(self, thumb: np.ndarray, now_s: float, *, decided: bool = False) -> Immersion:
        """The state after the thumbnail `thumb` taken at `now_s`; `decided` = the inspector's lamp is lit or was."""
        limits = self._limits
        moving = self._movement.step(thumb, now_s, limits.move_level * self._cell_level / limits.cell_level)
        if not self._knows_empty(thumb, now_s, moving=moving):
            return self._now
        share = self._taken_share(thumb)
        self._shares.append((now_s, share))
        self._adapt(thumb, now_s, share)
        self._still_since = None if moving else (now_s if self._still_since is None else self._still_since)
        if self._water_has_changed(now_s):
            self._empty = thumb.copy()
            self._now = Immersion("empty")
        else:
            self._now = replace(self._advance(share, now_s, decided=decided), moving=moving)
        self._last_s = now_s
        return self._now

    def _water_has_changed(self, now_s: float) -> bool:
        """The tank looks taken, its contrast is far from what it was, and nothing large has moved: murk, no unit."""
        now, limits, since_s = self._now, self._limits, self._still_since
        return (
            now.phase == "entering"
            and since_s is not None
            and now_s - since_s >= limits.still_s
            and self._movement.lasted_s < limits.entry_s
            and not limits.hazed_contrast < self._contrast < 1 / limits.hazed_contrast
        )

    def _advance(self, share: float, now_s: float, *, decided: bool) -> Immersion:
        now, limits = self._now, self._limits
        if now.entered_s is None or now.left_s is not None:
            if share < limits.unit_share:
                return Immersion("empty", left_s=now.left_s)
            touched_s = self._looking_back(limits.touch_share, now_s)
            return Immersion("entering", entered_s=touched_s if now.left_s is None else max(touched_s, now.left_s))
        if share >= limits.unit_share / 2:
            self._free_since = None
        elif self._free_since is None:
            self._free_since = now_s
        if self._free_since is not None and now_s - self._free_since >= limits.gone_s:
            left_s, self._free_since = self._free_since, None
            return replace(now, phase="empty", left_s=left_s)
        resting = self._still_since is not None and now_s - self._still_since >= limits.still_s
        if now.settled_s is None:
            return replace(now, phase="watching", settled_s=self._still_since) if resting else now
        if decided:
            return replace(now, phase="decided" if resting else "leaving")
        return replace(now, phase="watching" if resting else "leaving")

    def _looking_back(self, share: float, now_s: float) -> float:
        """When the taken share last rose above `share`: the unit touched the water before enough of it was seen."""
        began_s = now_s
        for at_s, was in reversed(self._shares):
            if was < share or now_s - at_s > 3.0:
                break
            began_s = at_s
        return began_s

    def _taken_share(self, thumb: np.ndarray) -> float:
        assert self._empty is not None
        seen, empty = thumb[self._water], self._empty[self._water]
        contrast, level = _haze(empty, seen)
        self._contrast = contrast
        limits = self._limits
        spread = contrast * float(np.median(np.abs(empty - np.median(empty))))
        self._cell_level = float(
            np.clip(limits.cell_level_per_contrast * spread, limits.cell_level_least, limits.cell_level)
        )
        return float((np.abs(seen - contrast * empty - level) > self._cell_level).mean())

    def _knows_empty(self, thumb: np.ndarray, now_s: float, *, moving: bool) -> bool:
        if self._empty is not None:
            return True
        self._first_s = now_s if self._first_s is None else self._first_s
        self._learned.append(thumb)
        if now_s - self._first_s >= 0.5 and not moving:
            self._empty = np.median(self._learned, axis=0).astype(np.float32)
        return self._empty is not None

    def _adapt(self, thumb: np.ndarray, now_s: float, share: float) -> None:
        if self._last_s is None or self._now.phase != "empty" or share >= self._limits.touch_share:
            return
        assert self._empty is not None
        weight = min(max(now_s - self._last_s, 0.0) / self._limits.adapt_s, 0.2)
        self._empty += weight * (thumb - self._empty)


class _Movement:
    """Compares each thumbnail with the one of a quarter of a second ago."""

    def __init__(self, limits: ImmersionLimits) -> None:
        self._limits = limits
        self._past: deque[tuple[float, np.ndarray]] = deque()
        self._began_s: float | None = None
        self.lasted_s = 0.0
        """How long the last movement took, less the lag."""

    def step(self, thumb: np.ndarray, now_s: float, level: float) -> bool:
        """Whether something large moves; `level`: grey levels by which a cell that has moved differs."""
        if self._past and now_s < self._past[-1][0]:
            self._past.clear()
        self._past.append((now_s, thumb))
        while len(self._past) > 1 and now_s - self._past[1][0] >= self._limits.move_lag_s:
            self._past.popleft()
        moving = float((_difference(thumb, self._past[0][1]) > level).mean()) > self._limits.move_share
        if not moving:
            self._began_s = None
        elif self._began_s is None:
            self._began_s = now_s
        if self._began_s is not None:
            self.lasted_s = now_s - self._began_s - self._limits.move_lag_s
        return moving


def _haze(empty: np.ndarray, seen: np.ndarray) -> tuple[float, float]:
    """Contrast and veil (slope and offset) with which the empty tank's cells (n,) are seen now.

    Light that flickers or ages and water that grows murky change all cells alike. A unit takes some of them: the two
    fifths that fit worst are left out.
    """
    slope = float(np.clip(np.median((seen + 1.0) / (empty + 1.0)), 0.5, 2.0))
    offset = 0.0
    for _ in range(4):
        error = np.abs(seen - slope * empty - offset)
        kept = error <= np.partition(error, int(0.6 * len(error)))[int(0.6 * len(error))]
        x, y = empty[kept], seen[kept]
        variance = float(x.var())
        if variance < 1.0:
            # Nothing to fit a slope to. What has contrast now and had none before is water that has cleared.
            slope = float(np.sqrt(y.var() / max(variance, 0.1))) if y.var() > CLEARED_VARIANCE else 1.0
            return slope, float(np.median(y - slope * x))
        slope = float(np.clip(((x - x.mean()) * (y - y.mean())).mean() / variance, 0.02, 50.0))
        offset = float(np.median(y - slope * x))
    return slope, offset


def _difference(thumb: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Grey levels by which cells differ, at equal light: it flickers and ages as a whole, a unit takes a part."""
    gain = float(np.clip(np.median((other + 1.0) / (thumb + 1.0)), 0.7, 1.4))
    return np.abs(thumb * gain - other)


def water_cells(markers_px: Sequence[np.ndarray], view_size_px: tuple[int, int]) -> np.ndarray:
    """(24, 32) bool: cells of the thumbnail free of markers, (4, 2) corners each in view pixels, and of their paper."""
    width, height = THUMB_SIZE
    taken = np.zeros((height, width), np.uint8)
    for corners in markers_px:
        cells = corners * (width / view_size_px[0], height / view_size_px[1])
        left, top = np.floor(cells.min(axis=0) - PAPER * np.ptp(cells, axis=0)).astype(int)
        right, bottom = np.ceil(cells.max(axis=0) + PAPER * np.ptp(cells, axis=0)).astype(int)
        taken[max(0, top) : max(0, bottom), max(0, left) : max(0, right)] = 1
    return taken == 0
