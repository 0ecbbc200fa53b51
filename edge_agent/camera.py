"""Where frames come from: V4L2, RTSP, video files, folders of images, stored clips; the twin is one more Camera."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from edge_agent.capture import LiveCapture, device_frames, is_live, without_password
from edge_agent.errors import StationError
from edge_agent.recording import ImageFolder, VideoFile
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


def open_camera(
    source: str,
    openers: Mapping[str, Callable[[str], Camera]] | None = None,
    *,
    patience_s: float | None = 10.0,
    say: Callable[[str], None] | None = None,
) -> Camera:
    """The camera that `source` names: a video file, a folder of images, `rtsp://…`, `/dev/videoN`.

    `openers` adds further kinds, by how the source begins ("twin:") or ends (".clip"). A live camera that gives no
    picture for `patience_s` at first is a StationError; None waits for ever. `say` hears of its troubles.
    """
    for mark, opener in (openers or {}).items():
        if source.startswith(mark) or (mark.startswith(".") and source.endswith(mark)):
            return opener(source)
    if is_live(source):
        return LiveCapture(lambda: device_frames(source), name=without_password(source), patience_s=patience_s, say=say)
    path = Path(source)
    if path.is_dir():
        return ImageFolder(path)
    if not path.exists():
        raise StationError(
            f"recording {source} does not exist: give a video file, a folder of images, rtsp://… or /dev/videoN"
        )
    return VideoFile(path)
