"""Seed -> Sensor: what a camera adds of its own: lens, shutter, tone, patterns. PURE."""

from dataclasses import dataclass

import numpy as np

from calibration.profiles import SceneProfile, draw


@dataclass(frozen=True, slots=True)
class Sensor:
    """One camera; shares are of full scale, levels are grey levels."""

    fisheye: float
    """Share of the middle's scale that the corners lose; 0 = straight lines stay straight."""
    readout_s: float
    """From the first row's exposure to the last one's; 0 = all rows at once."""
    banding: float
    mains_hz: float
    tone: float
    row_noise: float
    """Standard deviation of what a row's grey levels share, new in each frame."""
    fixed_pattern: float
    """Standard deviation of the pixels' gains."""
    hot_pixels: int


def draw_sensor(rng: np.random.Generator, ranges: SceneProfile) -> Sensor:
    """A camera by seed; each of its faults is absent in a fair share of the cameras."""

    def often(share: float, value: float) -> float:
        return value if rng.random() < share else 0.0

    return Sensor(
        fisheye=often(0.5, draw(rng, ranges.fisheye)),
        readout_s=often(0.6, draw(rng, ranges.readout_s)),
        banding=often(0.4, draw(rng, ranges.banding)),
        mains_hz=float(rng.choice([100.0, 120.0])) * float(rng.uniform(0.998, 1.002)),
        tone=often(0.7, draw(rng, ranges.tone)),
        row_noise=often(0.4, draw(rng, ranges.row_noise)),
        fixed_pattern=draw(rng, ranges.fixed_pattern),
        hot_pixels=int(often(0.5, float(rng.integers(1, 40)))),
    )
