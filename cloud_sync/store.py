"""The folder of clips: `clips/ab/<sha256>.twclip`, the browser's video beside it, `partial/` for what is on its way.

A file under its final name has the bytes of its hash and is on the disk. What is known about clips is the database's
matter.
"""

import hashlib
import os
from pathlib import Path

from edge_agent import durable
from edge_agent.clips import SUFFIX

VIDEO_SUFFIX = ".webm"
DAMAGE_SUFFIX = ".damaged"


class ClipStore:
    """One folder store; several processes may use it at once."""

    def __init__(self, folder: Path) -> None:
        self._clips = folder / "clips"
        self._partial = folder / "partial"
        for path in (self._clips, self._partial):
            try:
                path.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise durable.failure(path, error) from error

    def clip(self, sha256: str) -> Path:
        """Where a whole clip is or will be."""
        return self._clips / sha256[:2] / f"{sha256}{SUFFIX}"

    def video(self, sha256: str) -> Path:
        """Where the clip's video for browsers is or will be."""
        return self.clip(sha256).with_suffix(VIDEO_SUFFIX)

    def damage(self, sha256: str) -> Path:
        """Where it is written, in words, that the clip cannot be shown; there is no such file beside a sound clip."""
        return self.clip(sha256).with_suffix(DAMAGE_SUFFIX)

    def holds(self, sha256: str) -> bool:
        return self.clip(sha256).is_file()

    def write_part(self, sha256: str, offset: int, data: bytes) -> None:
        """Bytes at `offset` of a clip on its way; not on the disk before `sync_part`. Raises StoreError."""
        path = self._partial / sha256
        try:
            with open(path, "r+b" if path.exists() else "wb") as file:
                file.truncate(offset)
                file.seek(offset)
                file.write(data)
        except OSError as error:
            raise durable.failure(path, error) from error

    def sync_part(self, sha256: str) -> None:
        """What was written of a clip on its way is on the disk."""
        path = self._partial / sha256
        try:
            with open(path, "rb") as file:
                os.fsync(file.fileno())
        except OSError as error:
            raise durable.failure(path, error) from error

    def finish(self, sha256: str) -> bool:
        """The partial clip gets its final name if its bytes have that hash; otherwise it is thrown away: False."""
        path = self._partial / sha256
        try:
            with open(path, "rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
                os.fsync(file.fileno())
        except OSError as error:
            raise durable.failure(path, error) from error
        if found != sha256:
            self.discard_part(sha256)
            return False
        self._make_room(self.clip(sha256).parent)
        durable.move(path, self.clip(sha256))
        return True

    def discard_part(self, sha256: str) -> None:
        durable.remove(self._partial / sha256)

    def _make_room(self, folder: Path) -> None:
        if not folder.is_dir():
            folder.mkdir(exist_ok=True)
            durable.sync_folder(self._clips)
