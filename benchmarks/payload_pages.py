"""After a flood: does every page of the cloud still answer, whatever the valid ones among the messages held?"""

import logging
import re
import secrets
from collections.abc import Iterator

import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from benchmarks.made_cases import SITE
from benchmarks.payload_seeds import GOOD, STATIONS
from cloud_sync import accounts, db, tokens
from cloud_sync.accounts import Act
from cloud_sync.config import CloudConfig
from cloud_sync.tables import cases
from cloud_sync.web import create_app

SAMPLE = 40
"""Cases whose own pages are asked for."""
MOST_BYTES = 2_000_000
"""Of one answer: what streams without end is read no further."""
USERS = {"drill-admin": "admin", "drill-expert": "expert"}
TOO_MUCH = ("/cases.tar",)
"""Asks, with 400, for less than everything."""
ONCE = ("/logout", "/oidc")


def broken(config: CloudConfig) -> list[str]:
    """Addresses that fail, or that find an ordinary request unfit."""
    logging.disable(logging.CRITICAL)
    try:
        app = create_app(config)
        engine = app.extensions["tankwatch"].engine
        found = sorted({path for client in _signed_in(app, engine) for path in _broken(client, app, engine)})
        engine.dispose()
        return found
    finally:
        logging.disable(logging.NOTSET)


def _broken(client: FlaskClient, app: Flask, engine: sa.Engine) -> Iterator[str]:
    for path in _paths(app, engine):
        with client.get(path, buffered=False) as answer:
            try:
                size = 0
                for piece in answer.response if answer.mimetype != "text/event-stream" else ():
                    size += len(piece)
                    if size > MOST_BYTES:
                        break
                status = answer.status_code
            except Exception as error:  # noqa: BLE001 - an answer that breaks off in the middle is broken too
                logging.getLogger(__name__).debug("%s: %r", path, error)
                status = 500
        if status >= 500 or (status == 400 and path not in TOO_MUCH):
            yield f"{path} {status}"


def _paths(app: Flask, engine: sa.Engine) -> list[str]:
    """Every page without an argument, and those of stations and of some cases."""
    plain = {
        rule.rule
        for rule in app.url_map.iter_rules()
        if not rule.arguments and "GET" in (rule.methods or ()) and not rule.rule.startswith(ONCE)
    }
    with engine.connect() as connection:
        newest = sa.select(cases.c.case_id).order_by(cases.c.received_at.desc(), cases.c.case_id)
        some = list(connection.scalars(newest.where(cases.c.station != GOOD).limit(SAMPLE)))
        odd = list(connection.scalars(sa.select(cases.c.case_id).order_by(cases.c.started_at.desc()).limit(5)))
    stations = [f"/stations/{SITE}/{station}" for station in (*STATIONS, GOOD)]
    return [*sorted(plain), *stations, *(f"/cases/{id}" for id in some + odd), *(f"/review/{id}" for id in some)]


def _signed_in(app: Flask, engine: sa.Engine) -> Iterator[FlaskClient]:
    for name, role in USERS.items():
        password = secrets.token_urlsafe(12)
        accounts.add_user(engine, name, password, role, now=db.now())  # type: ignore[arg-type]
        client = app.test_client()
        token = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/login").get_data(as_text=True))
        form = {"name": name, "password": password, "csrf_token": token[1] if token else ""}
        client.post("/login", data=form, headers={"Origin": "http://localhost"})
        yield client
    with engine.begin() as connection:
        secret = tokens.add(connection, "drill", "admin", 1, act=Act(at=db.now()))
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {secret}"
    yield client
