"""The live picture that `agent inspect` publishes while somebody looks -> a stream of JPEGs for a browser.

Looking is said by touching a file; a picture is a whole file that is replaced. So the inspection waits for nobody.
"""

import time
from collections.abc import Iterator
from pathlib import Path

from edge_agent.config import DeviceConfig
from edge_agent.panel_streams import Ending

FASTEST_S = 0.1
"""Between two pictures."""
LOOK_EVERY_S = 0.04
WISH_EVERY_S = 1.0
STALE_S = 2.0
BOUNDARY = "picture"
TYPE = f"multipart/x-mixed-replace; boundary={BOUNDARY}"


def is_fresh(device: DeviceConfig, now: float) -> bool:
    """Whether there is a picture of now. `now`: UTC, seconds since 1970."""
    try:
        return abs(now - picture_path(device).stat().st_mtime) <= STALE_S
    except OSError:
        return False


def pictures(device: DeviceConfig, ending: Ending) -> Iterator[bytes]:
    """Parts of the stream, until it is to end. Only pictures that came since it began, and each of them once."""
    yield f"--{BOUNDARY}\r\n".encode()
    last, wished_s = _written(picture_path(device)), float("-inf")
    sent_s = float("-inf")
    while not ending.is_set():
        now_s = time.monotonic()
        if now_s - wished_s >= WISH_EVERY_S:
            wished_s = now_s
            _wish(wish_path(device))
        written = _written(picture_path(device))
        if written is not None and written != last and now_s - sent_s >= FASTEST_S:
            picture = _read(picture_path(device))
            if picture:
                last, sent_s = written, now_s
                yield _part(picture)
        ending.wait(LOOK_EVERY_S)


def picture_path(device: DeviceConfig) -> Path:
    return device.live_path / "screen.jpg"


def wish_path(device: DeviceConfig) -> Path:
    return device.live_path / "screen.wish"


def _part(picture: bytes) -> bytes:
    # The next boundary goes along: a browser shows a picture once it knows that it is whole.
    head = f"Content-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n".encode()
    return head + picture + f"\r\n--{BOUNDARY}\r\n".encode()


def _written(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _wish(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError:
        # A full disk shows no picture; all the rest goes on.
        return


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
