"""JPEG or PNG bytes -> what is in them that our own writer never writes; nothing is decoded. PURE.

A clip's pictures are one baseline JPEG scan or one plain PNG each, and nothing besides: no second picture in the same
file, no thousand scans of one, no text, no profile, no page or archive behind its end.
"""

import re
import struct

PNG = b"\x89PNG\r\n\x1a\n"
MOST_CHUNKS = 10_000
"""Of a PNG; 4096 x 4096 pixels in colour have some 6,000."""
LONGEST_APP0 = 64
"""Bytes; a longer one carries a thumbnail."""
_BEFORE_SCAN = {0xE0, 0xDB, 0xC0, 0xC4, 0xDD}
"""JFIF's mark, tables, the size of a baseline picture, the interval of restarts."""
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7]")
"""What may not stand in a scan's data; the end of the picture is the first."""


def form_fault(data: bytes) -> str:
    """Why this is no plain picture; empty where it is one."""
    if data.startswith(PNG):
        return _png_fault(data)
    return _jpeg_fault(data) if data.startswith(b"\xff\xd8") else "neither a JPEG nor a PNG"


def _jpeg_fault(data: bytes) -> str:
    at, components = 2, 0
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, (length,) = data[at + 1], struct.unpack_from(">H", data, at + 2)
        if marker == 0xDA:
            return _scan_fault(data, at, components)
        if marker not in _BEFORE_SCAN or (marker == 0xE0 and length > LONGEST_APP0):
            return f"a JPEG with a segment {marker:02X} of {length} bytes"
        if marker == 0xC0:
            if components or at + 10 > len(data):
                return "a JPEG of several pictures"
            components = data[at + 9]
        at += 2 + max(2, length)
    return "a JPEG without a picture"


def _scan_fault(data: bytes, at: int, components: int) -> str:
    if at + 5 > len(data) or data[at + 4] != components or components not in (1, 3):
        return "a JPEG whose colours come one by one"
    end = _MARKER.search(data, at + 2)
    if end is None or data[end.start() + 1] != 0xD9:
        return "a JPEG that breaks off, or has more than one scan"
    behind = len(data) - end.end()
    return f"a JPEG with {behind} bytes behind its end" if behind else ""


def _png_fault(data: bytes) -> str:
    if data[12:16] != b"IHDR" or len(data) < 33 or data[24] != 8 or data[25] not in (0, 2) or any(data[26:29]):
        return "a PNG that is neither grey nor in plain colours of 8 bits"
    at = 33
    for _ in range(MOST_CHUNKS):
        if at + 12 > len(data):
            return "a PNG that breaks off"
        (length,) = struct.unpack_from(">I", data, at)
        kind, at = data[at + 4 : at + 8], at + 12 + length
        if kind == b"IEND":
            return f"a PNG with {len(data) - at} bytes behind its end" if at != len(data) else ""
        if kind != b"IDAT":
            return f"a PNG with a chunk {kind!r}"
    return f"a PNG of more than {MOST_CHUNKS} chunks"
