"""Tank views -> VP9 in WebM, which every browser plays and seeks, from the real frame times."""

import io
import math
from collections.abc import Iterable, Iterator
from fractions import Fraction

import av
import numpy as np

from edge_agent.errors import StoreError
from edge_agent.records import TankView

TICKS_PER_S = 1000
LONGEST_STEP_S = 5.0
"""A longer pause between two frames is shown as this."""
ENCODER = {"deadline": "realtime", "cpu-used": "7", "crf": "20", "b": "0", "row-mt": "1"}
"""Small bubbles survive at crf 20; 5 s of 640x480 at 15 fps take about half a second."""
NO_FRAME = "the clip has no whole frame: there is nothing to show"
KEYFRAME_EVERY = 15
"""Frames; so that single steps backwards are quick."""


def encode(views: Iterable[TankView]) -> bytes:
    """Tank views of one size -> WebM. Raises StoreError where there is no frame or a time that is none."""
    try:
        return _encoded(views)
    except (av.error.FFmpegError, ValueError) as error:
        raise StoreError(f"the clip's frames cannot be made into a video: {error}") from error


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
