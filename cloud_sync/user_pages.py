"""Pages for administrators: users with their roles, and tokens for the API; and for everybody: the own password and
sessions."""

from collections.abc import Callable

import sqlalchemy as sa
from flask import Blueprint, abort, current_app, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from cloud_sync import accounts, confirming, db, passwords, sessions, tokens
from cloud_sync.accounts import Change, NewUser, User, act, needs, noted
from cloud_sync.roles import ROLES
from edge_agent.errors import ConfigError

blueprint = Blueprint("users", __name__)
CHANGES: dict[str, Callable[[str], Change]] = {
    "role": lambda value: Change(role=value),  # type: ignore[arg-type]  # `change` refuses what is no role
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
    if fault := confirming.fault(form.get("own", "")):
        return _user_page(fault), 401

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


@blueprint.get("/users/<name>/password")
@needs("admin")
def user_password_page(name: str) -> str:
    return _set_password_page(name)


@blueprint.post("/users/<name>/password")
@needs("admin")
def user_password(name: str) -> Response | tuple[str, int]:
    """With the administrator's own: an open session is not enough to become somebody else."""
    if fault := confirming.fault(request.form.get("own", "")):
        return _set_password_page(name, fault), 401
    try:
        with _shelf().engine.begin() as connection:
            accounts.change(connection, name, Change(password=request.form.get("new", "")), act())
    except ConfigError as error:
        return _set_password_page(name, str(error)), 400
    return redirect(url_for("users.user_list"))


@blueprint.get("/password")
@needs()
def password_page() -> str:
    return _password_page()


@blueprint.post("/password")
@needs()
def password_change() -> Response | tuple[str, int]:
    """With the present one; sessions elsewhere end."""
    form = request.form
    if form.get("new", "") != form.get("again", ""):
        return _password_page("The two new passwords differ."), 400
    if _is_of_company():
        return _password_page(), 400
    if fault := confirming.fault(form.get("current", "")):
        return _password_page(fault), 401
    try:
        with _shelf().engine.begin() as connection:
            accounts.change(connection, current_user.name, Change(password=form.get("new", "")), act())
    except ConfigError as error:
        return _password_page(str(error)), 400
    sessions.begin(User(current_user.name, current_user.role, current_user.epoch + 1))
    return redirect(url_for("review.start"))


@blueprint.post("/password/sessions")
@needs()
def session_end() -> Response | tuple[str, int]:
    """One of the own, or all but this one."""
    if fault := confirming.fault(request.form.get("own", "")):
        return _password_page(fault), 401
    which, name = request.form.get("session", ""), current_user.name
    with _shelf().engine.begin() as connection:
        others = which == "others"
        count = sessions.end_others(connection, name) if others else sessions.end(connection, name, which)
        noted(connection, "session_ended", f"{count} of {name}")
    return redirect(url_for("users.password_page"))


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
    web = _shelf().config.web
    about = {"of_company": _is_of_company(), "here": sessions.own_key(), "hours": web.session_h, "idle": web.idle_min}
    with _shelf().engine.connect() as connection:
        found = sessions.of_user(connection, current_user.name, since=db.now() - web.session_h * 3600)
        return render_template("password.html", fault=fault, sessions=found, **about, **_asked(connection))


def _is_of_company() -> bool:
    with _shelf().engine.connect() as connection:
        own = accounts.find(connection, current_user.name)
    return own is not None and own.subject is not None


def _set_password_page(name: str, fault: str | None = None) -> str:
    with _shelf().engine.connect() as connection:
        if accounts.find(connection, name) is None:
            abort(404)
        return render_template("set_password.html", name=name, fault=fault, **_asked(connection))


def _asked(connection: sa.Connection) -> dict[str, object]:
    """What pages that take a password have to know."""
    has_password = accounts.has_password(connection, current_user.name)
    return {"has_password": has_password, "fresh_min": confirming.FRESH_MIN, "shortest": passwords.SHORTEST}


def _role():
    """As it came: whatever is no role is refused where it is used."""
    return request.form.get("role", "")


def _user_page(fault: str | None = None) -> str:
    found = accounts.all_users(_shelf().engine)
    with _shelf().engine.connect() as connection:
        return render_template("users.html", users=found, roles=ROLES, fault=fault, **_asked(connection))


def _token_page(*, fault: str | None = None, secret: str = "", name: str = "") -> str:
    with _shelf().engine.connect() as connection:
        found = tokens.all_tokens(connection)
    about = {"roles": ROLES, "days": tokens.DAYS, "most": tokens.MOST_DAYS, "now": db.now()}
    return render_template("tokens.html", tokens=found, fault=fault, secret=secret, name=name, **about)


def _shelf():
    return current_app.extensions["tankwatch"]
