"""Seed -> what the twin shows: how a station looks and what happens during one immersion.

Only numbers are drawn here; calibration/bubbles.py makes them move and calibration/twin.py makes them visible.
Lengths are in mm on the tank's front plane: origin at the tank view's top left corner, x right, y down.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from calibration.profiles import Range, SceneProfile, profile_named
from edge_agent.records import DecisionWord

Box = tuple[int, int, int, int]
UnitKind = Literal["dome", "drum", "capsule"]
LeakSpot = Literal["weld", "stub", "underside", "hidden"]
SILENT_BELOW = 3
"""A leak that lets go fewer bubbles during the hold cannot be told from chance: it is a class of its own."""


@dataclass(frozen=True, slots=True, eq=False)
class StationLook:
    """A station as its camera sees it: `tank_px` (4, 2) float64, outer corners TL TR BR BL in camera pixels."""

    seed: int
    station_id: str
    frame_size_px: tuple[int, int]
    tank_px: np.ndarray
    tank_mm: tuple[float, float]
    marker_mm: float
    lamps: dict[Literal["ok", "leak"], Box]
    surface_mm: float
    front_light: float
    """Share of the light that comes from the camera's side, 0..1."""
    back_level: float
    """Grey level of the lit back wall."""
    gradient: tuple[float, float]
    """Relative change of the light over the picture's width and height."""
    flicker: float
    flicker_hz: float
    noise_levels: float
    """Camera noise at mid grey, standard deviation in grey levels."""
    exposure_s: float
    blur_px: float
    haze: float
    """Exponent: contrast under water falls by exp(-haze)."""
    veil_level: float
    ripple_mm: float
    shake_px: float
    drift_px: float
    dirt: float
    texture: float
    saturated_edges: int
    lamp_glow: float
    lamp_pwm: float
    jpeg_quality: int | None
    tint: tuple[float, float, float]

    @property
    def px_per_mm(self) -> float:
        """Mean scale of the front plane in the camera's picture."""
        widths = np.linalg.norm(self.tank_px[1] - self.tank_px[0]) + np.linalg.norm(self.tank_px[2] - self.tank_px[3])
        return float(widths / 2 / self.tank_mm[0])


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

    @property
    def top_mm(self) -> float:
        return self.bottom_mm - self.height_mm

    def seam_mm(self) -> float:
        """Height of the weld."""
        return self.bottom_mm - 0.42 * self.height_mm


@dataclass(frozen=True, slots=True, eq=False)
class Leak:
    """One place that lets air out. `births_s`: (n,) float64, seconds after the unit came to rest (negative = before)."""

    spot: LeakSpot
    origin_mm: tuple[float, float]
    rate_s: float
    diameter_mm: float
    spread: float
    regularity: float
    odd: Literal["steady", "intermittent", "burst"]
    births_s: np.ndarray


