"""The clarity of case after case -> the state of the water, with hysteresis, and when it will have to be changed. PURE.

Dirt adds up: the exponent of the haze, -log(clarity), rises in a line, so that line is followed. Slope by Theil and Sen
(the median of all pairs' slopes), its interval by Sen (1968) and the scatter about the line: none minds a unit that
looked dark.
"""

from dataclasses import dataclass
from math import exp, log, sqrt
from statistics import median

import numpy as np

from edge_agent.bundle import RecallCurve, Sensitivity
from edge_agent.records import WaterStatus

CLEARED_SHARE = 0.25
"""Murky water is clear again from this far on the way from the limit to clarity 1: it was changed, not just calmer."""
SMOOTHED = 3
"""Cases whose median is the clarity now: one dark unit is no murky water."""
BIN_S = 600.0
KEPT_S = 24 * 3600.0
"""Older readings say nothing of this water."""
LEAST_BINS, LEAST_SPAN_S = 6, 3600.0
FARTHEST_H = 48.0
"""A line is not drawn on farther than this."""
LEAD_H = 4.0
"""Water is changed between shifts: half of one is the time to plan it."""
Z_90 = 1.645
"""Normal quantile of a two-sided interval that holds nine times out of ten."""
NORMAL_MAD = 1.4826
"""Standard deviation over the median distance from the median, of normal numbers."""
LEAST_CLARITY = 1e-3
FRESH = 0.25
"""Drop of the haze's exponent by which new water is known: cases of one water differ by less."""
SPARE = 1.5
"""The smallest leak that can be seen is kept this many times under the required one: cases of one water differ."""
FRESH_SHARE = 0.9
"""Of the clearest that a station has shown: fresh water reads so or more."""
NEEDS_S = 4 * 3600.0
"""Light is as it was for so long; who cannot tell the smallest leak any more tells no need."""
NEEDS_KEPT = 9
"""Cases whose median is the clarity that the station needs: light changes slowly, a unit held briefly is no dirt."""


@dataclass(frozen=True, slots=True)
class Due:
    """When the water will be murky, in hours from the newest reading.

    The interval is for a line: it holds nine times out of ten where the haze rises evenly, less often where it bends.
    """

    hours: float
    least_hours: float
    most_hours: float


@dataclass(frozen=True, slots=True)
class WaterOutlook:
    """The water now. `clarity`: of the last cases; `due`: None where nothing says that it will be murky soon."""

    status: WaterStatus = "unknown"
    clarity: float | None = None
    due: Due | None = None

    @property
    def words(self) -> str:
        """What an inspector has to know, the limit and the cure; empty while there is time."""
        if self.status == "murky":
            return "the water is murky: change the water"
        if self.due is None or self.due.hours > LEAD_H:
            return ""
        about = "less than 1 h" if self.due.hours < 1 else f"about {self.due.hours:.0f} h"
        between = f"{self.due.least_hours:.1f} to {self.due.most_hours:.1f} h"
        return f"the water gets murky, {about} until it must be changed ({between}): plan the change of water"


@dataclass(frozen=True, slots=True)
class Need:
    """What a station has to see, std cm3/s, and how its bundle loses small leaks with the clarity."""

    required: float
    sensitivity: Sensitivity

    def clarity(self, clarity: float, smallest_leak: float) -> float:
        """Under which less than SPARE is left of the required leak, in pictures else like one of this clarity that
        could show `smallest_leak`; 0 where that is more than is usual: it lacks something else than clear water."""
        curve = self.sensitivity.curve
        if not isinstance(curve, RecallCurve) or not curve.clarity or curve.usual.clarity is None:
            return 0.0
        # A leak is as the cube of its bubble, whose logarithm is linear in that of the clarity (visibility.costs).
        power = curve.size / (3 * curve.clarity)
        lost_log = log(max(clarity, LEAST_CLARITY)) + power * log(max(SPARE * smallest_leak / self.required, 1e-9))
        # In logarithms: a curve that hardly minds the water has a power of thousands.
        return exp(lost_log) if lost_log < log(curve.usual.clarity) else 0.0


