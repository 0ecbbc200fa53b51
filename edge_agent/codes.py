"""Pictures -> the QR codes in them, by two readers: zxing-cpp finds fast, pyzbar (zbar) stands in where it fails.

Both readers place a code's corners to whole pixels and with a bias of their own; `refine` finds them again from the
code's outer edges. What a code means is left to `framing`.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

import cv2
import numpy as np
import zxingcpp

from edge_agent.corners import module_px, refine
from edge_agent.records import CORNERS, Corner, Marker
from edge_agent.station import StationProfile

MARKER_MODULES = 21
"""Side of a version 1 code, which the station's markers are."""
NEAR_SIZES = 0.33
"""How far beside its place a marker is looked for first, in its own sizes; the quiet zone needs 0.19."""
ROUGH_PX = 1.5
"""Edges found within this of where they were at set-up are the marker's own."""
LARGEST_HARD_PX = 4_000_000
DIM_SHARE = 0.5
"""Of the picture's light: paper before a bright tank may be no brighter, and beside that light the readers take all of
a code for black (twin: 1 of 100 stations). Nothing is lost of a code where what outshines its paper is dimmed."""
_QR = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)


@dataclass(frozen=True, slots=True, eq=False)
class Code:
    """A code that was read. `corners_px`: (4, 2) float32, the code's own TL, TR, BR, BL; (0, 0) is a pixel's centre."""

    payload: str
    corners_px: np.ndarray
    reader: Literal["zxing", "pyzbar"]
    modules: int | None
    """Modules a side; None where the reader does not tell."""

    @property
    def module_px(self) -> float:
        """Camera pixels a module, by the code's shortest side (its size is taken for a marker's where unknown)."""
        return float(module_px(self.corners_px, self.modules or MARKER_MODULES))


def read(image: np.ndarray, expected: Collection[str] | None = None) -> list[Code]:
    """Codes in `image`, (H, W) or (H, W, 3) uint8 BGR, with refined corners.

    With `expected` payloads a dimmed picture and the slow reader are tried only while not all of them are found.
    """
    grey = _grey(image)
    codes = _by_zxing(grey)
    if expected is None:
        return [_refined(grey, code) for code in _joined(codes, _by_pyzbar(grey))]
    for find in (_by_zxing_dimmed, _by_pyzbar):
        if set(expected) <= {code.payload for code in codes}:
            break
        codes = _joined(codes, find(grey))
    return [_refined(grey, code) for code in codes]


def read_hard(image: np.ndarray) -> list[Code]:
    """As `read`, and if that finds nothing tries other sizes, smoothed, flattened and thresholded (slow)."""
    codes = read(image)
    if codes:
        return codes
    for scale, variant in _variants(_grey(image)):
        codes = _joined(_by_zxing(variant), _by_pyzbar(variant))
        if codes:
            # A pixel's centre is a whole number: resizing by s maps x to (x + 0.5) s - 0.5.
            return [replace(code, corners_px=(code.corners_px + np.float32(0.5)) / scale - 0.5) for code in codes]
    return []


