"""`cloud backup`: the cloud's rows and clips -> a folder that either kind of database and store is restored from.

The rows go into an SQLite file, read in one transaction, so ingest and pages go on meanwhile. Clips are known by their
hash: only those that are not there yet are copied. The manifest comes last; without it there is no backup.
"""

import argparse
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from cloud_sync import config as cloud_config
from cloud_sync import counters, db
from cloud_sync.alone import alone
from cloud_sync.folder_store import FolderStore, digest
from cloud_sync.partial_clips import ClipLost
from cloud_sync.store import ClipStore, open_store
from cloud_sync.tables import APPEND_ONLY, clips, metadata
from edge_agent import durable
from edge_agent.errors import StoreError
from edge_agent.messages import Sha256

MANIFEST = "manifest.json"
BUNDLES = "bundles"
"""Folder of bundles' files, in data_dir and in the backup."""
COUNTER = "backup"
"""What /metrics is told stands under it: a backup that fails night after night has to be noticed."""
CHUNK = 1000
log = logging.getLogger(__name__)


class RowCount(msgspec.Struct, frozen=True):
    """How many rows of a table."""

    table: str
    rows: int


class Backup(msgspec.Struct, frozen=True):
    """The manifest of a backup: what is whole in its folder."""

    made_at: str
    """UTC, ISO 8601: what was committed by then is in it."""
    database: str
    """The SQLite file in the folder."""
    bytes: int
    sha256: Sha256
    rows: tuple[RowCount, ...]
    clips: int
    clip_bytes: int
    lost_clips: tuple[Sha256, ...] = ()
    """Said to be stored, but gone or damaged when the backup was made."""
    bundles: int = 0
    """Files; earlier versions kept none."""
    schema: Literal["tankwatch/backup/1"] = "tankwatch/backup/1"

    def count(self, table: str) -> int:
        return sum(each.rows for each in self.rows if each.table == table)


def backup(argv: list[str]) -> int:
    """`tankwatch cloud backup --config cloud.toml --out DIR`"""
    parser = argparse.ArgumentParser(prog="tankwatch cloud backup", description="Rows and clips into a folder.")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="cloud.toml")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder; the same one each time")
    parser.add_argument("--json", action="store_true", help="print the manifest as one JSON object")
    options = parser.parse_args(argv)
    config = cloud_config.load(options.config)
    engine, now = db.open_database(config), db.now()
    made = make(engine, open_store(config), options.out, now, bundles=config.folder / BUNDLES)
    with engine.begin() as connection:
        counters.put(connection, f"{COUNTER}.begun_at", int(now))
    engine.dispose()
    print(f"backup of {made.made_at} in {options.out}: {words(made)}", file=sys.stderr)
    if options.json:
        print(msgspec.json.encode(made).decode())
    return 0


def words(made: Backup) -> str:
    """What a backup holds, for a person."""
    lost = f"; {len(made.lost_clips)} clips were gone or damaged in the store" if made.lost_clips else ""
    judged = f"{made.count('cases')} cases, {made.count('reviews')} judgements"
    return f"{judged}, {made.clips} clips of {made.clip_bytes / 1e6:.0f} MB, {made.bundles} bundles{lost}"


def make(engine: Engine, store: ClipStore, folder: Path, now: float, *, bundles: Path) -> Backup:
    """A whole backup in `folder`, in place of the one before; may run again when it broke off. Raises StoreError.

    `bundles`: where the files of the registry's bundles lie.
    """
    with alone(
        folder / "backup.lock", f"another backup into {folder} is under way: wait for it, or name another folder"
    ):
        before = _read(folder)
        _remove_leftovers(folder, before)
        moment = datetime.fromtimestamp(now, UTC)
        database = folder / f"database-{moment:%Y%m%dT%H%M%S%f}Z.db"
        counts = _dump(engine, database)
        durable.sync(database)
        held, lost = _copy_clips(database, store, FolderStore(folder))
        copied = copy_bundles(bundles, folder / BUNDLES)
        made = Backup(
            made_at=moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            database=database.name,
            bytes=database.stat().st_size,
            sha256=digest(database),
            rows=tuple(RowCount(str(table), rows) for table, rows in counts.items()),
            clips=len(held),
            clip_bytes=sum(held.values()),
            lost_clips=tuple(lost),
            bundles=copied,
        )
        durable.write(folder / MANIFEST, msgspec.json.format(msgspec.json.encode(made), indent=1))
        _remove_leftovers(folder, made)
    return made


