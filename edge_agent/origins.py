"""Evidence over an immersion -> tracks -> origins -> the features that the aggregator judges. PURE.

A leak lets bubbles go again and again from one place. Trapped air lets go soon after immersion, once or from many
places; general motion has no origin. Lengths are millimetres where the scale is known, else parts of the view's height.
"""

from dataclasses import dataclass

import numpy as np

from edge_agent.bundle import Thresholds
from edge_agent.records import Evidence
from edge_agent.tracks import Linker, Track

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
SLOT_S = 0.5
"""Births are counted by distinct time slots, so that one bubble seen in pieces counts once."""
MOST_BIRTHS = 2_000
"""Of more births only each second, third, ... is grouped: every pair of them takes memory."""
COLUMN_MM = 10.0
LATE_S = 2.5
"""Beyond this, trapped air has gone."""

OF_BEST = (
    "late_births",
    "late_slots",
    "late_slots_share",
    "births_after_2.5_s",
    "births_second_half",
    "second_half_share",
    "regularity",
    "track_score",
    "rise_speed",
    "rise",
    "highest_rise",
    "straightness",
)
"""Features of the most persistent origin."""
FEATURES = (
    *OF_BEST,
    "late_rising_tracks",
    "late_origins",
    "share_of_best_origin",
    "next_origin_slots",
    "late_seconds",
    "late_bubbles_per_composite",
    "stir",
    "rising_share",
    "column_slots",
    "column_share",
    "early_rising_tracks",
    "mean_birth_time",
    "spread_x",
    "surprise",
)
"""Names of the features, in order; docs/models.md says what each is."""


@dataclass(frozen=True, slots=True)
class Origin:
    """A place that bubbles rise from. `births_s`: since immersion, in order, after the settling time only."""

    x_px: float
    y_px: float
    births_s: tuple[float, ...]
    members: tuple[int, ...]
    """Which of the case's rising tracks were born here."""

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


