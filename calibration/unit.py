"""Seed -> Unit and its Leaks: the part under test, where it lets air out, and when each bubble leaves. PURE."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from calibration.look import StationLook
from calibration.profiles import Range, SceneProfile, draw

UnitKind = Literal["dome", "drum", "capsule", "box", "bottle"]
LeakSpot = Literal["weld", "stub", "underside", "hidden"]
Habit = Literal["steady", "intermittent", "burst", "cap", "breakup", "coalescing"]
_ROUNDNESS: dict[UnitKind, float] = {"dome": 2.6, "drum": 6.0, "capsule": 3.2, "box": 14.0, "bottle": 4.0}
"""Exponents of the superellipses that the shells' outlines are."""
_WIDE: dict[UnitKind, tuple[float, float]] = {
    "dome": (0.30, 0.44), "drum": (0.34, 0.5), "capsule": (0.44, 0.56), "box": (0.32, 0.5), "bottle": (0.2, 0.32),
}  # fmt: skip
_TALL: dict[UnitKind, tuple[float, float]] = {
    "dome": (0.48, 0.66), "drum": (0.38, 0.56), "capsule": (0.3, 0.42), "box": (0.3, 0.5), "bottle": (0.5, 0.66),
}  # fmt: skip
_CAP_MM = Range(8.5, 14.0)


@dataclass(frozen=True, slots=True)
class Unit:
    """The part at rest in the tank, in mm."""

    kind: UnitKind
    centre_mm: float
    bottom_mm: float
    width_mm: float
    height_mm: float
    tilt_deg: float
    albedo: float
    texture_seed: int
    stubs: tuple[tuple[float, float, float], ...]
    """Pipe stubs: height share from the bottom, length mm, side (-1 left, 1 right)."""
    taper: float = 0.0
    """How much narrower the top is than the middle, as a share."""

    @property
    def roundness(self) -> float:
        return _ROUNDNESS[self.kind]

    def underside_mm(self, x_mm: np.ndarray | float) -> np.ndarray:
        """Height of the shell's lower outline at `x_mm`."""
        across = np.clip(np.abs(np.asarray(x_mm, np.float64) - self.centre_mm) / (self.width_mm / 2), 0, 1)
        round_off = 1 - (1 - across**self.roundness) ** (1 / self.roundness)
        return self.bottom_mm - round_off * self.height_mm / 2

    @property
    def top_mm(self) -> float:
        return self.bottom_mm - self.height_mm

    def seam_mm(self) -> float:
        """Height of the weld."""
        return self.bottom_mm - 0.42 * self.height_mm


@dataclass(frozen=True, slots=True, eq=False)
class Leak:
    """One place that lets air out. `births_s`: (n,) float64, seconds after the unit came to rest."""

    spot: LeakSpot
    origin_mm: tuple[float, float]
    rate_s: float
    diameter_mm: float
    spread: float
    regularity: float
    odd: Habit
    slides: bool
    """Bubbles creep along the shell's underside and rise at its edge."""
    births_s: np.ndarray

    @property
    def bubble_mm3(self) -> float:
        """Mean volume of its bubbles, whose sizes are log-normal."""
        return float(np.pi / 6 * self.diameter_mm**3 * np.exp(4.5 * self.spread**2))


def draw_unit(rng: np.random.Generator, look: StationLook, ranges: SceneProfile) -> Unit:
    tank_w, tank_h = look.tank_mm
    depth = tank_h - look.surface_mm
    askew = rng.random() < ranges.askew_share
    kinds = list(_ROUNDNESS)
    kind = kinds[int(rng.integers(len(kinds)))]
    wide, tall = _WIDE[kind], _TALL[kind]
    stubs = tuple(
        (float(rng.uniform(0.3, 0.85)), float(rng.uniform(0.04, 0.09)) * tank_w, float(rng.choice([-1, 1])))
        for _ in range(int(rng.integers(1, 4)))
    )
    return Unit(
        kind=kind,
        centre_mm=tank_w * float(rng.uniform(0.43, 0.57)),
        bottom_mm=tank_h - depth * float(rng.uniform(0.08, 0.16)),
        width_mm=tank_w * float(rng.uniform(*wide)),
        height_mm=depth * float(rng.uniform(*tall)),
        tilt_deg=float(rng.uniform(-9, 9)) if askew else float(rng.uniform(-1, 1)),
        albedo=float(rng.choice([rng.uniform(0.06, 0.2), rng.uniform(0.2, 0.7)])),
        texture_seed=int(rng.integers(2**31)),
        stubs=stubs,
        taper=float(rng.uniform(0.0, 0.35)) * float(rng.random() < 0.5),
    )


