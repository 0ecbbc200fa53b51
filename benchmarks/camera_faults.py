"""Taped immersions of the twin, and when which fault shows -> a live Camera with that fault, in logical time.

Pictures go through the real `LiveCapture`. Whoever asks for the next one turns the clock, so nothing waits for real
time but a camera that was unplugged: its driver's pauses are real.
"""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np

from calibration import faults
from calibration.faults import Impairment
from calibration.scene import Scene, StationLook
from calibration.truth import CaseTruth
from calibration.twin import Twin
from edge_agent.capture import CaptureHealth, LiveCapture
from edge_agent.errors import StationError
from edge_agent.records import FaultKind, Frame

FPS = 20.0
EPOCH = 1_790_000_000.0
UNPLUGGED, BLOCKED, JUMPS, REORDERED = "unplugged", "blocked", "jumps", "reordered"
KINDS: dict[str, FaultKind] = {
    UNPLUGGED: "unplugged", BLOCKED: "silent", "freeze": "frozen", "stale": "stale", JUMPS: "time_jump",
    "half": "half_rate", "black": "black", "white": "white", "resolution": "resolution", REORDERED: "reordered",
    "duplicate": "duplicated", "noise": "noise", "exposure": "exposure",
}  # fmt: skip
"""Fault that can be shown -> what the device has to call it."""
AMOUNTS = {"noise": 40.0, "stale": 40.0, "resolution": 2.0, "exposure": 1.6}
"""As calibration/faults.py means them."""
JUMP_S, JUMP_EVERY_S = 3600.0, 0.5
"""A clock that is set anew more often than the device takes to follow it."""
REMEMBERED = 64
READER_S = 10.0
"""A capture thread that takes longer for one picture is a fault of the drill."""
THREAD_S = 0.002
"""For another thread to begin, while none reads."""
STATE_S = 5.0
"""The device's state is written four times a second; a busy machine may take longer."""

Place = Literal["before", "within", "after"]


@dataclass(frozen=True, slots=True)
class Window:
    """When a fault shows, in seconds of the show; `place`: before the unit comes, while it rests, after its lamp."""

    fault: str
    place: Place
    from_s: float
    until_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Tape:
    """One immersion: compressed pictures at FPS, and its truth in seconds since the first."""

    pictures: list[np.ndarray]
    truth: CaseTruth
    tank_px: np.ndarray

    @property
    def length_s(self) -> float:
        return len(self.pictures) / FPS


@dataclass(frozen=True, slots=True)
class Moment:
    """What was known at `now_s`: the fault that the capture told, and whether a sound picture was handed on."""

    now_s: float
    fault: FaultKind | Literal[""]
    used: bool


def film(look: StationLook, scene: Scene, seed: int) -> Tape:
    """The scene as the twin shows it."""
    twin, pictures = Twin(look, [scene], fps=FPS, seed=seed, colour=True), []
    for frame, truth in twin.frames():
        pictures.append(cv2.imencode(".jpg", frame.image, [cv2.IMWRITE_JPEG_QUALITY, 92])[1])
        tank_px = truth.tank_px
    return Tape(pictures, twin.cases[0], tank_px)


