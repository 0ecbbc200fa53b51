"""A browser without a window at the cloud's pages: signs in, sends forms with their token, keeps cookies."""

import re

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.engine import Engine
from werkzeug.test import TestResponse

from cloud_sync import accounts, db, tokens
from cloud_sync.accounts import Act
from cloud_sync.roles import Role

PASSWORD = "correct horse battery"
OURS = {"Origin": "http://localhost"}
"""What a browser says of a form on our own page."""
_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


def signed_in(app: Flask, engine: Engine, role: Role) -> "Visitor":
    """A user named like the role, who is made where he is not there."""
    accounts.add_user(engine, role, PASSWORD, role, now=db.now())
    visitor = Visitor(app.test_client())
    visitor.token = token_in(visitor.client.get("/login").text)
    answer = visitor.send("/login", {"name": role, "password": PASSWORD})
    if answer.status_code != 302:
        raise AssertionError(f"{role} cannot sign in: {answer.status_code}")
    visitor.token = visitor.client.get("/session", headers={"Accept": "application/json"}).get_json()["csrf_token"]
    return visitor


def bearer(engine: Engine, role: Role, name: str = "drill") -> dict[str, str]:
    """The header of a new token for programs."""
    with engine.begin() as connection:
        secret = tokens.add(connection, name, role, 1, act=Act(at=db.now()))
    return {"Authorization": f"Bearer {secret}"}


class Visitor:
    """`token`: the form token that goes with what is sent."""

    def __init__(self, client: FlaskClient) -> None:
        self.client, self.token = client, ""

    def get(self, path: str) -> TestResponse:
        return self.client.get(path)

    def send(self, path: str, fields: dict[str, str]) -> TestResponse:
        return self.client.post(path, data={"csrf_token": self.token, **fields}, headers=OURS)


def token_in(page: str) -> str:
    """The form token of a page; empty where there is no form."""
    found = _TOKEN.search(page)
    return found[1] if found else ""
