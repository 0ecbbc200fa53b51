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
LARGEST_HARD_PX = 4_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Code:
    """A code that was read. `corners_px`: (4, 2) float32, the code's own TL, TR, BR, BL; pixel centres are whole numbers."""

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
    """As `read`, and if that finds nothing tries the picture in other sizes, smoothed, flattened and thresholded (slow)."""
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
        self._references = {marker.corner: np.array(marker.corners_px, np.float32) for marker in profile.markers}

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
        reference, payload = self._references[corner], f"{self._station}:{corner}"
        margin = NEAR_SIZES * MARKER_MODULES * float(module_px(reference, MARKER_MODULES))
        left, top = np.maximum(reference.min(axis=0) - margin, 0).astype(int)
        right, bottom = (reference.max(axis=0) + margin).astype(int) + 1
        for code in _by_zxing(grey[top:bottom, left:right]):
            if code.payload == payload:
                moved = np.median(
                    code.corners_px + np.array([left, top], np.float32) - reference,
                    axis=0,
                )
                return reference + moved
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


def _of_zxing(barcode: Any) -> Code:
    at = barcode.position
    points = [(p.x, p.y) for p in (at.top_left, at.top_right, at.bottom_right, at.bottom_left)]
    version = str(barcode.extra.get("Version", ""))
    modules = 17 + 4 * int(version) if version.isdigit() else None
    # zxing-cpp counts from pixels' edges: measured bias +0.5 px.
    return Code(barcode.text, np.array(points, np.float32) - np.float32(0.5), "zxing", modules)


def _by_pyzbar(grey: np.ndarray) -> list[Code]:
    decode = _pyzbar_decode()
    if decode is None:
        return []
    from pyzbar.pyzbar import ZBarSymbol

    found = decode(np.ascontiguousarray(grey), symbols=[ZBarSymbol.QRCODE])
    return [_of_pyzbar(symbol) for symbol in found if len(symbol.polygon) == 4]


_QR = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)
_TOP_LEFT_LIES = {"UP": (-1, -1), "RIGHT": (1, -1), "DOWN": (1, 1), "LEFT": (-1, 1)}


def _of_pyzbar(symbol: Any) -> Code:
    """zbar's own order of corners is lost in pyzbar (a convex hull, counter-clockwise); its orientation brings it back."""
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
    """With corners found again on the picture's edges, where those are clear."""
    corners = refine(grey, code.corners_px[None], code.modules)[0] if code.modules else None
    return code if corners is None else replace(code, corners_px=corners)


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
