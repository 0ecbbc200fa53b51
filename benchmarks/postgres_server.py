"""A PostgreSQL of our own, for tests and drills, on a Unix socket in a temporary folder; it goes with who started it.

Names sort by ICU's en-US, unlike SQLite's by bytes: whoever relies on an order of the database's own shows here.
"""

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psycopg
import sqlalchemy as sa

from cloud_sync import db
from edge_agent.child import end_with_parent

READY_S = 30.0
MEMORY_BYTES = 4 << 30
SAFE = {"synchronous_commit": "on", "full_page_writes": "on"}
"""Of a server that is stopped under way: what it has committed is there when it starts again."""
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "60",
    "shared_buffers": "16MB",
    "autovacuum": "off",
}


def programs() -> Path | None:
    """The newest PostgreSQL's folder of programs; None where it is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


class PostgresServer:
    """The server does not run as root: there it becomes the user of Debian's package. `settings`: beside SETTINGS."""

    def __init__(self, bin_folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self._bin, self._settings = bin_folder, SETTINGS | dict(settings or {})
        # A socket's path has 107 letters at most. In memory where there is enough: dozens of databases are many files.
        memory = Path("/dev/shm")
        roomy = memory.is_dir() and shutil.disk_usage(memory).free > MEMORY_BYTES
        self.folder = Path(tempfile.mkdtemp(prefix="tankwatch-pg-", dir=memory if roomy else None))
        self._user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        if self._user:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        self._numbers = itertools.count(1)
        self._template: str | None = None
        self._make_data()
        self._process = self._serve()

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://tankwatch@/{database}?host={self.folder}"

    def new_database(self, *, empty: bool = False) -> str:
        """URL of a database with today's tables, or with none."""
        name = f"cloud{next(self._numbers)}"
        if empty:
            self._run(f'CREATE DATABASE "{name}"')
            return self.url(name)
        if self._template is None:
            template = self.new_database(empty=True)
            db.open_url(template).dispose()
            self._template = sa.make_url(template).database
        self._run(f'CREATE DATABASE "{name}" TEMPLATE "{self._template}"')
        return self.url(name)

    def go_away(self) -> None:
        """At once, as if it had been killed: connections break, nobody can connect."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(READY_S)

    def come_back(self) -> None:
        """With what was committed before."""
        self._process = self._serve()

    def stop(self) -> None:
        """Nobody wants its data any more."""
        self.go_away()
        shutil.rmtree(self.folder)

    def _make_data(self) -> None:
        data = self.folder / "data"
        locale = ["--locale-provider=icu", "--icu-locale=en-US", "--locale=C.UTF-8", "--encoding=UTF8"]
        self._checked("initdb", "-D", str(data), "-U", "tankwatch", "--auth=trust", "--no-sync", *locale)

    def _serve(self) -> subprocess.Popen:
        settings = self._settings | {"unix_socket_directories": str(self.folder)}
        arguments = [text for name, value in settings.items() for text in ("-c", f"{name}={value}")]
        with open(self.folder / "server.log", "wb") as log:
            process = subprocess.Popen(
                [self._bin / "postgres", "-D", self.folder / "data", *arguments],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self.folder,
                preexec_fn=self._as_user,
            )
        deadline = time.monotonic() + READY_S
        while True:
            with suppress(psycopg.OperationalError):
                self._run("SELECT 1")
                return process
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.folder / "server.log").read_text())
            time.sleep(0.05)

    def _run(self, statement: str) -> None:
        with psycopg.connect(f"user=tankwatch dbname=postgres host={self.folder}", autocommit=True) as connection:
            connection.execute(statement)

    def _checked(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._bin / program, *arguments], capture_output=True, text=True, cwd=self.folder, preexec_fn=self._as_user
        )
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stderr}")

    def _as_user(self) -> None:
        if self._user:
            os.setgroups([])
            os.setgid(self._user.pw_gid)
            os.setuid(self._user.pw_uid)
        end_with_parent()