class WaterWatch:
    """Follows one station's water. `murky_below`: the bundle's limit of clarity; a station whose light is poor has a
    higher one by its `need`."""

    def __init__(self, murky_below: float, need: Need | None = None) -> None:
        self._murky_below, self._need = murky_below, need
        self._limit = murky_below
        self._needs: list[tuple[float, float]] = []
        """Times of the last cases, and the clarity that each says is needed."""
        self._clearest = 0.0
        self._recent: list[float] = []
        self._bins: list[tuple[float, list[float]]] = []
        """Start of each ten minutes with cases, and the haze of these."""
        self._murky = False
        self._due: Due | None = None

    def see(self, clarity: float, now_s: float, smallest_leak: float | None = None) -> WaterOutlook:
        """One more case's clarity, 0..1, and the smallest leak (std cm3/s) it could show; `now_s` never goes back."""
        self._recent = [*self._recent, clarity][-SMOOTHED:]
        if self._is_changed():
            self._recent, self._bins = self._recent[-1:], []
        smooth = median(self._recent)
        self._clearest = max(self._clearest, smooth if len(self._recent) == SMOOTHED else 0.0)
        self._limit = self._limit_now(clarity, smallest_leak, now_s)
        self._murky = smooth < (self._cleared() if self._murky else self._limit)
        self._keep(-log(max(clarity, LEAST_CLARITY)), now_s)
        self._due = None if self._murky else self._forecast(now_s)
        return self.outlook

    def _limit_now(self, clarity: float, smallest_leak: float | None, now_s: float) -> float:
        """The bundle's limit, or the clarity that the station needs, where it has been clearer than that by more than
        its cases differ: else no change of the water would help."""
        if self._need and smallest_leak is not None:
            self._needs.append((now_s, self._need.clarity(clarity, smallest_leak)))
        self._needs = [(at_s, needed) for at_s, needed in self._needs[-NEEDS_KEPT:] if now_s - at_s <= NEEDS_S]
        needed = median(needed for _, needed in self._needs) if self._needs else 0.0
        return max(self._murky_below, needed if needed < FRESH_SHARE * self._clearest else 0.0)

    def _cleared(self) -> float:
        """From which clarity murky water is clear again. Fresh water reads less at some stations than at others: what
        this one has shown is enough for a limit of its own."""
        usual, own = (limit + CLEARED_SHARE * (1 - limit) for limit in (self._murky_below, self._limit))
        return max(usual, min(own, FRESH_SHARE * self._clearest))

    @property
    def outlook(self) -> WaterOutlook:
        """As of the last case."""
        if not self._recent:
            return WaterOutlook()
        return WaterOutlook("murky" if self._murky else "clear", round(median(self._recent), 3), self._due)

    def _is_changed(self) -> bool:
        """Fresh water: the last cases are all clearer than those of the hours before, by more than cases differ."""
        if len(self._bins) < 2 or len(self._recent) < SMOOTHED:
            return False
        before = median(haze for _, hazes in self._bins[:-1][-LEAST_BINS:] for haze in hazes)
        return max(-log(max(clarity, LEAST_CLARITY)) for clarity in self._recent) < before - FRESH

    def _keep(self, haze: float, now_s: float) -> None:
        begins_s = now_s // BIN_S * BIN_S
        if not self._bins or self._bins[-1][0] != begins_s:
            self._bins.append((begins_s, []))
        self._bins[-1][1].append(haze)
        self._bins = [(at_s, hazes) for at_s, hazes in self._bins if now_s - at_s <= KEPT_S]

    def _forecast(self, now_s: float) -> Due | None:
        if len(self._bins) < LEAST_BINS or self._bins[-1][0] - self._bins[0][0] < LEAST_SPAN_S:
            return None
        hours = np.array([(at_s + BIN_S / 2 - now_s) / 3600 for at_s, _ in self._bins])
        haze = np.array([median(hazes) for _, hazes in self._bins])
        slope, slowest, fastest = theil_sen(hours, haze)
        if slowest <= 0:
            return None
        now = float(np.median(haze - slope * hours))
        left = max(0.0, -log(self._limit) - now)
        if left / slope > FARTHEST_H:
            return None
        # The cases that will cross the limit lie beside the line as those until now do.
        beside = [
            case - slope * hour - now for hour, (_, cases) in zip(hours, self._bins, strict=True) for case in cases
        ]
        scatter = Z_90 * NORMAL_MAD * float(np.median(np.abs(beside)))
        return Due(left / slope, max(0.0, left - scatter) / fastest, (left + scatter) / slowest)


def theil_sen(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """Slope of y over x, (n,) each, x rising, and the two ends of its interval."""
    first, second = np.triu_indices(len(x), 1)
    slopes = np.sort((y[second] - y[first]) / (x[second] - x[first]))
    n = len(x)
    spread = Z_90 * sqrt(n * (n - 1) * (2 * n + 5) / 18)
    low = int(max(0, np.floor((len(slopes) - spread) / 2)))
    high = int(min(len(slopes) - 1, np.ceil((len(slopes) + spread) / 2)))
    return float(np.median(slopes)), float(slopes[low]), float(slopes[high])
