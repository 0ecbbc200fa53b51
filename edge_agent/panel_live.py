"""The pictures that `agent inspect` publishes while somebody looks -> a stream of JPEGs for a browser."""

import time
from collections.abc import Iterator

from edge_agent import live
from edge_agent.config import DeviceConfig
from edge_agent.panel_streams import Ending

FASTEST_FPS = 10.0
BOUNDARY = "picture"
WAITING = b"X-Waiting: 1\r\n"
"""One more line of the next part's head, where no picture comes: it tells whether anybody still listens."""
MOST_QUIET = 10
"""Such lines in a row, one a second."""
TYPE = f"multipart/x-mixed-replace; boundary={BOUNDARY}"


def is_fresh(device: DeviceConfig) -> bool:
    """Whether there is a picture of now."""
    return live.newest(device.live_path, "screen", time.monotonic()) is not None


def pictures(device: DeviceConfig, ending: Ending) -> Iterator[bytes]:
    """Parts of the stream, until it is to end or nothing has come for too long: whoever still looks asks again."""
    yield _boundary()
    quiet = 0
    for picture in live.pictures(device.live_path, FASTEST_FPS, pause=ending.wait):
        quiet = 0 if picture else quiet + 1
        if ending.is_set() or quiet > MOST_QUIET:
            return
        yield _part(picture) if picture else WAITING


def _part(picture: bytes) -> bytes:
    # The next boundary goes along: a browser shows a picture once it knows that it is whole.
    head = f"Content-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n".encode()
    return head + picture + b"\r\n" + _boundary()


def _boundary() -> bytes:
    return f"--{BOUNDARY}\r\n".encode()
