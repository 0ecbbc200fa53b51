"""Station and scene -> the keys by which results are sliced: one flat row of numbers and words for a manifest. PURE."""

from calibration.requirement import required_std_cm3_s
from calibration.scene import Leak, Scene, StationLook

Value = str | float | int | bool | None


def slices_of(look: StationLook, scene: Scene, fps: float) -> dict[str, Value]:
    """What a manifest says of a case besides its label; keys of leaks are null where there is none."""
    return _leak(look, scene) | _water(look, scene) | _picture(look, fps) | _people(scene)


def _leak(look: StationLook, scene: Scene) -> dict[str, Value]:
    leak = scene.leaks[0] if scene.leaks else None
    required = required_std_cm3_s(look, scene.profile)
    largest = max((_std_cm3_s(one, scene) for one in scene.leaks), default=0.0)
    return {
        "rate": leak.rate_s if leak else None,
        "diameter_mm": leak.diameter_mm if leak else None,
        "diameter_px": leak.diameter_mm * look.px_per_mm if leak else None,
        "spot": leak.spot if leak else None,
        "odd": leak.odd if leak else None,
        "slides": leak.slides if leak else None,
        "leak_std_cm3_s": _std_cm3_s(leak, scene) if leak else None,
        # A smaller one than the station has to find may be missed, and counts as a leak all the same.
        "leak_required": None if leak is None else "required" if largest >= required else "smaller",
        "leaks": len(scene.leaks),
        "bubbles_released": scene.bubbles_released,
        "silent": scene.silent,
    }


def _std_cm3_s(leak: Leak, scene: Scene) -> float:
    """The air that it let out while the unit was held, in mean bubbles."""
    watched = (leak.births_s >= scene.rests_from_s) & (leak.births_s < scene.hold_s)
    return int(watched.sum()) / (scene.hold_s - scene.rests_from_s) * leak.bubble_mm3 / 1000


def _water(look: StationLook, scene: Scene) -> dict[str, Value]:
    return {
        "haze": scene.haze,
        "ripple_mm": look.ripple_mm,
        "specks": scene.specks,
        "micro_bubbles": scene.micro_bubbles,
        "beads": scene.beads if scene.unit else 0,
        "trapped": scene.trapped_bubbles,
        "late_trapped": sum(scene.rests_from_s <= at < scene.hold_s for at in scene.late_detachments_s),
        "attached": scene.attached_bubbles,
        "part": scene.unit.kind if scene.unit else None,
        "hold_s": scene.hold_s - scene.rests_from_s,
    }


def _picture(look: StationLook, fps: float) -> dict[str, Value]:
    sensor = look.sensor
    return {
        "fps": fps,
        "exposure_ms": look.exposure_s * 1e3,
        "codec": look.codec,
        "quality": look.jpeg_quality,
        "front_light": look.front_light,
        "light": "front" if look.front_light > 0.5 else "mixed" if look.front_light > 0.2 else "back",
        "light_left": look.light_left,
        "lamp_out": look.lamp_out is not None,
        "back_level": look.back_level,
        "flicker": look.flicker,
        "banding": sensor.banding,
        "noise": look.noise_levels,
        "blur_px": look.blur_px,
        "shake_px": look.shake_px,
        "shake_mm": look.shake_px / look.px_per_mm,
        "drift_px": look.drift_px,
        "dirt": look.dirt,
        "fisheye": sensor.fisheye,
        "rolling_ms": sensor.readout_s * 1e3,
        "px_per_mm": look.px_per_mm,
    }


def _people(scene: Scene) -> dict[str, Value]:
    before_s = scene.gap_s + scene.lower_s
    seen = [
        hand for hand in scene.hands if hand.until_s > before_s + scene.rests_from_s
        and hand.from_s < before_s + scene.hold_s
    ]  # fmt: skip
    return {
        "hands": sum(not hand.shadow for hand in seen),
        "shadows": sum(hand.shadow for hand in seen),
        "knock_px": scene.knock_px,
        "askew": bool(scene.unit and abs(scene.unit.tilt_deg) > 1),
        "dips": len(scene.dips),
        "left_in": scene.left_in,
    }
