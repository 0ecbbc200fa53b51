"""The frame loop's newest frame <-> a JPEG in a folder, as long as somebody looks; and the Camera that reads it there.

Whoever wants pictures touches a file again and again. A picture carries its frame's number and times in a comment of
the JPEG; one that is torn, old or missing is no picture, never an error.
"""

import contextlib
import os
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import msgspec
import numpy as np

from edge_agent import durable
from edge_agent.errors import StationError
from edge_agent.records import Frame

Kind = Literal["screen", "setup"]
WANTED_S = 3.0
"""A wish that nobody has repeated for so long is over."""
WISH_S = 1.0
"""Those who look repeat theirs so often."""
STALE_S = 2.0
"""A picture that was published so long ago shows nothing of now."""
TURN_S = 0.1
"""Between two looks at what is wanted."""
START, COMMENT, END = b"\xff\xd8", b"\xff\xfe", b"\xff\xd9"
"""Of a JPEG: its first bytes, what opens a comment, its last bytes (ITU-T T.81, annex B)."""
NICE = 10
"""Somebody who looks waits before a unit does."""


class _Comment(msgspec.Struct, frozen=True):
    """What a picture says of its frame."""

    sequence: int
    monotonic_s: float
    taken_at: float
    published_s: float
    """On the clock that all processes of this machine share since it was started."""


@dataclass(frozen=True, slots=True)
class Picture:
    """How pictures of one kind are made."""

    kind: Kind
    widest_px: int | None
    """Larger ones are made smaller; None = as the camera gives them."""
    quality: int
    every_s: float
    """At most one in so long."""


PICTURES = (Picture("screen", 640, 75, 0.1), Picture("setup", None, 95, 0.2))
"""One to look at, and one to measure in."""


class Publisher:
    """The frame loop shows it each frame; `turn` is called again and again, in a thread beside that."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.frame: Frame | None = None
        """The newest one."""
        self._folder, self._clock = folder, clock
        self._wishes = {picture.kind: _Wish(_wish_path(folder, picture.kind), clock) for picture in PICTURES}
        self._published_s: dict[Kind, float] = {}
        self._shown: dict[Kind, Frame] = {}

    def turn(self) -> None:
        """Publishes what is wanted and due. Raises StoreError."""
        for picture in PICTURES:
            frame, now_s = self.frame, self._clock()
            is_wanted = self._wishes[picture.kind].is_alive()
            is_due = now_s - self._published_s.get(picture.kind, float("-inf")) >= picture.every_s
            if frame is not None and is_wanted and is_due and frame is not self._shown.get(picture.kind):
                self._shown[picture.kind], self._published_s[picture.kind] = frame, now_s
                _replace(_picture_path(self._folder, picture.kind), encoded(frame, picture, now_s))


class _Wish:
    """A file that somebody touches; told by its changes, so that a clock that is set does not count."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._path, self._clock = path, clock
        self._seen = self._stamp()
        self._changed_s = float("-inf")

    def is_alive(self) -> bool:
        stamp = self._stamp()
        if stamp != self._seen:
            self._seen, self._changed_s = stamp, self._clock()
        return stamp is not None and self._clock() - self._changed_s < WANTED_S

    def _stamp(self) -> int | None:
        try:
            return os.stat(self._path).st_mtime_ns
        except OSError:
            return None