def draw_leaks(
    rng: np.random.Generator, look: StationLook, unit: Unit, ranges: SceneProfile, until_s: float
) -> tuple[Leak, ...]:
    """One leak, seldom two, that let go bubbles until `until_s`."""
    count = 1 + int(rng.random() < 0.12)
    return tuple(_draw_leak(rng, look, unit, ranges, until_s) for _ in range(count))


def _draw_leak(rng: np.random.Generator, look: StationLook, unit: Unit, ranges: SceneProfile, until_s: float) -> Leak:
    spots: tuple[LeakSpot, ...] = ("weld", "stub", "underside", "hidden")
    spot = spots[int(rng.choice(4, p=(0.42, 0.26, 0.32 - ranges.hidden_share, ranges.hidden_share)))]
    diameter = draw(rng, ranges.leak_px) * look.frame_size_px[0] / 640 / look.px_per_mm
    rate, regularity = draw(rng, ranges.leak_rate), draw(rng, Range(1, 25, log=True))
    habits: tuple[Habit, ...] = ("intermittent", "burst", "breakup", "coalescing", "cap")
    odd: Habit = habits[int(rng.integers(len(habits)))] if rng.random() < ranges.odd_share else "steady"
    diameter = min(diameter, 6.0)
    if odd == "cap":
        # Much air at once: caps come one by one.
        diameter, rate = draw(rng, _CAP_MM), min(rate, 3.0)
    if odd == "breakup":
        diameter = max(diameter, 4.5)
    return Leak(
        spot=spot,
        origin_mm=_origin(rng, unit, spot),
        rate_s=rate,
        diameter_mm=diameter,
        spread=float(rng.uniform(0.02, 0.12)),
        regularity=regularity,
        odd=odd,
        slides=bool(spot == "underside" and rng.random() < ranges.slide_share),
        births_s=_births(rng, rate, regularity, odd, until_s),
    )


def _origin(rng: np.random.Generator, unit: Unit, spot: LeakSpot) -> tuple[float, float]:
    """A place on the unit's outline or face, in tank mm."""
    across = float(rng.uniform(-0.44, 0.44)) * unit.width_mm
    if spot == "weld":
        return unit.centre_mm + across, unit.seam_mm()
    if spot == "underside":
        return unit.centre_mm + across, float(unit.underside_mm(unit.centre_mm + across))
    if spot == "stub":
        share, length, side = unit.stubs[int(rng.integers(len(unit.stubs)))]
        along = float(rng.uniform(0.1, 1.0)) * length
        return unit.centre_mm + side * (unit.width_mm / 2 + along), unit.bottom_mm - share * unit.height_mm
    return unit.centre_mm + 0.9 * across, unit.bottom_mm - float(rng.uniform(0.2, 0.8)) * unit.height_mm


def _births(rng: np.random.Generator, rate: float, regularity: float, odd: Habit, end: float) -> np.ndarray:
    """Gamma renewal process from 1 s before rest (the unit is wet) to `end`, in a stationary state."""
    start = -1.0
    gaps = rng.gamma(regularity, 1 / (rate * regularity), int((end - start) * rate * 2) + 40)
    births = start - rng.uniform(0, 1 / rate) + np.cumsum(gaps)
    births = births[(births >= start) & (births < end)]
    if odd == "intermittent":
        period, phase = rng.uniform(1.0, 4.0), rng.uniform(0, 1)
        births = births[((births / period + phase) % 1.0) < 0.5]
    if odd == "coalescing":
        # A second bubble follows so soon that it is drawn into the first one's wake.
        births = np.sort(np.concatenate([births, births + rng.uniform(0.03, 0.07, births.size)]))
    if odd == "burst":
        births = np.sort(np.repeat(births[::4], 4) + np.tile([0.0, 0.035, 0.07, 0.105], births[::4].size))
    return births
