"""The two clouds that the same tests run against: SQLite with a folder, PostgreSQL with an S3-compatible bucket."""

import itertools
import logging
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from in_full import in_full

from benchmarks.postgres_server import PostgresServer, programs
from cloud_sync import db
from cloud_sync.config import BucketConfig, CloudConfig
from cloud_sync.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator

KINDS = ("sqlite-folder", "postgresql-s3")
NewCloud = Callable[..., CloudConfig]
"""A data folder, and further settings -> the settings of a cloud that is empty."""


@pytest.fixture(scope="session")
def postgres() -> "Iterator[PostgresServer]":
    """A server of the session's own; skipped where PostgreSQL is not installed."""
    found = programs()
    if found is None:
        pytest.skip("PostgreSQL is absent: install the package postgresql")
    server = PostgresServer(found)
    yield server
    server.stop()


class S3Server:
    """moto's S3 on this machine, with one bucket; each store in it gets a prefix of its own."""

    def __init__(self) -> None:
        from moto.server import ThreadedMotoServer

        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        host, port = self._server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        self.settings = BucketConfig(endpoint=endpoint, key_id_env="S3_TEST_ID", secret_env="S3_TEST_KEY")
        self._numbers = itertools.count(1)
        urllib.request.urlopen(urllib.request.Request(f"{endpoint}/clips", method="PUT")).close()

    def new_store(self) -> str:
        return f"s3://clips/cloud{next(self._numbers)}"

    def stop(self) -> None:
        self._server.stop()


@pytest.fixture(scope="session")
def s3() -> "Iterator[S3Server]":
    """A server of the session's own, with its key in the environment."""
    patch = pytest.MonkeyPatch()
    patch.setenv("S3_TEST_ID", "tests")
    patch.setenv("S3_TEST_KEY", "not a secret")
    server = S3Server()
    yield server
    server.stop()
    patch.undo()


@pytest.fixture(params=[KINDS[0], in_full(KINDS[1])])
def new_cloud(request: pytest.FixtureRequest) -> NewCloud:
    """Run by every test that asks for it against each kind; the second one in full runs alone, for the sake of time."""
    return maker(request, request.param)


def maker(request: pytest.FixtureRequest, kind: str) -> NewCloud:
    """How clouds of that kind are made."""
    if kind == "sqlite-folder":
        return lambda folder, **more: CloudConfig(data_dir=str(folder), **more)
    server, bucket = request.getfixturevalue("postgres"), request.getfixturevalue("s3")

    def make(folder: Path, **more: object) -> CloudConfig:
        config = CloudConfig(data_dir=str(folder), database=server.new_database(), store=bucket.new_store())
        return msgspec.structs.replace(config, s3=bucket.settings, **more)

    return make


def opened(config: CloudConfig) -> tuple:
    """The cloud's database and store."""
    return db.open_database(config), open_store(config)
