"""PLC and robot <-> the inspection: newline-delimited JSON over TCP, in a thread that no frame waits for.

Out: one LineState on each change and each second, one signal true for each thing that is so, and a heartbeat that
toggles. In: LineWord. Whoever does not read, or sends what cannot be read, is disconnected; it may come again.
"""

import contextlib
import queue
import selectors
import socket
import threading
import time
from collections.abc import Callable
from typing import Annotated, Literal

import msgspec

from edge_agent import utc
from edge_agent.config import LineConfig
from edge_agent.errors import ConfigError
from edge_agent.records import DispositionWord, Mode

HEARTBEAT_S = 1.0
STALE_S = 2.0
"""A frame loop, which also turns without frames, turns several times a second."""
UNREAD_BYTES = 64 * 1024
"""Of a peer that does not read: minutes of heartbeats."""
LINE_BYTES = 4096
MOST_PEERS = 8
MOST_WORDS = 64
"""That wait for the frame loop, which takes them several times a second; whoever says more would hold it up."""
Serial = Annotated[str, msgspec.Meta(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f]+$")]


class LineState(msgspec.Struct, frozen=True, kw_only=True):
    """What the line is told. Of `ok`, `leak` and `wait` one is true while a result holds, else none."""

    schema: Literal["tankwatch/line/1"] = "tankwatch/line/1"
    ready: bool
    """The machine may decide, and nothing keeps it from doing so."""
    busy: bool
    """A unit is being watched."""
    result_valid: bool
    ok: bool
    leak: bool
    wait: bool
    """For the human."""
    heartbeat: bool
    """Toggles each second."""
    mode: Mode
    case_id: str | None = None
    disposition: DispositionWord | None = None
    expires_at: str | None = None
    """UTC, ISO 8601; from then on the disposition is none any more."""
    at: str


class LineWord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the line says; one line may hold several of these."""

    serial: Serial | None = None
    """Of the unit in the tank, or of the next one."""
    trigger: bool = False
    """A unit is in the water."""
    result_ack: str | None = None
    """The case whose disposition was taken."""
    acknowledge: bool = False
    """What brought the mode down is mended."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What the frame loop knows."""

    ready: bool = False
    busy: bool = False
    mode: Mode = "human_only"
    case_id: str | None = None
    disposition: DispositionWord | None = None
    until_s: float | None = None
    """How long the disposition holds, on the clock that nobody sets."""


class Line:
    """The server. `tell` and `heard` return at once; they belong to the frame loop."""

    def __init__(
        self,
        config: LineConfig,
        clocks: tuple[Callable[[], float], Callable[[], float]] = (time.time, time.monotonic),
    ) -> None:
        """Raises ConfigError where the address cannot be had. `clocks`: UTC seconds since 1970, and one never set."""
        self._utc, self._monotonic = clocks
        self._server = _listening(config)
        self.port: int = self._server.getsockname()[1]
        self._told, self._taken, self._told_s = Told(), "", time.monotonic()
        self._words: queue.SimpleQueue[LineWord] = queue.SimpleQueue()
        self._wake, self._woken = socket.socketpair()
        self._wake.setblocking(False)
        self._selector = selectors.DefaultSelector()
        for one in (self._server, self._woken):
            one.setblocking(False)
            self._selector.register(one, selectors.EVENT_READ)
        self._peers: dict[socket.socket, _Peer] = {}
        self._heartbeat, self._beat_due_s, self._said = False, 0.0, b""
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="line", daemon=True)
        self._thread.start()

    def tell(self, told: Told) -> None:
        """The newest; what is as before wakes nobody, but shows that the frame loop goes on."""
        self._told_s = time.monotonic()
        if told != self._told:
            self._told = told
            with contextlib.suppress(BlockingIOError):
                self._wake.send(b"1")

    def heard(self) -> list[LineWord]:
        """What came since the last call."""
        words = []
        while not self._words.empty():
            words.append(self._words.get())
        return words

    def close(self) -> None:
        self._closed = True
        # The thread may have seen it already, and its end of the pair is gone: ours is closed by nobody but us.
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            self._wake.send(b"1")
        self._thread.join()
        self._wake.close()

    def _run(self) -> None:
        while not self._closed:
            for key, events in self._selector.select(max(0.0, self._beat_due_s - time.monotonic())):
                self._serve(key.fileobj, events)  # type: ignore[arg-type]
            self._speak()
        for one in (*self._peers, self._server, self._woken):
            one.close()
        self._selector.close()

    def _serve(self, one: socket.socket, events: int) -> None:
        if one is self._server:
            self._accept()
        elif one is self._woken:
            self._woken.recv(4096)
        elif one in self._peers and not self._peers[one].serve(events, self._hear):
            self._drop(one)

    def _accept(self) -> None:
        try:
            peer, _ = self._server.accept()
        except OSError:
            return
        if len(self._peers) >= MOST_PEERS:
            peer.close()
            return
        peer.setblocking(False)
        self._peers[peer] = _Peer(peer)
        self._selector.register(peer, selectors.EVENT_READ)
        self._said = b""

    def _hear(self, word: LineWord) -> bool:
        """False where more was said than is taken."""
        if word.result_ack is not None and word.result_ack == self._told.case_id:
            self._taken = word.result_ack
        if self._words.qsize() >= MOST_WORDS:
            return False
        self._words.put(word)
        return True

    def _speak(self) -> None:
        """To everybody, where something has changed or a second has passed."""
        monotonic_s = time.monotonic()
        due = monotonic_s >= self._beat_due_s
        if due:
            self._heartbeat ^= self._is_fresh()
            self._beat_due_s = monotonic_s + HEARTBEAT_S
        state = self._state()
        same = msgspec.json.encode(msgspec.structs.replace(state, at="", expires_at=None))
        if due or same != self._said:
            self._said = same
            line = msgspec.json.encode(state) + b"\n"
            for peer in [one for one, kept in self._peers.items() if not kept.send(line)]:
                self._drop(peer)
        for one, kept in self._peers.items():
            self._selector.modify(one, selectors.EVENT_READ | (selectors.EVENT_WRITE if kept.unsent else 0))

    def _state(self) -> LineState:
        told, now = self._told, self._utc()
        is_open = told.case_id is not None and told.case_id != self._taken
        left_s = 0.0 if told.until_s is None else told.until_s - self._monotonic()
        valid = is_open and left_s > 0
        word = told.disposition if valid else None
        return LineState(
            ready=told.ready and self._is_fresh(),
            busy=told.busy,
            result_valid=valid,
            ok=word == "ok",
            leak=word == "leak",
            wait=word == "wait",
            heartbeat=self._heartbeat,
            mode=told.mode,
            case_id=told.case_id if valid else None,
            disposition=word,
            expires_at=utc.text(now + left_s) if valid else None,
            at=utc.text(now),
        )

    def _is_fresh(self) -> bool:
        """A frame loop that hangs is not ready, and its heart does not beat."""
        return time.monotonic() - self._told_s < STALE_S

    def _drop(self, peer: socket.socket) -> None:
        self._selector.unregister(peer)
        del self._peers[peer]
        peer.close()


