"""Station look and unit -> the still layers of a picture: room and tank, markers, the unit with its gripper.

Everything is painted at twice the camera's resolution and averaged down, so edges lie between pixels as in a photo.
Layers are (h, w) float32 grey levels in camera pixels; alpha layers are 0..1.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import segno

from calibration.scene import StationLook, Unit
from edge_agent.records import CORNERS, Corner

_OVER = 2
QUIET_MODULES = 2


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """A station without unit and haze. `water`: alpha of what is under water; `markers_alpha`: of the glued-on codes."""

    room: np.ndarray
    water: np.ndarray
    markers: np.ndarray
    markers_alpha: np.ndarray
    lens: np.ndarray
    """Share of the light that lens and dirt let through."""
    mm_to_px: np.ndarray
    """(3, 3) float64."""


@dataclass(frozen=True, slots=True, eq=False)
class Sprite:
    """The unit at rest, with gripper. `light`: grey level times alpha."""

    light: np.ndarray
    alpha: np.ndarray
    shell: np.ndarray
    """Alpha of the shell alone, which hides what is behind it."""


def paint_stage(look: StationLook) -> Stage:
    """The still station by its seed."""
    rng = np.random.default_rng([look.seed, 51])
    to_px = _mm_to_px(look)
    room = _paint_room(rng, look, to_px)
    markers, alpha = _paint_markers(rng, look, to_px)
    width, height = look.tank_mm
    under = np.array([[0, look.surface_mm], [width, look.surface_mm], [width, height], [0, height]])
    water = _filled(look, to_px, under)
    soften = (0, 0), look.blur_px
    return Stage(
        room=cv2.GaussianBlur(room, *soften),
        water=water,
        markers=cv2.GaussianBlur(markers, *soften),
        markers_alpha=cv2.GaussianBlur(alpha, *soften),
        lens=_paint_lens(rng, look),
        mm_to_px=to_px,
    )


def paint_unit(unit: Unit, look: StationLook, mm_to_px: np.ndarray) -> Sprite:
    """A hermetic shell with weld, stubs, feet and label, hanging from a gripper."""
    rng = np.random.default_rng([unit.texture_seed, 52])
    scale = look.px_per_mm * _OVER
    width, height = (int(round(side * scale)) for side in look.tank_mm)
    extra = int(round(0.1 * height))
    shell, parts = _unit_masks(rng, unit, scale, width, height + extra, extra)
    light = _unit_light(rng, unit, look, scale, shell, extra)
    for mask, tone in parts:
        light = light * (1 - mask) + tone * mask
    alpha = np.maximum.reduce([shell, *(mask for mask, _ in parts)])
    tilt = cv2.getRotationMatrix2D((unit.centre_mm * scale, unit.bottom_mm * scale + extra), unit.tilt_deg, 1.0)
    tilt = np.vstack([tilt, [0, 0, 1]])
    place = (
        _down()
        @ np.diag([_OVER, _OVER, 1.0])
        @ mm_to_px
        @ np.diag([1 / scale, 1 / scale, 1])
        @ _shift(0, -extra)
        @ tilt
    )
    layers = (_warped(layer, place, look, (0, 0)) for layer in (light * alpha, alpha, shell))
    return Sprite(*(cv2.GaussianBlur(layer, (0, 0), look.blur_px) for layer in layers))


def marker_squares(look: StationLook) -> list[tuple[Corner, np.ndarray]]:
    """Each code's corner and its own TL, TR, BR, BL in tank mm, (4, 2) float64."""
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * look.marker_mm
    return [(corner, square + (x, y)) for corner, x, y in _marker_places(look)]


def _mm_to_px(look: StationLook) -> np.ndarray:
    width, height = look.tank_mm
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    return cv2.getPerspectiveTransform(corners, look.tank_px.astype(np.float32)).astype(np.float64)


