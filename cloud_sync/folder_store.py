"""The folder of clips: `clips/ab/<sha256>.twclip` and the browser's video beside it."""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from cloud_sync.partial_clips import ClipLost, PartialClips
from edge_agent import durable
from edge_agent.clips import SUFFIX
from edge_agent.errors import StoreError
from edge_agent.messages import SHA256

VIDEO_SUFFIX = ".webm"
DAMAGE_SUFFIX = ".damaged"
COPY_BYTES = 1 << 20


class FolderStore:
    """A `store.ClipStore` in a folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self._clips = folder / "clips"
        self.parts = PartialClips(folder / "partial")
        try:
            self._clips.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise durable.failure(self._clips, error) from error

    def holds(self, sha256: str) -> bool:
        return self._path(sha256).is_file()

    def clip(self, sha256: str) -> Path:
        path = self._path(sha256)
        if not path.is_file():
            raise ClipLost(f"clip {sha256} is not in {self._clips}: restore it from a backup or ask its station again")
        return path

    def copy(self, sha256: str, file: IO[bytes]) -> None:
        with open(self.clip(sha256), "rb") as original:
            shutil.copyfileobj(original, file, COPY_BYTES)

    def video(self, sha256: str) -> Path | None:
        path = self._path(sha256, VIDEO_SUFFIX)
        return path if path.is_file() else None

    def keep_video(self, sha256: str, data: bytes) -> Path:
        path = self._path(sha256, VIDEO_SUFFIX)
        write_beside(path, data)
        return path

    def damage(self, sha256: str) -> str | None:
        return read_words(self._path(sha256, DAMAGE_SUFFIX))

    def keep_damage(self, sha256: str, words: str) -> None:
        write_beside(self._path(sha256, DAMAGE_SUFFIX), words.encode())

    def finish(self, sha256: str) -> bool:
        whole = self.parts.whole(sha256)
        if whole is None:
            return False
        self._make_room(sha256)
        durable.move(whole, self._path(sha256))
        return True

    def put(self, sha256: str, source: Path) -> bool:
        if digest(source) != sha256:
            return False
        self._make_room(sha256)
        with appearing(self._path(sha256)) as file, open(source, "rb") as original:
            shutil.copyfileobj(original, file, COPY_BYTES)
        return True

    def remove(self, sha256: str) -> None:
        for suffix in (VIDEO_SUFFIX, DAMAGE_SUFFIX, SUFFIX):
            durable.remove(self._path(sha256, suffix))

    def held(self) -> Iterator[tuple[str, int]]:
        for path in self._clips.glob(f"??/*{SUFFIX}"):
            if re.fullmatch(SHA256, path.stem):
                yield path.stem, path.stat().st_size

    def fault(self) -> str | None:
        return self.parts.fault() if os.access(self._clips, os.W_OK) else "clip folder"

    def _path(self, sha256: str, suffix: str = SUFFIX) -> Path:
        return self._clips / sha256[:2] / f"{sha256}{suffix}"

    def _make_room(self, sha256: str) -> None:
        folder = self._path(sha256).parent
        try:
            if not folder.is_dir():
                folder.mkdir(exist_ok=True)
                durable.sync_folder(self._clips)
        except OSError as error:
            raise durable.failure(folder, error) from error


def digest(path: Path) -> str:
    """SHA-256 of a file's bytes. Raises StoreError."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error.strerror}): check the disk and its owner") from error


def read_words(path: Path) -> str | None:
    """What stands in a small file; None where there is none that can be read."""
    try:
        return path.read_text()
    except OSError:
        return None


def write_beside(path: Path, data: bytes) -> None:
    """As `durable.write`, also where several processes write the same path at once. Raises StoreError."""
    with appearing(path) as file:
        file.write(data)


@contextmanager
def appearing(path: Path) -> Iterator[IO[bytes]]:
    """A file that gets its name once everything is on the disk; what goes wrong before leaves nothing."""
    name = ""
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=durable.TEMPORARY, delete=False) as file:
            name = file.name
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        durable.move(Path(name), path)
    except OSError as error:
        raise durable.failure(path, error) from error
    finally:
        if name:
            Path(name).unlink(missing_ok=True)
