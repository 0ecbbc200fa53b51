"""Unit -> Sprite: a hermetic shell with weld, stubs, feet and label at its gripper, as the camera sees it."""

from dataclasses import dataclass

import cv2
import numpy as np

from calibration.canvas import FINER, finely, shifted, smooth_noise, warped
from calibration.fittings import Canvas, connect, decorate
from calibration.look import StationLook
from calibration.optics import Lens
from calibration.sheet import Box, Sheet, lit
from calibration.unit import Unit


@dataclass(frozen=True, slots=True, eq=False)
class Sprite:
    """The unit at rest, with gripper; (h, w) float32 in camera pixels. `light`: grey level times alpha."""

    light: np.ndarray
    alpha: np.ndarray
    shell: np.ndarray
    """Alpha of the shell alone, which hides what is behind it."""


def paint_unit(unit: Unit, look: StationLook, lens: Lens) -> Sprite:
    """The unit of one scene."""
    rng = np.random.default_rng([unit.texture_seed, 52])
    scale = look.px_per_mm * FINER
    width, height = (round(side * scale) for side in look.tank_mm)
    sheet = Sheet(scale, width, round(1.1 * height), round(1.1 * height) - height)
    shell = _outline(unit, sheet)
    canvas = Canvas(sheet, _steel(rng, unit, look, sheet), shell.copy(), shell)
    decorate(rng, unit, look, canvas)
    for box, tone in _mounted(rng, unit):
        sheet.box(box).paint(canvas.light, tone * lit(look))
        sheet.box(box).cover(canvas.alpha)
    connect(rng, unit, look, canvas)
    place = (
        finely()
        @ look.mm_to_straight()
        @ np.diag([1 / scale, 1 / scale, 1])
        @ shifted(0, -sheet.above)
        @ _tilt(unit, sheet)
    )
    layers = (lens.bend(warped(layer, place, look)) for layer in (canvas.light * canvas.alpha, canvas.alpha, shell))
    return Sprite(*(cv2.GaussianBlur(layer, (0, 0), look.blur_px) for layer in layers))


def _tilt(unit: Unit, sheet: Sheet) -> np.ndarray:
    pivot = unit.centre_mm * sheet.scale, unit.bottom_mm * sheet.scale + sheet.above
    return np.vstack([cv2.getRotationMatrix2D(pivot, unit.tilt_deg, 1.0), [0, 0, 1]])


def _outline(unit: Unit, sheet: Sheet) -> np.ndarray:
    """Alpha of the shell."""
    x, y = sheet.mm()
    power, half, tall = unit.roundness, unit.width_mm / 2, unit.height_mm / 2
    along = (y - (unit.bottom_mm - tall)) / tall
    wide = half * (1 - unit.taper * np.clip(-along, 0, 1) ** 2)
    radius = (np.abs((x - unit.centre_mm) / wide) ** power + np.abs(along) ** power) ** (1 / power)
    return np.clip((1 - radius) * min(half, tall) * sheet.scale + 0.5, 0, 1).astype(np.float32)


def _steel(rng: np.random.Generator, unit: Unit, look: StationLook, sheet: Sheet) -> np.ndarray:
    """Painted or bare steel under the front light: rounded shading, streaks, stains, glints, light from above."""
    x, y = sheet.mm()
    across = (x - unit.centre_mm) / (unit.width_mm / 2)
    down = (y - unit.top_mm) / unit.height_mm
    shade = np.sqrt(np.clip(1 - np.clip(across, -1, 1) ** 2, 0.02, 1)) ** rng.uniform(0.4, 1.2)
    shade = shade * (1 + rng.uniform(-0.5, 0.5) * across) * (1 + rng.uniform(-0.1, 0.5) * (0.5 - down))
    shape = (sheet.height, sheet.width)
    streaks = cv2.resize(smooth_noise(rng, (sheet.height // 14 + 2, sheet.width), 2), shape[::-1])
    stains = 0.06 * streaks + 0.08 * smooth_noise(rng, shape, 6) + 0.1 * smooth_noise(rng, shape, 40)
    place, strength = rng.uniform(-0.6, 0.6), rng.uniform(0, 120) * look.front_light
    glint = strength * np.exp(-((across - place) ** 2) / rng.uniform(0.003, 0.03))
    # Back light that grazes the shell's edge.
    edge = rng.uniform(0, 40) * (1 - look.front_light) * np.clip(np.abs(across) - 0.8, 0, 1) * 5
    return (230 * unit.albedo * lit(look) * shade * (1 + rng.uniform(0.3, 2.0) * stains) + glint + edge).astype(
        np.float32
    )


def _mounted(rng: np.random.Generator, unit: Unit) -> list[tuple[Box, float]]:
    """What is mounted on the shell, back to front, with its own brightness."""
    centre, half, tone = unit.centre_mm, unit.width_mm / 2, 230 * unit.albedo
    seam, grip, rod = unit.seam_mm(), half * rng.uniform(0.25, 0.5), rng.uniform(4, 10)
    parts: list[tuple[Box, float]] = [
        ((centre - 1.02 * half, seam - 1.6, centre + 1.02 * half, seam + 1.6), tone * rng.uniform(1.1, 1.7))
    ]
    for share, length, side in unit.stubs:
        at, root, tip = (
            unit.bottom_mm - share * unit.height_mm,
            centre + side * half * 0.9,
            centre + side * (half + length),
        )
        parts.append(((min(root, tip), at - 3, max(root, tip), at + 3), rng.uniform(40, 190)))
    for side in (-1, 1):
        foot = centre + side * half * 0.7
        leg = centre + side * half * 0.62
        parts.append(((leg - 3, unit.bottom_mm - 0.22 * unit.height_mm, leg + 3, unit.bottom_mm + 4), tone * 0.5))
        parts.append(((foot - 0.2 * half, unit.bottom_mm - 1, foot + 0.2 * half, unit.bottom_mm + 5), tone * 0.6))
    if rng.random() < 0.6:
        left, top = centre + half * rng.uniform(-0.5, 0.1), unit.top_mm + unit.height_mm * rng.uniform(0.2, 0.4)
        parts.append(((left, top, left + 0.45 * half, top + 0.14 * unit.height_mm), rng.uniform(120, 240)))
    parts.append(((centre - grip, unit.top_mm - 9, centre + grip, unit.top_mm + 4), rng.uniform(20, 90)))
    parts.append(((centre - rod, -60.0, centre + rod, unit.top_mm - 6), rng.uniform(30, 150)))
    return parts