class MarkerReader:
    """Finds one station's markers: first where the profile has them, then beside that, then in the whole picture.

    A marker whose edges lie where they lay is taken for itself; one of them is read again in each picture, in turn.
    """

    def __init__(self, profile: StationProfile) -> None:
        self._station = profile.station
        self._corners = [marker.corner for marker in profile.markers]
        self._references = np.array([marker.corners_px for marker in profile.markers], np.float32)
        self._boxes = [_box_around(points) for points in self._references]
        self._read_last = [False] * len(self._corners)
        self._turn = 0
        self.codes: list[Code] = []
        """All codes of the last picture, other stations' too, where not every marker was at or near its place."""

    def __call__(self, image: np.ndarray) -> list[Marker]:
        """The markers in `image`, (H, W) or (H, W, 3) uint8 BGR, with refined corners; each corner at most once."""
        grey = _grey(image)
        places = self._unmoved(grey)
        self._turn = (self._turn + 1) % max(1, len(self._corners))
        for number, place in enumerate(places):
            if place is None or number == self._turn or not self._read_last[number]:
                rough = self._near(grey, number)
                self._read_last[number] = rough is not None
                if place is None or rough is None:
                    places[number] = None if rough is None else _sharp(grey, rough, MARKER_MODULES)
        missing = [corner for corner, place in zip(self._corners, places, strict=True) if place is None]
        found = [Marker(c, place) for c, place in zip(self._corners, places, strict=True) if place is not None]
        return found + self._anywhere(grey, missing)

    def _unmoved(self, grey: np.ndarray) -> list[np.ndarray | None]:
        """Corners of the markers that are where they were at set-up, by their edges alone."""
        refined = refine(grey, self._references, MARKER_MODULES)
        pairs = zip(refined, self._references, strict=True)
        return [None if now is None or np.abs(now - was).max() > ROUGH_PX else now for now, was in pairs]

    def _near(self, grey: np.ndarray, number: int) -> np.ndarray | None:
        """Rough corners of the marker where it is read at its place or a third of its size beside it."""
        left, top, right, bottom = self._boxes[number]
        payload = f"{self._station}:{self._corners[number]}"
        around = grey[top:bottom, left:right]
        if not around.size:
            return None
        dimmed = np.minimum(around, _paper_level(around))
        for barcode in zxingcpp.read_barcodes(dimmed, formats=_QR):
            if barcode.text == payload:
                return _corners_of(barcode) + np.array([left, top], np.float32)
        return None

    def _anywhere(self, grey: np.ndarray, missing: list[Corner]) -> list[Marker]:
        if not missing:
            self.codes = []
            return []
        codes = self.codes = read(grey, [f"{self._station}:{corner}" for corner in missing])
        return [marker for marker in markers_of(codes, self._station) if marker.corner in missing]


def markers_of(codes: Iterable[Code], station: str) -> list[Marker]:
    """The codes that are `station`'s markers, each corner once; foreign codes and mirror images are ignored."""
    corners = {f"{station}:{corner}": corner for corner in CORNERS}
    own = [code for code in codes if code.payload in corners and not _is_mirrored(code.corners_px)]
    largest = {code.payload: code for code in sorted(own, key=lambda code: code.module_px)}
    return [Marker(corners[code.payload], code.corners_px) for code in largest.values()]


def _is_mirrored(corners_px: np.ndarray) -> bool:
    """zxing-cpp reads a code's reflection in glass or water too; its corners go round the other way."""
    (ax, ay), (bx, by) = corners_px[1] - corners_px[0], corners_px[3] - corners_px[0]
    return bool(ax * by - ay * bx < 0)


def pyzbar_fault() -> str:
    """Why pyzbar cannot stand in, and the cure; empty where it can."""
    return "" if _pyzbar_decode() else "the zbar library is missing, zxing-cpp reads alone: install libzbar0"


@cache
def _pyzbar_decode() -> Callable[..., Any] | None:
    try:
        from pyzbar.pyzbar import decode
    except (ImportError, OSError):
        return None
    return decode


