"""A cloud with pages, and browsers without a window that fill in forms with their token."""

import functools
import re
import tempfile
from pathlib import Path

import msgspec
from cloud_fakes import a_case, a_clip, case_message, clip_messages
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from cloud_sync import accounts, db, tokens
from cloud_sync.accounts import Act
from cloud_sync.config import CloudConfig
from cloud_sync.intake import Intake
from cloud_sync.roles import ROLES, Role
from cloud_sync.store import FolderStore
from cloud_sync.web import create_app

PASSWORD = "correct horse battery"
OURS = {"Origin": "http://localhost"}
"""What a browser says of a form on our own page."""


class Desk:
    """One user of each role, named like it."""

    def __init__(self, folder: Path, **changes) -> None:
        self.folder = folder
        self.config = msgspec.structs.replace(CloudConfig(data_dir=str(folder / "cloud")), **changes)
        self.config.folder.mkdir()
        (self.config.folder / "cloud.db").write_bytes(_database())
        self.app = create_app(self.config)
        self.engine = self.app.extensions["tankwatch"].engine

    def case(self, sequence: int = 1, *, with_clip: bool = True, **about) -> str:
        case_id, path = a_case(sequence).case_id, self.folder / f"{sequence}.twclip"
        ref = a_clip(path, frames=4, case_id=case_id, size=(96, 240)) if with_clip else None
        messages = [case_message(a_case(sequence, clip=ref, **about))]
        messages += clip_messages(path, case_id) if with_clip else []
        Intake(self.engine, FolderStore(self.config.folder), max_clip_bytes=10_000_000).handle(messages, db.now())
        return case_id

    def browser(self, name: str | None = None) -> "Browser":
        browser = Browser(self.app.test_client())
        if name is not None:
            assert browser.sign_in(name, PASSWORD).status_code == 302
        return browser

    def token(self, role: Role, *, name: str | None = None, days: int = 1, now: float | None = None) -> dict[str, str]:
        """The header of a new token."""
        with self.engine.begin() as connection:
            act = Act(at=db.now() if now is None else now)
            secret = tokens.add(connection, name or f"a-{role}", role, days, act=act)
        return {"Authorization": f"Bearer {secret}"}


class Browser:
    """Keeps cookies and sends the token of the page that it stands on."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client

    def get(self, path: str, **more) -> TestResponse:
        return self.client.get(path, **more)

    def text(self, path: str) -> str:
        answer = self.get(path)
        assert answer.status_code == 200, path
        return answer.get_data(as_text=True)

    def send(self, path: str, fields: dict[str, str], *, on: str | None = None) -> TestResponse:
        """Posts the form of the page `on`, by default of the same address."""
        page = self.client.get(on or path.split("?")[0]).get_data(as_text=True)
        return self.post(path, {"csrf_token": token_in(page), **fields})

    def post(self, path: str, fields: dict[str, str]) -> TestResponse:
        return self.client.post(path, data=fields, headers=OURS)

    def sign_in(self, name: str, password: str) -> TestResponse:
        return self.send("/login", {"name": name, "password": password})


@functools.cache
def _database() -> bytes:
    """With the users; made once, because making its tables takes longer than most tests."""
    with tempfile.TemporaryDirectory() as folder:
        engine = db.open_database(CloudConfig(data_dir=folder))
        for role in ROLES:
            accounts.add_user(engine, role, PASSWORD, role, now=1.0)
        engine.dispose()  # the last connection to leave puts everything into the one file
        return (Path(folder) / "cloud.db").read_bytes()


def token_in(page: str) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found is not None
    return found[1]


def quick_passwords():
    """argon2id as it is, but with little memory: tests sign in dozens of times. A fixture's body."""
    import pytest
    from argon2 import PasswordHasher

    patch = pytest.MonkeyPatch()
    patch.setattr(accounts, "PasswordHasher", lambda: PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
    accounts._nobodys_hash.cache_clear()
    yield
    patch.undo()
    accounts._nobodys_hash.cache_clear()
