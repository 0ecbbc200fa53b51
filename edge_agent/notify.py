"""What the device's processes tell systemd: ready, alive, how it goes. Without systemd nothing is said.

The protocol of sd_notify(3): datagrams to the socket that NOTIFY_SOCKET names. Nobody ever waits for it.
"""

import contextlib
import os
import socket
import time
from collections.abc import Callable, Mapping

MOST_CHARACTERS = 200
"""Of a status: it is one line of `systemctl status`."""
SAID_EVERY_S = 1.0
"""A status that changes is told so often."""
SHARE = 0.25
"""Of the time after which systemd believes nothing more: one datagram may come late, and the next one too."""


class Notifier:
    """One process's word to systemd; `environment` gives NOTIFY_SOCKET and, where a watchdog is set, WATCHDOG_USEC."""

    def __init__(
        self, environment: Mapping[str, str] = os.environ, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self.every_s = _watchdog_s(environment) * SHARE
        """So often it has to hear that the process lives; 0 = it does not listen for that."""
        self._clock = clock
        self._socket: socket.socket | None = None
        self._alive_s = self._said_s = float("-inf")
        self._is_ready = False
        self._status = ""

    def ready(self, words: str = "") -> None:
        """It does its work from now on; said once."""
        if not self._is_ready:
            self._is_ready = True
            self._send("READY=1" + (f"\nSTATUS={_line(words)}" if words else ""))

    def waits(self, why: str) -> None:
        """It cannot do its work yet, and that is no fault: it is up, and lives."""
        self.ready(why)
        self.alive()

    def alive(self) -> None:
        """The loop has turned. Whoever does not say this for too long is ended by systemd and started again."""
        now_s = self._clock()
        if self.every_s and now_s - self._alive_s >= self.every_s:
            self._alive_s = now_s
            self._send("WATCHDOG=1")

    def status(self, words: str) -> None:
        """How it goes, in one line; the same line is not said again."""
        now_s = self._clock()
        if words != self._status and now_s - self._said_s >= SAID_EVERY_S:
            self._status, self._said_s = words, now_s
            self._send(f"STATUS={_line(words)}")

    def stopping(self) -> None:
        """It ends because somebody wants it to."""
        self._send("STOPPING=1")

    def _send(self, words: str) -> None:
        """A full or missing socket is systemd's trouble: the next word follows."""
        if not self._address:
            return
        with contextlib.suppress(OSError):
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
                self._socket.setblocking(False)
            self._socket.sendto(words.encode(), self._address)


def _address(named: str) -> str:
    """A path, or an abstract name, which systemd writes with @; anything else is none."""
    if named.startswith("@"):
        return "\0" + named[1:]
    return named if named.startswith("/") else ""


def _watchdog_s(environment: Mapping[str, str]) -> float:
    """After how long systemd believes nothing more of this very process; 0 = never."""
    usec, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    is_ours = not pid or pid == str(os.getpid())
    return int(usec) / 1e6 if usec.isdigit() and is_ours else 0.0


def _line(words: str) -> str:
    return " ".join(words.split())[:MOST_CHARACTERS]
