"""A live source -> frames, captured in a thread of its own; its health is judged from outside the thread.

`read()` may return stale pictures or never return after a camera is pulled, so nothing here waits for it: a thread
that is stuck is left behind and another one takes its place.
"""

import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import cv2

from edge_agent.camera_watch import CameraWatch
from edge_agent.errors import StationError
from edge_agent.records import CameraFault, Frame
from edge_agent.stream import StreamClock, why_closed

KEPT_FRAMES = 4
"""Waiting for the consumer; older ones are dropped and counted."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 2.0
"""Between attempts to connect; doubled each time. A camera that is back is seen within 5 s."""
STALL_S = 4.0
"""A read that takes longer is stuck."""
LEFT_BEHIND, LONGEST_STALL_S = 8, 30.0
"""So many stuck threads may be left behind before each next one is given twice the time: they hold memory."""
CONNECT_MS = 5000
CLOSE_S = 2.0
"""A read that goes on while the process ends would abort it: closing waits so long for the thread."""

HealthStatus = Literal["ok", "waiting", "stalled", "faulty"]
"""`waiting`: not connected. `stalled`: it gives no pictures. `faulty`: they are not as they should be."""


@dataclass(frozen=True, slots=True)
class CaptureHealth:
    """How a live camera is doing."""

    status: HealthStatus
    words: str
    """Fact, limit and cure; empty while all is well."""
    frame_age_s: float | None
    """Since the newest frame came; None before the first."""
    fps: float | None
    dropped: int
    """Frames that the consumer was too slow for."""
    reconnects: int
    left_out: int
    """Frames that showed nothing new: they came before, late, or at a wrong time."""
    fault: CameraFault | None = None
    """What is wrong with the pictures, or that none come."""


class LiveCapture:
    """A live Camera. `connect` opens the source and yields its frames; it raises StationError where that fails."""

    live = True
    frame_count: int | None = None

    def __init__(
        self,
        connect: Callable[[], Iterator[Frame]],
        *,
        name: str = "camera",
        now: Callable[[], float] = time.monotonic,
        patience_s: float | None = None,
        stall_s: float = STALL_S,
        first_pause_s: float = FIRST_PAUSE_S,
        say: Callable[[str], None] | None = None,
    ) -> None:
        """`now` must be the clock that stamps the frames' `monotonic_s`. `say` hears each trouble in one line.

        `notes`: the last 20 troubles, with those that were not said again.
        """
        self.notes: list[str] = []
        self._connect, self._name, self._now, self._say = connect, name, now, say
        self._patience_s, self._stall_s, self._first_pause_s = patience_s, stall_s, first_pause_s
        self._changed = threading.Condition()
        self._waiting: deque[Frame] = deque(maxlen=KEPT_FRAMES)
        self._closed = threading.Event()
        self._said = ""
        self._thread: threading.Thread | None = None
        self._worker = 0
        """Number of the thread that may deliver; those with a lower one have been left behind."""
        self._reading_since_s: float | None = None
        self._stuck_after_s = stall_s
        self._trouble = ""
        self._watch = CameraWatch(name)
        self._came_s: float | None = None
        self._left_behind = 0
        self._captured = self._dropped = self._reconnects = self._next_sequence = 0

    def frames(self) -> Iterator[Frame]:
        """The newest frames as they come, until `close`. StationError if none comes within the patience."""
        began_s = self._now()
        self._start()
        while not self._closed.is_set():
            frame = self.next(timeout_s=0.25)
            if frame is not None:
                yield frame
            elif self._captured == 0 and self._patience_s is not None and self._now() - began_s > self._patience_s:
                self.close()
                trouble = self._trouble or "check that it is on"
                raise StationError(f"{self._name} has given no picture for {self._patience_s:g} s: {trouble}")

    def frames_or_time(self, timeout_s: float) -> Iterator[Frame | float]:
        """Like `frames` with endless patience, but the time (`monotonic_s`) where none has come for `timeout_s`."""
        self._start()
        while not self._closed.is_set():
            yield self.next(timeout_s) or self._now()

    def next(self, timeout_s: float) -> Frame | None:
        """The oldest frame that waits, or None after `timeout_s` without one."""
        with self._changed:
            if not self._waiting and not self._closed.is_set():
                self._changed.wait(timeout_s)
            if self._waiting:
                return self._waiting.popleft()
            stuck = self._is_stuck()
        if stuck:
            self._replace_thread()
        return None

    @property
    def waiting(self) -> int:
        """Frames that wait for the consumer, of KEPT_FRAMES at most."""
        return len(self._waiting)

    def close(self) -> None:
        """Ends the iteration; a thread that is stuck in the driver ends when it wakes, and holds nobody up for long."""
        self._closed.set()
        with self._changed:
            self._worker += 1
            self._changed.notify_all()
            thread, self._thread = self._thread, None
        if thread and thread is not threading.current_thread():
            thread.join(CLOSE_S)

    def health(self) -> CaptureHealth:
        """May be asked from any thread, at any time."""
        with self._changed:
            now_s = self._now()
            fault = CameraFault("unplugged", self._trouble) if self._trouble else self._watch.fault(now_s)
            status, words = self._judged(fault)
            return CaptureHealth(
                status=status,
                words=words,
                frame_age_s=None if self._came_s is None else now_s - self._came_s,
                fps=self._watch.fps,
                dropped=self._dropped,
                reconnects=self._reconnects,
                left_out=self._watch.left_out.total(),
                fault=fault,
            )

    def _judged(self, fault: CameraFault | None) -> tuple[HealthStatus, str]:
        if self._trouble:
            return "waiting", self._trouble
        if self._is_stuck() or (fault and fault.kind == "silent"):
            stuck = f"{self._name} has given no picture for over {self._stuck_after_s:g} s: check its cable and power"
            return "stalled", fault.words if fault else stuck
        if self._came_s is None:
            return "waiting", f"{self._name} has not given a picture yet: check its cable and power"
        return ("faulty", fault.words) if fault else ("ok", "")

    def _is_stuck(self) -> bool:
        since_s = self._reading_since_s
        return since_s is not None and self._now() - since_s > self._stuck_after_s

    def _start(self) -> None:
        with self._changed:
            self._worker += 1
            self._reading_since_s = self._now()
            number = self._worker
            self._thread = threading.Thread(target=self._run, args=(number,), name=f"capture-{number}", daemon=True)
            self._thread.start()

    def _replace_thread(self) -> None:
        self._tell(f"{self._name} has been stuck for over {self._stuck_after_s:g} s", ": a new connection is made")
        self._left_behind += 1
        if self._left_behind >= LEFT_BEHIND:
            self._stuck_after_s = min(2 * self._stuck_after_s, max(LONGEST_STALL_S, self._stall_s))
        self._reconnects += 1
        self._start()

    def _run(self, number: int) -> None:
        """The thread: connect, deliver, and after a fault connect again."""
        pause_s = self._first_pause_s
        while self._may_deliver(number):
            before = self._captured
            trouble = self._deliver_all(number)
            if not self._may_deliver(number):
                return
            with self._changed:
                self._reading_since_s = None
                self._trouble = trouble
                self._reconnects += 1
            if self._captured > before:
                pause_s = self._first_pause_s
            self._tell(trouble, f"; next attempt in {pause_s:g} s")
            self._closed.wait(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _deliver_all(self, number: int) -> str:
        """Delivers one connection's frames; returns what ended it."""
        with self._changed:
            self._reading_since_s, base = self._now(), self._next_sequence
        frames = self._connect()
        try:
            for frame in frames:
                if not self._deliver(number, replace(frame, sequence=base + frame.sequence)):
                    return "closed"
        except (StationError, OSError, cv2.error) as error:
            return str(error).strip()
        finally:
            getattr(frames, "close", _nothing)()
        return f"{self._name} has ended its stream"

    def _deliver(self, number: int, frame: Frame) -> bool:
        with self._changed:
            if number != self._worker:
                return False
            now_s = self._now()
            self._reading_since_s, self._trouble, self._stuck_after_s = now_s, "", self._stall_s
            self._said, self._left_behind, self._came_s = "", 0, now_s
            self._next_sequence = max(self._next_sequence, frame.sequence + 1)
            judged = self._watch.see(frame, now_s)
            if judged is not None:
                self._captured += 1
                self._dropped += len(self._waiting) == KEPT_FRAMES
                self._waiting.append(judged)
                self._changed.notify_all()
        return True

    def _may_deliver(self, number: int) -> bool:
        with self._changed:
            return number == self._worker and not self._closed.is_set()

    def _tell(self, trouble: str, then: str) -> None:
        """Notes each attempt, but says a trouble that goes on only once."""
        self.notes = [*self.notes[-19:], f"{trouble}{then}"]
        if self._say and trouble != self._said:
            self._say(f"{trouble}{then}")
        self._said = trouble


