"""A network camera's stream: when its pictures were taken, and in words why it cannot be opened."""

import re
import socket
from urllib.parse import urlsplit

STEADY_S, SOONER_S = 0.3, 0.01
"""The buffer of those who connect is empty when no picture has come sooner than those before it for this long."""
EMPTIED_S = 3.0
"""In the end it is: what still comes sooner and sooner then has times that say nothing."""
CLOCKS_DIFFER = 1e-3
"""Two clocks run apart by less than this share."""
LATEST_S = 1.0
"""A picture that is later by more does not belong to what was learned of the stream's clock."""
ANSWER_S = 2.0
RTSP_PORT = 554


class StreamClock:
    """The pictures' own times, laid on our clock by those that came soonest after them. PURE.

    Whoever connects gets the pictures of the first second or so all at once, and a network delivers them unevenly: the
    times of their arrival would be wrong.
    """

    def __init__(self) -> None:
        self._told_s = float("inf")
        self._soonest_s = 0.0
        """Smallest time from the stream's time of a picture to its arrival."""
        self._began_s = self._sooner_s = 0.0
        """When the first picture came, and the last that came sooner than all before it."""
        self._emptied = False

    def taken_s(self, told_s: float, came_s: float) -> float | None:
        """Our time of a picture of the stream's time `told_s` that came at `came_s`; None for one that had waited."""
        step_s, self._told_s = told_s - self._told_s, told_s
        way_s = came_s - told_s
        if step_s < 0 or (step_s > 0 and way_s - self._soonest_s > LATEST_S):
            self._soonest_s, self._began_s, self._sooner_s, self._emptied = way_s, came_s, came_s, False
        if not self._emptied:
            self._sooner_s = came_s if way_s < self._soonest_s - SOONER_S else self._sooner_s
            self._emptied = came_s - self._sooner_s >= STEADY_S or came_s - self._began_s > EMPTIED_S
        self._soonest_s = min(self._soonest_s + CLOCKS_DIFFER * step_s, way_s) if step_s > 0 else way_s
        if not self._emptied:
            return None
        return told_s + self._soonest_s if step_s > 0 else came_s


def why_closed(source: str) -> str:
    """Fact and cure for a network address that gives no stream, from what the camera itself answers."""
    try:
        parts = urlsplit(source)
        host, port, path = parts.hostname or "", parts.port or RTSP_PORT, parts.path or "/"
    except ValueError:
        return "its address is not of the form rtsp://user:password@host:port/path"
    if parts.scheme != "rtsp":
        return "check power, cable, address and password"
    try:
        status = _asked(host, port, f"rtsp://{host}:{port}{path}{'?' * bool(parts.query)}{parts.query}")
    except OSError as error:
        return f"{host}:{port} does not answer ({error.strerror or error}): check power, cable and address"
    if status in (401, 403):
        known = parts.username is not None
        cure = f"it refuses this user, this password or {path}" if known else "it wants a user and a password"
        return f"{cure}: give rtsp://user:password@{host}…"
    if status == 404:
        return f"it has no stream {path}: see its manual for the path"
    if status is None:
        return f"what answers at {host}:{port} is no RTSP server: check the port"
    return f"it answers with status {status}: set its stream to H.264, and see that not too many others watch it"


def _asked(host: str, port: int, address: str) -> int | None:
    """Status of the answer to DESCRIBE without a password; None where it is no RTSP. OSError where there is none."""
    with socket.create_connection((host, port), ANSWER_S) as connection:
        connection.settimeout(ANSWER_S)
        connection.sendall(f"DESCRIBE {address} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n\r\n".encode())
        answer = re.match(rb"RTSP/\d\.\d (\d{3})", connection.recv(4096))
    return int(answer[1]) if answer else None
