"""Two station profiles -> what has changed from one to the other: moved, turned, brighter; words and figures. PURE."""

from math import hypot

import msgspec
import numpy as np

from edge_agent import framing
from edge_agent.records import CORNERS, Corner, Marker
from edge_agent.station import Lamp, StationProfile

NOTICED_PX = 0.1
"""Fitting the same station twice differs by less."""
NOTICED_LEVELS = 3.0


class CornerMoved(msgspec.Struct, frozen=True):
    """How far one corner of the tank lies from where it lay."""

    corner: Corner
    shift_px: float
    shift_mm: float | None
    """None where the scale is not known."""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """What changed from the one profile to the other."""

    words: tuple[str, ...]
    """A sentence for each thing that changed; empty where nothing did."""
    corners: tuple[CornerMoved, ...] = ()
    """Empty where the two cannot be laid on each other."""
    rotation_deg: float | None = None
    """Positive clockwise on the screen."""
    brightness: tuple[float | None, float | None] = (None, None)
    """Grey level of the empty tank, before and now."""


def between(before: StationProfile, now: StationProfile) -> Difference:
    """From `before` to `now`."""
    bright = before.camera.brightness, now.camera.brightness
    other = _other_station(before, now)
    if other:
        return Difference(words=(*other, *_requirements(before, now)), brightness=bright)
    seen = [Marker(marker.corner, np.array(marker.corners_px, np.float32)) for marker in now.markers]
    turned = framing.check(seen, before)
    corners = tuple(_moved(number, before, now) for number in range(len(CORNERS)))
    words = (
        *_moved_words(corners, turned.rotation_deg or 0.0),
        *_scale_words(before, now),
        *_lamp_words(before, now),
        *_light_words(*bright),
        *_requirements(before, now),
    )
    rotation = None if turned.rotation_deg is None else round(turned.rotation_deg, 3)
    return Difference(words=words, corners=corners, rotation_deg=rotation, brightness=bright)


def _other_station(before: StationProfile, now: StationProfile) -> tuple[str, ...]:
    """Words where places in the one picture mean nothing in the other."""
    words = []
    if before.station != now.station:
        words.append(f"the station was {before.station} and is {now.station}")
    if before.frame_size_px != now.frame_size_px:
        was, is_now = ("{}x{}".format(*size) for size in (before.frame_size_px, now.frame_size_px))
        words.append(f"the camera's picture was {was} and is {is_now}: places in it cannot be compared")
    return tuple(words)


def _moved(number: int, before: StationProfile, now: StationProfile) -> CornerMoved:
    (ax, ay), (bx, by) = before.tank_px[number], now.tank_px[number]
    shift = hypot(bx - ax, by - ay)
    scale = _camera_px_per_mm(before)
    return CornerMoved(CORNERS[number], round(shift, 2), None if scale is None else round(shift / scale, 2))


def _camera_px_per_mm(profile: StationProfile) -> float | None:
    """The tank view may be smaller than the tank in the camera's picture."""
    if profile.px_per_mm is None:
        return None
    (ax, ay), (bx, by) = profile.tank_px[0], profile.tank_px[1]
    return profile.px_per_mm * hypot(bx - ax, by - ay) / profile.view_size_px[0]


def _moved_words(corners: tuple[CornerMoved, ...], rotation_deg: float) -> tuple[str, ...]:
    worst = max(corners, key=lambda corner: corner.shift_px)
    if worst.shift_px < NOTICED_PX:
        return ()
    length = f"{worst.shift_px:.1f} px" + ("" if worst.shift_mm is None else f" ({worst.shift_mm:.1f} mm)")
    turned = f", the picture is turned by {rotation_deg:+.2f} degrees"
    return (f"the tank's corner {worst.corner} has moved by {length}, most of the four{turned}",)


def _scale_words(before: StationProfile, now: StationProfile) -> tuple[str, ...]:
    was, is_now = (_camera_px_per_mm(profile) for profile in (before, now))
    if was is None or is_now is None:
        return () if was == is_now else ("the scale is known now" if was is None else "the scale is no longer known",)
    if f"{was:.2f}" == f"{is_now:.2f}":
        return ()
    return (f"a millimetre had {was:.2f} px in the camera's picture and has {is_now:.2f}",)


def _lamp_words(before: StationProfile, now: StationProfile) -> tuple[str, ...]:
    was, is_now = ({lamp.means: lamp for lamp in profile.lamps} for profile in (before, now))
    words = []
    for means in ("ok", "leak"):
        old, new = was.get(means), is_now.get(means)
        if old is None and new is not None:
            words.append(f"the lamp {means} is marked now")
        elif old is not None and new is None:
            words.append(f"the lamp {means} is no longer marked")
        elif old is not None and new is not None and old != new:
            words.append(f"the lamp {means} {_rect_words(old, new)}")
    return tuple(words)


def _rect_words(old: Lamp, new: Lamp) -> str:
    (ax, ay, aw, ah), (bx, by, bw, bh) = old.rect_px, new.rect_px
    shift = hypot(bx + bw / 2 - ax - aw / 2, by + bh / 2 - ay - ah / 2)
    size = "" if (aw, ah) == (bw, bh) else f", and has {bw}x{bh} px instead of {aw}x{ah}"
    return f"is marked {shift:.0f} px from where it was{size}"


def _light_words(was: float | None, is_now: float | None) -> tuple[str, ...]:
    if was is None or is_now is None or abs(is_now - was) < NOTICED_LEVELS:
        return ()
    way = "brighter" if is_now > was else "darker"
    return (f"the empty tank is {way}: {is_now:.0f} of 255, it was {was:.0f}",)


def _requirements(before: StationProfile, now: StationProfile) -> tuple[str, ...]:
    words = []
    for name, field, unit in (
        ("a unit must be watched for", "required_hold_s", "s"),
        ("the smallest leak that must be seen is", "required_sensitivity_std_cm3_s", "std cm3/s"),
        ("a camera counts as moved from", "tolerance_shift_px", "px"),
        ("a camera counts as turned from", "tolerance_rotation_deg", "degrees"),
        ("a marker's side is", "marker_size_mm", "mm"),
    ):
        was, is_now = getattr(before, field), getattr(now, field)
        if was != is_now:
            words.append(f"{name} {_amount(is_now, unit)}, it was {_amount(was, unit)}")
    return tuple(words)


def _amount(value: float | None, unit: str) -> str:
    return "not given" if value is None else f"{value:g} {unit}"
