"""Evidence over an immersion -> the account of what rose, as features for the aggregator and in words. PURE."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from edge_agent.bundle import Thresholds
from edge_agent.creep import Trail
from edge_agent.emission import Window, emission, words
from edge_agent.kymograph import NEVER, ORIGIN_ROWS, STRIPS, Kymograph
from edge_agent.origins import LEAST_POINTS, SLOT_S, UNKNOWN_VIEW_MM, Origin, Rising, origins, rising
from edge_agent.records import Emission, Evidence
from edge_agent.tracks import Linker

COLUMN_MM = 10.0
APART_STRIPS = 3
"""Strips beside the likeliest origin's that are taken to show its bubbles too."""
MOST_ODDS = 8.0
LIKELY = 0.0
"""Log odds from which a learned origin's place counts."""
BESIDE_STRIPS, ELSEWHERE_MM = 2, 4.0
"""A learned origin that lies farther sideways from the counted one is another; one that lies farther in height counts
instead, for bubbles are often followed only from some way above their origin."""
FARTHEST_MM = 90.0
LATE_S = 2.5
"""Beyond this, trapped air has gone."""
USUAL_UNLIKENESS = 0.3
"""Of one bubble, which says nothing of how alike those of its place are."""

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
    "size_to_spare",
    "size_unlikeness",
)
"""Features of the most persistent origin."""
SCORED = (
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
    "origin_odds",
    "next_origin_odds",
    "origin_distance",
    "smallest_bubble",
)
"""Features that the score is made of."""
MAPPED = tuple(
    f"{over}_{within}_{kind}"
    for over in ("mean", "highest")
    for within in ("mean", "highest")
    for kind in ("rising", "attached", "bead", "speck")
)
"""Features of the detector's maps, over the case and within a composite: by these a case is familiar or not."""
FEATURES = (*SCORED, *MAPPED)
"""Names of the features, in order; docs/models.md says what each is."""
LEAST_MAPPED = 1e-3
"""Below this, one part of a map is as silent as another."""


class _Learned(NamedTuple):
    """A place that the origins net sees, in tank view pixels, and its log odds."""

    x_px: float
    y_px: float
    strip: int
    odds: float

    @property
    def is_likely(self) -> bool:
        return self.odds >= LIKELY


