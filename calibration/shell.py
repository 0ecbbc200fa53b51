"""Unit -> Sprite: a hermetic shell with weld, stubs, feet and label at its gripper, as the camera sees it."""

from dataclasses import dataclass

import cv2
import numpy as np

from calibration.canvas import FINER, finely, shifted, smooth_noise, warped
from calibration.look import StationLook
from calibration.unit import Unit

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in mm."""
_ROUNDNESS = {"dome": 2.6, "drum": 6.0, "capsule": 3.2}
"""Exponents of the superellipses that the shells' outlines are."""


@dataclass(frozen=True, slots=True, eq=False)
class Sprite:
    """The unit at rest, with gripper; (h, w) float32 in camera pixels. `light`: grey level times alpha."""

    light: np.ndarray
    alpha: np.ndarray
    shell: np.ndarray
    """Alpha of the shell alone, which hides what is behind it."""


@dataclass(frozen=True, slots=True)
class _Sheet:
    """The fine canvas that a unit is painted on: `above` rows lie above the tank's top."""

    scale: float
    width: int
    height: int
    above: int

    def mm(self) -> tuple[np.ndarray, np.ndarray]:
        """x (1, w) and y (h, 1) in mm."""
        x = np.arange(self.width, dtype=np.float32)[None, :] / self.scale
        return x, (np.arange(self.height, dtype=np.float32)[:, None] - self.above) / self.scale

    def box(self, box: Box) -> np.ndarray:
        """Alpha of a plate, (h, w) float32, edges in their exact place."""
        left, top, right, bottom = box
        x, y = self.mm()
        across = np.clip(np.minimum(x - left, right - x) * self.scale + 0.5, 0, 1)
        return across * np.clip(np.minimum(y - top, bottom - y) * self.scale + 0.5, 0, 1)


def paint_unit(unit: Unit, look: StationLook, mm_to_px: np.ndarray) -> Sprite:
    """The unit of one scene; `mm_to_px`: (3, 3) tank mm -> camera pixels."""
    rng = np.random.default_rng([unit.texture_seed, 52])
    scale = look.px_per_mm * FINER
    width, height = (round(side * scale) for side in look.tank_mm)
    sheet = _Sheet(scale, width, round(1.1 * height), round(1.1 * height) - height)
    shell = _outline(unit, sheet)
    light, alpha = _steel(rng, unit, look, sheet), shell
    for box, tone in _mounted(rng, unit):
        part = sheet.box(box)
        light = light * (1 - part) + tone * _lit(look) * part
        alpha = np.maximum(alpha, part)
    place = finely() @ mm_to_px @ np.diag([1 / scale, 1 / scale, 1]) @ shifted(0, -sheet.above) @ _tilt(unit, sheet)
    layers = (warped(layer, place, look) for layer in (light * alpha, alpha, shell))
    return Sprite(*(cv2.GaussianBlur(layer, (0, 0), look.blur_px) for layer in layers))


def _tilt(unit: Unit, sheet: _Sheet) -> np.ndarray:
    pivot = unit.centre_mm * sheet.scale, unit.bottom_mm * sheet.scale + sheet.above
    return np.vstack([cv2.getRotationMatrix2D(pivot, unit.tilt_deg, 1.0), [0, 0, 1]])


def _lit(look: StationLook) -> float:
    """Share of a white thing's level that the front light gives."""
    return (0.35 + 0.65 * look.front_light) * look.back_level / 130


def _outline(unit: Unit, sheet: _Sheet) -> np.ndarray:
    """Alpha of the shell."""
    x, y = sheet.mm()
    power, half, tall = _ROUNDNESS[unit.kind], unit.width_mm / 2, unit.height_mm / 2
    across, along = np.abs(x - unit.centre_mm) / half, np.abs(y - (unit.bottom_mm - tall)) / tall
    radius = (across**power + along**power) ** (1 / power)
    return np.clip((1 - radius) * min(half, tall) * sheet.scale + 0.5, 0, 1).astype(np.float32)


def _steel(rng: np.random.Generator, unit: Unit, look: StationLook, sheet: _Sheet) -> np.ndarray:
    """Painted or bare steel under the front light: rounded shading, streaks, stains, a glint."""
    x, _ = sheet.mm()
    across = (x - unit.centre_mm) / (unit.width_mm / 2)
    shade = np.sqrt(np.clip(1 - np.clip(across, -1, 1) ** 2, 0.02, 1)) * (1 + rng.uniform(-0.5, 0.5) * across)
    shape = (sheet.height, sheet.width)
    streaks = cv2.resize(smooth_noise(rng, (sheet.height // 14 + 2, sheet.width), 2), shape[::-1])
    stains = 0.06 * streaks + 0.08 * smooth_noise(rng, shape, 6) + 0.1 * smooth_noise(rng, shape, 40)
    place, strength = rng.uniform(-0.6, 0.6), rng.uniform(0, 120) * look.front_light
    glint = strength * np.exp(-((across - place) ** 2) / 0.006)
    return (230 * unit.albedo * _lit(look) * shade * (1 + stains) + glint).astype(np.float32)


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