class PublishedCamera:
    """The station's camera as the inspection publishes it, for who must not open it: a Camera.

    `pause`: waits so many seconds.
    """

    live = True
    frame_count: int | None = None

    def __init__(
        self,
        folder: Path,
        *,
        kind: Kind = "setup",
        patience_s: float | None = 10.0,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self._folder, self._kind, self._patience_s = folder, kind, patience_s
        self._clock, self._pause = clock, pause
        self._closed = False

    def frames(self) -> Iterator[Frame]:
        """The newest pictures as they come, until `close`. StationError where none comes within the patience."""
        for data in _data(self._folder, self._kind, TURN_S / 2, clock=self._clock, pause=self._pause):
            if self._closed:
                return
            if isinstance(data, float):
                self._lose_patience(data)
            elif frame := decoded(data):
                yield frame

    def close(self) -> None:
        self._closed = True

    def _lose_patience(self, quiet_s: float) -> None:
        if self._patience_s is not None and quiet_s > self._patience_s:
            raise StationError(
                f"the inspection has shown no picture for {quiet_s:.0f} s (limit {self._patience_s:g} s): "
                "see that it runs and that its camera gives pictures"
            )


def pictures(
    folder: Path,
    fps: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], object] = time.sleep,
) -> Iterator[bytes]:
    """JPEGs of the newest frames, `fps` a second at most, without end; b"" where none has come for a second, so that
    who sends them notices that nobody listens any more."""
    quiet = 0
    for data in _data(folder, "screen", 1 / fps, clock=clock, pause=pause):
        if not isinstance(data, float):
            quiet = 0
            yield data
        elif int(data / WISH_S) > quiet:
            quiet = int(data / WISH_S)
            yield b""


def wish(folder: Path, kind: Kind) -> None:
    """Somebody looks. A folder that cannot be written gives no pictures, and is the inspection's to complain of."""
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        _wish_path(folder, kind).touch()


def newest(folder: Path, kind: Kind, now_s: float) -> bytes | None:
    """The JPEG that was published last; None where it is torn, old or missing."""
    try:
        data = _picture_path(folder, kind).read_bytes()
    except OSError:
        return None
    comment = _comment(data)
    return data if comment and 0 <= now_s - comment.published_s <= STALE_S else None


def encoded(frame: Frame, picture: Picture, now_s: float) -> bytes:
    """The frame as a JPEG that says when it was taken, and that it was published at `now_s`."""
    image, (height, width) = frame.image, frame.image.shape[:2]
    if picture.widest_px and width > picture.widest_px:
        size = (picture.widest_px, round(height * picture.widest_px / width))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, picture.quality])[1].tobytes()
    said = msgspec.json.encode(_Comment(frame.sequence, frame.monotonic_s, frame.taken_at, now_s))
    return START + COMMENT + struct.pack(">H", len(said) + 2) + said + data[len(START) :]


def decoded(data: bytes) -> Frame | None:
    """What `encoded` was given, as far as a JPEG keeps it; None where it is none."""
    comment = _comment(data)
    if comment is None:
        return None
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    return None if image is None else Frame(image, comment.sequence, comment.monotonic_s, comment.taken_at)


def _data(
    folder: Path, kind: Kind, every_s: float, *, clock: Callable[[], float], pause: Callable[[float], object]
) -> Iterator[bytes | float]:
    """Each new picture once, a look every `every_s`; where there is none, for how long there was none, in s."""
    began_s, wished_s, last = clock(), float("-inf"), b""
    while True:
        now_s = clock()
        if now_s - wished_s >= WISH_S:
            wish(folder, kind)
            wished_s = now_s
        data = newest(folder, kind, now_s)
        if data is not None and data != last:
            began_s, last = now_s, data
            yield data
        else:
            yield now_s - began_s
        pause(every_s)


def _comment(data: bytes) -> _Comment | None:
    """None where these bytes are no whole picture of ours."""
    first = len(START + COMMENT)
    if data[:first] != START + COMMENT or not data.endswith(END):
        return None
    (length,) = struct.unpack(">H", data[first : first + 2])
    try:
        return msgspec.json.decode(data[first + 2 : first + length], type=_Comment)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _replace(path: Path, data: bytes) -> None:
    """Not synced: a picture is worth nothing after a power cut."""
    temporary = path.with_name(path.name + durable.TEMPORARY)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except OSError as error:
        raise durable.failure(path, error) from error


def _wish_path(folder: Path, kind: Kind) -> Path:
    return folder / f"{kind}.wish"


def _picture_path(folder: Path, kind: Kind) -> Path:
    return folder / f"{kind}.jpg"
