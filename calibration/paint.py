"""StationLook -> Stage: the still layers of a picture without unit: room and tank, water, markers, lens.

Everything is painted at twice the camera's resolution and averaged down, so edges lie between pixels as in a photo.
Layers are (h, w) float32 grey levels in camera pixels; alpha layers are 0..1.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import segno

from calibration.canvas import FINER, filled, finely, shifted, smooth_noise, warped
from calibration.look import StationLook
from edge_agent.records import CORNERS, Corner

QUIET_MODULES = 2


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """A station without unit and haze. `water`: alpha of what is under water; `markers_alpha`: of the codes."""

    room: np.ndarray
    water: np.ndarray
    markers: np.ndarray
    markers_alpha: np.ndarray
    lens: np.ndarray
    """Share of the light that lens and dirt let through."""
    mm_to_px: np.ndarray
    """(3, 3) float64."""


def paint_stage(look: StationLook) -> Stage:
    """The still station by its seed."""
    rng = np.random.default_rng([look.seed, 51])
    to_px = _mm_to_px(look)
    room = _paint_room(rng, look, to_px)
    markers, alpha = _paint_markers(rng, look, to_px)
    width, height = look.tank_mm
    under = np.array([[0, look.surface_mm], [width, look.surface_mm], [width, height], [0, height]])
    water = filled(look, to_px, under)
    soften = (0, 0), look.blur_px
    return Stage(
        room=cv2.GaussianBlur(room, *soften),
        water=water,
        markers=cv2.GaussianBlur(markers, *soften),
        markers_alpha=cv2.GaussianBlur(alpha, *soften),
        lens=_paint_lens(rng, look),
        mm_to_px=to_px,
    )


def marker_squares(look: StationLook) -> list[tuple[Corner, np.ndarray]]:
    """Each code's corner and its own TL, TR, BR, BL in tank mm, (4, 2) float64."""
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * look.marker_mm
    return [(corner, square + (x, y)) for corner, x, y in _marker_places(look)]


def _mm_to_px(look: StationLook) -> np.ndarray:
    width, height = look.tank_mm
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    return cv2.getPerspectiveTransform(corners, look.tank_px.astype(np.float32)).astype(np.float64)


def _paint_room(rng: np.random.Generator, look: StationLook, to_px: np.ndarray) -> np.ndarray:
    """Machine surroundings, tank frame, back wall with things behind the water, the surface's line."""
    width, height = look.frame_size_px
    shape = (height, width)
    x, y = np.meshgrid(np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32))
    light = 1 + look.gradient[0] * x + look.gradient[1] * y
    texture = smooth_noise(rng, shape, 3) * 0.4 + smooth_noise(rng, shape, 17) + smooth_noise(rng, shape, 70)
    wall = look.back_level * light * (1 + look.texture * 0.25 * texture)
    wall = _clutter(rng, look, wall)
    outside = look.back_level * rng.uniform(0.25, 0.8) * (1 + 0.2 * smooth_noise(rng, shape, 40))
    mm_w, mm_h = look.tank_mm
    tank = filled(look, to_px, np.array([[0, 0], [mm_w, 0], [mm_w, mm_h], [0, mm_h]]))
    room = outside * (1 - tank) + wall * tank
    floor = filled(look, to_px, np.array([[0, mm_h * 0.965], [mm_w, mm_h * 0.965], [mm_w, mm_h], [0, mm_h]]))
    room = room * (1 - 0.6 * floor)
    thick = rng.uniform(0.6, 2.2)
    line = [
        [0, look.surface_mm - thick],
        [mm_w, look.surface_mm - thick],
        [mm_w, look.surface_mm],
        [0, look.surface_mm],
    ]
    surface = filled(look, to_px, np.array(line))
    return (room * (1 - surface) + look.back_level * rng.choice([0.35, 1.5]) * surface).astype(np.float32)


def _clutter(rng: np.random.Generator, look: StationLook, wall: np.ndarray) -> np.ndarray:
    """Rails, hoses, plates and scratches behind the water; long saturated edges decide how well a net transfers."""
    height, width = wall.shape
    fine = cv2.resize(wall, (width * FINER, height * FINER)).astype(np.float32)
    size = np.array([width, height]) * FINER
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
    """A bar with smooth edges, drawn in place."""
    mask = np.zeros(picture.shape, np.uint8)
    ends = [tuple(int(v) for v in np.round(point * 16)) for point in (start, end)]
    cv2.line(mask, ends[0], ends[1], 255, thickness, cv2.LINE_AA, 4)
    x, y, width, height = cv2.boundingRect(mask)
    alpha = mask[y : y + height, x : x + width].astype(np.float32) / 255
    patch = picture[y : y + height, x : x + width]
    patch += (tone - patch) * alpha


def _paint_markers(rng: np.random.Generator, look: StationLook, to_px: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Four printed codes whose outer corners are the tank view's corners, on white paper."""
    light = np.zeros(look.frame_size_px[::-1], np.float32)
    alpha = np.zeros_like(light)
    white = min(max(look.back_level * 1.25, 95), 235)
    module = look.marker_mm / 21
    cell = max(round(look.px_per_mm * module * 4), 4)
    for corner, left, top in _marker_places(look):
        code = segno.make(f"{look.station_id}:{corner}", version=1, error="m", boost_error=False)
        modules = np.array([[1.0 - bit for bit in row] for row in code.matrix_iter(border=QUIET_MODULES)])
        printed = np.kron(modules, np.ones((cell, cell))) * 0.92 + 0.08
        origin = left - QUIET_MODULES * module, top - QUIET_MODULES * module
        to_mm = shifted(*origin) @ np.diag([module / cell, module / cell, 1]) @ shifted(0.5, 0.5)
        place = finely() @ to_px @ to_mm
        covers = warped(np.ones_like(printed), place, look)
        light += white * warped(printed, place, look) * float(rng.uniform(0.9, 1.05))
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
