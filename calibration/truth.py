"""What is true of a scene at any time: labels, times and lamps, for tests, manifests and training."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from calibration import bubbles
from calibration.scene import Scene, StationLook
from calibration.slices import Value, slices_of
from edge_agent.records import DecisionWord, Phase


@dataclass(frozen=True, slots=True, eq=False)
class FrameTruth:
    """What one frame shows.

    `bubbles`: (n, 7) float32 rows of x_px, y_px (camera), vx_px_s, vy_px_s, diameter_px, contrast (grey levels), kind
    (0 leak, 1 trapped air, 2 attached, 3 bead, 4 speck). `tank_px`: (4, 2) float64, true outer corners in this frame.
    """

    case_index: int | None
    phase: Phase
    bubbles: np.ndarray
    tank_px: np.ndarray


@dataclass(frozen=True, slots=True)
class CaseTruth:
    """What truly happened to one unit; times in seconds since the first frame."""

    index: int
    label: str
    entered_s: float
    settled_s: float
    """At rest, the last time before the lamp: a unit that is dipped twice is one case, watched from then on."""
    decided_s: float | None
    left_s: float | None
    decision: DecisionWord
    leak_origin_px: tuple[float, float] | None
    leak_origins_px: tuple[tuple[float, float], ...]
    """Of all the unit's leaks; the one before is the first."""
    leak_rate: float | None
    leak_diameter_mm: float | None
    leak_diameter_px: float | None
    leak_spot: str | None
    bubbles_released: int
    silent: bool
    haze: float
    front_light: float
    noise_levels: float
    scene_seed: int
    station_seed: int
    profile: str
    slices: Mapping[str, Value]
    """As calibration/slices.py names them."""

    def as_json(self) -> dict[str, object]:
        """Flat, ready for a JSON line: the slices are keys like the others."""
        row = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "slices"}
        return row | dict(self.slices)


def case_truth(
    look: StationLook,
    scene: Scene,
    index: int,
    rest_s: float,
    *,
    single: bool,
    fps: float,
) -> CaseTruth | None:
    """The truth of a scene whose unit rests at `rest_s`; None where no unit comes (but for single recordings)."""
    if scene.unit is None and not single:
        return None
    leak = scene.leaks[0] if scene.leaks else None
    entered_s, left_s = _in_water_s(scene, look.surface_mm)
    testable = scene.testable and scene.unit is not None
    return CaseTruth(
        index=index,
        label=("leak" if scene.leaky else "ok") if testable else "not_testable",
        entered_s=rest_s if single else rest_s + entered_s,
        settled_s=rest_s + scene.rests_from_s,
        decided_s=rest_s + scene.hold_s if scene.decision != "none" else None,
        left_s=None if single else rest_s + left_s,
        decision=scene.decision,
        leak_origin_px=_pixel(look, leak.origin_mm) if leak else None,
        leak_origins_px=tuple(_pixel(look, one.origin_mm) for one in scene.leaks),
        leak_rate=leak.rate_s if leak else None,
        leak_diameter_mm=leak.diameter_mm if leak else None,
        leak_diameter_px=leak.diameter_mm * look.px_per_mm if leak else None,
        leak_spot=leak.spot if leak else None,
        bubbles_released=scene.bubbles_released,
        silent=scene.silent,
        haze=scene.haze,
        front_light=look.front_light,
        noise_levels=look.noise_levels,
        scene_seed=scene.seed,
        station_seed=look.seed,
        profile=scene.profile,
        slices=slices_of(look, scene, fps),
    )


def _pixel(look: StationLook, point_mm: tuple[float, float]) -> tuple[float, float]:
    x, y = look.to_px(np.array([point_mm]))[0]
    return float(x), float(y)


def length_s(scene: Scene, single: bool) -> float:
    """From rest to the scene's end."""
    lamp_s = scene.hold_s + (scene.lamp_on_s if scene.decision != "none" else 0.0)
    if single:
        return scene.hold_s + (1.0 if scene.decision != "none" else 0.0)
    return max(scene.hold_s + scene.lamp_delay_s + scene.raise_s, lamp_s) + 0.1


def lit_lamps(scene: Scene, since_rest_s: float) -> tuple[str, ...]:
    """Lamps that shine now."""
    shines = scene.hold_s <= since_rest_s < scene.hold_s + scene.lamp_on_s
    if not shines or scene.decision == "none":
        return ()
    return ("ok", "leak") if scene.both_lamps else (scene.decision,)


def phase_at(case: CaseTruth | None, scene: Scene, now_s: float, rest_s: float) -> Phase:
    """The immersion's phase as a watcher would name it."""
    if (
        case is None
        or scene.unit is None
        or now_s < case.entered_s
        or (case.left_s is not None and now_s >= case.left_s)
    ):
        return "empty"
    lifted = any(dip.from_s <= now_s - rest_s < dip.until_s for dip in scene.dips)
    if now_s < rest_s or lifted:
        return "entering"
    if now_s < rest_s + scene.hold_s:
        return "watching"
    return "decided" if now_s < rest_s + scene.hold_s + scene.lamp_delay_s or case.left_s is None else "leaving"


def _in_water_s(scene: Scene, surface_mm: float) -> tuple[float, float]:
    """When the lowest point touches the water and when it leaves it, after rest."""
    if scene.unit is None:
        return 0.0, scene.hold_s
    raised_s = scene.hold_s + scene.lamp_delay_s
    depth = scene.unit.bottom_mm + bubbles.FEET_MM - surface_mm
    down, up = (np.linspace(-scene.lower_s, 0, 2001), np.linspace(raised_s, raised_s + scene.raise_s, 2001))
    entered = down[np.argmax(bubbles.lift_mm(scene, down) <= depth)]
    return float(entered), float(up[np.argmax(bubbles.lift_mm(scene, up) >= depth)])
