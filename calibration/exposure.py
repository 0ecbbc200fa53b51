"""Light on the sensor -> the grey picture: lens and dirt, flicker and its bands, tone, pattern and noise."""

import cv2
import numpy as np

from calibration.look import StationLook


class Exposure:
    """A station's sensor. `adapt` to what is in view, then `expose` frames at rising times."""

    def __init__(self, look: StationLook, lens: np.ndarray, seed: int) -> None:
        self._look = look
        self._rng = np.random.default_rng([seed, look.seed, 71])
        width, height = look.frame_size_px
        # Twice the picture's size: frames read it at random offsets.
        self._pool = self._rng.standard_normal((2 * height, 2 * width), np.float32) * np.float32(look.noise_levels)
        own = np.random.default_rng([look.seed, 73])
        pattern = own.standard_normal((height, width), np.float32) * np.float32(look.sensor.fixed_pattern)
        self._lens = lens * (1 + pattern)
        self._hot = _hot_pixels(own, look)
        self._gain = np.ones((height, width), np.float32)

    def adapt(self, full: np.ndarray) -> None:
        """`full` (h, w): the still picture; bright pixels are noisier, as photons are."""
        self._gain = np.sqrt(0.25 + 0.75 * np.clip(full * self._lens, 0, 255) / 110).astype(np.float32)

    def expose(self, picture: np.ndarray, now_s: float) -> np.ndarray:
        """`picture` (h, w) float32 -> (h, w) uint8."""
        look, sensor = self._look, self._look.sensor
        light = cv2.multiply(picture, self._lens, scale=1 + _beat(look, now_s))
        if sensor.banding:
            light *= self._bands(now_s)
        if sensor.tone:
            light = toned(cv2.min(light, 255.0), sensor.tone)
        height, width = picture.shape
        y, x = int(self._rng.integers(height)), int(self._rng.integers(width))
        noise = cv2.multiply(self._pool[y : y + height, x : x + width], self._gain)
        if sensor.row_noise:
            noise += self._rng.standard_normal((height, 1), np.float32) * np.float32(sensor.row_noise)
        seen = cv2.add(light, noise, dtype=cv2.CV_8U)
        if self._hot is not None:
            seen = cv2.max(seen, self._hot)
        return seen

    def _bands(self, now_s: float) -> np.ndarray:
        """(h, 1) float32: mains flicker, row by row where the shutter rolls."""
        sensor, height = self._look.sensor, self._look.frame_size_px[1]
        when = now_s + sensor.readout_s * np.arange(height) / height
        return (1 + sensor.banding * np.sin(2 * np.pi * sensor.mains_hz * when)).astype(np.float32)[:, None]


def toned(light: np.ndarray, tone: float) -> np.ndarray:
    """(h, w) float32 grey levels through a camera's tone curve: black and white stay, mid grey moves."""
    squared = cv2.multiply(light, light)
    return cv2.addWeighted(light, 1 + tone, squared, -tone / 255, 0)


def _beat(look: StationLook, now_s: float) -> float:
    return float(look.flicker * np.sin(2 * np.pi * look.flicker_hz * now_s))


def _hot_pixels(rng: np.random.Generator, look: StationLook) -> np.ndarray | None:
    """(h, w) uint8: pixels that never fall below a level of their own."""
    if not look.sensor.hot_pixels:
        return None
    width, height = look.frame_size_px
    hot = np.zeros((height, width), np.uint8)
    rows, columns = rng.integers(0, height, look.sensor.hot_pixels), rng.integers(0, width, look.sensor.hot_pixels)
    hot[rows, columns] = rng.integers(60, 256, look.sensor.hot_pixels)
    return hot