def _paper_level(around: np.ndarray) -> np.uint8:
    """Brightness of the paper that a code in the middle of `around` is printed on."""
    height, width = around.shape
    inner = around[height // 4 : height - height // 4 : 2, width // 4 : width - width // 4 : 2]
    return np.uint8(np.percentile(inner, 90))


def _by_zxing_dimmed(grey: np.ndarray) -> list[Code]:
    """What the fast reader finds where everything over DIM_SHARE of the picture's light is dimmed to that."""
    return _by_zxing(np.minimum(grey, np.uint8(DIM_SHARE * np.percentile(grey[::4, ::4], 95))))


def _by_zxing(grey: np.ndarray) -> list[Code]:
    barcodes = zxingcpp.read_barcodes(grey, formats=_QR)
    return [_of_zxing(barcode) for barcode in barcodes if barcode.valid]


def _of_zxing(barcode: zxingcpp.Barcode) -> Code:
    extra = barcode.extra
    version = str(extra.get("Version", "")) if isinstance(extra, dict) else ""
    modules = 17 + 4 * int(version) if version.isdigit() else None
    return Code(barcode.text, _corners_of(barcode), "zxing", modules)


def _corners_of(barcode: zxingcpp.Barcode) -> np.ndarray:
    at = barcode.position
    points = [(p.x, p.y) for p in (at.top_left, at.top_right, at.bottom_right, at.bottom_left)]
    # zxing-cpp counts from pixels' edges: measured bias +0.5 px.
    return np.array(points, np.float32) - np.float32(0.5)


def _box_around(reference: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of where a marker with these corners is looked for first."""
    margin = NEAR_SIZES * MARKER_MODULES * float(module_px(reference, MARKER_MODULES))
    left, top = (int(low) for low in np.maximum(reference.min(axis=0) - margin, 0))
    right, bottom = (int(high) + 1 for high in reference.max(axis=0) + margin)
    return left, top, right, bottom


def _by_pyzbar(grey: np.ndarray) -> list[Code]:
    decode = _pyzbar_decode()
    if decode is None:
        return []
    from pyzbar.pyzbar import ZBarSymbol

    found = decode(np.ascontiguousarray(grey), symbols=[ZBarSymbol.QRCODE])
    return [_of_pyzbar(symbol) for symbol in found if len(symbol.polygon) == 4]


_TOP_LEFT_LIES = {"UP": (-1, -1), "RIGHT": (1, -1), "DOWN": (1, 1), "LEFT": (-1, 1)}


def _of_pyzbar(symbol: Any) -> Code:
    """pyzbar loses zbar's order of corners (a convex hull, counter-clockwise); the orientation brings it back."""
    points = np.array([(p.x, p.y) for p in symbol.polygon], np.float32)[::-1]
    towards = np.array(_TOP_LEFT_LIES.get(symbol.orientation, (-1, -1)), np.float32)
    first = int(np.argmax((points - points.mean(axis=0)) @ towards))
    return Code(_text(symbol.data), np.roll(points, -first, axis=0), "pyzbar", None)


def _text(data: bytes) -> str:
    """zbar gives UTF-8; a Shift-JIS guess of its own for what was Latin text is left as it is."""
    return data.decode("utf-8", errors="replace")


def _joined(codes: list[Code], others: Iterable[Code]) -> list[Code]:
    """`codes` and those of `others` that lie elsewhere or say something else."""
    return codes + [other for other in others if not any(_same(code, other) for code in codes)]


def _same(code: Code, other: Code) -> bool:
    apart = np.linalg.norm(code.corners_px.mean(axis=0) - other.corners_px.mean(axis=0))
    return code.payload == other.payload and float(apart) < code.module_px * MARKER_MODULES / 2


def _refined(grey: np.ndarray, code: Code) -> Code:
    return code if code.modules is None else replace(code, corners_px=_sharp(grey, code.corners_px, code.modules))


def _sharp(grey: np.ndarray, given: np.ndarray, modules: int) -> np.ndarray:
    """Corners (4, 2) found again on the picture's edges; as given where those are not clear."""
    # The corner without a finder pattern is a guess of the reader's: the other three tell it nearly as well.
    square = np.stack([given[0], given[1], given[1] + given[3] - given[0], given[3]])
    found = refine(grey, np.stack([given, square]), modules)
    return next((corners for corners in found if corners is not None), given)


def _grey(image: np.ndarray) -> np.ndarray:
    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)


def _variants(grey: np.ndarray) -> Iterator[tuple[float, np.ndarray]]:
    """(scale, picture) that other readers' failures have been mended by, the most fruitful first."""
    for scale in (1.0, 0.5, 2.0, 0.25, 0.7):
        if grey.size * scale * scale > LARGEST_HARD_PX:
            continue
        sized = _resized(grey, scale)
        smooth = cv2.GaussianBlur(sized, (0, 0), 1.5)
        yield scale, sized
        yield scale, smooth
        yield scale, cv2.medianBlur(sized, 5)
        yield scale, cv2.createCLAHE(4.0, (8, 8)).apply(smooth)
        yield (
            scale,
            cv2.threshold(smooth, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[1],
        )
        for block in (31, 101):
            yield (
                scale,
                cv2.adaptiveThreshold(smooth, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY, block, 5),
            )
        yield scale, 255 - sized


def _resized(grey: np.ndarray, scale: float) -> np.ndarray:
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return grey if scale == 1 else cv2.resize(grey, None, fx=scale, fy=scale, interpolation=way)
