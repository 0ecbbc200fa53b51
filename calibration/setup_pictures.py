"""A frame -> what a page shows of it: a JPEG small enough for a browser, with outlines of tank, markers and lamps."""

import base64
from collections.abc import Sequence

import cv2
import numpy as np

from edge_agent import lamps, pictures
from edge_agent.station import Point, StationProfile

WIDEST_PX = 960
"""A page is no wider; more would only cost time."""
QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 80]
NOW_BGR, BEFORE_BGR, LAMP_BGR = (110, 95, 11), (60, 60, 200), {"ok": (70, 150, 20), "leak": (30, 40, 190)}


def jpeg(image: np.ndarray) -> bytes:
    """(H, W) or (H, W, 3) uint8 BGR, made no wider than WIDEST_PX."""
    scale = min(1.0, WIDEST_PX / image.shape[1])
    small = image if scale == 1 else cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return pictures.encoded(small, ".jpg", QUALITY)


def text(data: bytes) -> str:
    """A picture inside an answer, for a script that paints it: pages of the panel may load no `data:` address."""
    return base64.b64encode(data).decode()


def address(data: bytes) -> str:
    """A picture inside a file of its own, as a `data:` address."""
    return "data:image/jpeg;base64," + text(data)


def lamp(image: np.ndarray, rect_px: tuple[int, int, int, int]) -> bytes:
    """What the lamp reader sees of one lamp, enlarged, as JPEG."""
    seen = lamps.crop(image, rect_px).transpose(1, 2, 0)
    return pictures.encoded(cv2.resize(seen, None, fx=4, fy=4, interpolation=cv2.INTER_NEAREST), ".jpg", QUALITY)


def outlined(image: np.ndarray, profile: StationProfile, before: StationProfile | None = None) -> np.ndarray:
    """(H, W, 3) uint8 BGR: the profile's tank, markers and lamps drawn in, those of `before` as broken lines below."""
    drawn = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR) if image.ndim == 2 else image.copy()
    if before is not None and before.frame_size_px == profile.frame_size_px:
        _broken(drawn, before.tank_px)
        for marker in before.markers:
            _broken(drawn, marker.corners_px)
        for old in before.lamps:
            _broken(drawn, _corners(old.rect_px))
    _closed(drawn, profile.tank_px, NOW_BGR, 2)
    for marker in profile.markers:
        _closed(drawn, marker.corners_px, NOW_BGR, 1)
    for lamp_now in profile.lamps:
        _closed(drawn, _corners(lamp_now.rect_px), LAMP_BGR[lamp_now.means], 2)
    return drawn


def blank(profile: StationProfile) -> np.ndarray:
    """Paper of the camera's size to draw on, where there is no picture."""
    width, height = profile.frame_size_px
    return np.full((height, width, 3), 236, np.uint8)


def _closed(drawn: np.ndarray, corners: Sequence[Point], colour: tuple[int, int, int], thick: int) -> None:
    points = np.round(np.array(corners, np.float64) * 16).astype(np.int32)[:, None]
    cv2.polylines(drawn, [points], True, colour, thick, cv2.LINE_AA, 4)


def _broken(drawn: np.ndarray, corners: Sequence[Point]) -> None:
    """Dashes of eight pixels."""
    for start, end in zip(corners, (*corners[1:], corners[0]), strict=True):
        first, last = np.array(start), np.array(end)
        steps = max(2, int(np.linalg.norm(last - first) // 8))
        places = np.round(first + (last - first) * np.linspace(0, 1, steps + 1)[:, None]).astype(int)
        for index in range(0, steps, 2):
            cv2.line(drawn, places[index].tolist(), places[index + 1].tolist(), BEFORE_BGR, 2, cv2.LINE_AA)


def _corners(rect_px: tuple[int, int, int, int]) -> tuple[Point, ...]:
    x, y, width, height = rect_px
    return (x, y), (x + width, y), (x + width, y + height), (x, y + height)
