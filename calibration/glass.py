"""StationLook -> what glass and lamps do to the whole picture: vignette, dirt, scratches, old and failed lamps."""

import cv2
import numpy as np

from calibration.canvas import smooth_noise
from calibration.look import StationLook


def paint_glass(rng: np.random.Generator, look: StationLook) -> np.ndarray:
    """(h, w) float32: share of the light that reaches the sensor."""
    width, height = look.frame_size_px
    x, y = np.meshgrid(np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32))
    passed = 1 - float(rng.uniform(0, 0.12)) * (x * x + y * y)
    passed = passed * (1 - look.dirt * np.clip(_spots(rng, look) + _smears(rng, look), 0, 1.5))
    return np.clip(passed * lamps_left(look), 0.02, None).astype(np.float32)


def lamps_left(look: StationLook) -> np.ndarray:
    """(h, w) float32: share of their first light that the tank's lamps still give, by place in the picture."""
    width, height = look.frame_size_px
    left = np.full((height, width), look.light_left, np.float32)
    out = look.lamp_out
    if out is not None:
        place = np.linspace(0, 1, width)[None, :] if out.axis == "x" else np.linspace(0, 1, height)[:, None]
        share = 1 / (1 + np.exp((out.at - place) * out.towards / 0.075))
        left = left * (1 - (1 - out.left) * share.astype(np.float32))
    return left


def _spots(rng: np.random.Generator, look: StationLook) -> np.ndarray:
    """Splashes and dust, out of focus, some as rings that drying drops leave."""
    width, height = look.frame_size_px
    scale = width / 640
    spots = np.zeros((height, width), np.float32)
    for _ in range(int(rng.integers(0, 14))):
        at = tuple(int(v) for v in rng.uniform(0, 1, 2) * (width, height))
        ring = 2 if rng.random() < 0.3 else -1
        cv2.circle(spots, at, int(rng.integers(2, 20) * scale), float(rng.uniform(0.3, 1)), ring)
    return cv2.GaussianBlur(spots, (0, 0), float(rng.uniform(1.5, 5)) * scale)


def _smears(rng: np.random.Generator, look: StationLook) -> np.ndarray:
    """What a wiped glass keeps: curved, faint streaks; and scratches."""
    width, height = look.frame_size_px
    smears = np.zeros((height, width), np.float32)
    for _ in range(int(rng.integers(0, 5))):
        middle = tuple(int(v) for v in rng.uniform(-0.3, 1.3, 2) * (width, height))
        axes = tuple(int(v) for v in rng.uniform(0.2, 0.9, 2) * width)
        start = int(rng.integers(0, 360))
        thick = int(rng.integers(1, 22))
        cv2.ellipse(
            smears, middle, axes, 0, start, start + int(rng.integers(15, 70)), float(rng.uniform(0.1, 0.5)), thick
        )
    streaky = 0.6 + 0.4 * smooth_noise(rng, (height, width), 5)
    return cv2.GaussianBlur(smears, (0, 0), 1.2 * width / 640) * np.clip(streaky, 0, 1.4)
