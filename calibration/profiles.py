"""The twin's distributions as data: what stations and immersions are drawn from (docs/twin.md explains them)."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from edge_agent.errors import StationError


class Range(NamedTuple):
    """A closed range, drawn evenly, or evenly in its logarithm."""

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True, slots=True)
class SceneProfile:
    """Ranges and shares of one profile. Sources: docs/twin.md."""

    leak_share: float
    leak_rate: Range
    """Bubbles per second."""
    leak_px: Range
    """Diameter in pixels of a 640 pixel wide picture."""
    odd_share: float
    hidden_share: float
    hold_s: Range
    gap_s: Range
    lamp_on_max_s: float
    trapped_share: float
    late_rate: Range
    attached_share: float
    bead_share: float
    askew_share: float
    specks: Range
    micro_bubbles: Range
    px_per_mm: Range
    front_light: Range
    back_level: Range
    flicker: Range
    noise_levels: Range
    exposure_s: Range
    haze: Range
    ripple_mm: Range
    shake_mm: Range
    """Root mean square a direction on the front plane."""
    drift_px: Range
    dirt: Range
    codec: tuple[float, float, float]
    """Shares of cameras that send raw pictures, single JPEGs, video."""
    jpeg_quality: Range
    fps: tuple[float, ...]
    fisheye: Range
    """Share of the middle's scale that the corners lose, in half of the cameras; the others have none."""
    readout_s: Range
    """Rolling shutter: from the first to the last row, in 60 % of the cameras; the others expose all rows at once."""
    banding: Range
    """Mains flicker that the exposure does not average out, in 40 % of the stations."""
    tone: Range
    """Bend of the camera's tone curve: mid grey is raised by tone / 4 of full scale."""
    row_noise: Range
    fixed_pattern: Range
    aged_share: float
    lamp_out_share: float
    above_mm: Range
    """How much of the water's surface a camera that looks slightly from above sees."""
    slide_share: float
    """Bubbles from the underside that slide along the shell and rise at its edge."""
    dip_share: float
    left_in_share: float
    shadow_share: float
    hand_share: float
    knock_share: float
    knock_px: Range
    undecided_share: float
    both_lamps_share: float
    inspector_error: float
    has_unit: bool


