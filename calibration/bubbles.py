"""Scene -> the table of everything small that moves in the water: leaks, air carried in, beads and specks.

All objects of an immersion are rows of one table; calibration/movers.py says where they are at any moment.
"""

import numpy as np

from calibration import odd
from calibration.movers import (
    ATTACHED,
    BEAD,
    FOREVER_S,
    LEAK,
    LOOKS,
    SPECK,
    TRAPPED,
    Moment,
    Movers,
    Table,
    at,
    chosen,
    rise_speed_mm_s,
    rising,
    table,
    together,
)
from calibration.scene import Leak, Scene, StationLook, Unit

__all__ = [
    "ATTACHED", "BEAD", "FEET_MM", "LEAK", "LOOKS", "SPECK", "TRAPPED", "Moment", "Movers", "at", "lift_mm",
    "movers_of", "rise_speed_mm_s",
]  # fmt: skip
FEET_MM = 5.0
"""The feet reach this far under the shell."""
DIP_TRAVEL_S = 0.8
"""A unit that is dipped twice is lifted and lowered this fast."""


def movers_of(scene: Scene, look: StationLook, *, already_in: bool) -> Movers:
    """The table of one immersion; `already_in`: the unit was set down at this very moment."""
    rng = np.random.default_rng([scene.seed, 31])
    tables = [_specks(rng, scene, look, scene.specks, False), _specks(rng, scene, look, scene.micro_bubbles, True)]
    if scene.unit is not None:
        wet_s = -0.35 if already_in else -0.5 * scene.lower_s
        wets = [wet_s, *(dip.until_s - 0.5 * DIP_TRAVEL_S for dip in scene.dips)]
        tables += [_trapped(rng, scene, look, scene.unit, wet) for wet in wets]
        tables += [
            _late(rng, scene, look, scene.unit),
            _attached(rng, scene, look, scene.unit),
            _beads(rng, scene, look, scene.unit),
        ]
        tables += [
            _leaking(np.random.default_rng([scene.seed, 32, number]), leak, scene, look)
            for number, leak in enumerate(scene.leaks)
        ]
    return Movers(**together(tables))


def _leaking(rng: np.random.Generator, leak: Leak, scene: Scene, look: StationLook) -> Table:
    births = leak.births_s
    size = leak.diameter_mm * np.exp(rng.normal(0, leak.spread, births.size))
    x = leak.origin_mm[0] + rng.normal(0, 0.15 * min(leak.diameter_mm, 5.0), births.size)
    y = leak.origin_mm[1] - lift_mm(scene, births) - size / 2
    wet = y > look.surface_mm
    hidden = 1.0 if leak.spot == "hidden" else 0.0
    rows = rising(rng, scene, look, births[wet], x[wet], y[wet], size[wet], LEAK, hidden)
    # One hole makes bubbles of one look; caps keep their own.
    same = (rng.random(rows["look"].size) >= 0.3) & (rows["look"] < LOOKS)
    rows["look"] = np.where(same, rng.integers(LOOKS), rows["look"])
    rows["defocus_mm"] = np.full_like(rows["x_mm"], rng.uniform(0, 0.35) * float(rng.random() < 0.3))
    if leak.odd == "breakup":
        return odd.breaking(rng, rows, scene, look)
    if leak.odd == "coalescing":
        return odd.joining(rng, rows, scene, look)
    if leak.slides and scene.unit is not None:
        return odd.creeping(rng, rows, scene, look, scene.unit)
    return rows


def _trapped(rng: np.random.Generator, scene: Scene, look: StationLook, unit: Unit, wet_s: float) -> Table:
    """Air carried in: a burst that dies away."""
    count = scene.trapped_bubbles
    spots_x, spots_y = _places(rng, unit, scene.trapped_spots)
    spot = rng.integers(0, scene.trapped_spots, count)
    births = wet_s + rng.exponential(2 * scene.trapped_tau_s, count)
    x, y = spots_x[spot] + rng.normal(0, 2.0, count), spots_y[spot] - lift_mm(scene, births)
    return _let_go(rng, scene, look, unit, births, x, y, hidden_share=0.15)


def _late(rng: np.random.Generator, scene: Scene, look: StationLook, unit: Unit) -> Table:
    """Air carried in that comes off one by one, long after."""
    births = np.asarray(scene.late_detachments_s, np.float64)
    x, y = _places(rng, unit, births.size)
    return _let_go(rng, scene, look, unit, births, x, y - lift_mm(scene, births), hidden_share=0.0)


