"""Seed -> StationLook: where a simulated station's tank, codes and lamps are, its light, water and camera. PURE."""

from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np

from calibration.optics import projected, straightened
from calibration.profiles import SceneProfile, draw, profile_named
from calibration.sensor import Sensor, draw_sensor

Box = tuple[int, int, int, int]
Codec = Literal["none", "jpeg", "video"]


@dataclass(frozen=True, slots=True)
class LampOut:
    """One of several tank lamps has failed: beyond `at` (share of the picture along `axis`) `left` of the light."""

    axis: Literal["x", "y"]
    at: float
    towards: Literal[-1, 1]
    left: float


@dataclass(frozen=True, slots=True, eq=False)
class StationLook:
    """A station as its camera sees it: `tank_px` (4, 2) float64, outer corners TL TR BR BL in camera pixels."""

    seed: int
    station_id: str
    frame_size_px: tuple[int, int]
    tank_px: np.ndarray
    tank_mm: tuple[float, float]
    marker_mm: float
    lamps: dict[Literal["ok", "leak"], Box]
    surface_mm: float
    front_light: float
    """Share of the light that comes from the camera's side, 0..1."""
    back_level: float
    """Grey level of the lit back wall."""
    gradient: tuple[float, float]
    """Relative change of the light over the picture's width and height."""
    flicker: float
    flicker_hz: float
    noise_levels: float
    """Camera noise at mid grey, standard deviation in grey levels."""
    exposure_s: float
    blur_px: float
    haze: float
    """Exponent: contrast under water falls by exp(-haze)."""
    veil_level: float
    ripple_mm: float
    shake_px: float
    drift_px: float
    dirt: float
    texture: float
    saturated_edges: int
    lamp_glow: float
    lamp_pwm: float
    codec: Codec
    jpeg_quality: int | None
    """Of the codec's rounding, also of a video's differences; None without codec."""
    tint: tuple[float, float, float]
    fps: float
    sensor: Sensor
    ambient_level: float
    """Grey level of white paper at the front plane without the station's own front light."""
    light_left: float
    """Share of its first light that an ageing lamp still gives, 0.7..1."""
    lamp_out: LampOut | None
    above_mm: float
    """Height of the water's surface as a camera that looks slightly from above sees it."""

    @property
    def px_per_mm(self) -> float:
        """Mean scale of the front plane in the camera's picture."""
        widths = np.linalg.norm(self.tank_px[1] - self.tank_px[0]) + np.linalg.norm(self.tank_px[2] - self.tank_px[3])
        return float(widths / 2 / self.tank_mm[0])

    @property
    def front_level(self) -> float:
        """Grey levels that the front light adds to white paper at the front plane."""
        return 1.15 * self.front_light * self.back_level

    def to_px(self, points_mm: np.ndarray) -> np.ndarray:
        """(n, 2) tank mm -> (n, 2) camera pixels of the unmoved camera."""
        return projected(self.mm_to_straight(), points_mm, self.frame_size_px, self.sensor.fisheye)

    def mm_to_straight(self) -> np.ndarray:
        """(3, 3) float64, tank mm -> pixels of a camera without fish-eye."""
        width, height = self.tank_mm
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        seen = straightened(self.tank_px, self.frame_size_px, self.sensor.fisheye)
        return cv2.getPerspectiveTransform(corners, seen.astype(np.float32)).astype(np.float64)


