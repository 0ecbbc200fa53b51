"""Who may look at what: users with a role and a password (argon2id), and the guard that pages put before their views.

Every new password, role or disabling ends the user's sessions, and raises the epoch, so that one which begins at that
moment by what held before is dead, too. Signing in is `sign_in`'s matter, what a role may do `roles`'.
"""

import functools
import logging
import os
import re
from collections.abc import Callable

import msgspec
import sqlalchemy as sa
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from flask import abort, current_app, request
from flask_login import current_user, login_required
from sqlalchemy.engine import Engine

from cloud_sync import audit_log, db, passwords, roles, throttle
from cloud_sync.roles import ROLES, Right, Role
from cloud_sync.tables import sessions, stations, users
from edge_agent.errors import ConfigError

log = logging.getLogger(__name__)
NAME = r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}"
NO_PASSWORD = ""
"""Of users who sign in through the company's provider alone: no password fits it."""


class User(msgspec.Struct, frozen=True):
    """Somebody who is signed in."""

    name: str
    role: Role
    epoch: int = 0
    signed_in_at: float = 0.0
    is_authenticated: bool = True
    is_active: bool = True
    is_anonymous: bool = False

    def get_id(self) -> str:
        return self.name

    def may(self, *rights: Right) -> bool:
        return roles.may(self.role, *rights)


class Account(msgspec.Struct, frozen=True):
    """A user as an administrator sees one."""

    name: str
    role: Role
    created_at: float
    disabled_at: float | None
    subject: str | None
    epoch: int


class NewUser(msgspec.Struct, frozen=True):
    """Whom to let in: with a password, or as `subject` of the company's provider."""

    name: str
    role: Role
    password: str = ""
    subject: str | None = None


class Act(msgspec.Struct, frozen=True):
    """Who does something, from where, and when: what the audit log has to know."""

    who: str = "command line"
    address: str = ""
    at: float = 0.0


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be other about a user; None leaves it."""

    role: Role | None = None
    password: str | None = None
    disabled: bool | None = None
    ended: bool = False
    """Only end the sessions."""


def needs(*rights: Right) -> Callable:
    """A page for whoever has any of these rights; without one, for whoever is signed in."""

    def decorate(view: Callable) -> Callable:
        @functools.wraps(view)
        @login_required
        def guarded(*arguments: object, **named: object) -> object:
            if current_user.may(*rights):
                return view(*arguments, **named)
            _note_refusal()
            abort(403)

        guarded.rights = rights  # type: ignore[attr-defined]
        return guarded

    return decorate


def _note_refusal() -> None:
    """So many of one address in a while, or they could fill the log. A database that takes nothing just now changes
    nothing about the answer."""
    engine, now = current_app.extensions["tankwatch"].engine, act()
    attempt = throttle.Attempt(now.who, now.address, now.at, kind="access")
    try:
        throttle.failed(engine, attempt, f"{request.method} {request.path}")
    except sa.exc.OperationalError as error:
        log.warning("refusal user=%s of %s %s is not noted: %s", now.who, request.method, request.path, error.orig)


def act() -> Act:
    """Of this request's user, now."""
    return Act(current_user.name, request.remote_addr or "", db.now())


def noted(connection: sa.Connection, did: str, about: str = "") -> None:
    """One line in the audit log on behalf of this request's user; the caller commits, and writes it last."""
    note(connection, act(), did, about)


def note(connection: sa.Connection, act: Act, did: str, about: str = "") -> None:
    audit_log.note(connection, who=act.who, did=did, about=about, now=act.at, address=act.address)


def add_user(engine: Engine, name: str, password: str, role: Role, *, now: float) -> None:
    """Adds the user, or gives an old one this password and role, from the command line. Raises ConfigError."""
    with engine.begin() as connection:
        audit_log.take_turn(connection)
        if find(connection, name) is None:
            add(connection, NewUser(name, role, password), Act(at=now))
        else:
            change(connection, name, Change(password=password, role=role), Act(at=now))