class Account:
    """Adds up the evidence of one case."""

    def __init__(self, px_per_mm: float | None, view_size_px: tuple[int, int], thresholds: Thresholds) -> None:
        self._mm_per_px = 1 / px_per_mm if px_per_mm else UNKNOWN_VIEW_MM / view_size_px[1]
        self._settle_s = thresholds.settle_s
        self._linker = Linker()
        self._first_s: float | None = None
        self._last_s = 0.0
        self._late = 0
        self._late_s = 0.0
        self._bubbles = 0
        self._stir = 0.0
        self._columns: dict[int, set[int]] = {}

    def add(self, evidence: Evidence, since_immersion_s: float) -> None:
        """Takes the evidence of one composite; composites come in order of time."""
        if self._first_s is None:
            self._first_s = since_immersion_s
        passed_s, self._last_s = max(0.0, since_immersion_s - self._last_s), since_immersion_s
        self._linker.add(evidence, since_immersion_s)
        if since_immersion_s < self._settle_s:
            return
        self._late += 1
        self._late_s += min(passed_s, SLOT_S)
        self._bubbles += len(evidence.bubbles)
        self._stir += evidence.stir
        slot = int(since_immersion_s / SLOT_S)
        for x_px in evidence.bubbles[evidence.bubbles[:, 4] < 0, 0].tolist():
            self._columns.setdefault(int(x_px * self._mm_per_px / COLUMN_MM), set()).add(slot)

    @property
    def late_s(self) -> float:
        """Seconds that were watched after the settling time."""
        return self._late_s

    def origins(self) -> list[Origin]:
        """Places that bubbles rose from after the settling time, the most persistent first."""
        return self._origins(self._rising())

    def best_origin(self) -> tuple[float, float] | None:
        """Tank view pixels of the most persistent origin; None where nothing rose."""
        origins = self.origins()
        return (origins[0].x_px, origins[0].y_px) if origins else None

    def words(self) -> str:
        """What was seen, for a person."""
        origins = self.origins()
        if not origins or not origins[0].births_s:
            return f"no bubble rose in {self._late_s:.1f} s after the water had settled"
        best, count = origins[0], len(origins[0].births_s)
        if best.slots < 2:
            places = f", from {len(origins)} places" if len(origins) > 1 else ""
            return f"{count} bubble{'s' * (count > 1)} rose, none from the same place again{places}"
        return f"bubbles rise from one point: {count} in {self._late_s:.1f} s"

    def features(self) -> np.ndarray:
        """(len(FEATURES),) float32 for the aggregator."""
        rising = self._rising()
        origins = self._origins(rising)
        values = {
            **self._of_best(rising, origins[0] if origins else None),
            **self._of_all(rising, origins),
            "late_seconds": np.log1p(self._late_s),
            "late_bubbles_per_composite": np.log1p(self._bubbles / max(1, self._late)),
            "stir": self._stir / max(1, self._late),
        }
        return np.array([values[name] for name in FEATURES], np.float32)

    def _rising(self) -> Rising:
        return _rising(self._linker.tracks(), self._mm_per_px)

    def _origins(self, rising: Rising) -> list[Origin]:
        late = np.nonzero(rising.birth_s >= self._settle_s)[0]
        late = late[:: 1 + len(late) // MOST_BIRTHS]
        groups = _groups(rising.birth_x_px[late] * self._mm_per_px, rising.birth_y_px[late] * self._mm_per_px)
        origins = [_origin(rising, late[members]) for members in groups]
        return sorted(origins, key=lambda origin: (-origin.slots, -len(origin.births_s), origin.births_s))

    def _of_best(self, rising: Rising, best: Origin | None) -> dict[str, float]:
        if best is None:
            return dict.fromkeys((*OF_BEST, "mean_birth_time", "spread_x"), 0.0)
        births, members = np.array(best.births_s), np.array(best.members)
        middle_s = (self._settle_s + self._last_s) / 2
        second_half = int((births >= middle_s).sum())
        return {
            "late_births": np.log1p(len(births)),
            "late_slots": np.log1p(best.slots),
            "late_slots_share": best.slots / self._slots(),
            "births_after_2.5_s": np.log1p((births >= LATE_S).sum()),
            "births_second_half": np.log1p(second_half),
            "second_half_share": second_half / len(births),
            "regularity": _regularity(births),
            "track_score": float(rising.score[members].mean()),
            "rise_speed": float(np.median(rising.speed_mm_s[members])) / 200,
            "rise": float(np.median(rising.rise_mm[members])) / 100,
            "highest_rise": float(rising.rise_mm[members].max()) / 100,
            "straightness": float(rising.straight[members].mean()),
            "mean_birth_time": float((births.mean() - self._settle_s) / max(0.1, self._last_s - self._settle_s)),
            "spread_x": float(np.std(rising.birth_x_px[members]) * self._mm_per_px) / 10,
        }

    def _of_all(self, rising: Rising, origins: list[Origin]) -> dict[str, float]:
        late = int((rising.birth_s >= self._settle_s).sum())
        best = len(origins[0].births_s) if origins else 0
        persistent = max((len(slots) for slots in self._columns.values()), default=0)
        tracks = sum(len(track.points) >= LEAST_POINTS for track in self._linker.tracks())
        elsewhere = (late - best + 1) / (len(origins) + 4)
        return {
            "late_rising_tracks": np.log1p(late),
            "late_origins": np.log1p(len(origins)),
            "share_of_best_origin": best / max(1, late),
            "next_origin_slots": np.log1p(origins[1].slots) if len(origins) > 1 else 0.0,
            "rising_share": len(rising.birth_s) / max(1, tracks),
            "column_slots": np.log1p(persistent),
            "column_share": persistent / self._slots(),
            "early_rising_tracks": np.log1p(len(rising.birth_s) - late),
            # Poisson log-likelihood ratio of the best origin's births against those of the places around it.
            "surprise": np.log1p(max(0.0, best * np.log(max(best, 1) / elsewhere) - best + elsewhere)),
        }

    def _slots(self) -> int:
        """Time slots that were watched after settling, at least one."""
        return max(1, round(self._late_s / SLOT_S))


def _rising(tracks: list[Track], mm_per_px: float) -> Rising:
    """The tracks that go up for long enough, fast enough and straight enough."""
    rows = [_rise(track.points, mm_per_px) for track in tracks if len(track.points) >= LEAST_POINTS]
    table = np.array([row for row in rows if row is not None]).reshape(-1, 7)
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
    return float(since_s), float(x), float(y), rise_mm, speed_mm_s, straight, float(points[:, 3].mean())


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


def _origin(rising: Rising, members: np.ndarray) -> Origin:
    """Its place: the median column, and the lower quarter of the births' heights."""
    births = np.sort(rising.birth_s[members])
    return Origin(
        x_px=float(np.median(rising.birth_x_px[members])),
        y_px=float(np.quantile(rising.birth_y_px[members], 0.75)),
        births_s=tuple(births.tolist()),
        members=tuple(members.tolist()),
    )


def _regularity(births_s: np.ndarray) -> float:
    """1 = a clock, 0.5 = chance (Poisson), 0 where fewer than three births tell nothing."""
    if len(births_s) < 3:
        return 0.0
    gaps = np.diff(births_s)
    return float(1 / (1 + gaps.std() / max(1e-6, gaps.mean())))
