"""Clips that do harm, by name: pictures that claim, grow, hide or repeat, and records that lie about what they hold."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import msgspec
import numpy as np

from edge_agent.clip_bytes import MAGIC, blob, record

SIZE = (64, 48)
_FRAME = struct.Struct("<QddB9dB")
IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
PAGE = b"<html><script>alert(1)</script></html>"


@dataclass(frozen=True, slots=True)
class Hostile:
    """One clip. `harmless`: it is shown like any other, and that does nothing to anybody."""

    data: bytes
    harmless: bool = False


def sound(number: int = 0, *, frames: int = 6) -> bytes:
    """A clip like a station's; `number` makes it another one."""
    return clip([picture(number + n) for n in range(frames)])


def every() -> dict[str, Hostile]:
    """Name -> clip."""
    pictures = {f"picture: {name}": Hostile(clip([picture(), make()])) for name, make in _PICTURES.items()}
    evidence = {
        f"evidence: {name}": Hostile(clip([picture()], evidence=evidence_of(make())))
        for name, make in _PICTURES.items()
    }
    records = {f"file: {name}": Hostile(make()) for name, make in _FILES.items()}
    harmless = {f"harmless: {name}": Hostile(make(), harmless=True) for name, make in _HARMLESS.items()}
    return pictures | evidence | records | harmless


def clip(views: Sequence[bytes], *, evidence: bytes = b"", end: bytes | None = None, **header: object) -> bytes:
    """Magic, header, one frame for each picture, evidence, end."""
    frames = [frame(data, number) for number, data in enumerate(views)]
    watch = {"settled_s": 0.0, "spans_s": [[0.0, 9.0]], "usable_s": 9.0}
    close = json({"frames": len(views), "watch": watch}) if end is None else end
    parts = [head(**header), *frames, record(b"E", evidence) if evidence else b"", record(b"Z", close)]
    return MAGIC + b"".join(parts)


def head(**changes: object) -> bytes:
    """The header's record."""
    said = {"schema": "tankwatch/clip/1", "case_id": "c-1", "station": "TANK1", "view_size_px": SIZE, "px_per_mm": 2.0}
    return record(b"H", json(said | {"lamps": ["ok"]} | changes))


def frame(view: bytes, number: int = 0, *, lamps: Sequence[bytes] = (), at_s: float | None = None) -> bytes:
    """A frame's record."""
    at_s = number / 15 if at_s is None else at_s
    start = _FRAME.pack(number, at_s, 1.7e9 + number / 15, 3, *IDENTITY, len(lamps))
    return record(b"F", start + b"".join(map(blob, (view, *lamps))))


def evidence_of(heat: bytes) -> bytes:
    numbers = json({"monotonic_s": 0.0, "spacing_s": 0.05, "score": 0.9, "bubbles": []})
    return blob(numbers) + blob(png(np.zeros((48, 64, 3), np.uint8))) + blob(heat)


def picture(number: int = 0, *, size: tuple[int, int] = SIZE, options: Sequence[int] = ()) -> bytes:
    """A JPEG of a tank that nobody has seen."""
    grey = np.random.default_rng(number).integers(80, 120, size[::-1], np.uint8)
    return cv2.imencode(".jpg", grey, list(options))[1].tobytes()


def png(pixels: np.ndarray) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


