"""Paints the two lamps into a BGR picture: dark or lit discs at their places, moved with the camera."""

import cv2
import numpy as np

from calibration.scene import StationLook

LIT_BGR = {"ok": (70, 255, 60), "leak": (50, 40, 255)}
DARK_BGR = {"ok": (26, 52, 24), "leak": (24, 22, 60)}
_MARGIN_PX = 8


class LampPainter:
    """Holds each lamp's small pictures for one station."""

    def __init__(self, look: StationLook) -> None:
        self._look = look
        self._patches = {name: disc(box[2]) for name, box in look.lamps.items()}

    def paint(self, image: np.ndarray, motion: np.ndarray, lit: tuple[str, ...], now_s: float) -> None:
        """Into `image` (h, w, 3) uint8 in place; `motion`: (2, 3) float64, set-up picture -> this picture."""
        beat = 1 - self._look.lamp_pwm * (0.5 + 0.5 * np.sin(2 * np.pi * 3.7 * now_s))
        for name, (x, y, width, height) in self._look.lamps.items():
            centre = motion @ (x + width / 2, y + height / 2, 1.0)
            shines = name in lit
            colour = np.array(LIT_BGR[name] if shines else DARK_BGR[name]) * (
                self._look.lamp_glow * beat if shines else 1.0
            )
            _blend(image, self._patches[name], centre, colour)


def disc(width: int) -> np.ndarray:
    """Alpha of a round lamp with a soft edge, (n, n) float32."""
    size = width + 2 * _MARGIN_PX
    steps = np.arange(size) - (size - 1) / 2
    x, y = np.meshgrid(steps, steps)
    return np.clip(width / 2 - np.sqrt(x * x + y * y) + 0.5, 0, 1).astype(np.float32)


def _blend(image: np.ndarray, alpha: np.ndarray, centre: np.ndarray, colour: np.ndarray) -> None:
    height, width = image.shape[:2]
    left, top = np.round(centre - alpha.shape[0] / 2).astype(int)
    rest = centre - alpha.shape[0] / 2 - (left, top)
    shift = np.array([[1, 0, rest[0]], [0, 1, rest[1]]])
    alpha = cv2.warpAffine(alpha, shift, alpha.shape[::-1], flags=cv2.INTER_LINEAR)
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + alpha.shape[1], width), min(top + alpha.shape[0], height)
    if x1 <= x0 or y1 <= y0:
        return
    share = alpha[y0 - top : y1 - top, x0 - left : x1 - left, None]
    patch = image[y0:y1, x0:x1]
    image[y0:y1, x0:x1] = np.clip(patch * (1 - share) + colour * share, 0, 255).astype(np.uint8)
