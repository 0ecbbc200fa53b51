"""`python -m cloud_sync.decoder`: the process in which pictures from outside are decoded, and nothing else is done.

A Job a line in; out come a word on what became of it, the length, and the bytes or the reason. It can write no file,
has so much memory and, for each job, so much CPU time; whatever a picture does to it ends it and nobody else.
"""

import os
import resource
import select
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import msgspec

from cloud_sync import posters, webm
from cloud_sync.decoding import BASE_S, DONE, HEAD, MOST_PIXELS, REFUSED, UNREADABLE, Job, Work, seconds_for
from edge_agent import clips
from edge_agent.errors import StoreError

MOST_BYTES = 1536 << 20
"""Of address space beyond what it has when it starts; a clip of 640x480 takes a fifth of it."""
IDLE_S = 600.0
"""Then it goes; the next job starts another one, in a second."""


def main() -> None:
    """Until stdin ends, or nothing comes for long."""
    cv2.setNumThreads(1)
    _limit()
    while select.select([sys.stdin], [], [], IDLE_S)[0]:
        line = sys.stdin.buffer.readline()
        if not line:
            return
        _allow(BASE_S)
        word, data = answer(msgspec.json.decode(line, type=Job))
        sys.stdout.buffer.write(HEAD.pack(word, len(data)) + data)
        sys.stdout.buffer.flush()


def answer(job: Job) -> tuple[int, bytes]:
    """What became of it, and the bytes or the reason."""
    try:
        return DONE, _WORKS[job.work](Path(job.path))
    except StoreError as error:
        return UNREADABLE if isinstance(error.__cause__, OSError) else REFUSED, str(error).encode()
    except (Exception, MemoryError) as error:  # noqa: BLE001 - the outermost edge: whatever a picture brings about
        return REFUSED, f"the clip cannot be decoded: {type(error).__name__}: {str(error)[:200]}".encode()


def _video(path: Path) -> bytes:
    clip = clips.read(path)
    width, height = clip.header.view_size_px
    pixels = clip.frame_count * width * height
    if pixels > MOST_PIXELS:
        raise StoreError(f"the clip has {clip.frame_count} frames of {width}x{height}: too much to be shown as a video")
    clip.check_pictures()
    _allow(seconds_for(pixels))
    return webm.encode(clip.views())


def _poster(path: Path) -> bytes:
    return posters.poster(path)


def _heat(path: Path) -> bytes:
    return posters.heat(path)


_WORKS: dict[Work, Callable[[Path], bytes]] = {"video": _video, "poster": _poster, "heat": _heat}


def _allow(seconds: float) -> None:
    """So much CPU time more; then the kernel ends this process."""
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used + seconds) + 1, hard))


def _limit() -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + MOST_BYTES, used + MOST_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
