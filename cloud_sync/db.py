"""A database URL -> an engine whose tables are there and up to date; SQLite as safe as it can be.

The tables are in `tables`, their history in migrations/. Nothing else here knows what is stored.
"""

import fcntl
import functools
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Engine

from cloud_sync.config import CloudConfig
from edge_agent.errors import StoreError

MIGRATIONS = Path(__file__).with_name("migrations")
BUSY_MS = 30_000


def open_database(config: CloudConfig) -> Engine:
    """The cloud's database, made or upgraded where needed. Raises StoreError with fact and cure."""
    try:
        config.folder.mkdir(parents=True, exist_ok=True)
        with _only_one(config.folder / "upgrade.lock"):
            return open_url(config.database_url)
    except OSError as error:
        raise StoreError(
            f"data folder {config.folder} is not usable ({error.strerror}): check data_dir and its owner"
        ) from error


def open_url(url: str) -> Engine:
    """As above, without the lock that keeps two processes from upgrading at once."""
    try:
        engine = sa.create_engine(url)
        if engine.dialect.name == "sqlite":
            _make_safe(engine)
        _upgrade(engine)
    except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError, ModuleNotFoundError) as error:
        raise StoreError(f"database URL {_hidden(url)} is not usable: {error}: see docs/review.md") from error
    except sa.exc.DatabaseError as error:
        raise StoreError(
            f"database {_hidden(url)} cannot be opened ({error.orig}): restore it or set it aside"
        ) from error
    return engine


def insert_rows(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, object]]) -> None:
    """Rows with a value for every column, None included, as Python's own numbers, text and bytes.

    The statement is compiled once and the driver takes the values as they are: SQLAlchemy's look at each of them cost
    as much as SQLite's writing (`bench ingest`). Raises SQLAlchemy's DatabaseError.
    """
    statement, names = _compiled_insert(table, connection.dialect)
    values = [tuple(row[name] for name in names) for row in rows] if names else list(rows)
    connection.exec_driver_sql(statement, values)


@functools.lru_cache(maxsize=32)
def _compiled_insert(table: sa.Table, dialect: sa.Dialect) -> tuple[str, tuple[str, ...]]:
    """The statement, and its columns in order; none where the driver wants them by name."""
    compiled = sa.insert(table).compile(dialect=dialect, column_keys=table.columns.keys())
    return str(compiled), tuple(compiled.positiontup or ())


def now() -> float:
    """UTC, seconds since 1970: when the cloud saw something."""
    return time.time()


def _make_safe(engine: Engine) -> None:
    """WAL with synchronous=NORMAL lost acknowledged rows at power cuts, FULL lost none (docs/decisions)."""

    @sa.event.listens_for(engine, "connect")
    def _configure(connection, _record) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY_MS}"):
            connection.execute(f"PRAGMA {pragma}")


def _upgrade(engine: Engine) -> None:
    alembic = Config()
    alembic.set_main_option("script_location", str(MIGRATIONS))
    wanted = ScriptDirectory.from_config(alembic).get_current_head()
    with engine.connect() as connection:
        present = MigrationContext.configure(connection).get_current_revision()
        connection.rollback()
        if present == wanted:
            return
        if present is not None:
            _back_up(engine, present)
        alembic.attributes["connection"] = connection
        command.upgrade(alembic, "head")
        connection.commit()


def _back_up(engine: Engine, revision: str) -> None:
    """SQLite only: a copy as it was before the upgrade. A server's database is backed up by whoever runs the server."""
    path = engine.url.database
    if engine.dialect.name != "sqlite" or not path:
        return
    copy = Path(f"{path}.before-upgrade-of-{revision}")
    copy.unlink(missing_ok=True)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("VACUUM INTO :copy"), {"copy": str(copy)})


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _hidden(url: str) -> str:
    """The URL without its password."""
    try:
        return sa.make_url(url).render_as_string(hide_password=True)
    except sa.exc.ArgumentError:
        return repr(url[:40])