_REFERENCE = SceneProfile(
    leak_share=0.5,
    leak_rate=Range(1, 30, log=True),
    leak_px=Range(2.0, 10.0, log=True),
    odd_share=0.1,
    hidden_share=0.04,
    hold_s=Range(10, 10),
    gap_s=Range(1.0, 2.5),
    lamp_on_max_s=3.0,
    trapped_share=0.75,
    late_rate=Range(0.0, 0.2),
    attached_share=0.6,
    bead_share=0.6,
    askew_share=0.05,
    specks=Range(0, 30),
    micro_bubbles=Range(0, 25),
    px_per_mm=Range(1.2, 2.2),
    front_light=Range(0.04, 1.0),
    back_level=Range(60, 190),
    flicker=Range(0.001, 0.02),
    noise_levels=Range(0.8, 3.0),
    exposure_s=Range(1 / 500, 1 / 80, log=True),
    haze=Range(0.05, 0.7),
    ripple_mm=Range(0.05, 1.6),
    shake_mm=Range(0.0, 0.2),
    drift_px=Range(0.0, 0.4),
    dirt=Range(0.0, 0.15),
    codec=(0.8, 0.2, 0.0),
    jpeg_quality=Range(85, 96),
    fps=(15.0, 20.0, 24.0, 25.0, 30.0, 30.0, 50.0, 60.0),
    fisheye=Range(0.0, 0.015),
    readout_s=Range(0.005, 0.03),
    banding=Range(0.002, 0.02),
    tone=Range(-0.25, 0.35),
    row_noise=Range(0.0, 0.5),
    fixed_pattern=Range(0.0, 0.012),
    aged_share=0.2,
    lamp_out_share=0.05,
    above_mm=Range(0.0, 10.0),
    slide_share=0.4,
    dip_share=0.0,
    left_in_share=0.0,
    shadow_share=0.0,
    hand_share=0.0,
    knock_share=0.0,
    knock_px=Range(1.0, 4.0),
    undecided_share=0.0,
    both_lamps_share=0.0,
    inspector_error=0.0,
    has_unit=True,
)
PROFILES: dict[str, SceneProfile] = {
    "reference": _REFERENCE,
    "plant": replace(
        _REFERENCE,
        leak_share=0.015,
        leak_rate=Range(0.3, 30, log=True),
        leak_px=Range(1.2, 10.0, log=True),
        odd_share=0.2,
        late_rate=Range(0.05, 0.2),
        flicker=Range(0.001, 0.035),
        front_light=Range(0.0, 1.0),
        exposure_s=Range(1 / 500, 1 / 60, log=True),
        shake_mm=Range(0.02, 1.0, log=True),
        dirt=Range(0.0, 0.3),
        codec=(0.4, 0.3, 0.3),
        jpeg_quality=Range(70, 96),
        fisheye=Range(0.0, 0.03),
        row_noise=Range(0.0, 1.0),
        aged_share=0.3,
        dip_share=0.01,
        left_in_share=0.01,
        shadow_share=0.03,
        hand_share=0.04,
        knock_share=0.02,
        undecided_share=0.01,
        both_lamps_share=0.003,
        inspector_error=0.01,
    ),
    "hard": replace(
        _REFERENCE,
        leak_rate=Range(0.3, 30, log=True),
        leak_px=Range(1.2, 6.0, log=True),
        odd_share=0.4,
        hidden_share=0.12,
        late_rate=Range(0.1, 0.4),
        attached_share=0.9,
        bead_share=0.9,
        askew_share=0.2,
        specks=Range(10, 60),
        front_light=Range(0.0, 0.5),
        flicker=Range(0.01, 0.035),
        noise_levels=Range(2.0, 5.0),
        exposure_s=Range(1 / 200, 1 / 60, log=True),
        haze=Range(0.3, 0.7),
        ripple_mm=Range(0.6, 1.6),
        shake_mm=Range(0.2, 1.0),
        dirt=Range(0.1, 0.4),
        codec=(0.2, 0.4, 0.4),
        jpeg_quality=Range(50, 90),
        fisheye=Range(0.0, 0.06),
        banding=Range(0.01, 0.05),
        tone=Range(-0.4, 0.5),
        row_noise=Range(0.3, 1.5),
        fixed_pattern=Range(0.005, 0.025),
        aged_share=0.5,
        lamp_out_share=0.3,
        slide_share=0.7,
        dip_share=0.1,
        left_in_share=0.1,
        shadow_share=0.1,
        hand_share=0.15,
        knock_share=0.1,
    ),
    "demo": replace(
        _REFERENCE,
        leak_rate=Range(4, 20, log=True),
        leak_px=Range(3.5, 8.0, log=True),
        odd_share=0.0,
        hidden_share=0.0,
        hold_s=Range(5.2, 5.8),
        gap_s=Range(0.5, 0.8),
        lamp_on_max_s=1.8,
        late_rate=Range(0.0, 0.03),
        front_light=Range(0.4, 0.8),
        back_level=Range(90, 170),
        noise_levels=Range(0.8, 1.8),
        exposure_s=Range(1 / 400, 1 / 150, log=True),
        haze=Range(0.05, 0.2),
        ripple_mm=Range(0.05, 0.5),
        shake_mm=Range(0.0, 0.12),
        drift_px=Range(0.0, 0.2),
        codec=(1.0, 0.0, 0.0),
        fps=(20.0,),
        fisheye=Range(0.0, 0.0),
        banding=Range(0.0, 0.003),
        tone=Range(-0.1, 0.2),
        aged_share=0.0,
        lamp_out_share=0.0,
        slide_share=0.2,
        inspector_error=0.25,
    ),
    "murky": replace(_REFERENCE, haze=Range(4.0, 6.0)),
    "empty": replace(_REFERENCE, has_unit=False, leak_share=0.0),
}


def profile_named(name: str) -> SceneProfile:
    """The distributions called `name`; StationError names the known ones."""
    if name not in PROFILES:
        raise StationError(f"twin profile {name!r} is not known: use one of {' '.join(sorted(PROFILES))}")
    return PROFILES[name]


def draw(rng: np.random.Generator, spread: Range) -> float:
    """One value; log-uniform where the range says so."""
    if spread.log:
        return float(np.exp(rng.uniform(np.log(spread.low), np.log(spread.high))))
    return float(rng.uniform(spread.low, spread.high))
