"""Drawing on a canvas finer than the camera's picture, so that edges lie between pixels as in a photo."""

import cv2
import numpy as np

from calibration.look import StationLook

FINER = 2


def finely() -> np.ndarray:
    """(3, 3) camera pixels -> pixels of the finer picture, which is averaged in blocks; pixel centres are kept."""
    return np.array([[FINER, 0, (FINER - 1) / 2], [0, FINER, (FINER - 1) / 2], [0, 0, 1.0]])


def shifted(x: float, y: float) -> np.ndarray:
    """(3, 3) translation."""
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])


def warped(layer: np.ndarray, place: np.ndarray, look: StationLook) -> np.ndarray:
    """A fine layer seen by the camera."""
    width, height = look.frame_size_px
    fine = cv2.warpPerspective(layer.astype(np.float32), place, (width * FINER, height * FINER), flags=cv2.INTER_LINEAR)
    return cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA)


def filled(look: StationLook, to_px: np.ndarray, polygon_mm: np.ndarray) -> np.ndarray:
    """Alpha of a polygon in tank mm, edges between pixels."""
    width, height = look.frame_size_px
    points = cv2.perspectiveTransform(polygon_mm.astype(np.float64)[None], to_px)[0]
    fine = np.zeros((height * 4, width * 4), np.uint8)
    cv2.fillConvexPoly(fine, np.round(((points + 0.5) * 4 - 0.5) * 16).astype(np.int32), 255, shift=4)
    return cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], cell: float) -> np.ndarray:
    """Smooth noise, (h, w) float32, standard deviation 1, features of `cell` pixels."""
    small = rng.normal(0, 1, (max(int(shape[0] / cell), 2) + 2, max(int(shape[1] / cell), 2) + 2)).astype(np.float32)
    big = cv2.resize(small, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return big / (float(big.std()) + 1e-6)