@dataclass(frozen=True, slots=True)
class Hand:
    """An arm before the glass; times in seconds after the scene's start."""

    from_s: float
    until_s: float
    side: int
    reach: float


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One immersion; times in seconds after the unit came to rest unless named otherwise."""

    seed: int
    profile: str
    unit: Unit | None
    leaky: bool
    leaks: tuple[Leak, ...]
    trapped_bubbles: int
    trapped_spots: int
    trapped_tau_s: float
    late_detachments_s: tuple[float, ...]
    attached_bubbles: int
    beads: int
    specks: int
    micro_bubbles: int
    clean_water: float
    """0 = contaminated surface (slow bubbles), 1 = clean."""
    haze: float
    gap_s: float
    lower_s: float
    hold_s: float
    lamp_delay_s: float
    """From the lamp to the moment the unit is raised."""
    lamp_on_s: float
    raise_s: float
    decision: DecisionWord
    both_lamps: bool
    hands: tuple[Hand, ...]
    knock_px: float
    knock_s: float

    @property
    def testable(self) -> bool:
        """False where the water hides every bubble."""
        return self.haze < 1.2

    @property
    def bubbles_released(self) -> int:
        """Leak bubbles let go while the unit is held and nobody has decided."""
        return int(sum(np.count_nonzero((leak.births_s >= 0) & (leak.births_s < self.hold_s)) for leak in self.leaks))

    @property
    def silent(self) -> bool:
        """True for a leak that lets go too few bubbles to be known for one."""
        return self.leaky and self.bubbles_released < SILENT_BELOW


def draw_station(
    seed: int, profile: str = "reference", frame_size_px: tuple[int, int] = (640, 480), station_id: str = "TANK1"
) -> StationLook:
    """A station by seed: pose, light, camera, background."""
    ranges = profile_named(profile)
    rng = np.random.default_rng([seed, 11])
    width, height = frame_size_px
    scale = width / 640
    px_per_mm = _draw(rng, ranges.px_per_mm) * scale
    tank = _draw_tank(rng, width, height)
    tank_w = float(np.linalg.norm(tank[1] - tank[0]) + np.linalg.norm(tank[2] - tank[3])) / 2
    tank_h = float(np.linalg.norm(tank[3] - tank[0]) + np.linalg.norm(tank[2] - tank[1])) / 2
    level = _draw(rng, ranges.back_level)
    return StationLook(
        seed=seed,
        station_id=station_id,
        frame_size_px=frame_size_px,
        tank_px=tank,
        tank_mm=(tank_w / px_per_mm, tank_h / px_per_mm),
        marker_mm=float(rng.uniform(89, 94)) * scale / px_per_mm,
        lamps=_lamp_boxes(tank, width, height),
        surface_mm=float(rng.uniform(0.05, 0.08)) * tank_h / px_per_mm,
        front_light=_draw(rng, ranges.front_light),
        back_level=level,
        gradient=(float(rng.uniform(-0.3, 0.3)), float(rng.uniform(-0.3, 0.3))),
        flicker=_draw(rng, ranges.flicker),
        flicker_hz=float(rng.uniform(0.7, 9.0)),
        noise_levels=_draw(rng, ranges.noise_levels),
        exposure_s=_draw(rng, ranges.exposure_s),
        blur_px=float(rng.uniform(0.45, 0.8)),
        haze=_draw(rng, ranges.haze),
        veil_level=level * float(rng.uniform(0.5, 0.9)),
        ripple_mm=_draw(rng, ranges.ripple_mm),
        shake_px=_draw(rng, ranges.shake_px) * scale,
        drift_px=_draw(rng, ranges.drift_px) * scale,
        dirt=_draw(rng, ranges.dirt),
        texture=float(rng.uniform(0.02, 0.22)),
        saturated_edges=int(rng.integers(0, 9)),
        lamp_glow=float(rng.uniform(0.65, 1.0)),
        lamp_pwm=float(rng.uniform(0.0, 0.35)) * float(rng.random() < 0.3),
        jpeg_quality=int(rng.integers(70, 96)) if rng.random() < ranges.jpeg_share else None,
        tint=tuple(float(value) for value in rng.uniform(0.82, 1.0, 3)),
    )


def at_pose(look: StationLook, pose: int) -> StationLook:
    """The same station after somebody moved the camera; pose 0 is the one that was drawn."""
    if pose == 0:
        return look
    rng = np.random.default_rng([look.seed, 12, pose])
    width, height = look.frame_size_px
    centre = np.array([width, height]) / 2
    angle = np.deg2rad(rng.uniform(0.7, 2.0) * rng.choice([-1, 1]))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shift = rng.uniform(4.0, 8.0, 2) * rng.choice([-1, 1], 2) * width / 640
    tank = (look.tank_px - centre) * 0.975 @ turn.T + centre + shift
    margin = 2.0
    tank = np.clip(tank, margin, np.array([width, height]) - 1 - margin)
    return replace(look, tank_px=tank, lamps=_lamp_boxes(tank, width, height))


def draw_scene(
    seed: int,
    look: StationLook,
    profile: str = "reference",
    *,
    leaky: bool | None = None,
    inspector_error_rate: float = 0.0,
) -> Scene:
    """One immersion by seed. A leaky unit and its tight twin of the same seed differ in nothing but the leak."""
    ranges = profile_named(profile)
    rng = np.random.default_rng([seed, 21])
    luck, leak_rng = np.random.default_rng([seed, 22]), np.random.default_rng([seed, 23])
    drawn_leaky = bool(luck.random() < ranges.leak_share)
    leaky = ranges.has_unit and (drawn_leaky if leaky is None else leaky)
    hold = _draw(rng, ranges.hold_s)
    gap = _draw(rng, ranges.gap_s)
    lower = float(rng.uniform(0.8, 1.6))
    unit = _draw_unit(rng, look, ranges) if ranges.has_unit else None
    late = np.sort(rng.uniform(0.5, hold + 1, rng.poisson(_draw(rng, ranges.late_rate) * (hold + 0.5))))
    return Scene(
        seed=seed,
        profile=profile,
        unit=unit,
        leaky=leaky,
        leaks=_draw_leaks(leak_rng, look, unit, ranges, hold) if leaky and unit else (),
        trapped_bubbles=int(rng.integers(2, 41)) if unit and rng.random() < ranges.trapped_share else 0,
        trapped_spots=int(rng.integers(1, 5)),
        trapped_tau_s=float(rng.uniform(0.12, 0.5)),
        late_detachments_s=tuple(float(at) for at in late) if unit else (),
        attached_bubbles=int(rng.integers(1, 25)) if unit and rng.random() < ranges.attached_share else 0,
        beads=int(rng.integers(1, 9)) if unit and rng.random() < ranges.bead_share else 0,
        specks=int(_draw(rng, ranges.specks)),
        micro_bubbles=int(_draw(rng, ranges.micro_bubbles)),
        clean_water=float(rng.random()),
        haze=look.haze * float(rng.uniform(0.9, 1.1)),
        gap_s=gap,
        lower_s=lower,
        hold_s=hold,
        lamp_delay_s=float(rng.uniform(0.3, 0.8)),
        lamp_on_s=float(rng.uniform(1.5, ranges.lamp_on_max_s)),
        raise_s=float(rng.uniform(0.8, 1.4)),
        decision=_decide(luck, leaky, unit is not None, ranges, inspector_error_rate),
        both_lamps=bool(luck.random() < ranges.both_lamps_share),
        hands=_draw_hands(rng, ranges, gap + lower + hold),
        knock_px=_draw(rng, ranges.knock_px) if rng.random() < ranges.knock_share else 0.0,
        knock_s=float(rng.uniform(0.5, max(hold, 1.0))),
    )


def _draw(rng: np.random.Generator, spread: Range) -> float:
    """One value; log-uniform where the range says so."""
    if spread.log:
        return float(np.exp(rng.uniform(np.log(spread.low), np.log(spread.high))))
    return float(rng.uniform(spread.low, spread.high))


def _draw_tank(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Corners of a tank view that leaves a lamp's width free at the right and a few pixels elsewhere."""
    left, top = width * rng.uniform(0.012, 0.022), height * rng.uniform(0.015, 0.03)
    right, bottom = width * rng.uniform(0.925, 0.94), height * rng.uniform(0.965, 0.98)
    square = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float64)
    return square + rng.uniform(-0.006, 0.006, (4, 2)) * width


