"""Where whole clips are kept: a folder, or an S3-compatible bucket; `open_store` makes what cloud.toml names.

A clip under its name has the bytes of its hash and is there to stay. What is known about clips is the database's
matter.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Protocol

from cloud_sync import config as cloud_config
from cloud_sync.bucket_store import BucketStore
from cloud_sync.config import CloudConfig
from cloud_sync.folder_store import FolderStore
from cloud_sync.partial_clips import PartialClips
from edge_agent.errors import ConfigError


class ClipStore(Protocol):
    """One store; several processes may use it at once. Every method raises StoreError where disk or server refuse."""

    parts: PartialClips
    """Clips on their way."""

    def holds(self, sha256: str) -> bool: ...

    def clip(self, sha256: str) -> Path:
        """A file with the clip's bytes, to be opened soon. Raises ClipLost where the store does not hold it."""

    def copy(self, sha256: str, file: IO[bytes]) -> None:
        """The clip's bytes, as they are held, go into an open file. Raises ClipLost."""

    def video(self, sha256: str) -> Path | None:
        """A file with the clip's video for browsers; None where it has not been made."""

    def keep_video(self, sha256: str, data: bytes) -> Path:
        """The video is kept beside its clip."""

    def damage(self, sha256: str) -> str | None:
        """Why the clip cannot be shown, in words, where somebody has found that out; None for a sound clip."""

    def keep_damage(self, sha256: str, words: str) -> None:
        """The word stands in a file of its own; whoever removes it has the clip tried again."""

    def finish(self, sha256: str) -> bool:
        """The partial clip is kept if its bytes have that hash; otherwise it is thrown away: False."""

    def put(self, sha256: str, source: Path) -> bool:
        """A copy of a whole file is kept if its bytes have that hash; otherwise False."""

    def remove(self, sha256: str) -> None:
        """Clip and video are gone; they may have been gone before."""

    def held(self) -> Iterator[tuple[str, int]]:
        """Hash and bytes of every clip, in no order."""

    def fault(self) -> str | None:
        """Why the store cannot be used at the moment, for a person; None where it can."""


def open_store(config: CloudConfig) -> ClipStore:
    """The store that `store` names: s3://bucket/prefix, or none for the folder data_dir. Raises ConfigError."""
    if config.store is None:
        return FolderStore(config.folder)
    scheme, _, place = config.store.partition("://")
    name, _, prefix = place.partition("/")
    if scheme != "s3" or not name:
        raise ConfigError(
            f"store {config.store!r} is none: write s3://bucket/prefix, or take the line out for a folder"
        )
    return BucketStore(
        config.folder,
        name,
        prefix.strip("/"),
        config.s3,
        key=(cloud_config.secret(config.s3.key_id_env), cloud_config.secret(config.s3.secret_env)),
    )
