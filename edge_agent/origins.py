"""Tracks over an immersion -> what rises, and the places that it rises from. PURE.

A leak lets bubbles go again and again from one place. Trapped air lets go soon after immersion, once or from many
places; general motion has no origin. Lengths are millimetres where the scale is known, else parts of the view's height.
"""

from dataclasses import dataclass
from statistics import median

import numpy as np

from edge_agent.tracks import Track

UNKNOWN_VIEW_MM = 300.0
"""Without a scale a tank view is taken to be this high."""
LEAST_RISE_MM = 8.0
LEAST_POINTS = 3
SPEED_MM_S = (25.0, 700.0)
"""Slowest and fastest rise of a bubble, with room for a wrong scale."""
STRAIGHT = 0.7
"""Least share of a bubble's way that is upward."""
REACH_MM = (8.0, 14.0, 60.0)
"""Births belong to one origin when they lie this far apart sideways, below and above it: a bubble missed at first
seems born higher up."""
SLANT = 0.12
"""Sideways reach grows by this share of the way up: bubbles zig-zag."""
FIRST_SEEN_S = 0.02
"""A bubble has risen for at least this long where it is first seen: it must move from frame to frame (165 leaks of the
twin, seeds from 1,900,000: without this half of the places lay 4 mm too high)."""
WINDOW_MM = 10.0
DENSE = 0.6
"""An origin is as high as the lowest WINDOW_MM in which this share of the densest one's births lie."""
SLOT_S = 0.5
"""Births are counted by distinct time slots, so that one bubble seen in pieces counts once."""
MOST_BIRTHS = 2_000
"""Of more births only each second, third, ... is grouped: every pair of them takes memory."""


@dataclass(frozen=True, slots=True)
class Origin:
    """A place that bubbles rise from. `births_s`: since immersion, in order, after the settling time only."""

    x_px: float
    y_px: float
    births_s: tuple[float, ...]
    members: tuple[int, ...]
    """Which of the case's rising tracks were born here."""
    each: int = 1
    """Births that each of them stands for, about: more than one where there were MOST_BIRTHS or more."""

    @property
    def births(self) -> int:
        return self.each * len(self.births_s)

    @property
    def slots(self) -> int:
        """Distinct time slots with a birth."""
        return len({int(birth_s / SLOT_S) for birth_s in self.births_s})


@dataclass(frozen=True, slots=True, eq=False)
class Rising:
    """The tracks that rise as bubbles do, a row each. Lengths in mm; `birth_*_px` is the first point seen."""

    birth_s: np.ndarray
    birth_x_px: np.ndarray
    birth_y_px: np.ndarray
    rise_mm: np.ndarray
    speed_mm_s: np.ndarray
    straight: np.ndarray
    score: np.ndarray
    diameter_px: np.ndarray
    """Median over the track."""


def rising(tracks: list[Track], mm_per_px: float) -> Rising:
    """The tracks that go up for long enough, fast enough and straight enough."""
    rows = [_rise(track.points, mm_per_px) for track in tracks if len(track.points) >= LEAST_POINTS]
    table = np.array([row for row in rows if row is not None]).reshape(-1, 8)
    return Rising(*table.T)


def _rise(points: np.ndarray, mm_per_px: float) -> tuple[float, ...] | None:
    since_s, x, y = points[0, :3]
    way = np.diff(points[:, 1:3], axis=0) * mm_per_px
    lasted_s = max(1e-3, float(points[-1, 0] - since_s))
    rise_mm = float(y - points[-1, 2]) * mm_per_px
    speed_mm_s = rise_mm / lasted_s
    straight = rise_mm / max(1e-6, float(np.hypot(way[:, 0], way[:, 1]).sum()))
    if rise_mm < LEAST_RISE_MM or not SPEED_MM_S[0] <= speed_mm_s <= SPEED_MM_S[1] or straight < STRAIGHT:
        return None
    return float(since_s), float(x), float(y), rise_mm, speed_mm_s, straight, *_look(points)


def _look(points: np.ndarray) -> tuple[float, float]:
    # A stream has hundreds of short tracks: numpy's median takes ten times as long for each and more.
    return float(points[:, 3].mean()), median(points[:, 4].tolist())


def origins(found: Rising, settle_s: float, mm_per_px: float) -> list[Origin]:
    """Places that bubbles rose from after the settling time, the most persistent first."""
    late = np.nonzero(found.birth_s >= settle_s)[0]
    each = 1 + len(late) // MOST_BIRTHS
    late = late[::each]
    groups = _groups(found.birth_x_px[late] * mm_per_px, found.birth_y_px[late] * mm_per_px)
    places = [_origin(found, late[members], mm_per_px, each) for members in groups]
    return sorted(places, key=lambda place: (-place.slots, -place.births, place.births_s))


def _groups(x_mm: np.ndarray, y_mm: np.ndarray) -> list[np.ndarray]:
    """Indices of births that belong to one origin each; the birth with the most neighbours founds the next group."""
    right = x_mm[None] - x_mm[:, None]
    up = y_mm[:, None] - y_mm[None]
    sideways = np.abs(right) <= REACH_MM[0] + SLANT * np.maximum(up, 0)
    near = sideways & (up <= REACH_MM[2]) & (up >= -REACH_MM[1])
    free = np.ones(len(x_mm), bool)
    groups = []
    while free.any():
        members = near & free[None]
        counts = np.where(free, members.sum(1), -1)
        # The lowest of those with the most neighbours: the place itself, not where a bubble was first noticed.
        founder = max(np.nonzero(counts == counts.max())[0], key=lambda index: y_mm[index])
        group = np.nonzero(members[founder])[0]
        groups.append(group)
        free[group] = False
    return groups


def _origin(found: Rising, members: np.ndarray, mm_per_px: float, each: int) -> Origin:
    """Its place: the median column, a little under where most of its bubbles are first seen."""
    births = np.sort(found.birth_s[members])
    way_px = FIRST_SEEN_S * float(np.median(found.speed_mm_s[members])) / mm_per_px
    return Origin(
        x_px=float(np.median(found.birth_x_px[members])),
        y_px=_first_seen(found.birth_y_px[members], WINDOW_MM / mm_per_px) + way_px,
        births_s=tuple(births.tolist()),
        members=tuple(members.tolist()),
        each=each,
    )


def _first_seen(births_px: np.ndarray, window_px: float) -> float:
    """Where births are seen first: strays lie below it, bubbles that were missed at first above it."""
    upwards = np.sort(births_px)[::-1]
    inside = (upwards[None] <= upwards[:, None]) & (upwards[None] >= upwards[:, None] - window_px)
    counts = inside.sum(axis=1)
    return float(np.median(upwards[inside[np.argmax(counts >= DENSE * counts.max())]]))
