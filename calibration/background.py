"""StationLook -> what is behind and around the water: machine, tank frame, back wall, the water's surface.

Texture and long saturated edges decide most of how well a net carries over to other cameras, so walls differ in kind.
"""

from collections.abc import Callable

import cv2
import numpy as np

from calibration.canvas import FINER, filled, smooth_noise
from calibration.look import StationLook

Wall = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]


def paint_room(rng: np.random.Generator, look: StationLook, to_px: np.ndarray) -> np.ndarray:
    """(h, w) float32 grey levels, seen by a straight camera; `to_px`: (3, 3) tank mm -> its pixels."""
    width, height = look.frame_size_px
    shape = (height, width)
    x, y = np.meshgrid(np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32))
    light = 1 + look.gradient[0] * x + look.gradient[1] * y
    texture = smooth_noise(rng, shape, 3) * 0.4 + smooth_noise(rng, shape, 17) + smooth_noise(rng, shape, 70)
    kind = _WALLS[int(rng.integers(len(_WALLS)))]
    wall = look.back_level * light * (1 + look.texture * 0.25 * texture) * kind(rng, shape)
    wall = _clutter(rng, look, wall.astype(np.float32))
    outside = look.back_level * rng.uniform(0.25, 0.8) * (1 + 0.2 * smooth_noise(rng, shape, 40))
    mm_w, mm_h = look.tank_mm
    tank = filled(look, to_px, _plate(0, 0, mm_w, mm_h))
    room = outside * (1 - tank) + wall * tank
    room = room * (1 - rng.uniform(0.2, 0.8) * filled(look, to_px, _plate(0, mm_h * 0.965, mm_w, mm_h)))
    return _with_surface(rng, look, to_px, room).astype(np.float32)