def _let_go(
    rng: np.random.Generator, scene: Scene, look: StationLook, unit: Unit, births: np.ndarray, x: np.ndarray,
    y: np.ndarray, *, hidden_share: float,
) -> Table:  # fmt: skip
    """Trapped air from its births on; some of it creeps along the underside first."""
    size = np.exp(rng.uniform(np.log(0.4), np.log(6.0), births.size))
    creeps = rng.random(births.size) < 0.3 * scene.slide_share
    y = np.where(creeps, unit.underside_mm(x) + size / 2 - lift_mm(scene, births), y)
    wet = y > look.surface_mm
    rows = rising(rng, scene, look, births[wet], x[wet], y[wet], size[wet], TRAPPED, 0.0)
    rows["behind"] = (rng.random(rows["x_mm"].size) < hidden_share).astype(np.float64)
    rows["defocus_mm"] = rng.uniform(0, 0.35, rows["x_mm"].size) * (rng.random(rows["x_mm"].size) < 0.3)
    slow, fast = chosen(rows, np.flatnonzero(creeps[wet])), chosen(rows, np.flatnonzero(~creeps[wet]))
    return together([fast, odd.creeping(rng, slow, scene, look, unit)])


def _attached(rng: np.random.Generator, scene: Scene, look: StationLook, unit: Unit) -> Table:
    """Bubbles that stick to the shell and stay."""
    count = scene.attached_bubbles
    x, y = _places(rng, unit, count)
    return table(
        count, x_mm=x, y_mm=y, diameter_mm=np.exp(rng.uniform(np.log(0.5), np.log(4.0), count)), borne=1.0,
        aspect=rng.uniform(0.7, 1.0, count), strength=rng.uniform(0.4, 1.0, count),
        look=rng.integers(0, LOOKS, count), kind=ATTACHED,
    )  # fmt: skip


def _beads(rng: np.random.Generator, scene: Scene, look: StationLook, unit: Unit) -> Table:
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
    sitting = table(count, **style, x_mm=x, y_mm=y, ends_s=np.where(rolls, starts, FOREVER_S), borne=1.0)
    gone = {name: value[rolls] for name, value in style.items()}
    rolling = table(
        int(rolls.sum()), **gone, x_mm=x[rolls], y_mm=y[rolls], vx_mm_s=(side * speed)[rolls],
        born_s=starts[rolls], ends_s=(starts + lasts)[rolls],
    )  # fmt: skip
    falling = table(
        int(rolls.sum()), **gone, x_mm=(x + side * speed * lasts)[rolls], y_mm=y[rolls], vy_mm_s=drop[rolls],
        vx_mm_s=rng.normal(0, 8, int(rolls.sum())), inertia_s=0.12, born_s=(starts + lasts)[rolls],
    )  # fmt: skip
    return {name: np.concatenate([sitting[name], rolling[name], falling[name]]) for name in sitting}


def _specks(rng: np.random.Generator, scene: Scene, look: StationLook, count: int, rise: bool) -> Table:
    """Dirt that drifts with the water, or micro-bubbles that rise slowly through all of it."""
    width, height = look.tank_mm
    span = scene.hold_s + scene.gap_s + scene.lower_s + scene.lamp_delay_s + 8
    size = rng.uniform(0.15, 0.4, count) if rise else rng.uniform(0.4, 1.4, count)
    up = -rise_speed_mm_s(size, scene.clean_water) if rise else rng.normal(0, 3, count)
    born = (
        rng.uniform(-scene.gap_s - scene.lower_s - 4, scene.hold_s + scene.lamp_delay_s, count)
        if rise
        else np.full(count, -span / 2)
    )
    return table(
        count, x_mm=rng.uniform(0, width, count), y_mm=rng.uniform(look.surface_mm + 1, height, count),
        vx_mm_s=rng.normal(0, 5, count), vy_mm_s=up, born_s=born, ends_s=born + (8 if rise else 2 * span),
        sway_mm=rng.uniform(0, 4, count), sway_hz=rng.uniform(0.05, 0.4, count), phase=rng.uniform(0, 6.28, count),
        diameter_mm=size, strength=rng.uniform(0.3, 0.8, count),
        defocus_mm=rng.uniform(0, 0.5, count), look=rng.integers(0, LOOKS, count), kind=SPECK,
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
    lift = _ease(np.clip(-now / scene.lower_s, 0, 1)) + _ease(np.clip((now - raised_s) / scene.raise_s, 0, 1))
    for dip in scene.dips:
        up, down = (now - dip.from_s) / DIP_TRAVEL_S, (now - dip.until_s) / DIP_TRAVEL_S + 1
        lift = lift + _ease(np.clip(up, 0, 1)) - _ease(np.clip(down, 0, 1))
    return travel * lift


def _ease(share: np.ndarray) -> np.ndarray:
    return share * share * (3 - 2 * share)