def json(value: object) -> bytes:
    return msgspec.json.encode(value)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png_of(width: int, height: int, *, bits: int = 8, kind: int = 0, data: bytes = b"", more: bytes = b"") -> bytes:
    about = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    rows = data or zlib.compress(bytes((width + 1) * height))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", about) + more + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def _claiming(width: int, height: int) -> bytes:
    """A JPEG whose size is another one."""
    data = bytearray(picture())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def _scans(count: int, size: tuple[int, int] = SIZE) -> bytes:
    """A progressive JPEG whose last scan comes again and again: some bytes for each look at all of its pixels."""
    blank = np.zeros(size[::-1], np.uint8)
    data = cv2.imencode(".jpg", blank, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * count + b"\xff\xd9"


def _scans_apart() -> bytes:
    """A baseline JPEG in colour with the scan of its first colour a thousand times."""
    data = cv2.imencode(".jpg", np.zeros((48, 64, 3), np.uint8))[1].tobytes()
    at = data.index(b"\xff\xda")
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" + b"\x00" * 20
    return data[:at] + scan * 1000 + b"\xff\xd9"


def _segment(marker: int, data: bytes) -> bytes:
    """A JPEG with one segment more at its beginning."""
    whole = picture()
    return whole[:2] + bytes((0xFF, marker)) + struct.pack(">H", len(data) + 2) + data + whole[2:]


def _archive() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../outside", bytes(1 << 20))
    return out.getvalue()


def _animated() -> bytes:
    """Ten thousand frames, each of them larger than the picture."""
    frames = chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 4096, 4096, 0, 0, 1, 10, 0, 0)) * 10
    return _png_of(*SIZE, more=chunk(b"acTL", struct.pack(">II", 10_000, 0)) + frames)


def _other(suffix: str) -> Callable[[], bytes]:
    return lambda: cv2.imencode(suffix, np.zeros((48, 64, 3), np.uint8))[1].tobytes()


_PICTURES: dict[str, Callable[[], bytes]] = {
    "JPEG that claims 65,535 a side": lambda: _claiming(65_535, 65_535),
    "JPEG that claims nothing": lambda: _claiming(0, 0),
    "PNG that claims 2 billion a side": lambda: _png_of(2**31 - 1, 2**31 - 1, data=b"x"),
    "PNG of 30,000 a side": lambda: _png_of(30_000, 30_000, data=zlib.compress(bytes(1 << 20))),
    "JPEG in steps": lambda: picture(options=[cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
    "JPEG of two thousand scans": lambda: _scans(2000),
    "JPEG of a thousand scans of one colour": _scans_apart,
    "JPEG and an archive": lambda: picture() + _archive(),
    "JPEG and a page": lambda: picture() + PAGE,
    "JPEG with a page as its comment": lambda: _segment(0xFE, PAGE),
    "JPEG with a program as its profile": lambda: _segment(0xE2, b"\x7fELF" + bytes(60_000)),
    "JPEG with a thumbnail": lambda: _segment(0xE0, b"JFIF\0" + bytes(50_000)),
    "two JPEGs": lambda: picture() + picture(),
    "JPEG cut in two": lambda: picture()[: len(picture()) // 2],
    "JPEG of noise": lambda: picture()[:100] + bytes(1000),
    "PNG of sixteen bits": lambda: png(np.zeros((48, 64), np.uint16)),
    "PNG with a palette": lambda: _png_of(*SIZE, kind=3, more=chunk(b"PLTE", bytes(768))),
    "PNG that moves": _animated,
    "PNG with a profile of 64 MB": lambda: _png_of(
        *SIZE, more=chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(64 << 20)))
    ),
    "PNG with words of 64 MB": lambda: _png_of(*SIZE, more=chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(64 << 20)))),
    "PNG with a page in its words": lambda: _png_of(*SIZE, more=chunk(b"tEXt", b"x\0" + PAGE)),
    "PNG and a page": lambda: _png_of(*SIZE) + PAGE,
    "PNG in a million pieces": lambda: _png_of(*SIZE, more=chunk(b"IDAT", b"") * 1_000_000),
    "PNG cut in two": lambda: png(np.zeros((48, 64), np.uint8))[:-20],
    "WebP": _other(".webp"),
    "TIFF": _other(".tiff"),
    "BMP": _other(".bmp"),
    "GIF": lambda: b"GIF89a\xff\xff\xff\xff\x00\x00\x00",
    "drawing with a script": lambda: b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
    "page": lambda: PAGE,
    "archive": _archive,
    "nothing": lambda: b"",
}


def _large(count: int) -> bytes:
    """So many frames of 4096 x 4096 pixels in 16 KB each."""
    view = _png_of(4096, 4096)
    return clip([view] * count, view_size_px=(4096, 4096))


def _lying(length: int) -> bytes:
    return MAGIC + head() + struct.pack("<cI", b"F", length) + bytes(100)


