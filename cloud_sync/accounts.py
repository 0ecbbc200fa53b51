"""Who may look at what: users with a role, their passwords (argon2id), signing in and out, and the log of it.

Failed attempts are counted in the audit log, so that every web process and every restart knows them.
"""

import argparse
import functools
import getpass
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, get_args

import msgspec
import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from flask import Blueprint, abort, current_app, redirect, render_template, request, session, url_for
from flask_login import LoginManager, current_user, login_required, login_user, logout_user
from sqlalchemy.engine import Engine
from werkzeug.wrappers import Response

from cloud_sync import config as cloud_config
from cloud_sync import db
from cloud_sync.audit_log import note
from cloud_sync.tables import audit, users
from edge_agent.errors import ConfigError

Role = Literal["expert", "quality", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
"""Each may do what the ones before it may: experts review, quality engineers also see cases, datasets and stations."""
NAME = r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$"
SHORTEST_PASSWORD = 10
PASSWORD_VARIABLE = "TANKWATCH_PASSWORD"
FAILURES_NAME, FAILURES_ADDRESS, FAILURES_WITHIN_S = 5, 30, 900
"""So many wrong passwords for one name, or for any, from one address, and it has to wait for a quarter of an hour."""
blueprint = Blueprint("accounts", __name__)


class User(msgspec.Struct, frozen=True):
    """Somebody who is signed in."""

    name: str
    role: Role
    is_authenticated: bool = True
    is_active: bool = True
    is_anonymous: bool = False

    def get_id(self) -> str:
        return self.name

    def may(self, role: Role) -> bool:
        return ROLES.index(self.role) >= ROLES.index(role)


class _Wanted(msgspec.Struct, frozen=True):
    name: Annotated[str, msgspec.Meta(pattern=NAME)]
    role: Role


def user(argv: list[str]) -> int:
    """`tankwatch cloud user add NAME --role ROLE --config cloud.toml`"""
    parser = argparse.ArgumentParser(prog="tankwatch cloud user", description="Accounts for the experts' pages.")
    parser.add_argument("action", choices=["add", "list"], help="'add' also sets a new password or role")
    parser.add_argument("name", nargs="?", default="")
    parser.add_argument("--role", choices=ROLES, default="expert")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="cloud.toml")
    options = parser.parse_args(argv)
    engine = db.open_database(cloud_config.load(options.config))
    if options.action == "list":
        for found in all_users(engine):
            print(f"{found.name}\t{found.role}")
        return 0
    add_user(engine, options.name, _password_from_person(), options.role, now=db.now())
    print(f"user {options.name} may sign in as {options.role}", file=sys.stderr)
    return 0


def add_user(engine: Engine, name: str, password: str, role: Role, *, now: float) -> None:
    """Adds the user, or gives an old one this password and role. Raises ConfigError."""
    try:
        msgspec.convert({"name": name, "role": role}, type=_Wanted)
    except msgspec.ValidationError as error:
        raise ConfigError(f"user {name[:40]!r} with role {role!r} cannot be added: {error}") from error
    if len(password) < SHORTEST_PASSWORD:
        raise ConfigError(
            f"password has {len(password)} characters, at least {SHORTEST_PASSWORD} are needed: choose a longer one"
        )
    values = {"password": PasswordHasher().hash(password), "role": role}
    with engine.begin() as connection:
        if connection.execute(sa.update(users).where(users.c.name == name).values(values)).rowcount == 0:
            connection.execute(sa.insert(users).values(name=name, created_at=now, **values))
        note(connection, who="command line", did="user_set", about=f"{name} as {role}", now=now)


def all_users(engine: Engine) -> list[User]:
    with engine.connect() as connection:
        return [User(row.name, row.role) for row in connection.execute(sa.select(users).order_by(users.c.name))]


def sign_in(engine: Engine, name: str, password: str, address: str, *, now: float) -> User | None:
    """The user, if the password is right; None also where too many were wrong."""
    with engine.begin() as connection:
        if _throttled(connection, name, address, now):
            note(connection, who=name, did="sign_in_throttled", now=now, address=address)
            return None
        row = connection.execute(sa.select(users).where(users.c.name == name)).first()
        right = _verified(row.password if row else _nobodys_hash(), password)
        note(connection, who=name, did="sign_in" if row and right else "sign_in_failed", now=now, address=address)
    return User(row.name, row.role) if row and right else None


def needs(role: Role) -> Callable:
    """A page for this role and those above it."""

    def decorate(view: Callable) -> Callable:
        @functools.wraps(view)
        @login_required
        def guarded(*arguments: object, **named: object) -> object:
            return view(*arguments, **named) if current_user.may(role) else abort(403)

        return guarded

    return decorate


def login_manager(engine: Engine) -> LoginManager:
    """flask-login, knowing users by name."""
    manager = LoginManager()
    manager.login_view = "accounts.login"
    manager.login_message = None
    manager.session_protection = "strong"

    @manager.user_loader
    def _load(name: str) -> User | None:
        with engine.connect() as connection:
            row = connection.execute(sa.select(users).where(users.c.name == name)).first()
        return None if row is None else User(row.name, row.role)

    return manager


@blueprint.route("/login", methods=["GET", "POST"])
def login() -> Response | str | tuple[str, int]:
    if request.method == "GET":
        return render_template("login.html", failed=False, name="")
    name = request.form.get("name", "")
    found = sign_in(_engine(), name, request.form.get("password", ""), request.remote_addr or "", now=db.now())
    if found is None:
        return render_template("login.html", failed=True, name=name), 401
    session.clear()
    session.permanent = True
    login_user(found)
    return redirect(_inside(request.args.get("next", "")) or url_for("review.queue"))


@blueprint.post("/logout")
@login_required
def logout() -> Response:
    logout_user()
    session.clear()
    return redirect(url_for("accounts.login"))


def _engine() -> Engine:
    return current_app.extensions["tankwatch"].engine


def _inside(target: str) -> str | None:
    """A page of ours to go on to; never another site."""
    return target if target.startswith("/") and not target.startswith(("//", "/\\")) and "\\" not in target else None


def _throttled(connection: sa.Connection, name: str, address: str, now: float) -> bool:
    failed = (audit.c.did == "sign_in_failed") & (audit.c.at > now - FAILURES_WITHIN_S) & (audit.c.address == address)
    of_address = connection.scalar(sa.select(sa.func.count()).where(failed)) or 0
    of_name = connection.scalar(sa.select(sa.func.count()).where(failed, audit.c.who == name[:64])) or 0
    return of_name >= FAILURES_NAME or of_address >= FAILURES_ADDRESS


def _verified(password_hash: str, password: str) -> bool:
    try:
        return PasswordHasher().verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


@functools.cache
def _nobodys_hash() -> str:
    """Checked for names that do not exist, so that they take as long as those that do."""
    return PasswordHasher().hash(os.urandom(16).hex())


def _password_from_person() -> str:
    """From the environment, or asked for twice."""
    if password := os.environ.get(PASSWORD_VARIABLE):
        return password
    try:
        first, second = getpass.getpass("password: "), getpass.getpass("again: ")
    except (EOFError, OSError) as error:
        raise ConfigError(f"there is nobody to ask for a password: set {PASSWORD_VARIABLE}") from error
    if first != second:
        raise ConfigError("the two passwords differ: try again")
    return first
