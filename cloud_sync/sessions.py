"""Sessions that begin, go on and end: after hours, after idleness, and with a new password, role or disabling.

A session is a signed cookie; what it says of itself is looked at again with every request. Whoever comes without one
is sent to sign in: pages by a redirect, forms with what was typed kept, scripts by 401 and JSON.
"""

from typing import Any

import sqlalchemy as sa
from flask import Flask, Response, current_app, jsonify, redirect, render_template, request, session, url_for
from flask_login import LoginManager, current_user, login_user
from sqlalchemy.engine import Engine
from werkzeug.wrappers import Response as AnyResponse

from cloud_sync import db, kept_form
from cloud_sync.accounts import User
from cloud_sync.config import WebConfig
from cloud_sync.tables import users

SEEN_EVERY_S = 30
"""The cookie is renewed no more often."""
BACKGROUND = "X-Tankwatch-Background"
"""Header of requests that a page sends by itself: they do not count as somebody being there."""


def begin(user: User) -> None:
    """Signs in; nothing of the session before is kept, so nobody can have prepared it."""
    session.clear()
    session.permanent = True
    login_user(user)
    session["epoch"], session["began_at"], session["seen_at"] = user.epoch, db.now(), db.now()


def login_manager(engine: Engine, config: WebConfig) -> LoginManager:
    """flask-login, knowing users by name while their session holds."""
    manager = LoginManager()
    manager.session_protection = "strong"

    @manager.user_loader
    def _load(name: str) -> User | None:
        with engine.connect() as connection:
            row = connection.execute(sa.select(users).where(users.c.name == name)).first()
        if row is None or row.disabled_at is not None or session.get("epoch") != row.epoch:
            return None
        return User(row.name, row.role, row.epoch) if _holds(config, db.now()) else None

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


def _holds(config: WebConfig, now: float) -> bool:
    began, seen = session.get("began_at", 0.0), session.get("seen_at", 0.0)
    return now - began < config.session_h * 3600 and now - seen < config.idle_min * 60