def read(folder: Path) -> Backup:
    """The backup in `folder`, its database file checked. Raises StoreError where it is not whole."""
    made = _read(folder)
    if made is None:
        raise StoreError(f"{folder} holds no whole backup, its {MANIFEST} is missing: name another, or make one again")
    database = folder / made.database
    if not database.is_file() or digest(database) != made.sha256:
        raise StoreError(f"backup {database} is missing or damaged: use another backup")
    return made


def copy_rows(source: sa.Connection, target: sa.Connection) -> dict[str, int]:
    """Every row of every table, in place of those that the migrations have put there. How many, by table."""
    for table in reversed(metadata.sorted_tables):
        if table.name not in APPEND_ONLY:
            target.execute(sa.delete(table))
    counts: dict[str, int] = {}
    for table in metadata.sorted_tables:
        counts[str(table.name)] = 0
        found = source.execute(sa.select(table).execution_options(yield_per=CHUNK))
        for rows in found.partitions():
            db.insert_rows(target, table, [row._asdict() for row in rows])
            counts[str(table.name)] += len(rows)
    return counts


def copy_bundles(source: Path, target: Path) -> int:
    """Each bundle's file under its hash that is not in `target` yet; how many are there then. Raises StoreError."""
    found = sorted(source.glob("*.bundle")) if source.is_dir() else []
    try:
        target.mkdir(parents=True, exist_ok=True)
        for path in found:
            if not (target / path.name).is_file() or digest(target / path.name) != path.stem:
                _copy_bundle(path, target / path.name)
    except OSError as error:
        raise durable.failure(target, error) from error
    return len(list(target.glob("*.bundle")))


def _copy_bundle(path: Path, target: Path) -> None:
    if digest(path) == path.stem:
        durable.write(target, path.read_bytes())
    else:
        log.warning("bundle=%s is damaged: not copied", path.name)


def _read(folder: Path) -> Backup | None:
    path = folder / MANIFEST
    try:
        return msgspec.json.decode(path.read_bytes(), type=Backup)
    except FileNotFoundError:
        return None
    except (msgspec.DecodeError, OSError) as error:
        raise StoreError(f"{path} is no manifest of a backup ({error}): set it aside or name another folder") from error


def _dump(engine: Engine, database: Path) -> dict[str, int]:
    """As of one moment, whatever is written meanwhile."""
    copy = db.open_url(f"sqlite:///{database}")
    try:
        with _snapshot(engine) as source, copy.begin() as target:
            counts = copy_rows(source, target)
        with copy.connect() as connection:
            # One file, without a log beside it.
            connection.exec_driver_sql("PRAGMA journal_mode=DELETE")
    finally:
        copy.dispose()
    return counts


@contextmanager
def _snapshot(engine: Engine) -> Iterator[sa.Connection]:
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN")
        else:
            connection = connection.execution_options(isolation_level="REPEATABLE READ")
        yield connection
        connection.rollback()


def _copy_clips(database: Path, store: ClipStore, target: FolderStore) -> tuple[dict[str, int], list[str]]:
    """Clips that the rows call stored: bytes of those in the backup, and those that nobody has any more."""
    engine = sa.create_engine(f"sqlite:///{database}")
    with engine.connect() as connection:
        wanted = connection.execute(
            sa.select(clips.c.sha256, clips.c.bytes).where(clips.c.state == "stored").order_by(clips.c.sha256)
        ).all()
    engine.dispose()
    held, lost = {}, []
    for sha256, size in wanted:
        if target.holds(sha256) or _copy_clip(store, sha256, target):
            held[sha256] = size
        else:
            lost.append(sha256)
            log.warning("clip=%s is gone from the store or damaged: not in the backup", sha256)
    return held, lost


def _copy_clip(store: ClipStore, sha256: str, target: FolderStore) -> bool:
    """False where the store has lost it. Raises StoreError where the store or the backup's disk refuse."""
    path = target.parts.path(sha256)
    try:
        with open(path, "wb") as file:
            store.copy(sha256, file)
    except ClipLost:
        target.parts.discard(sha256)
        return False
    except OSError as error:
        raise durable.failure(path, error) from error
    return target.finish(sha256)


def _remove_leftovers(folder: Path, made: Backup | None) -> None:
    """Database files that no manifest names: an older backup's, or one that was interrupted."""
    for path in folder.glob("database-*.db*"):
        if made is None or path.name != made.database:
            durable.remove(path)
