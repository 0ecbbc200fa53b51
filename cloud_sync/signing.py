"""The signed repository (TUF) that devices fetch from: a folder with metadata/ and targets/, changed under one lock.

What counts is what timestamp.json leads to, and that is written last: a kill at any moment leaves the state before, and
the next change begins from there. `signing_keys` keeps the keys, `signed_state` reads and signs the metadata.
"""

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tuf.api.metadata import TargetFile

from cloud_sync import signed_state
from cloud_sync.config import CloudConfig
from cloud_sync.signed_state import ROLES, Books
from edge_agent import durable
from edge_agent.offered import bundle_target, station_target


def begin(config: CloudConfig, now: float) -> bool:
    """Keys and an empty repository; what an interruption has left is completed. False where there is one already."""
    with _locked(config):
        if Books.exists(config.updates_path):
            return False
        books = signed_state.first_books(config, now)
        books.publish(ROLES, now)
        return True


def put_bundle(config: CloudConfig, sha256: str, data: bytes, now: float) -> bool:
    """The bundle is offered to devices. False where it is already."""
    return put(config, {bundle_target(sha256): data}, now)


def put_station_file(config: CloudConfig, place: tuple[str, str], name: str, data: bytes, now: float) -> bool:
    """The newest `name` for the station at (site, station). False where it has these bytes already."""
    return put(config, {station_target(*place, name): data}, now)


def put(config: CloudConfig, files: Mapping[str, bytes], now: float, *, drop: frozenset[str] = frozenset()) -> bool:
    """All of these targets are offered from one moment on, and those of `drop` no longer. False where nothing changes.

    Raises ConfigError where there is no repository or no key for the role, StoreError where the disk refuses.
    """
    with _locked(config):
        books = Books.load(config)
        changed = {role for path, data in files.items() if (role := _put(books, path, data))}
        changed |= {role for path in drop - files.keys() if (role := books.drop(path))}
        if changed:
            books.publish(changed, now)
        return bool(changed)


def refresh(config: CloudConfig, now: float) -> list[str]:
    """Signs again what ends soon, and completes what was interrupted; gives what a person has to do, in words."""
    with _locked(config):
        books = Books.load(config)
        books.publish((), now)
        _sweep(books, config, now)
        return books.worries(now)


def rotate(config: CloudConfig, role: str, now: float) -> None:
    """New keys for `role`; what its old ones sign counts no longer, on a device from its next look on."""
    with _locked(config):
        signed_state.exchange(Books.load(config), role, now)


def _put(books: Books, path: str, data: bytes) -> str | None:
    """The file lies in targets/ before any metadata name it; the role that has to name it, where that is news."""
    info = TargetFile.from_data(path, data, ["sha256"])
    if books.target(path) == info:
        return None
    file = books.folder / "targets" / info.get_prefixed_paths()[0]
    _make_folder(file.parent)
    durable.write(file, data)
    return books.offer(info)


def _sweep(books: Books, config: CloudConfig, now: float) -> None:
    """Files that no valid snapshot can name any more are gone."""
    needed = {books.folder / "targets" / info.get_prefixed_paths()[0] for info in books.targets().values()}
    old_s = config.updates.snapshot_days * 86_400
    for path in (books.folder / "targets").glob("**/*"):
        if path.is_file() and path not in needed and now - path.stat().st_mtime > old_s:
            durable.remove(path)
    for path in (books.folder / "metadata").glob("[0-9]*.json"):
        kept = path.name in books.current_names() or path.name.endswith(".root.json")
        if not kept and now - path.stat().st_mtime > old_s:
            durable.remove(path)


@contextmanager
def _locked(config: CloudConfig) -> Iterator[None]:
    """One process changes the repository at a time; the others wait."""
    folder = config.updates_path
    for part in ("metadata", "targets"):
        _make_folder(folder / part)
    with open(folder / "lock", "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise durable.failure(folder, error) from error
