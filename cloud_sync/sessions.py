"""Sessions that begin, go on and end: by signing out, after hours or idleness, with a new password, role or disabling.

A session is a signed cookie and a row that it names; both are looked at with every request, the row together with its
user. Whoever comes without one is sent to sign in: pages by a redirect, forms with what was typed kept, scripts by 401
and JSON.
"""

import secrets
from typing import Any

import msgspec
import sqlalchemy as sa
from flask import Flask, Response, current_app, jsonify, redirect, render_template, request, session, url_for
from flask_login import LoginManager, current_user, login_user
from sqlalchemy.engine import Engine
from werkzeug.wrappers import Response as AnyResponse

from cloud_sync import db, kept_form
from cloud_sync.accounts import User
from cloud_sync.config import WebConfig
from cloud_sync.tables import sessions as kept_sessions
from cloud_sync.tables import users

SEEN_EVERY_S = 30
"""The cookie is renewed no more often."""
BACKGROUND = "X-Tankwatch-Background"
"""Header of requests that a page sends by itself: they do not count as somebody being there."""
LONGEST_BROWSER = 200
"""Of what a browser calls itself, so much is kept."""


class Session(msgspec.Struct, frozen=True):
    """Where somebody is signed in."""

    key: str
    """What the cookie names. It opens nothing by itself: the cookie is signed."""
    began_at: float
    address: str
    browser: str


def begin(user: User) -> None:
    """Signs in; nothing of the session before is kept, so nobody can have prepared it."""
    before, now = session.get("key"), db.now()
    session.clear()
    session.permanent = True
    login_user(user)
    session["key"], session["epoch"], session["seen_at"] = secrets.token_urlsafe(18), user.epoch, now
    browser = request.user_agent.string.replace("\0", "")[:LONGEST_BROWSER]
    row = Session(session["key"], now, request.remote_addr or "", browser)
    shelf = current_app.extensions["tankwatch"]
    over = kept_sessions.c.began_at <= now - shelf.config.web.session_h * 3600
    with shelf.engine.begin() as connection:
        connection.execute(sa.delete(kept_sessions).where(over | (kept_sessions.c.key == before)))
        connection.execute(sa.insert(kept_sessions).values(name=user.name, **msgspec.structs.asdict(row)))


def end(connection: sa.Connection, name: str, key: str) -> int:
    """This session of this user; how many there were: 1 or 0."""
    mine = (kept_sessions.c.name == name) & (kept_sessions.c.key == key)
    return connection.execute(sa.delete(kept_sessions).where(mine)).rowcount


def end_others(connection: sa.Connection, name: str) -> int:
    """Every session of this user but that of this request; how many there were."""
    others = (kept_sessions.c.name == name) & (kept_sessions.c.key != own_key())
    return connection.execute(sa.delete(kept_sessions).where(others)).rowcount


def of_user(connection: sa.Connection, name: str, *, since: float) -> list[Session]:
    """Those that began after `since`, the newest first."""
    columns = [kept_sessions.c[field] for field in Session.__struct_fields__]
    mine = (kept_sessions.c.name == name) & (kept_sessions.c.began_at > since)
    query = sa.select(*columns).where(mine).order_by(kept_sessions.c.began_at.desc())
    return [Session(*row) for row in connection.execute(query)]


def own_key() -> str:
    """Of this request's session."""
    return str(session.get("key", ""))


def login_manager(engine: Engine, config: WebConfig) -> LoginManager:
    """flask-login, knowing users by name while their session holds."""
    manager = LoginManager()
    manager.session_protection = "strong"
    known = (
        sa.select(users, kept_sessions.c.began_at)
        .join(kept_sessions, kept_sessions.c.name == users.c.name)
        .where(users.c.name == sa.bindparam("name"), kept_sessions.c.key == sa.bindparam("key"))
    )

    @manager.user_loader
    def _load(name: str) -> User | None:
        with engine.connect() as connection:
            row = connection.execute(known, {"name": name, "key": own_key()}).first()
        if row is None or row.disabled_at is not None or session.get("epoch") != row.epoch:
            return None
        holds = _holds(config, row.began_at, db.now())
        return User(row.name, row.role, row.epoch, signed_in_at=row.began_at) if holds else None

    manager.unauthorized_handler(ask_to_sign_in)
    return manager


def look_at_every_request(app: Flask) -> None:
    """Before the check of form tokens, which know nothing of sessions that have ended."""

    @app.before_request
    def _look() -> Any:
        view = app.view_functions.get(request.endpoint or "")
        if getattr(view, "rights", None) is None:
            return None
        if not current_user.is_authenticated:
            return ask_to_sign_in()
        if BACKGROUND not in request.headers and db.now() - session["seen_at"] > SEEN_EVERY_S:
            session["seen_at"] = db.now()
        return None


def ask_to_sign_in() -> AnyResponse | tuple[Response | str, int]:
    """What a request without a session gets."""
    if wants_json():
        return fault_json(401, "signed_out", "Your session has ended: sign in again, then send this once more.")
    if request.method in ("GET", "HEAD"):
        return redirect(url_for("accounts.login", next=request.full_path.rstrip("?")))
    kept = kept_form.keep(request, who := str(session.get("_user_id", "")), str(current_app.secret_key))
    return render_template("login.html", fault=None, name=who, kept=kept or "", expired=True, lost=kept is None), 401


def wants_json() -> bool:
    """A script asks, not a person's browser."""
    return request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json"


def fault_json(status: int, code: str, words: str) -> tuple[Response, int]:
    """The one shape of every fault in JSON."""
    return jsonify(error={"status": status, "code": code, "words": words}), status


def _holds(config: WebConfig, began_at: float, now: float) -> bool:
    return now - began_at < config.session_h * 3600 and now - session.get("seen_at", 0.0) < config.idle_min * 60