def _with_surface(rng: np.random.Generator, look: StationLook, to_px: np.ndarray, room: np.ndarray) -> np.ndarray:
    """The line where the water meets the front glass and, seen from above, the band of its surface behind it."""
    mm_w, top = look.tank_mm[0], look.surface_mm
    if look.above_mm:
        band = filled(look, to_px, _plate(0, top - look.above_mm, mm_w, top))
        streaks = cv2.resize(smooth_noise(rng, (room.shape[0], room.shape[1] // 12), 4), room.shape[::-1])
        sheen = look.back_level * rng.uniform(0.5, 1.4) * (1 + 0.15 * streaks)
        room = room * (1 - 0.75 * band) + 0.75 * sheen * band
    thick = float(rng.uniform(0.6, 2.2))
    line = filled(look, to_px, _plate(0, top - thick, mm_w, top))
    return room * (1 - line) + look.back_level * float(rng.choice([0.35, 1.5])) * line


def _plate(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float64)


def _plain(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return np.ones(shape, np.float32)


def _brushed(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Rolled or brushed metal: streaks one way."""
    height, width = shape
    streaks = cv2.resize(smooth_noise(rng, (height, max(width // 60, 4)), 1.5), (width, height))
    if rng.random() < 0.5:
        streaks = cv2.resize(smooth_noise(rng, (max(height // 60, 4), width), 1.5), (width, height))
    return 1 + rng.uniform(0.03, 0.14) * streaks


def _tiled(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Tiles or welded plates with joints; each reflects a little differently."""
    height, width = shape
    cell = rng.uniform(0.08, 0.3) * width
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = x + rng.uniform(0, cell), y + rng.uniform(0, cell)
    tones = rng.normal(1, rng.uniform(0.01, 0.12), (64, 64)).astype(np.float32)
    tile = tones[(y / cell).astype(int) % 64, (x / cell).astype(int) % 64]
    joint = np.minimum(np.minimum(x % cell, -x % cell), np.minimum(y % cell, -y % cell))
    return tile * (1 - rng.uniform(0.2, 0.8) * np.exp(-((joint / rng.uniform(0.8, 2.5)) ** 2)))


def _meshed(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """A perforated sheet or a grating, seen through the water, a little out of focus."""
    height, width = shape
    pitch, turn = rng.uniform(9, 40) * width / 640, rng.uniform(0, np.pi / 2)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    waves = np.cos(2 * np.pi * along / pitch) * np.cos(2 * np.pi * across / pitch)
    return 1 - rng.uniform(0.1, 0.55) / (1 + np.exp(-(waves - rng.uniform(0.1, 0.6)) * 8))


def _lit_panel(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """A light box that fills part of the wall and saturates the camera; the rest is dark."""
    height, width = shape
    left, top = rng.uniform(-0.1, 0.5) * width, rng.uniform(-0.1, 0.5) * height
    right, bottom = left + rng.uniform(0.3, 0.9) * width, top + rng.uniform(0.3, 0.9) * height
    panel = np.zeros(shape, np.float32)
    cv2.rectangle(panel, (int(left), int(top)), (int(right), int(bottom)), 1.0, -1)
    panel = cv2.GaussianBlur(panel, (0, 0), rng.uniform(0.6, 8) * width / 640)
    return rng.uniform(0.45, 0.9) + rng.uniform(0.4, 2.2) * panel


def _spotlit(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Pools of light from lamps behind a diffuser."""
    height, width = shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    light = np.full(shape, rng.uniform(0.4, 0.8), np.float32)
    for _ in range(int(rng.integers(1, 4))):
        at, size = rng.uniform(0, 1, 2) * (width, height), rng.uniform(0.1, 0.4) * width
        light += rng.uniform(0.3, 1.0) * np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * size * size))
    return light


_WALLS: tuple[Wall, ...] = (_plain, _plain, _brushed, _tiled, _meshed, _lit_panel, _spotlit)


def _clutter(rng: np.random.Generator, look: StationLook, wall: np.ndarray) -> np.ndarray:
    """Rails, hoses, plates and scratches behind the water, and long edges as bright or dark as the camera can show."""
    height, width = wall.shape
    fine = cv2.resize(wall, (width * FINER, height * FINER)).astype(np.float32)
    size = np.array([width, height]) * FINER
    for _ in range(int(rng.integers(2, 12))):
        _rail(rng, look, fine, size)
    for _ in range(int(rng.integers(0, 4))):
        _hose(rng, look, fine, size)
    for _ in range(look.saturated_edges):
        _edge(rng, fine, size)
    return cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA)


def _rail(rng: np.random.Generator, look: StationLook, fine: np.ndarray, size: np.ndarray) -> None:
    start, end = rng.uniform(-0.1, 1.1, 2) * size, rng.uniform(-0.1, 1.1, 2) * size
    if rng.random() < 0.6:
        end[rng.integers(2)] = start[rng.integers(2)]
    _bar(fine, np.stack([start, end]), float(look.back_level * rng.uniform(0.3, 1.35)), int(rng.integers(1, 26)))


def _hose(rng: np.random.Generator, look: StationLook, fine: np.ndarray, size: np.ndarray) -> None:
    """A bent tube with a lighter line along it, as round things have."""
    knots = rng.uniform(-0.1, 1.1, (3, 2)) * size
    share = np.linspace(0, 1, 24)[:, None]
    path = (1 - share) ** 2 * knots[0] + 2 * share * (1 - share) * knots[1] + share**2 * knots[2]
    tone, thick = float(look.back_level * rng.uniform(0.15, 1.1)), int(rng.integers(6, 30))
    _bar(fine, path, tone, thick)
    _bar(fine, path - thick * 0.2, min(tone * 1.5 + 10, 250.0), max(thick // 5, 1))


def _edge(rng: np.random.Generator, fine: np.ndarray, size: np.ndarray) -> None:
    across = np.array([1.0, 0.0]) if rng.random() < 0.5 else np.array([0.0, 1.0])
    start = rng.uniform(0, 1, 2) * size * across
    end = start + size * (1 - across) + rng.normal(0, 0.03, 2) * size
    _bar(fine, np.stack([start, end]), float(rng.choice([4.0, 250.0])), int(rng.integers(2, 15)))


def _bar(picture: np.ndarray, path: np.ndarray, tone: float, thickness: int) -> None:
    """A line through (n, 2) points with smooth edges, drawn in place."""
    mask = np.zeros(picture.shape, np.uint8)
    points = np.round(path * 16).astype(np.int32)[:, None]
    cv2.polylines(mask, [points], False, 255, thickness, cv2.LINE_AA, 4)
    x, y, width, height = cv2.boundingRect(mask)
    alpha = mask[y : y + height, x : x + width].astype(np.float32) / 255
    patch = picture[y : y + height, x : x + width]
    patch += (tone - patch) * alpha
