"""Bytes -> a file that survives a power cut: temporary file in the same folder, fsync, replace, fsync of the folder."""

import contextlib
import errno
import os
import shutil
import threading
from pathlib import Path

from edge_agent.errors import StoreError

TEMPORARY = ".tmp"
"""Ending of a file that is not whole yet; whatever carries it at start is left over from an interruption."""
RECORD_ROOM_BYTES = 16 << 20
"""What is left of a disk belongs to records: four thousand of them, and what SQLite needs to take them."""
READ_ONLY = "mount the disk for writing; one that became read-only by itself is damaged ('dmesg' says more)"


def write(path: Path, data: bytes) -> None:
    """`path` holds `data` or what it held before, at every moment. Raises StoreError (disk full, not writable)."""
    temporary = path.with_name(path.name + TEMPORARY)
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as error:
        let_go(temporary)
        raise failure(path, error) from error


def sync(path: Path) -> None:
    """The file's bytes are on the disk. Raises StoreError; the file is removed then, for nobody knows what it holds."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        let_go(path)
        raise failure(path, error) from error


def write_first(path: Path, data: bytes) -> None:
    """`path` holds what the first of several processes wrote, whole; the others change nothing. Raises StoreError."""
    temporary = path.with_name(f"{path.name}-{os.getpid()}-{threading.get_ident()}{TEMPORARY}")
    try:
        write(temporary, data)
        os.link(temporary, path)
    except (OSError, StoreError) as error:
        # Where another was first, its word holds.
        if not path.exists():
            raise error if isinstance(error, StoreError) else failure(path, error) from error
    finally:
        # Those of the others too: they take this word, and one that was killed removes nothing itself.
        for left in path.parent.glob(f"{path.name}-*{TEMPORARY}") if path.exists() else [temporary]:
            let_go(left)
    sync_folder(path.parent)


def move(source: Path, target: Path) -> None:
    """A file whose bytes are already synced gets its final name for good. Raises StoreError."""
    try:
        os.replace(source, target)
        sync_folder(target.parent)
    except OSError as error:
        raise failure(target, error) from error


def remove(path: Path) -> None:
    """`path` is gone; it may have been gone before. Raises StoreError."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise failure(path, error) from error


def let_go(path: Path) -> None:
    """Removes what is of no more use, where the disk lets it: it may have become read-only by then."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Names in `folder` are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def leave_room(path: Path) -> None:
    """Raises StoreError where what is free beside `path` is needed for records."""
    try:
        free = shutil.disk_usage(path.parent).free
    except OSError as error:
        raise failure(path, error) from error
    if free < RECORD_ROOM_BYTES:
        raise StoreError(
            f"{path} is not written on ({free / 1e6:.0f} MB are free, the last {RECORD_ROOM_BYTES / 1e6:.0f} MB are "
            "kept for records): free space"
        )


def failure(path: Path, error: OSError) -> StoreError:
    """What a person can do about an OSError on `path`."""
    folder = path if path.is_dir() else path.parent
    free = f"{shutil.disk_usage(folder).free / 1e6:.0f} MB free" if folder.is_dir() else "folder is missing"
    cure = READ_ONLY if error.errno == errno.EROFS else f"free space or check who owns {folder}"
    return StoreError(f"{path} cannot be written ({error.strerror or error}; {free}): {cure}")
