"""Scene -> everything small that moves in the water, and where each of it is at any time.

All objects of an immersion are rows of one table; a moment is one vectorised expression over it. Nothing is drawn here.
"""

from dataclasses import dataclass

import numpy as np

from calibration.scene import Leak, Scene, StationLook, Unit

LEAK, TRAPPED, ATTACHED, BEAD, SPECK = range(5)
LOOKS = 12
"""How many looks of a bubble calibration/stamps.py paints; rows name them by number."""
FOREVER_S = 1e6
FEET_MM = 5.0
"""The feet reach this far under the shell."""
_DIAMETERS_MM = np.array([0.1, 0.3, 0.5, 1.0, 2.0, 3.0, 5.0, 9.0])
_CLEAN_MM_S = np.array([8.0, 35.0, 75.0, 240.0, 290.0, 240.0, 220.0, 240.0])
_DIRTY_MM_S = np.array([6.0, 25.0, 55.0, 115.0, 175.0, 200.0, 210.0, 230.0])
"""Clift, Grace & Weber 1978, terminal rise speed of air in clean and contaminated water."""


@dataclass(frozen=True, slots=True, eq=False)
class Movers:
    """One row per object; every field (n,), float32 or float64; mm and seconds after the unit came to rest."""

    born_s: np.ndarray
    ends_s: np.ndarray
    x_mm: np.ndarray
    y_mm: np.ndarray
    vx_mm_s: np.ndarray
    vy_mm_s: np.ndarray
    """Terminal speed; negative = rising."""
    inertia_s: np.ndarray
    """Time constant of reaching the terminal speed; 0 = at once."""
    sway_mm: np.ndarray
    sway_hz: np.ndarray
    phase: np.ndarray
    diameter_mm: np.ndarray
    aspect: np.ndarray
    """Height over width."""
    strength: np.ndarray
    look: np.ndarray
    kind: np.ndarray
    behind: np.ndarray
    """1 where the unit's shell hides the object."""
    borne: np.ndarray
    """1 where the object moves with the unit."""


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """The objects in sight at one time: `rows` index into Movers, the others are (n,) float32 in mm and mm/s."""

    rows: np.ndarray
    x_mm: np.ndarray
    y_mm: np.ndarray
    vx_mm_s: np.ndarray
    vy_mm_s: np.ndarray


def rise_speed_mm_s(diameter_mm: np.ndarray, clean: float) -> np.ndarray:
    """Terminal rise speed, (n,) -> (n,); `clean` 0 = contaminated water, 1 = clean."""
    at = np.log(np.clip(diameter_mm, 0.1, 9.0))
    steps = np.log(_DIAMETERS_MM)
    return clean * np.interp(at, steps, _CLEAN_MM_S) + (1 - clean) * np.interp(at, steps, _DIRTY_MM_S)


def movers_of(scene: Scene, look: StationLook, *, already_in: bool) -> Movers:
    """The table of one immersion; `already_in`: the unit was set down at this very moment."""
    rng = np.random.default_rng([scene.seed, 31])
    tables = [_specks(rng, scene, look, scene.specks, False), _specks(rng, scene, look, scene.micro_bubbles, True)]
    if scene.unit is not None:
        wet_s = -0.35 if already_in else -0.5 * scene.lower_s
        tables += [
            _trapped(rng, scene, look, scene.unit, wet_s),
            _attached(rng, scene, look, scene.unit),
            _beads(rng, scene, look, scene.unit),
        ]
        tables += [
            _leaking(np.random.default_rng([scene.seed, 32, number]), leak, scene, look)
            for number, leak in enumerate(scene.leaks)
        ]
    names = Movers.__slots__
    return Movers(**{name: np.concatenate([table[name] for table in tables]) for name in names})


def at(movers: Movers, now_s: float, unit_lift_mm: float, surface_mm: float, floor_mm: float) -> Moment:
    """Where everything is at `now_s`; `unit_lift_mm`: how far the unit is above its rest."""
    rows = np.flatnonzero((movers.born_s <= now_s) & (now_s < movers.ends_s))
    age = now_s - movers.born_s[rows]
    inertia = np.maximum(movers.inertia_s[rows], 1e-6)
    started = np.exp(-age / inertia)
    turn = 2 * np.pi * movers.sway_hz[rows]
    grown = 1 - np.exp(-age * 5.0)
    angle = turn * age + movers.phase[rows]
    sway = movers.sway_mm[rows] * grown
    x = movers.x_mm[rows] + movers.vx_mm_s[rows] * age + sway * (np.sin(angle) - np.sin(movers.phase[rows]))
    y = movers.y_mm[rows] + movers.vy_mm_s[rows] * (age - inertia * (1 - started))
    y = y - unit_lift_mm * movers.borne[rows]
    vx = movers.vx_mm_s[rows] + sway * turn * np.cos(angle)
    vy = movers.vy_mm_s[rows] * (1 - started)
    dry = (movers.kind[rows] != BEAD) & (y - movers.diameter_mm[rows] / 2 <= surface_mm)
    keep = ~dry & (y < floor_mm)
    return Moment(rows[keep], x[keep], y[keep], vx[keep], vy[keep])