def _lamp_boxes(tank: np.ndarray, width: int, height: int) -> dict[Literal["ok", "leak"], Box]:
    """Two lamps at the picture's right edge, outside of the tank view."""
    free = int(min(tank[1, 0], tank[2, 0]))
    free = max(int(max(tank[1, 0], tank[2, 0])) + 2, free)
    size = max(min(width - free - 2, round(width * 0.045)), 8)
    x = width - size - 1
    return {"ok": (x, round(height * 0.36), size, size), "leak": (x, round(height * 0.52), size, size)}


def _draw_unit(rng: np.random.Generator, look: StationLook, ranges: SceneProfile) -> Unit:
    tank_w, tank_h = look.tank_mm
    depth = tank_h - look.surface_mm
    askew = rng.random() < ranges.askew_share
    kind: UnitKind = ("dome", "drum", "capsule")[int(rng.integers(3))]
    wide = {"dome": (0.30, 0.44), "drum": (0.34, 0.5), "capsule": (0.44, 0.56)}[kind]
    tall = {"dome": (0.48, 0.66), "drum": (0.38, 0.56), "capsule": (0.3, 0.42)}[kind]
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
    )


def _draw_leaks(
    rng: np.random.Generator, look: StationLook, unit: Unit, ranges: SceneProfile, hold: float
) -> tuple[Leak, ...]:
    count = 1 + int(rng.random() < 0.12)
    return tuple(_draw_leak(rng, look, unit, ranges, hold) for _ in range(count))