class Account:
    """Adds up the evidence of one case."""

    def __init__(
        self,
        px_per_mm: float | None,
        view_size_px: tuple[int, int],
        thresholds: Thresholds,
        look: Callable[[np.ndarray], np.ndarray],
    ) -> None:
        """`look`: what says of kymographs where bubbles rise from, as in `kymograph.Kymograph`."""
        self._view_size_px = view_size_px
        self._kymograph = Kymograph(look)
        self._trail = Trail()
        self._has_scale = px_per_mm is not None
        self._mm_per_px = 1 / px_per_mm if px_per_mm else UNKNOWN_VIEW_MM / view_size_px[1]
        self._settle_s = thresholds.settle_s
        self._linker = Linker()
        self._last_s = 0.0
        self._late = 0
        self._late_s = 0.0
        self._bubbles = 0
        self._stir = 0.0
        self._composites = 0
        self._classes_sum, self._classes_most = np.zeros((2, 4)), np.zeros((2, 4))
        self._columns: dict[int, set[int]] = {}
        self._origin_odds: np.ndarray | None = None
        self._found: tuple[Rising, list[Origin]] | None = None
        """What all that was added comes to; made when it is asked for."""

    def add(self, evidence: Evidence, since_immersion_s: float) -> None:
        """Takes the evidence of one composite; composites come in order of time."""
        self._found = self._origin_odds = None
        passed_s, self._last_s = max(0.0, since_immersion_s - self._last_s), since_immersion_s
        self._linker.add(evidence, since_immersion_s)
        self._kymograph.add(evidence.heat, since_immersion_s)
        self._composites += 1
        self._classes_sum += evidence.classes
        self._classes_most = np.maximum(self._classes_most, evidence.classes)
        if since_immersion_s < self._settle_s:
            return
        self._trail.add(evidence)
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
        return self._seen()[1]

    def best_origin(self) -> tuple[float, float] | None:
        """Tank view pixels of where bubbles come from; None where nothing rose.

        A counted origin's column is the finer one. Its height is where bubbles are first followed, and the learned
        origin's counts where that lies elsewhere. Bubbles that creep there come from where their trail begins.
        """
        told, learned = self._told(), self._learned()
        if told is None:
            return self._trail.begins((learned.x_px, learned.y_px)) if learned.is_likely else None
        elsewhere = learned.is_likely and abs(learned.y_px - told.y_px) * self._mm_per_px > ELSEWHERE_MM
        return self._trail.begins((told.x_px, learned.y_px if elsewhere else told.y_px))

    def emission(self) -> Emission | None:
        """What rises from the place of the leak; None where no bubble was followed there or the scale is not known."""
        told = self._told()
        if told is None or not self._has_scale or not self._late_s:
            return None
        return emission(self._linker.tracks(), self._seen()[0], told, self._watched())

    def words(self) -> str:
        """What was seen, for a person, of a unit that may leak."""
        best, places = self._told(), self.origins()
        if best is None and self._learned().is_likely:
            return "bubbles rise again and again from one point, too faint to be followed"
        if best is None or not best.births_s:
            return f"no bubble rose in {self._late_s:.1f} s after the water had settled"
        count = best.births
        if best.slots < 2:
            others = f", from {len(places)} places" if len(places) > 1 else ""
            return f"{count} bubble{'s' * (count > 1)} rose, none from the same place again{others}"
        told = self.emission()
        return f"bubbles rise from one point: {count} in {self._late_s:.1f} s" + (f", {words(told)}" if told else "")

    def words_if_tight(self) -> str:
        """The same where the unit is said to be tight: no size of a leak, and that what rose is none."""
        best = self._told()
        if best is None and self._learned().is_likely:
            return "something faint rose at one place, not as from a leak"
        if best is not None and best.slots >= 2:
            return f"{best.births} bubbles rose from one place in {self._late_s:.1f} s, not as from a leak"
        return self.words()

    def features(self, smallest_bubble_px: float) -> np.ndarray:
        """(len(FEATURES),) float32 for the aggregator. `smallest_bubble_px`: what the picture lets be seen.

        That nothing rose tells much where the picture is clear, and little where it is poor.
        """
        found, places = self._seen()
        values = {
            **self._of_best(found, places[0] if places else None, smallest_bubble_px),
            **self._of_all(found, places),
            **self._of_kymograph(places[0] if places else None),
            "late_seconds": np.log1p(self._late_s),
            "late_bubbles_per_composite": np.log1p(self._bubbles / max(1, self._late)),
            "stir": self._stir / max(1, self._late),
            "smallest_bubble": np.log(smallest_bubble_px),
        }
        mapped = np.stack([self._classes_sum / max(1, self._composites), self._classes_most])
        scored = np.array([values[name] for name in SCORED])
        return np.concatenate([scored, np.log(mapped.ravel() + LEAST_MAPPED)]).astype(np.float32)

    def _seen(self) -> tuple[Rising, list[Origin]]:
        if self._found is None:
            found = rising(self._linker.tracks(), self._mm_per_px)
            self._found = found, origins(found, self._settle_s, self._mm_per_px)
        return self._found

    def _watched(self) -> Window:
        return Window(self._settle_s, self._late_s, self._late, self._mm_per_px)

    def _of_best(self, found: Rising, best: Origin | None, smallest_bubble_px: float) -> dict[str, float]:
        if best is None:
            return dict.fromkeys((*OF_BEST, "mean_birth_time", "spread_x"), 0.0) | {"size_unlikeness": USUAL_UNLIKENESS}
        births, members = np.array(best.births_s), np.array(best.members)
        middle_s = (self._settle_s + self._last_s) / 2
        second_half = best.each * int((births >= middle_s).sum())
        return {
            "late_births": np.log1p(best.births),
            "late_slots": np.log1p(best.slots),
            "late_slots_share": best.slots / self._slots(),
            "births_after_2.5_s": np.log1p(best.each * (births >= LATE_S).sum()),
            "births_second_half": np.log1p(second_half),
            "second_half_share": second_half / best.births,
            "regularity": _regularity(births),
            "track_score": float(found.score[members].mean()),
            "rise_speed": float(np.median(found.speed_mm_s[members])) / 200,
            "rise": float(np.median(found.rise_mm[members])) / 100,
            "highest_rise": float(found.rise_mm[members].max()) / 100,
            "straightness": float(found.straight[members].mean()),
            "size_to_spare": float(np.log(np.median(found.diameter_px[members]) / smallest_bubble_px)),
            "size_unlikeness": _unlikeness(found.diameter_px[members]),
            "mean_birth_time": float((births.mean() - self._settle_s) / max(0.1, self._last_s - self._settle_s)),
            "spread_x": float(np.std(found.birth_x_px[members]) * self._mm_per_px) / 10,
        }

    def _of_all(self, found: Rising, places: list[Origin]) -> dict[str, float]:
        late = int((found.birth_s >= self._settle_s).sum())
        best = min(late, places[0].births) if places else 0
        persistent = max((len(slots) for slots in self._columns.values()), default=0)
        tracks = sum(len(track.points) >= LEAST_POINTS for track in self._linker.tracks())
        elsewhere = (late - best + 1) / (len(places) + 4)
        return {
            "late_rising_tracks": np.log1p(late),
            "late_origins": np.log1p(len(places)),
            "share_of_best_origin": best / max(1, late),
            "next_origin_slots": np.log1p(places[1].slots) if len(places) > 1 else 0.0,
            "rising_share": len(found.birth_s) / max(1, tracks),
            "column_slots": np.log1p(persistent),
            "column_share": persistent / self._slots(),
            "early_rising_tracks": np.log1p(len(found.birth_s) - late),
            # Poisson log-likelihood ratio of the best origin's births against those of the places around it.
            "surprise": np.log1p(max(0.0, best * np.log(max(best, 1) / elsewhere) - best + elsewhere)),
        }

    def _odds(self) -> np.ndarray:
        """(ORIGIN_ROWS, STRIPS) log odds of origins."""
        if self._origin_odds is None:
            self._origin_odds = np.clip(self._kymograph.origins(), NEVER, MOST_ODDS)
        return self._origin_odds

    def _learned(self) -> _Learned:
        """The likeliest learned origin, its height between rows by their odds."""
        odds = self._odds()
        row, strip = (int(index) for index in np.unravel_index(int(odds.argmax()), odds.shape))
        rows = np.arange(max(0, row - 2), min(ORIGIN_ROWS, row + 3))
        around = odds[rows, max(0, strip - 1) : strip + 2].max(axis=1)
        height = float(np.average(rows + 0.5, weights=np.exp(around - around.max())))
        width_px, height_px = self._view_size_px
        x_px, y_px = (strip + 0.5) * width_px / STRIPS, height * height_px / ORIGIN_ROWS
        return _Learned(x_px, y_px, strip, float(odds[row, strip]))

    def _told(self) -> Origin | None:
        """The counted origin that people are told of: the most persistent one, under the learned origin where one is
        likely."""
        places, learned = self.origins(), self._learned()
        if learned.is_likely:
            reach_px = BESIDE_STRIPS * self._view_size_px[0] / STRIPS
            places = [place for place in places if abs(place.x_px - learned.x_px) <= reach_px]
        return places[0] if places else None

    def _of_kymograph(self, best: Origin | None) -> dict[str, float]:
        learned, elsewhere = self._learned(), self._odds().copy()
        elsewhere[:, max(0, learned.strip - APART_STRIPS) : learned.strip + APART_STRIPS + 1] = NEVER
        distance_mm = FARTHEST_MM
        if best is not None:
            distance_mm = float(np.hypot(learned.x_px - best.x_px, learned.y_px - best.y_px)) * self._mm_per_px
        return {
            "origin_odds": learned.odds / 4,
            "next_origin_odds": float(elsewhere.max()) / 4,
            "origin_distance": min(distance_mm, FARTHEST_MM) / 30,
        }

    def _slots(self) -> int:
        """Time slots that were watched after settling, at least one."""
        return max(1, round(self._late_s / SLOT_S))


def _unlikeness(diameters_px: np.ndarray) -> float:
    """Mean distance of (n,) diameters from their median, in natural logarithms; of few, nearer to the usual one.

    One hole makes bubbles of one size, trapped air comes off in all sizes.
    """
    logs = np.log(diameters_px)
    return float((np.abs(logs - np.median(logs)).sum() + USUAL_UNLIKENESS) / len(logs))


def _regularity(births_s: np.ndarray) -> float:
    """1 = a clock, 0.5 = chance (Poisson), 0 where fewer than three births tell nothing."""
    if len(births_s) < 3:
        return 0.0
    gaps = np.diff(births_s)
    return float(1 / (1 + gaps.std() / max(1e-6, gaps.mean())))
