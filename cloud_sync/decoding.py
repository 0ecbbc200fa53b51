"""What the cloud makes of a clip's pictures, made in a `decoder` process: whatever is in them, this one goes on.

The process stays for the next clip and is started anew when it has ended. One that ends in the middle of a clip gets
a second try, since somebody may have ended it; a clip that ends two is damaged. SIGKILL comes from outside (from the
kernel, where memory is short): it says nothing about the clip.
"""

import logging
import os
import select
import signal
import struct
import subprocess
import sys
import threading
import time
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec

from edge_agent.errors import StoreError

log = logging.getLogger(__name__)
HOME = Path(__file__).resolve().parent.parent
PROGRAM = ("-m", "cloud_sync.decoder")
PATIENCE = 4.0
"""Seconds on the wall for each of CPU time: the kernel ends what takes too much of that, this one what hangs."""
START_S = 60.0
"""On top, for its start on a busy machine."""
LEAVE_S = 0.5
"""To end by itself."""
HUNG = 1
"""Instead of its status, where it had to be ended."""
TRIES = 2
PIECE_BYTES = 1 << 20
Work = Literal["video", "poster", "heat"]
DONE, REFUSED, UNREADABLE = b"DRU"
"""The first bytes of an answer. `UNREADABLE`: the disk's fault, not the clip's."""
HEAD = struct.Struct("<BQ")
"""Word and length."""
BASE_S = 5.0
S_PER_PIXEL = 2e-7
"""Ten times what decoding and encoding take here."""
MOST_PIXELS = 8_000_000_000
"""Of a clip: more than 20 minutes of 640x480 at 15 frames a second."""


class Job(msgspec.Struct, frozen=True):
    """What is to be made of which clip."""

    work: Work
    path: str


def seconds_for(pixels: int) -> float:
    """CPU time that so many pixels may take."""
    return BASE_S + S_PER_PIXEL * pixels


class Decoding:
    """One such process at a time, for the threads of this one. Every method raises StoreError with the reason; its
    cause is an OSError where disk or machine are at fault and the clip may be tried again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._put_away: weakref.finalize | None = None
        """Ends the process where nobody closes this."""

    def video(self, clip: Path) -> bytes:
        """The clip as WebM."""
        return self._made("video", clip, seconds_for(MOST_PIXELS))

    def poster(self, clip: Path) -> bytes:
        """The frame in its middle as a small JPEG."""
        return self._made("poster", clip, BASE_S)

    def heat(self, clip: Path) -> bytes:
        """Its heat map as PNG, in colour."""
        return self._made("heat", clip, BASE_S)

    def close(self) -> None:
        """Ends the process; another job starts one."""
        with self._lock:
            self._end()

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        return self._child.pid if self._child and self._child.poll() is None else None

    def _made(self, work: Work, clip: Path, most_s: float) -> bytes:
        with self._lock:
            word, data = self._tried(Job(work, str(clip)), PATIENCE * most_s + START_S)
        if word == DONE:
            return data
        said = data.decode("utf-8", "replace")
        raise StoreError(said) from (OSError(said) if word == UNREADABLE else None)

    def _tried(self, job: Job, within_s: float) -> tuple[int, bytes]:
        ends = []
        for _ in range(TRIES):
            found = self._asked(job, within_s)
            if isinstance(found, tuple):
                return found
            ends.append(found)
        if -signal.SIGKILL in ends:
            said = "the clip was not decoded: the process was killed from outside, look at the machine's memory"
            raise StoreError(said) from OSError(said)
        raise StoreError("the clip cannot be decoded: it ends every process that tries to")

    def _asked(self, job: Job, within_s: float) -> tuple[int, bytes] | int | None:
        """Its status: the process has ended before it has answered."""
        child = self._running()
        assert child.stdin is not None and child.stdout is not None
        deadline_s = time.monotonic() + within_s
        try:
            child.stdin.write(msgspec.json.encode(job) + b"\n")
            child.stdin.flush()
            word, length = HEAD.unpack(_read(child.stdout.fileno(), HEAD.size, deadline_s))
            return word, _read(child.stdout.fileno(), length, deadline_s)
        except TimeoutError as error:
            self._end()
            raise StoreError(f"the clip was not decoded within {within_s:.0f} s: the machine is too busy") from error
        except (EOFError, BrokenPipeError):
            return self._ended(job)

    def _ended(self, job: Job) -> int | None:
        status = self._end()
        if status == -signal.SIGXCPU:
            raise StoreError("the clip cannot be decoded: it takes more CPU time than a clip of its size may")
        if status != 0:  # 0: it had nothing to do for long
            log.warning("decoder ended status=%s clip=%s", status, job.path)
        return status

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None or self._child.poll() is not None:
            self._end()
            self._child = _started()
            self._put_away = weakref.finalize(self, _end, self._child)
        return self._child

    def _end(self) -> int | None:
        child, self._child = self._child, None
        if self._put_away:
            self._put_away.detach()
        return _end(child) if child else None


def _started() -> subprocess.Popen[bytes]:
    """Without the environment's secrets. Raises StoreError where the machine starts none."""
    names = ("PATH", "LANG", "HOME", "TMPDIR")
    environment = {name: os.environ[name] for name in names if name in os.environ}
    environment |= {"PYTHONPATH": str(HOME), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    environment |= {"MALLOC_ARENA_MAX": "2", "OPENCV_LOG_LEVEL": "SILENT"}
    try:
        return subprocess.Popen(
            [sys.executable, *PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd=HOME,
        )
    except OSError as error:
        raise StoreError(
            f"no process can be started to decode a clip ({error.strerror}): look at the machine"
        ) from error


def _end(child: subprocess.Popen[bytes]) -> int:
    """It goes by itself once nobody speaks to it, or is made to. Its status, or `HUNG`."""
    for pipe in (child.stdin, child.stdout):
        with suppress(BrokenPipeError):  # it was gone before it had read all
            if pipe:
                pipe.close()
    try:
        return child.wait(LEAVE_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        return HUNG


def _read(pipe: int, size: int, deadline_s: float) -> bytes:
    """Raises EOFError where it ends, TimeoutError where it does not come."""
    found = bytearray()
    while len(found) < size:
        if not select.select([pipe], [], [], max(0.0, deadline_s - time.monotonic()))[0]:
            raise TimeoutError(f"{len(found)} of {size} bytes came")
        piece = os.read(pipe, min(PIECE_BYTES, size - len(found)))
        if not piece:
            raise EOFError
        found += piece
    return bytes(found)
