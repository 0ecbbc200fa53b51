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

from edge_agent.empty_tank import EmptyTank, ImmersionLimits
from edge_agent.quick_median import median
from edge_agent.records import Phase

THUMB_SIZE = (32, 24)
LOOK_BACK_S = 3.0
"""No unit is sought longer from its touch of the water until it is seen; a tip that hangs in the water for over half of
this counts as usual by then, as ripples do."""
PAPER = 0.2
"""Of a marker's side: the quiet zone around it."""


@dataclass(frozen=True, slots=True)
class Immersion:
    """What is known of the unit now. Times are capture times; None = has not happened."""

    phase: Phase
    entered_s: float | None = None
    settled_s: float | None = None
    left_s: float | None = None
    moving: bool = False
    remains: bool = False
    """Something lies in the tank that was not there in the picture of the empty tank."""


def thumbnail(view_grey: np.ndarray) -> np.ndarray:
    """(h, w) uint8 tank view -> (24, 32) float32 of cell means."""
    # The whole view at once costs ten times as much. Whole grey levels are too coarse where the water is murky, but
    # rounding each of the twenty means that a cell is made of moves it by a twentieth of a level.
    height, width = view_grey.shape
    rows = view_grey[::4] if height >= 4 * THUMB_SIZE[1] else view_grey
    small = cv2.resize(rows, (max(width // 4, THUMB_SIZE[0]), len(rows)), interpolation=cv2.INTER_AREA)
    return cv2.resize(small.astype(np.float32), THUMB_SIZE, interpolation=cv2.INTER_AREA)


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
        self._tank = EmptyTank(empty, np.ones(THUMB_SIZE[::-1], bool) if water is None else water, self._limits)
        self._over_edge: bool | None = None
        """Whether what changed first in this immersion lay at the edge of the picture."""
        self._rested_share = 0.0
        """Largest taken share at rest in this immersion."""
        self._has_moved = False
        """Since the unit was decided on, or without a decision since it came to rest."""
        self._movement = _Movement(self._limits)
        self._touched: deque[tuple[float, float]] = deque(maxlen=240)
        self._still_since: float | None = None
        self._free_since: float | None = None
        self._last_s: float | None = None
        self._now = Immersion("empty")

    def step(self, thumb: np.ndarray, now_s: float, *, decided: bool = False) -> Immersion:
        """The state after the thumbnail `thumb` taken at `now_s`; `decided` = the inspector's lamp is lit or was."""
        moving = self._movement.step(thumb, now_s, self._limits.move_level * self._tank.weakening)
        if not self._tank.knows(thumb, now_s, moving=moving):
            return self._now
        self._still_since = None if moving else (now_s if self._still_since is None else self._still_since)
        if self._tank.is_as_before(thumb, now_s):
            self._now = self._taken_out(now_s)
            return self._now
        share = self._tank.taken_share(thumb)
        self._touched.append((now_s, self._tank.touched_share))
        if self._now.phase == "empty" and share < self._tank.unit_share / 2 and not moving and self._last_s is not None:
            self._tank.adapt(thumb, now_s - self._last_s)
        if self._water_has_changed(now_s):
            self._tank.learn(thumb)
            self._now = Immersion("empty")
        else:
            now = self._advance(share, now_s, decided=decided)
            if self._lies_there(now, share, now_s, decided=decided):
                self._tank.take_over(thumb)
                now = replace(now, phase="empty", left_s=self._left_at(now_s))
            self._now = replace(now, moving=moving, remains=self._tank.remains)
        if self._was_taken_out():
            self._tank.forget()
            self._now = Immersion("empty")
        self._last_s = now_s
        return self._now

    def _was_taken_out(self) -> bool:
        """What was learned as the empty tank had a unit in it: what comes in comes over the edge, this did not.

        What appears at once is no evidence.
        """
        now, limits = self._now, self._limits
        if not self._tank.is_guess or now.entered_s is None:
            self._over_edge = None
            return False
        self._over_edge = self._tank.edge_is_taken if self._over_edge is None else self._over_edge
        if now.settled_s is None:
            return False
        self._tank.is_guess = False
        return not self._over_edge and now.settled_s - now.entered_s >= limits.entry_s

    def _lies_there(self, now: Immersion, share: float, now_s: float, *, decided: bool) -> bool:
        """What is in the tank is not the unit, or will not be taken out: from now on the tank is empty with it."""
        limits, since_s = self._limits, self._still_since
        if now.settled_s is None or now.left_s is not None:
            self._rested_share, self._has_moved = 0.0, False
            return False
        if since_s is None:
            self._has_moved = True
            return False
        if not self._has_moved or since_s <= now.settled_s:
            self._rested_share = max(self._rested_share, share)
        resting_s = now_s - since_s
        if resting_s >= limits.left_in_s:
            return True
        remains_s = limits.remains_s if decided else limits.remains_undecided_s
        return self._has_moved and resting_s >= remains_s and share < limits.remains_share * self._rested_share

    def _left_at(self, now_s: float) -> float:
        """A unit that left something behind was gone when that came to rest."""
        since_s = self._still_since
        return now_s if since_s is None or now_s - since_s >= self._limits.left_in_s else since_s

    def _taken_out(self, now_s: float) -> Immersion:
        """What lay in the tank is out of it, and with it any unit; one that never rested was none."""
        now = self._now
        if now.settled_s is None or now.left_s is not None:
            return Immersion("empty", left_s=now.left_s)
        return replace(now, phase="empty", left_s=now_s)

    def _water_has_changed(self, now_s: float) -> bool:
        """The tank looks taken, its contrast is far from what it was, and nothing large has moved: murk, no unit."""
        now, limits, since_s = self._now, self._limits, self._still_since
        return (
            now.phase == "entering"
            and since_s is not None
            and now_s - since_s >= limits.still_s
            and self._moved_s(since_s) < limits.entry_s
            and not limits.hazed_contrast < self._tank.contrast < 1 / limits.hazed_contrast
        )

    def _moved_s(self, since_s: float) -> float:
        """How long something moved before it came to rest at `since_s`, without a unit that left just before."""
        entered_s = self._now.entered_s
        within_s = float("inf") if entered_s is None else since_s - entered_s - self._limits.move_lag_s
        return min(self._movement.lasted_s, within_s)

    def _advance(self, share: float, now_s: float, *, decided: bool) -> Immersion:
        now, limits = self._now, self._limits
        if now.entered_s is None or now.left_s is not None:
            if share < self._tank.unit_share:
                return Immersion("empty", left_s=now.left_s)
            left_s = -np.inf if now.left_s is None else now.left_s
            return Immersion("entering", entered_s=max(self._looking_back(left_s, now_s), left_s))
        if share >= self._tank.unit_share / 2:
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

    def _looking_back(self, after_s: float, now_s: float) -> float:
        """When the touched share rose above what was usual: the unit touched the water before it was seen.

        `after_s`: what was there before that is another matter.
        """
        recent = [(at_s, share) for at_s, share in self._touched if at_s >= max(after_s, now_s - LOOK_BACK_S)]
        shares = np.array([share for _, share in recent])
        began_s = now_s
        for index in range(len(recent) - 1, 0, -1):
            # Ripples and a picture that lies a little beside that of set-up take some cells at all times.
            if shares[index] < median(shares[:index]) + self._limits.touch_share:
                break
            began_s = recent[index][0]
        return began_s


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
        moved = int(np.count_nonzero(_difference(thumb, self._past[0][1]) > level))
        moving = moved > self._limits.move_share * thumb.size
        if not moving:
            self._began_s = None
        elif self._began_s is None:
            self._began_s = now_s
        if self._began_s is not None:
            self.lasted_s = now_s - self._began_s - self._limits.move_lag_s
        return moving


def _difference(thumb: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Grey levels by which cells differ, at equal light: it flickers and ages as a whole, a unit takes a part."""
    gain = float(np.clip(median(((other + 1.0) / (thumb + 1.0)).ravel()), 0.7, 1.4))
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
