"""A network camera: the taped immersion as H.264, streamed on 127.0.0.1 by GStreamer's RTSP server."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import cv2

from tests.fakes_tape import FPS, tape

PROGRAM = Path(__file__).with_name("rtsp_server.py")
SYSTEM_PYTHON = "/usr/bin/python3"
"""Debian's bindings are for Debian's Python."""
STILL = 15
"""First pictures of the tape in which the tank is empty."""
EMPTY_S = 4.5
"""A client gets the pictures of its first second or so late, and lets them go."""
USER, PASSWORD = "watch", "s/ecr@t"


def is_installed() -> bool:
    """Whether this machine has the server and all its parts."""
    if not Path(SYSTEM_PYTHON).exists():
        return False
    return subprocess.run([SYSTEM_PYTHON, PROGRAM], capture_output=True).returncode == 0


def write_clip(path: Path) -> None:
    """An empty tank, then the tape."""
    lead = [n % (2 * STILL) for n in range(round(EMPTY_S * FPS))]
    numbers = [min(n, 2 * STILL - 1 - n) for n in lead] + list(range(len(tape().pictures)))
    options = {"preset": "ultrafast", "crf": "18", "g": "20", "bf": "0", "x264-params": "slices=1:sliced-threads=0"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=round(FPS), options=options)
        stream.height, stream.width = cv2.imdecode(tape().pictures[0], cv2.IMREAD_COLOR).shape[:2]
        stream.pix_fmt = "yuv420p"
        for number in numbers:
            image = cv2.imdecode(tape().pictures[number], cv2.IMREAD_COLOR)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode())


class RtspCamera:
    """The camera's process. It can be killed, and comes back at the same address."""

    def __init__(self, clip: Path, *account: str) -> None:
        self._clip, self._account, self.port = clip, account, 0
        self.start()

    @property
    def address(self) -> str:
        return f"rtsp://127.0.0.1:{self.port}/tank"

    def start(self) -> None:
        command = [SYSTEM_PYTHON, str(PROGRAM), str(self._clip), str(self.port), *self._account]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        with self._process.stdout as said:
            self.port = int(said.readline())

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def rtsp_camera(clip: Path, *account: str) -> Iterator[RtspCamera]:
    camera = RtspCamera(clip, *account)
    try:
        yield camera
    finally:
        camera.kill()
