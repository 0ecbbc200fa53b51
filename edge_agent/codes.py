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
"""How far a reader's corners are from the truth: below this the place at set-up is the better start."""
LARGEST_HARD_PX = 4_000_000
_WITH_FINDER = np.array([0, 1, 3])
"""The corners that have a finder pattern; the fourth is the reader's guess."""
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

    With `expected` payloads the slow reader is asked only if the fast one has not found them all.
    """
    grey = _grey(image)
    codes = _by_zxing(grey)
    if expected is None or not set(expected) <= {code.payload for code in codes}:
        codes = _joined(codes, _by_pyzbar(grey))
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
    """Finds one station's markers: first where the profile has them, then in the whole picture."""

    def __init__(self, profile: StationProfile) -> None:
        self._station = profile.station
        self._references = {m.corner: np.array(m.corners_px, np.float32) for m in profile.markers}
        self._boxes = {corner: _box_around(points) for corner, points in self._references.items()}

    def __call__(self, image: np.ndarray) -> list[Marker]:
        """The markers in `image`, (H, W) or (H, W, 3) uint8 BGR, with refined corners; each corner at most once."""
        grey = _grey(image)
        found = {corner: near for corner in self._references if (near := self._near(grey, corner)) is not None}
        missing = self._references.keys() - found.keys()
        if missing:
            codes = read(grey, [f"{self._station}:{corner}" for corner in missing])
            found |= {m.corner: m.corners_px for m in markers_of(codes, self._station) if m.corner in missing}
        return self._refined(grey, found)

    def _near(self, grey: np.ndarray, corner: Corner) -> np.ndarray | None:
        """Rough corners of the marker where it was at set-up or a third of its size beside it."""
        left, top, right, bottom = self._boxes[corner]
        for barcode in zxingcpp.read_barcodes(grey[top:bottom, left:right], formats=_QR):
            if barcode.text == f"{self._station}:{corner}":
                rough = _corners_of(barcode) + np.array([left, top], np.float32)
                moved = np.abs((rough - self._references[corner])[_WITH_FINDER].mean(axis=0)).max()
                return self._references[corner] if moved <= ROUGH_PX else _sharp(grey, rough, MARKER_MODULES)
        return None

    def _refined(self, grey: np.ndarray, found: dict[Corner, np.ndarray]) -> list[Marker]:
        if not found:
            return []
        refined = refine(grey, np.stack(list(found.values())), MARKER_MODULES)
        pairs = zip(found.items(), refined, strict=True)
        return [Marker(corner, rough if fine is None else fine) for (corner, rough), fine in pairs]


def markers_of(codes: Iterable[Code], station: str) -> list[Marker]:
    """The codes that are `station`'s markers; foreign codes are ignored."""
    corners = {f"{station}:{corner}": corner for corner in CORNERS}
    return [Marker(corners[code.payload], code.corners_px) for code in codes if code.payload in corners]


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