def draw_station(
    seed: int, profile: str = "reference", frame_size_px: tuple[int, int] = (640, 480), station_id: str = "TANK1"
) -> StationLook:
    """A station by seed: pose, light, camera, background."""
    ranges = profile_named(profile)
    rng = np.random.default_rng([seed, 11])
    width, height = frame_size_px
    scale = width / 640
    px_per_mm = draw(rng, ranges.px_per_mm) * scale
    tank = _draw_tank(rng, width, height)
    tank_w = float(np.linalg.norm(tank[1] - tank[0]) + np.linalg.norm(tank[2] - tank[3])) / 2
    tank_h = float(np.linalg.norm(tank[3] - tank[0]) + np.linalg.norm(tank[2] - tank[1])) / 2
    level = draw(rng, ranges.back_level)
    extra = np.random.default_rng([seed, 13])
    codec: Codec = _CODECS[int(extra.choice(3, p=ranges.codec))]
    fps = float(extra.choice(ranges.fps))
    return StationLook(
        seed=seed,
        station_id=station_id,
        frame_size_px=frame_size_px,
        tank_px=tank,
        tank_mm=(tank_w / px_per_mm, tank_h / px_per_mm),
        marker_mm=float(rng.uniform(89, 94)) * scale / px_per_mm,
        lamps=_lamp_boxes(tank, width, height),
        surface_mm=float(rng.uniform(0.05, 0.08)) * tank_h / px_per_mm,
        front_light=draw(rng, ranges.front_light),
        back_level=level,
        gradient=(float(rng.uniform(-0.3, 0.3)), float(rng.uniform(-0.3, 0.3))),
        flicker=draw(rng, ranges.flicker),
        flicker_hz=float(rng.uniform(0.7, 9.0)),
        noise_levels=draw(rng, ranges.noise_levels),
        exposure_s=draw(rng, ranges.exposure_s),
        blur_px=float(rng.uniform(0.45, 0.8)),
        haze=draw(rng, ranges.haze),
        veil_level=level * float(rng.uniform(0.5, 0.9)),
        ripple_mm=draw(rng, ranges.ripple_mm),
        shake_px=draw(rng, ranges.shake_mm) * px_per_mm,
        drift_px=draw(rng, ranges.drift_px) * scale,
        dirt=draw(rng, ranges.dirt),
        texture=float(rng.uniform(0.02, 0.22)),
        saturated_edges=int(rng.integers(0, 9)),
        lamp_glow=float(rng.uniform(0.65, 1.0)),
        lamp_pwm=float(rng.uniform(0.0, 0.35)) * float(rng.random() < 0.3),
        codec=codec,
        jpeg_quality=round(draw(extra, ranges.jpeg_quality)) if codec != "none" else None,
        tint=(float(rng.uniform(0.82, 1.0)), float(rng.uniform(0.82, 1.0)), float(rng.uniform(0.82, 1.0))),
        fps=fps,
        sensor=draw_sensor(extra, ranges),
        ambient_level=float(extra.uniform(70, 95)),
        light_left=float(extra.uniform(0.7, 1.0)) if extra.random() < ranges.aged_share else 1.0,
        lamp_out=_draw_lamp_out(extra, ranges),
        above_mm=draw(extra, ranges.above_mm) * float(extra.random() < 0.5),
    )


_CODECS: tuple[Codec, Codec, Codec] = ("none", "jpeg", "video")


def _draw_lamp_out(rng: np.random.Generator, ranges: SceneProfile) -> LampOut | None:
    if rng.random() >= ranges.lamp_out_share:
        return None
    return LampOut(
        axis="x" if rng.random() < 0.7 else "y",
        at=float(rng.uniform(0.25, 0.75)),
        towards=1 if rng.random() < 0.5 else -1,
        left=float(rng.uniform(0.4, 0.75)),
    )


def at_pose(look: StationLook, pose: int) -> StationLook:
    """The same station after somebody moved the camera; pose 0 is the one that was drawn."""
    if pose == 0:
        return look
    rng = np.random.default_rng([look.seed, 12, pose])
    width, height = look.frame_size_px
    centre = np.array([width, height]) / 2
    angle = np.deg2rad(rng.uniform(0.7, 2.0) * rng.choice([-1, 1]))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shift = rng.uniform(4.0, 8.0, 2) * rng.choice([-1, 1], 2) * width / 640
    tank = (look.tank_px - centre) * 0.975 @ turn.T + centre + shift
    margin = 2.0
    tank = np.clip(tank, margin, np.array([width, height]) - 1 - margin)
    return replace(look, tank_px=tank, lamps=_lamp_boxes(tank, width, height))


def _draw_tank(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Corners of a tank view that leaves a lamp's width free at the right and a few pixels elsewhere."""
    left, top = width * rng.uniform(0.012, 0.022), height * rng.uniform(0.015, 0.03)
    right, bottom = width * rng.uniform(0.925, 0.94), height * rng.uniform(0.965, 0.98)
    square = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float64)
    return square + rng.uniform(-0.006, 0.006, (4, 2)) * width


def _lamp_boxes(tank: np.ndarray, width: int, height: int) -> dict[Literal["ok", "leak"], Box]:
    """Two lamps at the picture's right edge, outside of the tank view."""
    free = int(min(tank[1, 0], tank[2, 0]))
    free = max(int(max(tank[1, 0], tank[2, 0])) + 2, free)
    size = max(min(width - free - 2, round(width * 0.045)), 8)
    x = width - size - 1
    return {"ok": (x, round(height * 0.36), size, size), "leak": (x, round(height * 0.52), size, size)}