def is_live(source: str) -> bool:
    """Whether `source` names a camera: rtsp://, rtsps://, http(s):// or /dev/videoN."""
    return bool(re.match(r"(rtsps?|https?)://|/dev/video\d+$", source))


def without_password(source: str) -> str:
    """`source` as it may be shown and logged."""
    # A password may hold / and @ though it should not: up to the last @ all is left out.
    return re.sub(r"//.*@", "//", source)


def quiet_opencv() -> None:
    """OpenCV and FFmpeg write their own lines to stderr, where people read ours."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def device_frames(
    source: str, now: Callable[[], float] = time.monotonic, utc: Callable[[], float] = time.time
) -> Iterator[Frame]:
    """Connects to a camera and yields its frames; StationError where it cannot be opened or stops."""
    quiet_opencv()
    name = without_password(source)
    if source.startswith("/dev/"):
        capture = cv2.VideoCapture(source, cv2.CAP_V4L2)
    else:
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, CONNECT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, CONNECT_MS]
        capture = cv2.VideoCapture(source, cv2.CAP_FFMPEG, limits)
    clock = StreamClock() if source.startswith("rtsp") else None
    try:
        if not capture.isOpened():
            raise StationError(f"camera {name} cannot be opened: {_why(source)}")
        sequence = -1
        while True:
            # The time is taken before the picture is decoded: nearest to the exposure.
            if not capture.grab():
                raise StationError(f"camera {name} has stopped giving pictures: check power and cable")
            came_s, came_at = now(), utc()
            taken_s = clock.taken_s(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000, came_s) if clock else came_s
            if taken_s is None:
                continue
            sequence += 1
            decoded, image = capture.retrieve()
            if decoded:
                yield Frame(image, sequence, taken_s, came_at - (came_s - taken_s))
    finally:
        capture.release()


def _why(source: str) -> str:
    return "check cable and power" if source.startswith("/dev/") else why_closed(source)


def _nothing() -> None:
    """A plain iterator has nothing to close."""
