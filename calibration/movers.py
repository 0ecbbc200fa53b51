"""A table of small things that move in the water, and where each of them is at any time. Nothing is drawn here."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from calibration.look import StationLook
from calibration.scene import Scene

LEAK, TRAPPED, ATTACHED, BEAD, SPECK = range(5)
LOOKS = 12
"""How many looks of each family calibration/stamps.py paints; rows name them by number."""
FOREVER_S = 1e6
Table = dict[str, np.ndarray]
"""Columns of Movers by name."""
_DIAMETERS_MM = np.array([0.1, 0.3, 0.5, 1.0, 2.0, 3.0, 5.0, 9.0])
_CLEAN_MM_S = np.array([8.0, 35.0, 75.0, 240.0, 290.0, 240.0, 220.0, 240.0])
_DIRTY_MM_S = np.array([6.0, 25.0, 55.0, 115.0, 175.0, 200.0, 210.0, 230.0])
"""Clift, Grace & Weber 1978, terminal rise speed of air in clean and contaminated water."""
_CAP_FROM_MM = 8.0
"""From here bubbles are spherical caps, which rise with 0.71 times the root of g times their width."""


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
    defocus_mm: np.ndarray
    """Blur of what is not in the plane that the camera is focused on."""
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
    at_log = np.log(np.clip(diameter_mm, 0.1, 9.0))
    steps = np.log(_DIAMETERS_MM)
    spheres = clean * np.interp(at_log, steps, _CLEAN_MM_S) + (1 - clean) * np.interp(at_log, steps, _DIRTY_MM_S)
    caps = 0.71 * np.sqrt(9810.0 * diameter_mm)
    share = np.clip((diameter_mm - _CAP_FROM_MM) / 2, 0, 1)
    return spheres * (1 - share) + np.maximum(caps, spheres) * share


def at(movers: Movers, now_s: float, unit_lift_mm: float, surface_mm: float, floor_mm: float) -> Moment:
    """Where everything is at `now_s`; `unit_lift_mm`: how far the unit is above its rest."""
    rows = np.flatnonzero((movers.born_s <= now_s) & (now_s < movers.ends_s))
    x, y, vx, vy = path({name: getattr(movers, name)[rows] for name in _PATH}, now_s - movers.born_s[rows])
    y = y - unit_lift_mm * movers.borne[rows]
    dry = (movers.kind[rows] != BEAD) & (y - movers.diameter_mm[rows] / 2 <= surface_mm)
    keep = ~dry & (y < floor_mm)
    return Moment(rows[keep], x[keep], y[keep], vx[keep], vy[keep])


_PATH = ("x_mm", "y_mm", "vx_mm_s", "vy_mm_s", "inertia_s", "sway_mm", "sway_hz", "phase")


def path(table: Mapping[str, np.ndarray], age_s: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """x, y in mm and their speeds in mm/s of each row at its age, (n,) each."""
    inertia = np.maximum(table["inertia_s"], 1e-6)
    started = np.exp(-np.maximum(age_s, 0) / inertia)
    turn = 2 * np.pi * table["sway_hz"]
    sway = table["sway_mm"] * (1 - np.exp(-age_s * 5.0))
    angle = turn * age_s + table["phase"]
    x = table["x_mm"] + table["vx_mm_s"] * age_s + sway * (np.sin(angle) - np.sin(table["phase"]))
    y = table["y_mm"] + table["vy_mm_s"] * (age_s - inertia * (1 - started))
    vx = table["vx_mm_s"] + sway * turn * np.cos(angle)
    return x, y, vx, table["vy_mm_s"] * (1 - started)


def table(count: int, **columns: object) -> Table:
    """Columns of one kind of object; those not named have the plain value."""
    plain: dict[str, object] = {
        "born_s": -FOREVER_S, "ends_s": FOREVER_S, "x_mm": 0, "y_mm": 0, "vx_mm_s": 0, "vy_mm_s": 0, "inertia_s": 0,
        "sway_mm": 0, "sway_hz": 0, "phase": 0, "diameter_mm": 1, "aspect": 1, "strength": 1, "defocus_mm": 0,
        "look": 0, "kind": SPECK, "behind": 0, "borne": 0,
    }  # fmt: skip
    types = {"look": np.int64, "kind": np.int64}
    return {
        name: np.ascontiguousarray(np.broadcast_to(np.asarray(value, types.get(name, np.float64)), (count,)))
        for name, value in {**plain, **columns}.items()
    }


def chosen(rows: Table, which: np.ndarray) -> Table:
    """Some rows of a table; `which` as numpy indexes."""
    return {name: column[which] for name, column in rows.items()}


def together(tables: list[Table]) -> Table:
    """All rows of all tables."""
    return {name: np.concatenate([rows[name] for rows in tables]) for name in Movers.__slots__}


def rising(
    rng: np.random.Generator, scene: Scene, look: StationLook, births_s: np.ndarray, x: np.ndarray, y: np.ndarray,
    diameter: np.ndarray, kind: int, behind: float,
) -> Table:  # fmt: skip
    """Free bubbles from their births to the surface."""
    count = births_s.size
    speed = rise_speed_mm_s(diameter, scene.clean_water) * rng.normal(1, 0.06, count).clip(0.8, 1.2)
    inertia = rng.uniform(0.02, 0.07, count)
    sways = np.clip((diameter - 0.9) / 0.8, 0, 1)
    rise = np.maximum(y - look.surface_mm, 0) / speed
    caps = diameter >= _CAP_FROM_MM
    aspect = np.clip(1.04 - 0.11 * diameter * rng.uniform(0.6, 1.3, count), 0.5, 1.0)
    sway_mm = sways * np.minimum(diameter, 5.0) * rng.uniform(0.3, 1.1, count) * np.where(caps, 0.3, 1.0)
    looks = rng.integers(0, LOOKS, count)
    return table(
        count,
        born_s=births_s,
        ends_s=births_s + rise + inertia,
        x_mm=x,
        y_mm=y,
        vx_mm_s=rng.normal(0, 6, count),
        vy_mm_s=-speed,
        inertia_s=inertia,
        sway_mm=sway_mm,
        sway_hz=rng.uniform(4.5, 7.5, count),
        phase=rng.uniform(0, 2 * np.pi, count),
        diameter_mm=diameter,
        aspect=np.where(caps, rng.uniform(0.4, 0.6, count), aspect),
        strength=rng.uniform(0.8, 1.0, count),
        look=np.where(caps, LOOKS + looks, looks),
        kind=kind,
        behind=behind,
    )
