"""`cloud restore`: a backup's folder -> the cloud that cloud.toml names, of whichever kind its database and store are.

Clips come first, by their hash; then all rows with one commit, so that a restore which breaks off has changed nothing.
What the database held before is kept beside it. What the devices sent after the backup, `cloud resend` asks for again.
"""

import argparse
import logging
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from cloud_sync import audit_log, clip_index, db
from cloud_sync import backup as backups
from cloud_sync import config as cloud_config
from cloud_sync.backup import Backup, copy_rows
from cloud_sync.clip_index import Mended
from cloud_sync.config import CloudConfig
from cloud_sync.folder_store import FolderStore
from cloud_sync.partial_clips import ClipLost
from cloud_sync.store import ClipStore, open_store
from cloud_sync.tables import clips, metadata, sessions
from edge_agent.errors import StoreError

FIRST_ROWS = ("kinds", "counters", "audit_end")
"""Tables that are not empty in a new database."""
log = logging.getLogger(__name__)


class Restored(msgspec.Struct, frozen=True):
    """What a restore led to."""

    backup: Backup
    kept: str | None
    """Where the rows of before are; None where there were none."""
    clips_copied: int
    clips_lost: int
    """Not in the store and not in the backup: the devices are asked for them."""


def restore(argv: list[str]) -> int:
    """`tankwatch cloud restore DIR --config cloud.toml [--force]`"""
    parser = argparse.ArgumentParser(prog="tankwatch cloud restore", description="A backup becomes the cloud.")
    parser.add_argument("folder", type=Path, metavar="DIR", help="what `cloud backup` has made")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="cloud.toml")
    parser.add_argument(
        "--force", action="store_true", help="also where the database is filled; its rows are kept aside"
    )
    parser.add_argument("--json", action="store_true", help="print what was done as one JSON object")
    options = parser.parse_args(argv)
    done = put_back(options.folder, cloud_config.load(options.config), force=options.force, now=db.now())
    print(_words(done), file=sys.stderr)
    if options.json:
        print(msgspec.json.encode(done).decode())
    return 0


def put_back(folder: Path, config: CloudConfig, *, force: bool, now: float) -> Restored:
    """Runs the restore. Raises StoreError: no whole backup, a filled database without `force`, disk or server."""
    made = backups.read(folder)
    engine, store = db.open_database(config), open_store(config)
    try:
        filled = _filled(engine)
        if filled and not force:
            raise StoreError(f"the database holds {filled} already: add --force, and it is kept aside and replaced")
        with _opened(folder / made.database) as source:
            copied = _copy_clips(source, FolderStore(folder), store)
            backups.copy_bundles(folder / backups.BUNDLES, config.folder / backups.BUNDLES)
            kept, mended = _replace(engine, source, store, keep=bool(filled), now=now)
    finally:
        engine.dispose()
    return Restored(made, kept, copied, len(mended.lost))


def _replace(
    engine: Engine, source: sa.Connection, store: ClipStore, *, keep: bool, now: float
) -> tuple[str | None, Mended]:
    """With one commit: the old tables aside, new ones, the backup's rows, and clips as the store has them."""
    aside = f"before_restore_{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}"
    copy = db.keep_copy(engine, aside) if keep else None
    with engine.begin() as connection:
        db.take_turns(connection, ["migrations"])
        if engine.dialect.name == "postgresql" and keep:
            _set_aside(connection, aside)
        else:
            db.migrate_here(connection, "base")
        db.migrate_here(connection)
        counts = copy_rows(source, connection)
        connection.execute(sa.delete(sessions))  # somebody may have signed out since
        _go_on_counting(connection)
        mended = clip_index.mend(connection, store, now)
        audit_log.note(connection, who="command line", did="restored", about=f"{counts['cases']} cases", now=now)
    return (str(copy) if copy else f"schema {aside}" if keep else None), mended


def _filled(engine: Engine) -> str:
    """What the database holds, for a person; empty where it holds nothing."""
    found = []
    with engine.connect() as connection:
        for table in metadata.sorted_tables:
            count = connection.scalar(sa.select(sa.func.count()).select_from(table))
            if count and table.name not in FIRST_ROWS:
                found.append(f"{count} {table.name}")
    return ", ".join(found)


@contextmanager
def _opened(database: Path) -> Iterator[sa.Connection]:
    """The backup's rows, brought up to today's tables in a copy: an older version's backup will do."""
    with tempfile.TemporaryDirectory(prefix="tankwatch-restore-") as folder:
        try:
            copy = shutil.copyfile(database, Path(folder) / "backup.db")
        except OSError as error:
            raise StoreError(f"{database} cannot be copied to {folder} ({error.strerror}): free space") from error
        engine = db.open_url(f"sqlite:///{copy}")
        with engine.connect() as connection:
            yield connection
        engine.dispose()


def _copy_clips(source: sa.Connection, backup: FolderStore, store: ClipStore) -> int:
    """Those that the store does not hold yet; a missing or damaged one is said and left out."""
    copied, held = 0, {sha256 for sha256, _ in store.held()}
    wanted = source.scalars(sa.select(clips.c.sha256).where(clips.c.state == "stored").order_by(clips.c.sha256))
    for sha256 in wanted.all():
        if sha256 in held:
            continue
        try:
            whole = store.put(sha256, backup.clip(sha256))
        except ClipLost:
            whole = False
        if not whole:
            log.warning("clip=%s is missing from the backup or damaged there", sha256)
        copied += whole
    return copied


def _set_aside(connection: sa.Connection, schema: str) -> None:
    """PostgreSQL: every table of ours, with its rows, into a schema of that name."""
    connection.exec_driver_sql(f'CREATE SCHEMA "{schema}"')
    ours = {*metadata.tables, "alembic_version"}
    for name in sorted(ours & set(sa.inspect(connection).get_table_names())):
        connection.exec_driver_sql(f'ALTER TABLE "{name}" SET SCHEMA "{schema}"')
    connection.exec_driver_sql(f'ALTER FUNCTION only_added_to() SET SCHEMA "{schema}"')


def _go_on_counting(connection: sa.Connection) -> None:
    """PostgreSQL: rows that came with their numbers did not move the counters that give the next ones."""
    if connection.dialect.name != "postgresql":
        return
    for table in metadata.sorted_tables:
        if "id" in table.c:
            highest = connection.scalar(sa.select(sa.func.max(table.c.id)))
            if highest is not None:
                setval = sa.func.setval(sa.func.pg_get_serial_sequence(table.name, "id"), highest)
                connection.execute(sa.select(setval))


def _words(done: Restored) -> str:
    kept = f"\nwhat the database held before is kept as {done.kept}" if done.kept else ""
    lost = f"\n{done.clips_lost} clips are in neither: they are asked for again" if done.clips_lost else ""
    return (
        f"restored the backup of {done.backup.made_at}: {backups.words(done.backup)}; "
        f"{done.clips_copied} clips copied{lost}{kept}\n"
        "start `cloud ingest`, then close the gap: ./tankwatch cloud resend STATION --config cloud.toml"
    )
