"""A database URL -> an engine whose tables are there and up to date; SQLite as safe as it can be.

The tables are in `tables`, their history in migrations/. Nothing else here knows what is stored.
"""

import fcntl
import functools
import operator
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
MAPPED_BYTES = 2**31 - 1
"""SQLite's own most. Each commit of another process empties a connection's cache, so that at 200 messages a second
every page of a search was read anew; mapped, it is there (`bench review`)."""


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


def open_url(url: str, revision: str = "head") -> Engine:
    """The database at this URL, with the tables of `revision`. Raises StoreError."""
    try:
        engine = sa.create_engine(url, pool_pre_ping=not url.startswith("sqlite"))
        if engine.dialect.name == "sqlite":
            _make_safe(engine)
        migrate(engine, revision)
    except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError, ModuleNotFoundError) as error:
        raise StoreError(f"database URL {_hidden(url)} is not usable: {error}: see docs/review.md") from error
    except sa.exc.DatabaseError as error:
        raise _unopened(url, error) from error
    return engine


def revision(url: str) -> str | None:
    """Of the tables that are there, which are left as they are; None where none are. Raises StoreError."""
    if url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).exists():
        return None
    try:
        engine = sa.create_engine(url)
        with engine.connect() as connection:
            return _present(connection)
    except sa.exc.DatabaseError as error:
        raise _unopened(url, error) from error


def migrate(engine: Engine, revision: str = "head") -> None:
    """The tables as they were at `revision`, with what fits of the rows; with one commit. Raises StoreError.

    Whichever of several processes comes first does it; the others wait.
    """
    with engine.connect() as connection:
        present = _present(connection)
        connection.rollback()
        if present == (_scripts().get_current_head() if revision == "head" else revision):
            return
        if present is not None:
            keep_copy(engine, f"before-upgrade-of-{present}")
        take_turns(connection, ["migrations"])
        migrate_here(connection, revision)
        connection.commit()


def migrate_here(connection: sa.Connection, revision: str = "head") -> None:
    """As above, as a part of the caller's transaction."""
    present, known = _present(connection), _known()
    alembic = Config(attributes={"connection": connection})
    alembic.set_main_option("script_location", str(MIGRATIONS))
    back = revision == "base" or (
        revision in known and present is not None and known.index(revision) > known.index(present)
    )
    (command.downgrade if back else command.upgrade)(alembic, revision)


def take_turns(connection: sa.Connection, names: Iterable[str]) -> None:
    """Nobody else who names any of `names` goes on until this transaction ends; all are named at once.

    What is read afterwards holds until the commit. SQLite has one writer at a time, whatever is named.
    """
    if connection.dialect.name == "sqlite":
        driver = connection.connection.driver_connection
        if driver is None or not driver.in_transaction:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        return
    locks = sa.text(
        "SELECT count(pg_advisory_xact_lock(hashtextextended(name, 0))) FROM unnest(CAST(:names AS text[])) AS name"
    )
    connection.execute(locks, {"names": sorted(names)})


def insert_rows(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, object]]) -> None:
    """Rows with a value for every column, None included, as Python's own numbers, text and bytes.

    The statement is compiled once and the driver takes the values as they are: SQLAlchemy's look at each of them cost
    as much as SQLite's writing (`bench ingest`). Raises SQLAlchemy's DatabaseError.
    """
    statement, positional = _compiled_insert(table, connection.dialect)
    if positional:
        connection.exec_driver_sql(statement, list(map(operator.itemgetter(*positional), rows)))
    else:
        named = [column.key for column in table.columns]
        connection.exec_driver_sql(statement, [{name: row[name] for name in named} for row in rows])


@functools.lru_cache(maxsize=128)
def _compiled_insert(table: sa.Table, dialect: sa.Dialect) -> tuple[str, tuple[str, ...]]:
    """The statement, and its columns in order; none where the driver wants them by name."""
    compiled = sa.insert(table).inline().compile(dialect=dialect, column_keys=table.columns.keys())
    return str(compiled), tuple(compiled.positiontup or ())


def keep_copy(engine: Engine, why: str) -> Path | None:
    """SQLite only: a copy beside the file, as it is now. A server's database is kept by whoever runs the server."""
    path = engine.url.database
    if engine.dialect.name != "sqlite" or not path:
        return None
    copy = Path(f"{path}.{why}")
    copy.unlink(missing_ok=True)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("VACUUM INTO :copy"), {"copy": str(copy)})
    return copy


def now() -> float:
    """UTC, seconds since 1970: when the cloud saw something."""
    return time.time()


def _make_safe(engine: Engine) -> None:
    """WAL with synchronous=NORMAL lost acknowledged rows at power cuts, FULL lost none (docs/decisions)."""

    @sa.event.listens_for(engine, "connect")
    def _configure(connection, _record) -> None:
        safe = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY_MS}")
        for pragma in (*safe, f"mmap_size={MAPPED_BYTES}"):
            connection.execute(f"PRAGMA {pragma}")


def _scripts() -> ScriptDirectory:
    alembic = Config()
    alembic.set_main_option("script_location", str(MIGRATIONS))
    return ScriptDirectory.from_config(alembic)


def _known() -> list[str]:
    """The newest first."""
    return [script.revision for script in _scripts().walk_revisions()]


def _present(connection: sa.Connection) -> str | None:
    present, known = MigrationContext.configure(connection).get_current_revision(), _known()
    if present is not None and present not in known:
        raise StoreError(
            f"database is at version {present}, this program knows up to {known[0]}: install the newer program again"
        )
    return present


def _unopened(url: str, error: sa.exc.DatabaseError) -> StoreError:
    reason = str(error.orig).strip().split("\n", 1)[0]
    cure = "restore it or set it aside" if url.startswith("sqlite") else "check that the server runs, and the address"
    return StoreError(f"database {_hidden(url)} cannot be opened ({reason}): {cure}")


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