class FaultyCamera:
    """Plays the tapes one after the other, each window's fault in it; `moments` fills at every picture that is due."""

    live = True
    frame_count: int | None = None

    def __init__(
        self, tapes: list[Tape], windows: list[Window], *, seed: int, state_tells: Callable[[], str] = lambda: ""
    ) -> None:
        """`state_tells`: the fault by the device's state; asked at the end of each window, real time."""
        self.moments: list[Moment] = []
        self.told: dict[Window, str] = {}
        """What the device's state said while the window's fault showed."""
        self.now_s = 0.0
        self.capture = LiveCapture(self._connect, name="the drill's camera", now=lambda: self.now_s)
        self._tapes, self._windows, self._state_tells = tapes, windows, state_tells
        self._rng = np.random.default_rng([seed, 71])
        self._given: queue.SimpleQueue[Frame | str] = queue.SimpleQueue()
        self._reads, self._closed = threading.Event(), threading.Event()
        self._shown: deque[np.ndarray] = deque(maxlen=REMEMBERED)
        self._before: Frame | None = None
        self._absent = False

    @property
    def waiting(self) -> int:
        return self.capture.waiting

    def health(self) -> CaptureHealth:
        return self.capture.health()

    def frames(self) -> Iterator[Frame]:
        return (frame for frame in self.frames_or_time(1.0) if isinstance(frame, Frame))

    def close(self) -> None:
        self._closed.set()
        self._given.put(BLOCKED)
        self.capture.close()

    def frames_or_time(self, timeout_s: float) -> Iterator[Frame | float]:
        """Ends when the last tape has; the time where nothing was handed on for `timeout_s` of the show."""
        captured, yielded_s = self.capture.frames_or_time(0.0), self.now_s
        next(captured)
        if not self._reads.wait(READER_S):
            raise StationError("the capture thread does not begin: see its notes")
        for picture, tank_px in self._pictures():
            self.now_s += 1 / FPS
            window = self._window()
            self._give_all(self._faulty(picture, tank_px, window), window)
            got = next(captured)
            self._note(got, window)
            if isinstance(got, Frame) or self.now_s - yielded_s >= timeout_s:
                yielded_s = self.now_s
                yield got

    def _pictures(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for tape in self._tapes:
            for picture in tape.pictures:
                yield cv2.imdecode(picture, cv2.IMREAD_COLOR), tape.tank_px

    def _window(self) -> Window | None:
        return next((window for window in self._windows if window.from_s <= self.now_s < window.until_s), None)

    def _note(self, got: Frame | float, window: Window | None) -> None:
        fault = self.health().fault
        used = isinstance(got, Frame) and not got.faults
        self.moments.append(Moment(self.now_s, fault.kind if fault else "", used))
        if window and self.now_s + 1 / FPS >= window.until_s:
            self.told[window] = self._awaited_word()

    def _awaited_word(self) -> str:
        until_s = time.monotonic() + STATE_S
        while not (word := self._state_tells()) and time.monotonic() < until_s:
            time.sleep(THREAD_S)
        return word

    def _faulty(self, picture: np.ndarray, tank_px: np.ndarray, window: Window | None) -> list[Frame]:
        """What the camera gives at this moment, in the order in which it comes."""
        number, now_s = round(self.now_s * FPS), self.now_s
        # A sensor's noise: the same tape comes again, and would be an old picture.
        image = cv2.add(picture, self._rng.integers(0, 2, picture.shape, np.uint8))
        active: tuple[Impairment, ...] = ()
        if window:
            active = (Impairment(window.fault, window.from_s, AMOUNTS.get(window.fault, 0.0), window.until_s),)
        last = self._shown[-1] if self._shown else None
        image = faults.impaired(image, last, active, tank_px, self._rng, now_s)
        again = faults.shown_again(active, number)
        image = self._shown[max(-again, -len(self._shown))] if again and self._shown else image
        self._shown.append(image)
        told_s = now_s + (_ahead_s(now_s - window.from_s) if window and window.fault == JUMPS else 0.0)
        frame = Frame(image, number, told_s, EPOCH + now_s)
        if window and window.fault == REORDERED:
            return self._swapped(frame)
        return [frame] if faults.is_captured(active, number, now_s) else []

    def _swapped(self, frame: Frame) -> list[Frame]:
        """Of two pictures the second comes first."""
        before, self._before = self._before, None if self._before else frame
        return [frame, before] if before else []

    def _give_all(self, frames: list[Frame], window: Window | None) -> None:
        self._absent = window is not None and window.fault == UNPLUGGED
        if window and window.fault in (UNPLUGGED, BLOCKED):
            if self._reads.is_set():
                self._reads.clear()
                self._given.put(window.fault)
        elif self._reads.is_set():
            for frame in frames:
                self._give(frame)
        if not self._reads.is_set():
            time.sleep(1 / FPS if self.capture.health().status == "waiting" else THREAD_S)

    def _give(self, frame: Frame) -> None:
        self._reads.clear()
        self._given.put(frame)
        if not self._reads.wait(READER_S):
            raise StationError(f"the capture thread has not taken a picture within {READER_S:g} s: see its notes")

    def _connect(self) -> Iterator[Frame]:
        """The driver, in the capture thread. A read that blocks never comes back."""
        if self._absent:
            raise StationError("the drill's camera cannot be opened: plug it in")
        number = 0
        while not self._closed.is_set():
            self._reads.set()
            given = self._given.get()
            if given == UNPLUGGED:
                raise StationError("the drill's camera has stopped giving pictures: plug it in")
            if not isinstance(given, Frame):
                self._closed.wait()
                return
            yield replace(given, sequence=number)
            number += 1


def _ahead_s(since_s: float) -> float:
    return JUMP_S * (1 + int(since_s / JUMP_EVERY_S))
