"""Bubbles that do not simply rise from where they are born: they creep along the shell, break up, or join."""

import numpy as np

from calibration.look import StationLook
from calibration.movers import Table, chosen, path, rising, table, together
from calibration.scene import Leak, Scene, Unit

_CREEP_MM_S = (20.0, 90.0)
_EDGE = 0.9
"""Where on the half width the underside is so steep that bubbles leave it."""


def release(leak: Leak, unit: Unit) -> tuple[float, float, float]:
    """x and y in mm of where a leak's bubbles begin to rise, and how long after birth, in s: those that creep come
    out at the shell's edge."""
    x, y = leak.origin_mm
    if not leak.slides:
        return x, y, 0.0
    side = 1.0 if x >= unit.centre_mm else -1.0
    edge = unit.centre_mm + side * _EDGE * unit.width_mm / 2
    return edge, float(unit.underside_mm(edge)), max((edge - x) * side, 0.0) / float(np.mean(_CREEP_MM_S))


def creeping(rng: np.random.Generator, free: Table, scene: Scene, look: StationLook, unit: Unit) -> Table:
    """Rows born under the shell -> the same bubbles creeping to its nearer edge, and rising from there."""
    count = free["x_mm"].size
    half = unit.width_mm / 2
    side = np.where(free["x_mm"] >= unit.centre_mm, 1.0, -1.0)
    edge_x = unit.centre_mm + side * half * _EDGE * rng.uniform(0.97, 1.03, count)
    edge_y = unit.underside_mm(edge_x) + free["diameter_mm"] / 2
    start_y = np.maximum(free["y_mm"], edge_y)
    way = np.maximum((edge_x - free["x_mm"]) * side, 0.0)
    lasts = np.maximum(way / rng.uniform(*_CREEP_MM_S, count), 1e-3)
    creep = table(
        count, born_s=free["born_s"], ends_s=free["born_s"] + lasts, x_mm=free["x_mm"], y_mm=start_y,
        vx_mm_s=side * way / lasts, vy_mm_s=(edge_y - start_y) / lasts, diameter_mm=free["diameter_mm"],
        aspect=rng.uniform(0.6, 0.9, count), strength=free["strength"], look=free["look"], kind=free["kind"],
        behind=free["behind"],
    )  # fmt: skip
    away = rising(
        rng, scene, look, free["born_s"] + lasts, edge_x, edge_y, free["diameter_mm"], int(free["kind"][0]), 0.0
    ) if count else free  # fmt: skip
    return together([creep, {**away, "look": free["look"], "behind": free["behind"]}])


def breaking(rng: np.random.Generator, whole: Table, scene: Scene, look: StationLook) -> Table:
    """Rising rows -> the same until each breaks, and its two or three daughters after that."""
    count = whole["x_mm"].size
    breaks_s = np.minimum(whole["born_s"] + rng.uniform(0.08, 0.45, count), whole["ends_s"])
    share = rng.uniform(0.25, 0.75, count)
    three = rng.random(count) < 0.3
    volumes = np.stack([share, np.where(three, (1 - share) * 0.6, 1 - share), np.where(three, (1 - share) * 0.4, 0)])
    daughters = []
    for number, volume in enumerate(volumes):
        lives = np.flatnonzero((volume > 0) & (breaks_s < whole["ends_s"]))
        size = whole["diameter_mm"] * np.cbrt(volume)
        daughters.append(_goes_on(rng, chosen(whole, lives), breaks_s[lives], size[lives], scene, look, number - 1))
    return together([{**whole, "ends_s": breaks_s}, *daughters])


def joining(rng: np.random.Generator, pairs: Table, scene: Scene, look: StationLook) -> Table:
    """Rising rows in order of birth -> each second one catches up with the one before it; then one bubble goes on."""
    first, second = (np.arange(start, pairs["x_mm"].size - 1 + start, 2) for start in (0, 1))
    meets_s = pairs["born_s"][second] + rng.uniform(0.1, 0.35, second.size)
    meets = (meets_s < pairs["ends_s"][first]) & (pairs["born_s"][second] - pairs["born_s"][first] < 0.12)
    first, second, meets_s = first[meets], second[meets], meets_s[meets]
    ahead, behind = chosen(pairs, first), chosen(pairs, second)
    x, y, _, _ = path(ahead, meets_s - ahead["born_s"])
    rest = {name: column.copy() for name, column in pairs.items()}
    # The follower is sucked along the first one's wake, on a straight line to where they meet.
    rest["ends_s"][first] = rest["ends_s"][second] = meets_s
    rest["sway_mm"][second] = rest["inertia_s"][second] = 0.0
    rest["vx_mm_s"][second] = (x - behind["x_mm"]) / (meets_s - behind["born_s"])
    rest["vy_mm_s"][second] = (y - behind["y_mm"]) / (meets_s - behind["born_s"])
    size = np.cbrt(ahead["diameter_mm"] ** 3 + behind["diameter_mm"] ** 3)
    return together([rest, _goes_on(rng, ahead, meets_s, size, scene, look, 0)])


def _goes_on(
    rng: np.random.Generator, rows: Table, from_s: np.ndarray, size: np.ndarray, scene: Scene, look: StationLook,
    sideways: int,
) -> Table:  # fmt: skip
    """Bubbles of a new `size` that begin where `rows` are at `from_s`, already at full speed."""
    x, y, _, _ = path(rows, from_s - rows["born_s"])
    count = x.size
    if not count:
        return rows
    new = rising(rng, scene, look, from_s, x + sideways * 0.3 * size, y, size, int(rows["kind"][0]), 0.0)
    spread = sideways * rng.uniform(5, 25, count)
    rest = {"inertia_s": np.zeros(count), "behind": rows["behind"], "vx_mm_s": new["vx_mm_s"] + spread}
    ends = from_s + np.maximum(y - look.surface_mm, 0) / -new["vy_mm_s"]
    return {**new, **rest, "ends_s": ends}
