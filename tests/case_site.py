"""A cloud with pages and cases as they arrive, and browsers without a window: what tests of the case pages share."""

import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from cloud_fakes import a_case, a_clip, case_message, clip_messages
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from cloud_sync import accounts, db, judgement
from cloud_sync.config import CloudConfig
from cloud_sync.intake import Intake
from cloud_sync.judgement import Desk, Review
from cloud_sync.policy_file import load
from cloud_sync.store import FolderStore
from cloud_sync.web import create_app

PASSWORD = "correct horse battery"


@pytest.fixture(scope="session")
def quick_passwords() -> Iterator[None]:
    """argon2id as it is, but with little memory: these tests sign in dozens of times."""
    from argon2 import PasswordHasher

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accounts, "PasswordHasher", lambda: PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
        accounts._nobodys_hash.cache_clear()
        yield
    accounts._nobodys_hash.cache_clear()


class Browser:
    """Signed in; reads pages."""

    def __init__(self, client: FlaskClient, name: str) -> None:
        self._client = client
        token = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/login").get_data(as_text=True))
        assert token is not None
        answer = client.post("/login", data={"csrf_token": token[1], "name": name, "password": PASSWORD})
        assert answer.status_code == 302

    def get(self, path: str) -> TestResponse:
        return self._client.get(path)

    def text(self, path: str) -> str:
        answer = self.get(path)
        assert answer.status_code == 200, path
        return answer.get_data(as_text=True)


class Site:
    """An expert `erna`, a quality engineer `quinn`, and the cases that a test lets arrive."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.config = CloudConfig(data_dir=str(folder / "cloud"))
        self.app = create_app(self.config)
        self.engine = self.app.extensions["tankwatch"].engine
        self._intake = Intake(self.engine, FolderStore(self.config.folder), max_clip_bytes=10_000_000)
        for name, role in (("erna", "expert"), ("quinn", "quality")):
            accounts.add_user(self.engine, name, PASSWORD, role, now=1.0)

    def case(self, sequence: int, *, with_clip: bool = True, **about) -> str:
        case_id, path = a_case(sequence).case_id, self._folder / f"{sequence}.twclip"
        ref = a_clip(path, frames=4, case_id=case_id, size=(96, 240)) if with_clip else None
        messages = [case_message(a_case(sequence, clip=ref, **about))]
        self._intake.handle([*messages, *(clip_messages(path, case_id) if with_clip else ())], db.now())
        return case_id

    def judge(self, case_id: str, word: str, reviewer: str, note: str = "") -> None:
        desk = Desk(load(self.config)[0], random.Random(1))
        review = Review(judgement=word, familiar=True, note=note)
        assert judgement.record(self.engine, desk, case_id, review, reviewer, db.now()) is not None

    def browser(self, name: str = "erna") -> Browser:
        return Browser(self.app.test_client(), name)
