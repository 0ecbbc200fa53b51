"""An S3-compatible bucket of clips: `prefix/clips/ab/<sha256>.twclip`, the browser's video beside it.

Pages and readers want files, so what is read comes through a bounded cache on this machine: whatever was used least
lately goes first, and nothing that was used in the last minutes. A store does not survive a fork of its process.
"""

import functools
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeVar, cast

from obstore.exceptions import BaseError
from obstore.store import S3Store

from cloud_sync.config import BucketConfig
from cloud_sync.folder_store import DAMAGE_SUFFIX, VIDEO_SUFFIX, appearing, digest, read_words, write_beside
from cloud_sync.partial_clips import ClipLost, PartialClips
from edge_agent import durable
from edge_agent.clips import SUFFIX
from edge_agent.errors import StoreError
from edge_agent.messages import SHA256

if TYPE_CHECKING:
    from obstore.store import S3Config

IN_USE_S = 600.0
"""Whoever was given a path opens it within this time."""
RETRIES, RETRY_S = 3, 20
"""A server that is away for longer is said; ingest tries again by itself."""
CONNECT_S, ANSWER_S = 5, 120
T = TypeVar("T")


class BucketStore:
    """A `store.ClipStore` in a bucket, with partial clips and cache in `folder`. `key`: id and secret."""

    def __init__(
        self, folder: Path, bucket: str, prefix: str, settings: BucketConfig, *, key: tuple[str | None, str | None]
    ) -> None:
        self._name = f"s3://{bucket}/{prefix}".rstrip("/")
        self._cache, self._cache_bytes = folder / "cache", settings.cache_mb * 1_000_000
        self.parts = PartialClips(folder / "partial")
        try:
            self._cache.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise durable.failure(self._cache, error) from error
        self._bucket = _bucket(bucket, prefix, settings, key)

    def holds(self, sha256: str) -> bool:
        return self._cached(_name(sha256)).is_file() or self._size(_name(sha256)) is not None

    def clip(self, sha256: str) -> Path:
        path = self._fetched(_name(sha256), sha256)
        if path is None:
            raise self._lost(sha256)
        return path

    def copy(self, sha256: str, file: IO[bytes]) -> None:
        """Past the cache, which a backup would only fill."""
        if not self._download(_name(sha256), file):
            raise self._lost(sha256)

    def video(self, sha256: str) -> Path | None:
        return self._fetched(_name(sha256, VIDEO_SUFFIX))

    def keep_video(self, sha256: str, data: bytes) -> Path:
        name = _name(sha256, VIDEO_SUFFIX)
        self._asked(lambda: self._bucket.put(name, data))
        write_beside(self._room_for(name), data)
        return self._cached(name)

    def damage(self, sha256: str) -> str | None:
        """On this machine alone: others find it out for themselves."""
        return read_words(self._cached(_name(sha256, DAMAGE_SUFFIX)))

    def keep_damage(self, sha256: str, words: str) -> None:
        write_beside(self._room_for(_name(sha256, DAMAGE_SUFFIX)), words.encode())

    def finish(self, sha256: str) -> bool:
        whole = self.parts.whole(sha256)
        if whole is None:
            return False
        self._upload(sha256, whole)
        durable.move(whole, self._room_for(_name(sha256)))
        self._bound_cache()
        return True

    def put(self, sha256: str, source: Path) -> bool:
        if digest(source) != sha256:
            return False
        self._upload(sha256, source)
        return True

    def remove(self, sha256: str) -> None:
        for name in (_name(sha256, VIDEO_SUFFIX), _name(sha256)):
            self._asked(functools.partial(self._bucket.delete, name))
            durable.remove(self._cached(name))
        durable.remove(self._cached(_name(sha256, DAMAGE_SUFFIX)))

    def held(self) -> Iterator[tuple[str, int]]:
        for found in self._asked(lambda: [entry for page in self._bucket.list("clips") for entry in page]):
            path = Path(found["path"])
            if path.suffix == SUFFIX and re.fullmatch(SHA256, path.stem):
                yield path.stem, found["size"]

    def fault(self) -> str | None:
        try:
            self._asked(lambda: next(iter(self._bucket.list("none", chunk_size=1)), None))
        except StoreError:
            return "clip bucket"
        return self.parts.fault()

    def _upload(self, sha256: str, path: Path) -> None:
        """What is as long there as here was checked by its SHA-256 on the way (see `_bucket`)."""
        size = path.stat().st_size
        self._asked(lambda: self._bucket.put(_name(sha256), path))
        if self._size(_name(sha256)) != size:
            raise StoreError(f"clip {sha256} arrived in {self._name} with other than its {size} bytes: tried again")

    def _fetched(self, name: str, sha256: str | None = None) -> Path | None:
        """The cached file, brought here where it is not; None where the bucket has none."""
        path = self._cached(name)
        with suppress(FileNotFoundError):
            os.utime(path)
            return path
        if self._size(name) is None:
            return None
        with appearing(self._room_for(name)) as file:
            self._download(name, file)
            file.flush()
            if sha256 is not None and digest(Path(file.name)) != sha256:
                raise ClipLost(f"clip {sha256} in {self._name} is damaged: restore it from a backup")
        self._bound_cache()
        return path

    def _download(self, name: str, file: IO[bytes]) -> bool:
        def read() -> bool:
            found = _or_none(lambda: self._bucket.get(name))
            for chunk in found or ():
                file.write(chunk)
            return found is not None

        return self._asked(read)

    def _lost(self, sha256: str) -> ClipLost:
        return ClipLost(f"clip {sha256} is not in {self._name}: restore it from a backup or ask its station again")

    def _size(self, name: str) -> int | None:
        found = self._asked(lambda: _or_none(lambda: self._bucket.head(name)))
        return None if found is None else found["size"]

    def _asked(self, question: Callable[[], T]) -> T:
        try:
            return question()
        except (BaseError, OSError) as error:
            reason = str(error).split("\n", 1)[0]
            raise StoreError(f"{self._name} cannot be used ({reason}): check store, [s3] and the server") from error

    def _cached(self, name: str) -> Path:
        return self._cache / name.removeprefix("clips/")

    def _room_for(self, name: str) -> Path:
        path = self._cached(name)
        try:
            path.parent.mkdir(exist_ok=True)
        except OSError as error:
            raise durable.failure(path, error) from error
        return path

    def _bound_cache(self) -> None:
        """The least lately used go until the rest fits."""
        found = sorted((path.stat().st_mtime, path.stat().st_size, path) for path in self._cache.glob("??/*"))
        over = sum(size for _, size, _ in found) - self._cache_bytes
        for used_at, size, path in found:
            if over <= 0 or used_at > time.time() - IN_USE_S:
                return
            path.unlink(missing_ok=True)
            over -= size


def _bucket(bucket: str, prefix: str, settings: BucketConfig, key: tuple[str | None, str | None]) -> S3Store:
    """SHA256 as checksum: the server refuses what does not arrive as it was sent."""
    named = {
        "endpoint": settings.endpoint,
        "region": settings.region,
        "access_key_id": key[0],
        "secret_access_key": key[1],
    }
    config = cast("S3Config", {name: value for name, value in named.items() if value is not None})
    return S3Store(
        bucket,
        prefix=prefix or None,
        config=config,
        checksum_algorithm="SHA256",
        virtual_hosted_style_request=settings.endpoint is None,
        client_options={
            "allow_http": (settings.endpoint or "").startswith("http://"),
            "connect_timeout": timedelta(seconds=CONNECT_S),
            "timeout": timedelta(seconds=ANSWER_S),
        },
        retry_config={"max_retries": RETRIES, "retry_timeout": timedelta(seconds=RETRY_S)},
    )


def _name(sha256: str, suffix: str = SUFFIX) -> str:
    return f"clips/{sha256[:2]}/{sha256}{suffix}"


def _or_none(question: Callable[[], T]) -> T | None:
    try:
        return question()
    except FileNotFoundError:
        return None