_FILES: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "page": lambda: PAGE * 100,
    "its first bytes": lambda: MAGIC,
    "no header": lambda: MAGIC + frame(picture()) + record(b"Z", json({"frames": 1})),
    "record of 4 GB": lambda: _lying(2**32 - 1),
    "frame of 65 MB": lambda: _lying(65 << 20),
    "unknown record": lambda: MAGIC + head() + record(b"?", b"x") + record(b"Z", json({"frames": 0})),
    "20,001 frames": lambda: clip([b""] * 20_001),
    "a hundred thousand evidences": lambda: MAGIC + head() + record(b"E", b"") * 100_000,
    "view of 65,535 a side": lambda: clip([picture()], view_size_px=(65_535, 65_535)),
    "view of nothing": lambda: clip([picture()], view_size_px=(0, 48)),
    "view of less than nothing": lambda: clip([picture()], view_size_px=(-64, 48)),
    "scale of nothing": lambda: clip([picture()], px_per_mm=0.0),
    "scale of everything": lambda: clip([picture()], px_per_mm=1e300),
    "two hundred lamps": lambda: clip([picture()], lamps=["ok"] * 200),
    "header of 2 MB": lambda: clip([picture()], station="x" * (2 << 20)),
    "header in headers": lambda: MAGIC + record(b"H", b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "watched in a million stretches": lambda: clip(
        [picture()], end=json({"frames": 1, "watch": {"spans_s": [[0.0, 1.0]] * 50_000}})
    ),
    "words of 60 MB at its end": lambda: clip([picture()], end=b'{"frames":1,"x":"' + b"x" * (60 << 20) + b'"}'),
    "archive behind its end": lambda: sound() + _archive(),
    "page behind its end": lambda: sound() + PAGE,
    "pictures whose lengths lie": lambda: (
        MAGIC + head() + record(b"F", _FRAME.pack(0, 0, 0, 3, *IDENTITY, 0) + struct.pack("<I", 2**31) + picture())
    ),
    "more lamps than it says": lambda: MAGIC + head() + frame(picture(), lamps=[picture()] * 9) + record(b"Z", b"{}"),
    "lamp that is a bomb": lambda: (
        MAGIC + head() + frame(picture(), lamps=[_scans(2000)]) + record(b"Z", b'{"frames":1}')
    ),
    "time that is none": lambda: MAGIC + head() + frame(picture(), at_s=float("nan")) + record(b"Z", b'{"frames":1}'),
    "time without end": lambda: MAGIC + head() + frame(picture(), at_s=float("inf")) + record(b"Z", b'{"frames":1}'),
    "600 frames of 16 million pixels": lambda: _large(600),
    "two thousand scans of 16 million pixels": lambda: clip([_scans(2000, (4096, 4096))], view_size_px=(4096, 4096)),
    "no frame": lambda: clip([]),
}
_HARMLESS: dict[str, Callable[[], bytes]] = {
    "case id that is a path": lambda: clip([picture(1)], case_id="../../../etc/cron.d/x", station="../.."),
    "bundle that is a path": lambda: clip([picture(2)], bundle={"version": 1, "sha256": "../../x"}),
    "lamp that is a path": lambda: clip([picture(3)], lamps=["/etc/passwd", "<script>"]),
    "PNG that goes on for 64 MB": lambda: clip(
        [_png_of(*SIZE, data=zlib.compress(bytes(49 * 64 * 48) + bytes(64 << 20)))]
    ),
    "times that go back": lambda: (
        MAGIC + head() + frame(picture(4), at_s=9e9) + frame(picture(), at_s=-9e9) + record(b"Z", b'{"frames":2}')
    ),
    "breaks off": lambda: sound(5)[:-10],
    "says that it has more": lambda: clip([picture(6)], end=json({"frames": 1000})),
    "one pixel": lambda: clip([picture(7, size=(1, 1))], view_size_px=(1, 1)),
    "one row": lambda: clip([picture(8, size=(3000, 1))], view_size_px=(3000, 1)),
}