def add(connection: sa.Connection, wanted: NewUser, act: Act) -> None:
    """Raises ConfigError: an odd name, no such role, a password that is easily guessed, a name that is taken."""
    name, role = wanted.name, wanted.role
    if not re.fullmatch(NAME, name):
        words = "use 1 to 64 letters, digits, dots, dashes, @ and underscores, a letter or digit first"
        raise ConfigError(f"user {name[:40]!r} cannot be added: {words}")
    if role not in ROLES:
        raise ConfigError(f"user {name} cannot be added as {str(role)[:40]!r}: choose {', '.join(ROLES)}")
    audit_log.take_turn(connection)
    if find(connection, name) is not None:
        raise ConfigError(f"there is a user {name} already: choose another name, or change that one")
    kept = NO_PASSWORD if wanted.subject else _hashed(connection, name, wanted.password)
    values = {"name": name, "role": role, "password": kept, "subject": wanted.subject, "created_at": act.at}
    connection.execute(sa.insert(users).values(values))
    note(connection, act, "user_added", f"{name} as {role}")


def change(connection: sa.Connection, name: str, wanted: Change, act: Act) -> None:
    """Role, password, disabling; older sessions end. Raises ConfigError: no such user, an easily guessed password, the
    last administrator."""
    if wanted.role is not None and wanted.role not in ROLES:
        raise ConfigError(f"{str(wanted.role)[:40]!r} is no role: choose {', '.join(ROLES)}")
    audit_log.take_turn(connection)
    before = find(connection, name)
    if before is None:
        raise ConfigError(f"there is no user {name[:40]!r}: look at the list")
    values: dict[str, object] = {"epoch": before.epoch + 1}
    if wanted.role is not None:
        values["role"] = wanted.role
    if wanted.password is not None:
        values["password"] = _hashed(connection, name, wanted.password)
    if wanted.disabled is not None:
        values["disabled_at"] = act.at if wanted.disabled else None
    connection.execute(sa.update(users).where(users.c.name == name).values(values))
    connection.execute(sa.delete(sessions).where(sessions.c.name == name))
    _keep_an_administrator(connection, before)
    note(connection, act, "user_changed", f"{name}: {_words(wanted)}")


def find(connection: sa.Connection, name: str) -> Account | None:
    row = connection.execute(sa.select(*_columns()).where(users.c.name == name)).first()
    return None if row is None else Account(**row._mapping)


def of_subject(connection: sa.Connection, subject: str) -> Account | None:
    row = connection.execute(sa.select(*_columns()).where(users.c.subject == subject)).first()
    return None if row is None else Account(**row._mapping)


def all_users(engine: Engine) -> list[Account]:
    """By name."""
    with engine.connect() as connection:
        return [Account(**row._mapping) for row in connection.execute(sa.select(*_columns()).order_by(users.c.name))]


def with_password(connection: sa.Connection, name: str, password: str) -> User | None:
    """The user whom name and password fit, if not disabled. Takes as long for names that do not exist."""
    row = connection.execute(sa.select(users).where(users.c.name == name)).first()
    right = _verified(row.password if row and row.password else _nobodys_hash(), password)
    return User(row.name, row.role, row.epoch) if row and right and row.disabled_at is None else None


def has_password(connection: sa.Connection, name: str) -> bool:
    """Otherwise the company's provider alone lets this user in."""
    return bool(connection.scalar(sa.select(users.c.password).where(users.c.name == name)))


def _columns() -> list[sa.Column]:
    return [users.c[name] for name in Account.__struct_fields__]


def _hashed(connection: sa.Connection, name: str, password: str) -> str:
    """argon2id; every new password comes this way. Raises ConfigError where it is easily guessed."""
    places = connection.execute(sa.select(stations.c.site, stations.c.station)).all()
    passwords.check(password, [name, *(word for place in places for word in place)])
    return PasswordHasher().hash(password)


def _keep_an_administrator(connection: sa.Connection, before: Account) -> None:
    """Somebody must be able to let others in again."""
    if before.role != "admin" or before.disabled_at is not None:
        return
    active = (users.c.role == "admin") & users.c.disabled_at.is_(None)
    if not connection.scalar(sa.select(sa.func.count()).where(active)):
        raise ConfigError(f"{before.name} is the last administrator: make another one first")


def _words(wanted: Change) -> str:
    parts = [f"role {wanted.role}"] if wanted.role is not None else []
    parts += ["new password"] if wanted.password is not None else []
    parts += [] if wanted.disabled is None else ["disabled" if wanted.disabled else "enabled"]
    return ", ".join(parts) or "sessions ended"


def _verified(password_hash: str, password: str) -> bool:
    try:
        return PasswordHasher().verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


@functools.cache
def _nobodys_hash() -> str:
    """Checked for names that do not exist, so that they take as long as those that do."""
    return PasswordHasher().hash(os.urandom(16).hex())
