"""The smallest leak that a simulated station has to find. PURE."""

import numpy as np

from calibration.look import StationLook
from calibration.profiles import SceneProfile, profile_named

REQUIRED_LEAKS = 8.0
"""Of bubbles as small as these, a bubble a second is found at the best of the simulated stations only; twice as large,
at nearly all of them (docs/visibility.md)."""


def required_std_cm3_s(look: StationLook, scenes: str) -> float:
    """REQUIRED_LEAKS times the smallest leak of the scenes, but of `reference` at least: what is rarer or smaller than
    that is lost on chance and on the size of a pixel, however good the picture."""
    smallest = max(_smallest_leak_px3_s(profile_named(name)) for name in (scenes, "reference"))
    cm_per_px = look.frame_size_px[0] / 640 / look.px_per_mm / 10
    return float(f"{REQUIRED_LEAKS * smallest * cm_per_px**3:.3g}")


def _smallest_leak_px3_s(ranges: SceneProfile) -> float:
    """Volume a second in cubed pixels of a 640 pixel wide picture."""
    return ranges.leak_rate.low * np.pi / 6 * ranges.leak_px.low**3