def _down() -> np.ndarray:
    """Camera pixels -> fine camera pixels keep pixel centres; the fine picture is averaged in blocks."""
    return np.array([[1, 0, (_OVER - 1) / 2], [0, 1, (_OVER - 1) / 2], [0, 0, 1.0]])


def _shift(x: float, y: float) -> np.ndarray:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])


def _warped(layer: np.ndarray, place: np.ndarray, look: StationLook, _: tuple[int, int]) -> np.ndarray:
    """A fine layer seen by the camera."""
    width, height = look.frame_size_px
    fine = cv2.warpPerspective(layer.astype(np.float32), place, (width * _OVER, height * _OVER), flags=cv2.INTER_LINEAR)
    return cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA)


def _filled(look: StationLook, to_px: np.ndarray, polygon_mm: np.ndarray) -> np.ndarray:
    """Alpha of a polygon in tank mm, edges between pixels."""
    width, height = look.frame_size_px
    points = cv2.perspectiveTransform(polygon_mm.astype(np.float64)[None], to_px)[0]
    fine = np.zeros((height * 4, width * 4), np.uint8)
    cv2.fillConvexPoly(fine, np.round(((points + 0.5) * 4 - 0.5) * 16).astype(np.int32), 255, shift=4)
    return cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def _noise(rng: np.random.Generator, shape: tuple[int, int], cell: float) -> np.ndarray:
    """Smooth noise, (h, w) float32, standard deviation 1, features of `cell` pixels."""
    small = rng.normal(0, 1, (max(int(shape[0] / cell), 2) + 2, max(int(shape[1] / cell), 2) + 2)).astype(np.float32)
    big = cv2.resize(small, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return big / (float(big.std()) + 1e-6)


def _paint_room(rng: np.random.Generator, look: StationLook, to_px: np.ndarray) -> np.ndarray:
    """Machine surroundings, tank frame, back wall with things behind the water, the surface's line."""
    width, height = look.frame_size_px
    shape = (height, width)
    x, y = np.meshgrid(np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32))
    light = 1 + look.gradient[0] * x + look.gradient[1] * y
    texture = _noise(rng, shape, 3) * 0.4 + _noise(rng, shape, 17) + _noise(rng, shape, 70)
    wall = look.back_level * light * (1 + look.texture * 0.25 * texture)
    wall = _clutter(rng, look, wall)
    outside = look.back_level * rng.uniform(0.25, 0.8) * (1 + 0.2 * _noise(rng, shape, 40))
    mm_w, mm_h = look.tank_mm
    tank = _filled(look, to_px, np.array([[0, 0], [mm_w, 0], [mm_w, mm_h], [0, mm_h]]))
    room = outside * (1 - tank) + wall * tank
    floor = _filled(look, to_px, np.array([[0, mm_h * 0.965], [mm_w, mm_h * 0.965], [mm_w, mm_h], [0, mm_h]]))
    room = room * (1 - 0.6 * floor)
    thick = rng.uniform(0.6, 2.2)
    line = [
        [0, look.surface_mm - thick],
        [mm_w, look.surface_mm - thick],
        [mm_w, look.surface_mm],
        [0, look.surface_mm],
    ]
    surface = _filled(look, to_px, np.array(line))
    return (room * (1 - surface) + look.back_level * rng.choice([0.35, 1.5]) * surface).astype(np.float32)


def _clutter(rng: np.random.Generator, look: StationLook, wall: np.ndarray) -> np.ndarray:
    """Rails, hoses, plates and scratches behind the water; long saturated edges decide how well a net transfers."""
    height, width = wall.shape
    fine = cv2.resize(wall, (width * _OVER, height * _OVER)).astype(np.float32)
    size = np.array([width, height]) * _OVER
    for _ in range(int(rng.integers(2, 12))):
        start, end = rng.uniform(-0.1, 1.1, 2) * size, rng.uniform(-0.1, 1.1, 2) * size
        if rng.random() < 0.6:
            end[rng.integers(2)] = start[rng.integers(2)]
        tone = float(look.back_level * rng.uniform(0.3, 1.35))
        _line(fine, start, end, tone, int(rng.integers(1, 26)))
    for _ in range(look.saturated_edges):
        start = rng.uniform(0, 1, 2) * size
        vertical = rng.random() < 0.5
        end = start * (1, 0) + (0, size[1]) if vertical else start * (0, 1) + (size[0], 0)
        end = end + rng.normal(0, 0.03, 2) * size
        _line(
            fine,
            start * ((1, 0) if vertical else (0, 1)),
            end,
            float(rng.choice([4.0, 250.0])),
            int(rng.integers(2, 15)),
        )
    return cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA)


