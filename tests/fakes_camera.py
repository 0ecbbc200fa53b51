"""Markers painted where a test wants them, and cameras that do what cameras do on bad days."""

import threading
from collections.abc import Callable, Iterator

import cv2
import numpy as np

from calibration.markers import QUIET_MODULES, marker_modules
from edge_agent.codes import MARKER_MODULES
from edge_agent.errors import StationError
from edge_agent.records import CORNERS, Corner, Frame, Marker
from edge_agent.station import MarkerReference, StationProfile

SIZE_PX = (640, 480)
SIDE_PX = 90.0
FINER = 4
_PLACES: dict[Corner, tuple[float, float]] = {"TL": (22, 20), "TR": (525, 23), "BR": (523, 368), "BL": (25, 365)}


def square(left: float, top: float, side: float = SIDE_PX) -> np.ndarray:
    """(4, 2) TL, TR, BR, BL."""
    return np.array([[left, top], [left + side, top], [left + side, top + side], [left, top + side]])


def reference_corners() -> dict[Corner, np.ndarray]:
    return {corner: square(*_PLACES[corner]) for corner in CORNERS}


def moved(
    corners: dict[Corner, np.ndarray], shift_px: tuple[float, float] = (0, 0), degrees: float = 0.0, scale: float = 1.0
) -> dict[Corner, np.ndarray]:
    """The picture shifted, and turned clockwise about its middle."""
    turn = scale * np.exp(1j * np.radians(degrees))
    rotation = np.array([[turn.real, turn.imag], [-turn.imag, turn.real]])
    middle = np.array(SIZE_PX) / 2
    return {corner: (points - middle) @ rotation + middle + shift_px for corner, points in corners.items()}


def paint(corners: dict[Corner, np.ndarray], station: str = "TANK1", *, blur_px: float = 0.8) -> np.ndarray:
    """(480, 640) uint8: a grey room with the station's codes at these true corners, in pixel-centre coordinates."""
    width, height = SIZE_PX
    fine = np.full((height * FINER, width * FINER), 120, np.uint8)
    for corner, points in corners.items():
        modules = np.pad(~np.array(marker_modules(station, corner)), QUIET_MODULES, constant_values=True)
        cell = 12
        code = np.kron(np.where(modules, 205, 40).astype(np.uint8), np.ones((cell, cell), np.uint8))
        low, high = QUIET_MODULES * cell - 0.5, (QUIET_MODULES + MARKER_MODULES) * cell - 0.5
        source = np.array([[low, low], [high, low], [high, high], [low, high]], np.float32)
        target = ((points + 0.5) * FINER - 0.5).astype(np.float32)
        place = cv2.getPerspectiveTransform(source, target)
        there = cv2.warpPerspective(np.ones_like(code), place, fine.shape[::-1], flags=cv2.INTER_NEAREST)
        fine = np.where(there, cv2.warpPerspective(code, place, fine.shape[::-1], flags=cv2.INTER_LINEAR), fine)
    return cv2.GaussianBlur(cv2.resize(fine, SIZE_PX, interpolation=cv2.INTER_AREA), (0, 0), blur_px)


def noisy(picture: np.ndarray, rng: np.random.Generator, sigma: float = 3.0) -> np.ndarray:
    return np.clip(picture + rng.normal(0, sigma, picture.shape), 0, 255).astype(np.uint8)


def profile(px_per_mm: float | None = 1.5) -> StationProfile:
    corners = reference_corners()
    tank = tuple(tuple(map(float, corners[corner][index])) for index, corner in enumerate(CORNERS))
    return StationProfile(
        station="TANK1",
        frame_size_px=SIZE_PX,
        tank_px=tank,
        view_size_px=(588, 436),
        px_per_mm=px_per_mm,
        markers=tuple(MarkerReference(corner, tuple(map(tuple, corners[corner].tolist()))) for corner in CORNERS),
    )


def seen(corners: dict[Corner, np.ndarray]) -> list[Marker]:
    return [Marker(corner, points.astype(np.float32)) for corner, points in corners.items()]


def frame(image: np.ndarray, sequence: int = 0, now_s: float | None = None, fps: float = 20.0) -> Frame:
    at_s = sequence / fps if now_s is None else now_s
    return Frame(image, sequence, at_s, 1_790_000_000 + at_s)


class FakeSource:
    """A `connect` for LiveCapture: each connection follows the next of `plans`, the last one for ever.

    A plan is a number of frames and then how it ends: "refused" (at once), "ends", or "blocks" until `release`.
    """

    def __init__(self, *plans: tuple[int, str], clock: Callable[[], float]) -> None:
        self._plans, self._clock = list(plans), clock
        self.connections = 0
        self.release = threading.Event()
        self.ended = threading.Event()

    def __call__(self) -> Iterator[Frame]:
        frames, ending = self._plans[min(self.connections, len(self._plans) - 1)]
        self.connections += 1
        if ending == "refused":
            raise StationError("camera fake cannot be opened: plug it in")
        for number in range(frames):
            rng = np.random.default_rng([self.connections, number])
            scene = np.random.default_rng(0).integers(40, 200, (48, 64, 3), np.uint8)
            yield frame(scene + rng.integers(0, 3, scene.shape, np.uint8), number, self._clock())
        if ending == "blocks":
            self.release.wait(10)
            self.ended.set()


class Clock:
    """A clock that a test turns; each look at it takes a little time, so that times rise."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self._lock = threading.Lock()

    def __call__(self) -> float:
        with self._lock:
            self.now_s += 1e-4
            return self.now_s

    def turn(self, seconds: float) -> None:
        with self._lock:
            self.now_s += seconds


def retaken(image: np.ndarray, number: int) -> np.ndarray:
    """The scene taken again, as picture `number`: no sensor gives the very same picture twice."""
    noise = np.random.default_rng(number).integers(0, 2, image.shape, np.uint8)
    return np.bitwise_xor(image, noise)
