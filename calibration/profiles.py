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
    shake_px: Range
    drift_px: Range
    dirt: Range
    jpeg_share: float
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
    front_light=Range(0.1, 1.0),
    back_level=Range(60, 190),
    flicker=Range(0.001, 0.02),
    noise_levels=Range(0.8, 3.0),
    exposure_s=Range(1 / 500, 1 / 80, log=True),
    haze=Range(0.05, 0.5),
    ripple_mm=Range(0.05, 1.2),
    shake_px=Range(0.0, 0.35),
    drift_px=Range(0.0, 0.4),
    dirt=Range(0.0, 0.15),
    jpeg_share=0.0,
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
        haze=Range(0.05, 0.7),
        ripple_mm=Range(0.05, 1.6),
        shake_px=Range(0.0, 0.6),
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
        shake_px=Range(0.3, 1.0),
        dirt=Range(0.1, 0.4),
        jpeg_share=0.5,
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
        shake_px=Range(0.0, 0.2),
        drift_px=Range(0.0, 0.2),
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
