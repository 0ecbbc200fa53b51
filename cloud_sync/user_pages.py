"""Pages for administrators: users with their roles, and tokens for the API; and for everybody: the own password."""

from collections.abc import Callable

import sqlalchemy as sa
from flask import Blueprint, current_app, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from cloud_sync import accounts, db, sessions, throttle, tokens
from cloud_sync.accounts import Change, NewUser, User, act, needs
from cloud_sync.roles import ROLES
from cloud_sync.throttle import Attempt
from edge_agent.errors import ConfigError

blueprint = Blueprint("users", __name__)
WRONG_PASSWORD = "The present password does not fit. After five attempts, wait a quarter of an hour."
CHANGES: dict[str, Callable[[str], Change]] = {
    "role": lambda value: Change(role=value),  # type: ignore[arg-type]  # `change` refuses what is no role
    "password": lambda value: Change(password=value),
    "disable": lambda _: Change(disabled=True),
    "enable": lambda _: Change(disabled=False),
    "end": lambda _: Change(ended=True),
}


@blueprint.get("/users")
@needs("admin")
def user_list() -> str:
    return _user_page()


@blueprint.post("/users")
@needs("admin")
def user_add() -> Response | tuple[str, int]:
    form = request.form

    def work(connection: sa.Connection) -> None:
        accounts.add(connection, NewUser(form.get("name", ""), _role(), form.get("password", "")), act())

    return _done(work) or redirect(url_for("users.user_list"))


@blueprint.post("/users/<name>/<what>")
@needs("admin")
def user_change(name: str, what: str) -> Response | tuple[str, int]:
    if what not in CHANGES:
        return _user_page(f"{what[:40]!r} cannot be done to a user: choose a button."), 400
    wanted = CHANGES[what](request.form.get("value", ""))

    def work(connection: sa.Connection) -> None:
        accounts.change(connection, name, wanted, act())

    return _done(work) or redirect(url_for("users.user_list"))


@blueprint.get("/password")
@needs()
def password_page() -> str:
    return _password_page()


@blueprint.post("/password")
@needs()
def password_change() -> Response | tuple[str, int]:
    """With the present one; guessing it is slowed down as at the sign-in. Sessions elsewhere end."""
    form, now = request.form, act()
    if form.get("new", "") != form.get("again", ""):
        return _password_page("The two new passwords differ."), 400
    tried = Attempt(now.who, now.address, now.at, kind="password")
    if not throttle.admitted(_shelf().engine, tried):
        return _password_page(WRONG_PASSWORD), 401
    with _shelf().engine.connect() as connection:
        found = accounts.with_password(connection, now.who, form.get("current", ""))
    throttle.ended(_shelf().engine, tried, right=found is not None)
    if found is None:
        return _password_page(WRONG_PASSWORD), 401
    try:
        with _shelf().engine.begin() as connection:
            accounts.change(connection, found.name, Change(password=form.get("new", "")), now)
    except ConfigError as error:
        return _password_page(str(error)), 400
    sessions.begin(User(found.name, found.role, found.epoch + 1))
    return redirect(url_for("review.start"))


@blueprint.get("/tokens")
@needs("admin")
def token_list() -> str:
    return _token_page()


@blueprint.post("/tokens")
@needs("admin")
def token_add() -> str | tuple[str, int]:
    """Shows the secret, this once; so no redirect."""
    name, days = request.form.get("name", ""), request.form.get("days", "")
    try:
        with _shelf().engine.begin() as connection:
            secret = tokens.add(connection, name, _role(), int(days) if days.isdecimal() else 0, act=act())
    except (ConfigError, ValueError) as error:
        return _token_page(fault=str(error)), 400
    return _token_page(secret=secret, name=name)


@blueprint.post("/tokens/<name>/revoke")
@needs("admin")
def token_revoke(name: str) -> Response | tuple[str, int]:
    try:
        with _shelf().engine.begin() as connection:
            tokens.revoke(connection, name, act())
    except ConfigError as error:
        return _token_page(fault=str(error)), 400
    return redirect(url_for("users.token_list"))


def _done(work: Callable[[sa.Connection], None]) -> tuple[str, int] | None:
    """Does it with one commit; the page with the fault where it cannot be done."""
    try:
        with _shelf().engine.begin() as connection:
            work(connection)
    except ConfigError as error:
        return _user_page(str(error)), 400
    return None


def _password_page(fault: str | None = None) -> str:
    with _shelf().engine.connect() as connection:
        own = accounts.find(connection, current_user.name)
    return render_template("password.html", fault=fault, of_company=own is not None and own.subject is not None)


def _role():
    """As it came: whatever is no role is refused where it is used."""
    return request.form.get("role", "")


def _user_page(fault: str | None = None) -> str:
    found = accounts.all_users(_shelf().engine)
    return render_template("users.html", users=found, roles=ROLES, fault=fault)


def _token_page(*, fault: str | None = None, secret: str = "", name: str = "") -> str:
    with _shelf().engine.connect() as connection:
        found = tokens.all_tokens(connection)
    about = {"roles": ROLES, "days": tokens.DAYS, "most": tokens.MOST_DAYS, "now": db.now()}
    return render_template("tokens.html", tokens=found, fault=fault, secret=secret, name=name, **about)


def _shelf():
    return current_app.extensions["tankwatch"]