def _draw_leak(rng: np.random.Generator, look: StationLook, unit: Unit, ranges: SceneProfile, hold: float) -> Leak:
    spots: tuple[LeakSpot, ...] = ("weld", "stub", "underside", "hidden")
    spot = spots[int(rng.choice(4, p=(0.42, 0.26, 0.32 - ranges.hidden_share, ranges.hidden_share)))]
    smallest = Range(ranges.leak_px.low, ranges.leak_px.high, log=True)
    diameter = _draw(rng, smallest) * look.frame_size_px[0] / 640 / look.px_per_mm
    rate, regularity = _draw(rng, ranges.leak_rate), _draw(rng, Range(1, 25, log=True))
    odd = ("intermittent", "burst")[int(rng.integers(2))] if rng.random() < ranges.odd_share else "steady"
    return Leak(
        spot=spot,
        origin_mm=_origin(rng, unit, spot),
        rate_s=rate,
        diameter_mm=min(diameter, 6.0),
        spread=float(rng.uniform(0.02, 0.12)),
        regularity=regularity,
        odd=odd,
        births_s=_births(rng, rate, regularity, odd, hold),
    )


def _origin(rng: np.random.Generator, unit: Unit, spot: LeakSpot) -> tuple[float, float]:
    """A place on the unit's outline or face, in tank mm."""
    across = float(rng.uniform(-0.44, 0.44)) * unit.width_mm
    if spot == "weld":
        return unit.centre_mm + across, unit.seam_mm()
    if spot == "underside":
        return unit.centre_mm + across, unit.bottom_mm - 0.02 * unit.height_mm
    if spot == "stub":
        share, length, side = unit.stubs[int(rng.integers(len(unit.stubs)))]
        along = float(rng.uniform(0.1, 1.0)) * length
        return unit.centre_mm + side * (unit.width_mm / 2 + along), unit.bottom_mm - share * unit.height_mm
    return unit.centre_mm + 0.9 * across, unit.bottom_mm - float(rng.uniform(0.2, 0.8)) * unit.height_mm


def _births(rng: np.random.Generator, rate: float, regularity: float, odd: str, hold: float) -> np.ndarray:
    """Gamma renewal process from 1 s before rest (the unit is wet) to well after the hold, in a stationary state."""
    start, end = -1.0, hold + 4.0
    gaps = rng.gamma(regularity, 1 / (rate * regularity), int((end - start) * rate * 2) + 40)
    births = start - rng.uniform(0, 1 / rate) + np.cumsum(gaps)
    births = births[(births >= start) & (births < end)]
    if odd == "intermittent":
        period, phase = rng.uniform(1.0, 4.0), rng.uniform(0, 1)
        births = births[((births / period + phase) % 1.0) < 0.5]
    if odd == "burst":
        births = np.sort(np.repeat(births[::4], 4) + np.tile([0.0, 0.035, 0.07, 0.105], births[::4].size))
    return births


def _decide(
    luck: np.random.Generator, leaky: bool, has_unit: bool, ranges: SceneProfile, error_rate: float
) -> DecisionWord:
    """The inspector's word: the truth, but for `error_rate` of the cases and those that nobody decides."""
    errs, silent = bool(luck.random() < error_rate), bool(luck.random() < ranges.undecided_share)
    if not has_unit or silent:
        return "none"
    return "leak" if leaky != errs else "ok"


def _draw_hands(rng: np.random.Generator, ranges: SceneProfile, until: float) -> tuple[Hand, ...]:
    if rng.random() >= ranges.hand_share:
        return ()
    start = float(rng.uniform(0.2, max(until - 1.0, 0.4)))
    return (Hand(start, start + float(rng.uniform(0.6, 2.0)), int(rng.choice([-1, 1])), float(rng.uniform(0.2, 0.6))),)
