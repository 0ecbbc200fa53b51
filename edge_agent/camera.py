"""Where frames come from: V4L2, RTSP, video files, folders of images, stored clips; the twin is one more Camera."""

from collections.abc import Iterator
from typing import Protocol

from edge_agent.records import Frame


class Camera(Protocol):
    """A source of frames. Recordings end; live cameras do not."""

    live: bool
    frame_count: int | None
    """How many frames the recording claims to have; None where unknown or live."""

    def frames(self) -> Iterator[Frame]:
        """Frames in order of capture. Raises StationError where the source cannot be used at all."""
        ...

    def close(self) -> None: ...