class _Peer:
    """One connection: what it has not sent whole, and what it has not read."""

    def __init__(self, peer: socket.socket) -> None:
        self._peer, self._heard, self.unsent = peer, b"", b""

    def serve(self, events: int, hear: Callable[[LineWord], bool]) -> bool:
        """False where it is gone or not understood."""
        if events & selectors.EVENT_WRITE and not self.send(b""):
            return False
        return self._read(hear) if events & selectors.EVENT_READ else True

    def send(self, line: bytes) -> bool:
        """Sends as much as goes at once and keeps the rest. False where the peer is gone or has fallen too far back."""
        self.unsent += line
        try:
            with contextlib.suppress(BlockingIOError):
                self.unsent = self.unsent[self._peer.send(self.unsent) :] if self.unsent else b""
        except OSError:
            return False
        return len(self.unsent) <= UNREAD_BYTES

    def _read(self, hear: Callable[[LineWord], bool]) -> bool:
        try:
            data = self._peer.recv(LINE_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            return False
        *lines, self._heard = (self._heard + data).split(b"\n")
        try:
            for line in lines:
                if line.strip() and not hear(msgspec.json.decode(line, type=LineWord)):
                    return False
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self.send(msgspec.json.encode({"error": f"not understood: {error}"}) + b"\n")
            return False
        return bool(data) and len(self._heard) <= LINE_BYTES


def _listening(config: LineConfig) -> socket.socket:
    try:
        return socket.create_server((config.host, config.port), backlog=MOST_PEERS)
    except OSError as error:
        raise ConfigError(
            f"the line's interface cannot listen on {config.host}:{config.port} ({error.strerror}): "
            "give [line] another host or port"
        ) from error