def _table(count: int, **columns: object) -> dict[str, np.ndarray]:
    """Columns of one kind of object; those not named have the plain value."""
    plain: dict[str, object] = {
        "born_s": -FOREVER_S, "ends_s": FOREVER_S, "x_mm": 0, "y_mm": 0, "vx_mm_s": 0, "vy_mm_s": 0, "inertia_s": 0,
        "sway_mm": 0, "sway_hz": 0, "phase": 0, "diameter_mm": 1, "aspect": 1, "strength": 1, "look": 0, "kind": SPECK,
        "behind": 0, "borne": 0,
    }  # fmt: skip
    types = {"look": np.int64, "kind": np.int64}
    return {
        name: np.ascontiguousarray(np.broadcast_to(np.asarray(value, types.get(name, np.float64)), (count,)))
        for name, value in {**plain, **columns}.items()
    }


def _rising(
    rng: np.random.Generator, scene: Scene, look: StationLook, births_s: np.ndarray, x: np.ndarray, y: np.ndarray,
    diameter: np.ndarray, kind: int, behind: float,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Free bubbles from their births to the surface."""
    count = births_s.size
    speed = rise_speed_mm_s(diameter, scene.clean_water) * rng.normal(1, 0.06, count).clip(0.8, 1.2)
    inertia = rng.uniform(0.02, 0.07, count)
    sways = np.clip((diameter - 0.9) / 0.8, 0, 1)
    rise = np.maximum(y - look.surface_mm, 0) / speed
    return _table(
        count,
        born_s=births_s,
        ends_s=births_s + rise + inertia,
        x_mm=x,
        y_mm=y,
        vx_mm_s=rng.normal(0, 6, count),
        vy_mm_s=-speed,
        inertia_s=inertia,
        sway_mm=sways * diameter * rng.uniform(0.3, 1.1, count),
        sway_hz=rng.uniform(4.5, 7.5, count),
        phase=rng.uniform(0, 2 * np.pi, count),
        diameter_mm=diameter,
        aspect=np.clip(1.04 - 0.11 * diameter * rng.uniform(0.6, 1.3, count), 0.5, 1.0),
        strength=rng.uniform(0.75, 1.0, count),
        look=rng.integers(0, LOOKS, count),
        kind=kind,
        behind=behind,
    )


def _leaking(rng: np.random.Generator, leak: Leak, scene: Scene, look: StationLook) -> dict[str, np.ndarray]:
    births = leak.births_s
    size = leak.diameter_mm * np.exp(rng.normal(0, leak.spread, births.size))
    x = leak.origin_mm[0] + rng.normal(0, 0.15 * leak.diameter_mm, births.size)
    lift = lift_mm(scene, births)
    y = leak.origin_mm[1] - lift - size / 2
    wet = y > look.surface_mm
    behind = 1.0 if leak.spot == "hidden" else 0.0
    one_look = np.full(int(wet.sum()), int(rng.integers(LOOKS)))
    table = _rising(rng, scene, look, births[wet], x[wet], y[wet], size[wet], LEAK, behind)
    changes = rng.random(one_look.size) < 0.3
    return {**table, "look": np.where(changes, table["look"], one_look)}


def _trapped(
    rng: np.random.Generator, scene: Scene, look: StationLook, unit: Unit, wet_s: float
) -> dict[str, np.ndarray]:
    """Air carried in: a burst that dies away, and single bubbles that come off later."""
    count, late = scene.trapped_bubbles, np.asarray(scene.late_detachments_s)
    spots_x, spots_y = _places(rng, unit, scene.trapped_spots)
    spot = rng.integers(0, scene.trapped_spots, count)
    late_x, late_y = _places(rng, unit, late.size)
    births = np.concatenate([wet_s + rng.exponential(2 * scene.trapped_tau_s, count), late])
    x = np.concatenate([spots_x[spot] + rng.normal(0, 2.0, count), late_x])
    y = np.concatenate([spots_y[spot], late_y]) - lift_mm(scene, births)
    size = np.exp(rng.uniform(np.log(0.4), np.log(6.0), births.size))
    behind = np.concatenate([np.where(rng.random(count) < 0.15, 1.0, 0.0), np.zeros(late.size)])
    wet = y > look.surface_mm
    table = _rising(rng, scene, look, births[wet], x[wet], y[wet], size[wet], TRAPPED, 0.0)
    return {**table, "behind": behind[wet]}


def _attached(rng: np.random.Generator, scene: Scene, look: StationLook, unit: Unit) -> dict[str, np.ndarray]:
    """Bubbles that stick to the shell and stay."""
    count = scene.attached_bubbles
    x, y = _places(rng, unit, count)
    return _table(
        count, x_mm=x, y_mm=y, diameter_mm=np.exp(rng.uniform(np.log(0.5), np.log(4.0), count)), borne=1.0,
        aspect=rng.uniform(0.7, 1.0, count), strength=rng.uniform(0.4, 1.0, count),
        look=rng.integers(0, LOOKS, count), kind=ATTACHED,
    )  # fmt: skip


def _beads(rng: np.random.Generator, scene: Scene, look: StationLook, unit: Unit) -> dict[str, np.ndarray]:
    """Drops and grains on the steel: sitting ones, and some that roll to an edge and fall."""
    count = scene.beads
    x, y = _places(rng, unit, count)
    size = rng.uniform(0.8, 3.5, count)
    rolls = rng.random(count) < 0.35
    starts, side = rng.uniform(0.2, scene.hold_s, count), rng.choice([-1.0, 1.0], count)
    speed = rng.uniform(10, 120, count)
    edge = unit.centre_mm + side * unit.width_mm / 2
    lasts = np.maximum((edge - x) * side, 0) / speed
    drop = rng.uniform(150, 600, count)
    looks, strength = rng.integers(0, LOOKS, count), rng.uniform(0.5, 1, count)
    style = {"diameter_mm": size, "look": looks, "kind": np.full(count, BEAD), "strength": strength}
    sitting = _table(count, **style, x_mm=x, y_mm=y, ends_s=np.where(rolls, starts, FOREVER_S), borne=1.0)
    gone = {name: value[rolls] for name, value in style.items()}
    rolling = _table(
        int(rolls.sum()), **gone, x_mm=x[rolls], y_mm=y[rolls], vx_mm_s=(side * speed)[rolls],
        born_s=starts[rolls], ends_s=(starts + lasts)[rolls],
    )  # fmt: skip
    falling = _table(
        int(rolls.sum()), **gone, x_mm=(x + side * speed * lasts)[rolls], y_mm=y[rolls], vy_mm_s=drop[rolls],
        vx_mm_s=rng.normal(0, 8, int(rolls.sum())), inertia_s=0.12, born_s=(starts + lasts)[rolls],
    )  # fmt: skip
    return {name: np.concatenate([sitting[name], rolling[name], falling[name]]) for name in sitting}


def _specks(rng: np.random.Generator, scene: Scene, look: StationLook, count: int, rise: bool) -> dict[str, np.ndarray]:
    """Dirt that drifts with the water, or micro-bubbles that rise slowly through all of it."""
    width, height = look.tank_mm
    span = scene.hold_s + scene.gap_s + scene.lower_s + 8
    size = rng.uniform(0.15, 0.4, count) if rise else rng.uniform(0.4, 1.4, count)
    up = -rise_speed_mm_s(size, scene.clean_water) if rise else rng.normal(0, 3, count)
    born = rng.uniform(-scene.gap_s - scene.lower_s - 4, scene.hold_s, count) if rise else np.full(count, -span / 2)
    return _table(
        count, x_mm=rng.uniform(0, width, count), y_mm=rng.uniform(look.surface_mm + 1, height, count),
        vx_mm_s=rng.normal(0, 5, count), vy_mm_s=up, born_s=born, ends_s=born + (8 if rise else 2 * span),
        sway_mm=rng.uniform(0, 4, count), sway_hz=rng.uniform(0.05, 0.4, count), phase=rng.uniform(0, 6.28, count),
        diameter_mm=size, strength=rng.uniform(0.3, 0.8, count), look=rng.integers(0, LOOKS, count), kind=SPECK,
    )  # fmt: skip


def _places(rng: np.random.Generator, unit: Unit, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Random places on the unit's face, (count,) x and y in mm."""
    x = unit.centre_mm + rng.uniform(-0.46, 0.46, count) * unit.width_mm
    y = unit.bottom_mm - rng.uniform(0.02, 0.85, count) * unit.height_mm
    return x, y


def lift_mm(scene: Scene, now_s: np.ndarray | float) -> np.ndarray:
    """How far the unit is above its rest at times after it came to rest; it eases in and out."""
    if scene.unit is None:
        return np.zeros_like(np.asarray(now_s, np.float64))
    travel = 1.08 * scene.unit.bottom_mm
    now = np.asarray(now_s, np.float64)
    raised_s = scene.hold_s + scene.lamp_delay_s
    down = np.clip(-now / scene.lower_s, 0, 1)
    up = np.clip((now - raised_s) / scene.raise_s, 0, 1)
    return travel * (_ease(down) + _ease(up))


def _ease(share: np.ndarray) -> np.ndarray:
    return share * share * (3 - 2 * share)
