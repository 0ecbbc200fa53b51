"""An origin and its tracks -> how much air it lets out: bubbles a second, their size and speed, std cm3/s. PURE.

The count of births misses bubbles that were seen late or lost on the way; the count of all bubbles in the column above
the origin, times their speed, over its height (their flux) does not care where each was first seen.
"""

from dataclasses import dataclass
from math import exp, pi, sqrt

import numpy as np

from edge_agent.origins import SLANT, Origin, Rising
from edge_agent.records import Emission
from edge_agent.tracks import Track

COLUMN_MM = 8.0, 60.0
"""Half width at the origin, and height, of the column in which bubbles are counted."""
LEAST_COLUMN_MM = 20.0
DRAWN_TO_PX, DRAWN_TO_MIDDLE = 2.8, 0.13
"""A detector that is unsure tells a usual diameter. Mean diameters of a case are stretched away from DRAWN_TO_PX, by
this power (882 leaks of the twin, docs/models.md)."""
STRETCHED_PX = 2.0, 16.0
"""Beyond these the stretch stays what it is there: nothing was measured."""
LEAK_ERROR = 0.55
"""Standard error of a leak's logarithm beyond chance: light and blur make bubbles look larger or smaller, haze and
crowds hide some of them (the same leaks: with this 95 of 100 lie inside)."""
TWO_SIDED_95 = 1.96


@dataclass(frozen=True, slots=True)
class Window:
    """How the settled water was watched: from when on (s since immersion), for how long, in how many composites."""

    settle_s: float
    late_s: float
    composites: int
    mm_per_px: float


def emission(tracks: list[Track], found: Rising, place: Origin, window: Window) -> Emission:
    """What rises from `place`. The interval is 95 %: Poisson's for the count, the spread of diameters, LEAK_ERROR."""
    members = np.array(place.members)
    speed_mm_s = float(np.median(found.speed_mm_s[members]))
    per_s = max(place.births / window.late_s, _flux_per_s(tracks, place, window, speed_mm_s))
    cubes = found.diameter_px[members] ** 3
    mean_mm = _stretched(float(cubes.mean() ** (1 / 3))) * window.mm_per_px
    leak = per_s * pi / 6 * (mean_mm / 10) ** 3
    chance = (1 + float(cubes.var()) / float(cubes.mean()) ** 2) / len(members)
    factor = exp(TWO_SIDED_95 * sqrt(chance + LEAK_ERROR**2))
    return Emission(
        births=place.births,
        births_per_s=_rounded(per_s),
        diameter_mm=_rounded(mean_mm),
        rise_mm_s=_rounded(speed_mm_s),
        leak_std_cm3_s=_rounded(leak),
        leak_std_cm3_s_low=_rounded(leak / factor),
        leak_std_cm3_s_high=_rounded(leak * factor),
    )


def words(told: Emission) -> str:
    """For a person: `1.3/s of 2.1 mm, about 6.3e-03 (2.0e-03 to 2.0e-02) std cm3/s`."""
    span = f"{told.leak_std_cm3_s_low:.1e} to {told.leak_std_cm3_s_high:.1e}"
    return f"{told.births_per_s:.1f}/s of {told.diameter_mm:.1f} mm, about {told.leak_std_cm3_s:.1e} ({span}) std cm3/s"


def _stretched(told_px: float) -> float:
    """The true mean diameter that is likeliest behind a told one."""
    low, high = STRETCHED_PX
    return told_px * (min(max(told_px, low), high) / DRAWN_TO_PX) ** DRAWN_TO_MIDDLE


def _flux_per_s(tracks: list[Track], place: Origin, window: Window, speed_mm_s: float) -> float:
    """Bubbles a second through the column above the origin; 0 where it is too short to count in."""
    half_mm, height_mm = COLUMN_MM
    height_mm = min(height_mm, 0.8 * place.y_px * window.mm_per_px)
    if height_mm < LEAST_COLUMN_MM or not window.composites or not tracks:
        return 0.0
    points = np.concatenate([track.points for track in tracks])
    up_mm = (place.y_px - points[:, 2]) * window.mm_per_px
    aside_mm = np.abs(points[:, 1] - place.x_px) * window.mm_per_px
    inside = (points[:, 0] >= window.settle_s) & (up_mm >= 0) & (up_mm <= height_mm)
    inside &= aside_mm <= half_mm + SLANT * up_mm
    return float(inside.sum()) / window.composites * speed_mm_s / height_mm


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
