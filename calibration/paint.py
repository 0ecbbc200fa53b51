"""StationLook -> Stage: the still layers of a picture without unit: room and tank, water, markers, glass.

Everything is painted at twice the camera's resolution and averaged down, so edges lie between pixels as in a photo.
Layers are (h, w) float32 grey levels in camera pixels; alpha layers are 0..1.
"""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import segno

from calibration.background import paint_room
from calibration.canvas import filled, finely, shifted, warped
from calibration.glass import lamps_left, paint_glass
from calibration.look import StationLook
from calibration.optics import Lens
from edge_agent.records import CORNERS, Corner

QUIET_MODULES = 2
_WHITEST = 240.0
"""The camera was set so that paper does not saturate."""


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """A station without unit and haze. `water`: alpha of what is under water; `markers_alpha`: of the codes."""

    room: np.ndarray
    water: np.ndarray
    markers: np.ndarray
    markers_alpha: np.ndarray
    glass: np.ndarray
    """Share of the light that reaches the sensor."""
    lens: Lens


@lru_cache(maxsize=1)
def paint_stage(look: StationLook) -> Stage:
    """The still station by its seed. Kept, for a recording's profile and its camera both ask: nobody writes into it."""
    rng = np.random.default_rng([look.seed, 51])
    to_px, lens = look.mm_to_straight(), Lens(look.frame_size_px, look.sensor.fisheye)
    room = paint_room(rng, look, to_px)
    markers, alpha = _paint_markers(rng, look, to_px)
    width, height = look.tank_mm
    under = np.array([[0, look.surface_mm], [width, look.surface_mm], [width, height], [0, height]])
    water = filled(look, to_px, under)
    soften = (0, 0), look.blur_px
    return Stage(
        room=cv2.GaussianBlur(lens.bend(room), *soften),
        water=lens.bend(water),
        markers=cv2.GaussianBlur(lens.bend(markers), *soften),
        markers_alpha=cv2.GaussianBlur(lens.bend(alpha), *soften),
        glass=paint_glass(rng, look),
        lens=lens,
    )


def marker_squares(look: StationLook) -> list[tuple[Corner, np.ndarray]]:
    """Each code's corner and its own TL, TR, BR, BL in tank mm, (4, 2) float64."""
    square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * look.marker_mm
    return [(corner, square + (x, y)) for corner, x, y in _marker_places(look)]


def _paint_markers(rng: np.random.Generator, look: StationLook, to_px: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Four printed codes whose outer corners are the tank view's corners, on white paper.

    Front and ambient light shine on them, the back light does not: their brightness tells of the front light.
    """
    light = np.zeros(look.frame_size_px[::-1], np.float32)
    alpha = np.zeros_like(light)
    # The glass layer dims everything by what the tank's lamps have lost; daylight and hall light have lost nothing.
    white = np.minimum(look.ambient_level / lamps_left(look) + look.front_level, _WHITEST)
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
