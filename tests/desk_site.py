"""A cloud with pages, and browsers without a window that fill in forms with their token."""

import dataclasses
import functools
import random
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
from cloud_sync.judgement import Desk
from cloud_sync.policy import Policy
from cloud_sync.roles import ROLES, Role
from cloud_sync.web import create_app

PASSWORD = "correct horse battery"
People = tuple[tuple[str, Role], ...]
PEOPLE: People = (("erna", "expert"), ("emil", "expert"), ("edda", "expert"), ("quinn", "quality"), ("ada", "admin"))
ONE_OF_EACH_ROLE: People = tuple((role, role) for role in ROLES)
OURS = {"Origin": "http://localhost"}
"""What a browser says of a form on our own page."""


def a_desk(seed: int = 0, **shares) -> Desk:
    """No lot decides unless a share is given."""
    none = {"gold_share": 0.0, "audit_share": 0.0, "second_share": 0.0}
    return Desk(Policy(version=1, **none | shares), random.Random(seed))


class Site:
    """A cloud of the given or the default kind; `changes` go into its configuration."""

    def __init__(
        self, folder: Path, config: CloudConfig | None = None, *, people: People = PEOPLE, **changes: object
    ) -> None:
        self.folder = folder
        self.config = msgspec.structs.replace(config or CloudConfig(data_dir=str(folder / "cloud")), **changes)
        if self.config.database is None:
            self.config.folder.mkdir(parents=True, exist_ok=True)
            (self.config.folder / "cloud.db").write_bytes(_database(people))
        self.app = create_app(self.config)
        self.desk = a_desk()
        self.engine = self.app.extensions["tankwatch"].engine
        self.store = self.app.extensions["tankwatch"].store
        self.intake = Intake(self.engine, self.store, max_clip_bytes=10_000_000)
        if self.config.database is not None:
            for name, role in people:
                accounts.add_user(self.engine, name, PASSWORD, role, now=1.0)

    @property
    def desk(self) -> Desk:
        return self.app.extensions["tankwatch"].desk

    @desk.setter
    def desk(self, desk: Desk) -> None:
        shelf = self.app.extensions["tankwatch"]
        self.app.extensions["tankwatch"] = dataclasses.replace(shelf, desk=desk)

    def case(self, sequence: int = 1, *, with_clip: bool = True, parts: int | None = None, **about) -> str:
        """A case as it arrives; `parts`: only so many messages of its clip."""
        case_id, path = a_case(sequence).case_id, self.folder / f"{sequence}.twclip"
        path.unlink(missing_ok=True)
        ref = a_clip(path, frames=4, case_id=case_id, size=(96, 240)) if with_clip else None
        messages = [case_message(a_case(sequence, clip=ref, **about))]
        if with_clip:
            messages += clip_messages(path, case_id, part_bytes=2000)[:parts]
        self.intake.handle(messages, db.now())
        return case_id

    def stranger(self) -> "Browser":
        return Browser(self.app.test_client())

    def browser(self, name: str = "erna") -> "Browser":
        """Signed in."""
        browser = self.stranger()
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
        return self.post(path, {"csrf_token": self.token(on or path), **fields})

    def post(self, path: str, fields: dict[str, str]) -> TestResponse:
        return self.client.post(path, data=fields, headers=OURS)

    def token(self, path: str) -> str:
        """From the page that the form stands on, or from any page with a form."""
        for page in (path.split("?")[0], "/login"):
            if found := _TOKEN.search(self.get(page).get_data(as_text=True)):
                return found[1]
        raise AssertionError(f"no form on {path}")

    def sign_in(self, name: str, password: str) -> TestResponse:
        return self.send("/login", {"name": name, "password": password})

    def judge(self, case_id: str, word: str = "ok", **fields: str) -> TestResponse:
        if word != "cannot_tell":
            fields.setdefault("familiar", "yes")
        return self.send(f"/review/{case_id}?again=1", {"judgement": word, **fields})

    def reveal(self, case_id: str) -> str:
        """The page with everything on it."""
        assert self.send(f"/review/{case_id}/reveal", {}).status_code == 302
        return self.text(f"/review/{case_id}")


_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


def token_in(page: str) -> str:
    found = _TOKEN.search(page)
    assert found is not None
    return found[1]


@functools.cache
def _database(people: People) -> bytes:
    """With the users; made once, because making its tables takes longer than most tests."""
    with tempfile.TemporaryDirectory() as folder:
        engine = db.open_database(CloudConfig(data_dir=folder))
        for name, role in people:
            accounts.add_user(engine, name, PASSWORD, role, now=1.0)
        engine.dispose()  # the last connection to leave puts everything into the one file
        return (Path(folder) / "cloud.db").read_bytes()