def _line(picture: np.ndarray, start: np.ndarray, end: np.ndarray, tone: float, thickness: int) -> None:
    ends = [tuple(int(v) for v in np.round(point)) for point in (start, end)]
    cv2.line(picture, ends[0], ends[1], tone, thickness)


def _paint_markers(rng: np.random.Generator, look: StationLook, to_px: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Four printed codes whose outer corners are the tank view's corners, on white paper that reaches a little further."""
    light = np.zeros(look.frame_size_px[::-1], np.float32)
    alpha = np.zeros_like(light)
    white = min(max(look.back_level * 1.25, 95), 235)
    module = look.marker_mm / 21
    cell = max(int(round(look.px_per_mm * module * 4)), 4)
    for corner, left, top in _marker_places(look):
        code = segno.make(f"{look.station_id}:{corner}", version=1, error="m", boost_error=False)
        modules = np.array([[1.0 - bit for bit in row] for row in code.matrix_iter(border=QUIET_MODULES)])
        printed = np.kron(modules, np.ones((cell, cell))) * 0.92 + 0.08
        origin = left - QUIET_MODULES * module, top - QUIET_MODULES * module
        to_mm = _shift(*origin) @ np.diag([module / cell, module / cell, 1]) @ _shift(0.5, 0.5)
        place = _down() @ np.diag([_OVER, _OVER, 1.0]) @ to_px @ to_mm
        covers = _warped(np.ones_like(printed), place, look, (0, 0))
        light += white * _warped(printed, place, look, (0, 0)) * float(rng.uniform(0.9, 1.05))
        alpha = np.maximum(alpha, covers)
    return light, alpha


def _marker_places(look: StationLook) -> list[tuple[Corner, float, float]]:
    """Corner, left and top in mm of each code."""
    far_x, far_y = look.tank_mm[0] - look.marker_mm, look.tank_mm[1] - look.marker_mm
    places = ((0.0, 0.0), (far_x, 0.0), (far_x, far_y), (0.0, far_y))
    return [(corner, x, y) for corner, (x, y) in zip(CORNERS, places, strict=True)]


def _paint_lens(rng: np.random.Generator, look: StationLook) -> np.ndarray:
    """Vignette and out-of-focus dirt."""
    width, height = look.frame_size_px
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    lens = 1 - float(rng.uniform(0, 0.12)) * (x * x + y * y)
    spots = np.zeros((height, width), np.float32)
    for _ in range(int(rng.integers(0, 8))):
        at = tuple(int(v) for v in rng.uniform(0, 1, 2) * (width, height))
        cv2.circle(spots, at, int(rng.integers(3, 20) * width / 640), float(rng.uniform(0.3, 1)), -1)
    lens *= 1 - look.dirt * cv2.GaussianBlur(spots, (0, 0), 4 * width / 640)
    return lens.astype(np.float32)


def _unit_masks(
    rng: np.random.Generator, unit: Unit, scale: float, width: int, height: int, extra: int
) -> tuple[np.ndarray, list[tuple[np.ndarray, float]]]:
    """The shell's alpha and (alpha, tone) of what is mounted on it, on the fine canvas (`extra` rows above the tank)."""

    def box(left: float, top: float, right: float, bottom: float, tone: float) -> tuple[np.ndarray, float]:
        mask = np.zeros((height, width), np.uint8)
        corners = [
            (int(round(left * scale)), int(round(top * scale)) + extra),
            (int(round(right * scale)), int(round(bottom * scale)) + extra),
        ]
        cv2.rectangle(mask, *corners, 255, -1)
        return cv2.GaussianBlur(mask, (0, 0), 1.0).astype(np.float32) / 255, tone

    level = 230 * unit.albedo
    half = unit.width_mm / 2
    y = (np.arange(height, dtype=np.float32) - extra)[:, None] / scale
    x = np.arange(width, dtype=np.float32)[None, :] / scale
    power = {"dome": 2.6, "drum": 6.0, "capsule": 3.2}[unit.kind]
    middle, semi = unit.bottom_mm - unit.height_mm / 2, unit.height_mm / 2
    round_ = (np.abs((x - unit.centre_mm) / half) ** power + np.abs((y - middle) / semi) ** power) ** (1 / power)
    shell = np.clip((1 - round_) * half * scale + 0.5, 0, 1).astype(np.float32)
    seam = unit.seam_mm()
    parts = [
        box(
            unit.centre_mm - half * 1.02,
            seam - 1.6,
            unit.centre_mm + half * 1.02,
            seam + 1.6,
            level * rng.uniform(1.1, 1.7),
        )
    ]
    for share, length, side in unit.stubs:
        at = unit.bottom_mm - share * unit.height_mm
        inner, outer = unit.centre_mm + side * half * 0.9, unit.centre_mm + side * (half + length)
        parts.append(box(min(inner, outer), at - 3, max(inner, outer), at + 3, rng.uniform(40, 190)))
    for side in (-1, 1):
        foot = unit.centre_mm + side * half * 0.7
        parts.append(box(foot - half * 0.2, unit.bottom_mm - 3, foot + half * 0.2, unit.bottom_mm + 5, level * 0.6))
    if rng.random() < 0.6:
        label_x = unit.centre_mm + half * rng.uniform(-0.5, 0.1)
        label_y = unit.top_mm + unit.height_mm * rng.uniform(0.2, 0.4)
        parts.append(
            box(label_x, label_y, label_x + half * 0.45, label_y + unit.height_mm * 0.14, rng.uniform(120, 240))
        )
    grip = half * rng.uniform(0.25, 0.5)
    parts.append(
        box(unit.centre_mm - grip, unit.top_mm - 9, unit.centre_mm + grip, unit.top_mm + 4, rng.uniform(20, 90))
    )
    rod = rng.uniform(4, 10)
    parts.append(box(unit.centre_mm - rod, -60, unit.centre_mm + rod, unit.top_mm - 6, rng.uniform(30, 150)))
    return shell, parts


def _unit_light(
    rng: np.random.Generator, unit: Unit, look: StationLook, scale: float, shell: np.ndarray, extra: int
) -> np.ndarray:
    """Painted or bare steel under the front light: rounded shading, streaks, stains, glints."""
    height, width = shell.shape
    across = (np.arange(width, dtype=np.float32)[None, :] / scale - unit.centre_mm) / (unit.width_mm / 2)
    lean = float(rng.uniform(-0.5, 0.5))
    shade = np.sqrt(np.clip(1 - np.clip(across, -1, 1) ** 2, 0.02, 1)) * (1 + lean * across)
    level = 230 * unit.albedo * (0.35 + 0.65 * look.front_light) * look.back_level / 130
    streaks = cv2.resize(_noise(rng, (height // 14 + 2, width), 2), (width, height))
    texture = 1 + 0.06 * streaks + 0.08 * _noise(rng, (height, width), 6) + 0.1 * _noise(rng, (height, width), 40)
    glint = float(rng.uniform(0, 120)) * np.exp(-((across - rng.uniform(-0.6, 0.6)) ** 2) / 0.006) * look.front_light
    return (level * shade * texture + glint).astype(np.float32)
