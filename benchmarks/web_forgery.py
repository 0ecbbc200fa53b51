"""Every route of an application that takes more than GET, from its own map of addresses -> is a forged form refused?

A forged request comes with the session of somebody who is signed in and without the form token, as another site would
send it. What an application exempts from the token has a reason here, and that reason is tried.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.engine import Engine
from werkzeug.routing import Rule

from cloud_sync.tables import metadata

SAFE = {"GET", "HEAD", "OPTIONS"}
FORGED = {"csrf_token": "ImZvcmdlZCI.aaaaaa.bbbbbb"}
EXEMPT = {
    "api.": "it knows no cookies: without a bearer token, which no browser sends by itself, it answers 401",
    "accounts.resume": "it shows what was typed before the session ended, and changes nothing",
}
"""Endpoint, or its beginning -> why no form token is asked for."""
OTHERS = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}


@dataclass(slots=True)
class Walk:
    """What was tried. `let_in`: `METHOD /rule: what came of it` of each forged request that was not refused."""

    routes: int = 0
    tried: int = 0
    exempt: list[str] = field(default_factory=list)
    let_in: list[str] = field(default_factory=list)


def walked(app: Flask, client: FlaskClient, known: dict[str, list], *, held: Callable[[], str] = str) -> Walk:
    """`client` is signed in; `held`: a digest of all that could be changed."""
    walk, before = Walk(), held()
    for rule, method in writing(app):
        walk.routes += 1
        path = address(app, rule, known)
        is_exempt = _is_exempt(app, rule.endpoint)
        if is_exempt:
            walk.exempt.append(rule.endpoint)
        for name, fields in (("no token", {}), ("a forged token", FORGED)):
            walk.tried += 1
            answer = client.open(path, method=method, data=fields, headers=OTHERS)
            if not _refused(rule.endpoint, answer.status_code, is_exempt=is_exempt):
                walk.let_in.append(f"{method} {rule.rule} with {name}: {answer.status_code}")
    if held() != before:
        walk.let_in.append("something was changed")
    return walk


def writing(app: Flask) -> Iterator[tuple[Rule, str]]:
    """Every route with every method that is more than looking."""
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule):
        for method in sorted((rule.methods or set()) - SAFE):
            yield rule, method


def address(app: Flask, rule: Rule, known: dict[str, list]) -> str:
    """One that is there, as far as known."""
    values = {name: known.get(name, ["x"])[0] for name in rule.arguments}
    with app.test_request_context():
        return app.url_map.bind("").build(rule.endpoint, values, method=next(iter(rule.methods or {"GET"})))


def digest(engine: Engine) -> str:
    """Of everything in the database but who looked at what."""
    found = hashlib.sha256()
    with engine.connect() as connection:
        for table in metadata.sorted_tables:
            if table.name not in ("audit", "audit_end", "looks", "shown", "tokens"):
                rows = connection.execute(sa.select(table).order_by(*table.primary_key.columns)).all()
                found.update(f"{table.name}{rows}".encode())
    return found.hexdigest()


def _is_exempt(app: Flask, endpoint: str) -> bool:
    csrf = app.extensions["csrf"]
    view = app.view_functions[endpoint]
    blueprints = {blueprint.name for blueprint in csrf._exempt_blueprints}
    return f"{view.__module__}.{view.__name__}" in csrf._exempt_views or endpoint.rpartition(".")[0] in blueprints


def _refused(endpoint: str, status: int, *, is_exempt: bool) -> bool:
    if not is_exempt:
        return status == 400
    if not any(endpoint.startswith(name) for name in EXEMPT):
        return False
    return status == 401 if endpoint.startswith("api.") else status < 500
