"""A stored clip -> VP9 in WebM beside it, which every browser plays and seeks; made once, from the real frame times.

The original stays what counts: a video that cannot be made is a line in the log and a word on the page, never a lost
clip. Lamps are left out: they would tell the expert what the inspector said.
"""

import io
import logging
import math
import queue
import threading
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from cloud_sync.store import ClipStore
from edge_agent import clips
from edge_agent.errors import StoreError
from edge_agent.records import TankView

log = logging.getLogger(__name__)
TICKS_PER_S = 1000
LONGEST_STEP_S = 5.0
"""A longer pause between two frames is shown as this."""
ENCODER = {"deadline": "realtime", "cpu-used": "7", "crf": "20", "b": "0", "row-mt": "1"}
"""Small bubbles survive at crf 20; 5 s of 640x480 at 15 fps take about half a second."""
NO_FRAME = "the clip has no whole frame: there is nothing to show"
KEYFRAME_EVERY = 15
"""Frames; so that single steps backwards are quick."""


class Videos:
    """The videos of one store."""

    def __init__(self, store: ClipStore) -> None:
        self._store = store
        self._lock = threading.Lock()

    def of(self, sha256: str) -> Path:
        """The clip's video, made now if need be. Raises StoreError where the clip cannot be shown."""
        found = self._store.video(sha256)
        if found is None:
            with self._lock:
                found = self._store.video(sha256) or self._store.keep_video(sha256, self._encoded(sha256))
        return found

    def fault(self, sha256: str) -> str | None:
        """Why the clip cannot be shown, where that was tried before; nothing is decoded."""
        return self._store.damage(sha256)

    def _encoded(self, sha256: str) -> bytes:
        fault = self.fault(sha256)
        if fault is not None:
            raise StoreError(fault)
        path = self._store.clip(sha256)
        try:
            return encode(clips.read(path).views())
        except StoreError as error:
            # A disk that cannot be read may recover; bytes that are wrong stay wrong.
            if not isinstance(error.__cause__, OSError):
                self._store.keep_damage(sha256, without_path(error, path))
            raise


class Transcoder:
    """Makes videos one after the other in a thread of its own, so that the queue's next case plays at once."""

    def __init__(self, store: ClipStore) -> None:
        self._videos = Videos(store)
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="transcoder", daemon=True)
        self._thread.start()

    def add(self, sha256: str) -> None:
        self._queue.put(sha256)

    def close(self) -> None:
        """What is still waiting is made when somebody asks for it."""
        self._queue.put(None)

    def _work(self) -> None:
        while (sha256 := self._queue.get()) is not None:
            try:
                self._videos.of(sha256)
            except StoreError as error:
                log.warning("no video clip=%s: %s", sha256, error)
            except Exception:
                log.exception("no video clip=%s", sha256)


def encode(views: Iterable[TankView]) -> bytes:
    """Tank views of one size -> WebM. Raises StoreError where there is no frame or a time that is none."""
    try:
        return _encoded(views)
    except av.error.FFmpegError as error:
        raise StoreError(f"the clip's frames cannot be made into a video: {error}") from error


def without_path(error: StoreError, path: Path) -> str:
    """For the page: where the cloud keeps its files is nobody's business."""
    return str(error).replace(f"clip {path}", "the clip")


def _encoded(views: Iterable[TankView]) -> bytes:
    target = io.BytesIO()
    with av.open(target, "w", format="webm") as container:
        stream = None
        for tick, grey in _timed(views):
            if stream is None:
                stream = _stream(container, grey)
            frame = av.VideoFrame.from_ndarray(grey, format="gray").reformat(format="yuv420p")
            frame.pts, frame.time_base = tick, Fraction(1, TICKS_PER_S)
            container.mux(stream.encode(frame))
        if stream is None:
            raise StoreError(NO_FRAME)
        container.mux(stream.encode())
    return target.getvalue()


def ticks(times_s: Iterable[float]) -> Iterator[int]:
    """Capture times -> milliseconds since the first, always rising. Raises StoreError for a time that is none."""
    before, tick = None, 0
    for time_s in times_s:
        if not math.isfinite(time_s):
            raise StoreError(f"the clip has a frame taken at {time_s}: it cannot be shown")
        if before is not None:
            tick += max(1, round(min(time_s - before, LONGEST_STEP_S) * TICKS_PER_S))
        before = time_s
        yield tick


def times_s(path: Path) -> list[float]:
    """When each frame of a video begins, in seconds; nothing is decoded. Raises StoreError."""
    try:
        with av.open(str(path)) as container:
            packets = container.demux(video=0)
            return [float(packet.pts * packet.time_base) for packet in packets if packet.pts is not None]
    except av.error.FFmpegError as error:
        raise StoreError(f"video {path} is damaged ({error}): remove it, and it is made again") from error


def _timed(views: Iterable[TankView]) -> Iterator[tuple[int, np.ndarray]]:
    pictures: list[np.ndarray] = []

    def times() -> Iterator[float]:
        for view in views:
            pictures.append(view.grey)
            yield view.monotonic_s

    for tick in ticks(times()):
        yield tick, pictures.pop()


def _stream(container: av.container.OutputContainer, grey: np.ndarray) -> av.VideoStream:
    stream = container.add_stream("libvpx-vp9", rate=TICKS_PER_S, options=ENCODER)
    stream.height, stream.width = grey.shape
    stream.pix_fmt = "yuv420p"
    stream.gop_size = KEYFRAME_EVERY
    stream.time_base = stream.codec_context.time_base = Fraction(1, TICKS_PER_S)
    return stream
