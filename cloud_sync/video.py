"""A stored clip -> its video beside it, made once, in a process of its own (`decoding`).

The original stays what counts: a video that cannot be made is a line in the log and a word on the page, never a lost
clip. Lamps are left out: they would tell the expert what the inspector said.
"""

import logging
import queue
import threading
from pathlib import Path

import av

from cloud_sync.decoding import Decoding
from cloud_sync.store import ClipStore
from edge_agent.errors import StoreError

log = logging.getLogger(__name__)


class Videos:
    """The videos of one store."""

    def __init__(self, store: ClipStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self.decoding = Decoding()

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

    def keep_fault(self, sha256: str, path: Path, error: StoreError) -> str | None:
        """Keeps why the clip cannot be shown and returns the words; None where only the disk failed: it may recover,
        bytes that are wrong stay wrong.
        """
        if isinstance(error.__cause__, OSError):
            return None
        words = without_path(error, path)
        self._store.keep_damage(sha256, words)
        return words

    def _encoded(self, sha256: str) -> bytes:
        fault = self.fault(sha256)
        if fault is not None:
            raise StoreError(fault)
        path = self._store.clip(sha256)
        try:
            return self.decoding.video(path)
        except StoreError as error:
            self.keep_fault(sha256, path, error)
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
        self._videos.decoding.close()


def without_path(error: StoreError, path: Path) -> str:
    """For the page: where the cloud keeps its files is nobody's business."""
    return str(error).replace(f"clip {path}", "the clip")


def times_s(path: Path) -> list[float]:
    """When each frame of a video begins, in seconds; nothing is decoded. Raises StoreError."""
    try:
        with av.open(str(path)) as container:
            packets = container.demux(video=0)
            return [float(packet.pts * packet.time_base) for packet in packets if packet.pts is not None]
    except av.error.FFmpegError as error:
        raise StoreError(f"video {path} is damaged ({error}): remove it, and it is made again") from error
