"""Bearer tokens for /api/v1: shown once, kept as a hash, with a role, an end and a way to end them sooner."""

import hashlib
import re
import secrets

import msgspec
import sqlalchemy as sa

from cloud_sync import accounts, audit_log
from cloud_sync.accounts import NAME, Act
from cloud_sync.roles import ROLES, Role
from cloud_sync.tables import tokens
from edge_agent.errors import ConfigError

BEGINNING = "tw_"
"""So that a token is known for one where it does not belong."""
DAYS, MOST_DAYS = 90, 730
USED_EVERY_S = 60


class Token(msgspec.Struct, frozen=True):
    """A token as an administrator sees it; nobody sees its secret again."""

    id: int
    name: str
    role: Role
    made_by: str
    made_at: float
    expires_at: float
    revoked_at: float | None
    used_at: float | None

    def state(self, now: float) -> str:
        if self.revoked_at is not None:
            return "revoked"
        return "valid" if now < self.expires_at else "expired"


def add(connection: sa.Connection, name: str, role: str, days: int, *, act: Act) -> str:
    """The new token's secret, which is nowhere else. Raises ConfigError."""
    if not re.fullmatch(NAME, name):
        raise ConfigError(f"{name[:40]!r} cannot name a token: use letters, digits, dots, dashes, @ and underscores")
    if role not in ROLES:
        raise ConfigError(f"{role[:40]!r} is no role: choose {', '.join(ROLES)}")
    if not 1 <= days <= MOST_DAYS:
        raise ConfigError(f"a token holds for 1 to {MOST_DAYS} days, not {days}: choose fewer and renew it")
    audit_log.take_turn(connection)
    if any(token.name == name and token.state(act.at) == "valid" for token in all_tokens(connection)):
        raise ConfigError(f"there is a valid token {name} already: revoke it or choose another name")
    secret = BEGINNING + secrets.token_urlsafe(32)
    values = {"name": name, "sha256": _hash(secret), "role": role, "made_by": act.who, "made_at": act.at}
    connection.execute(sa.insert(tokens).values(**values, expires_at=act.at + days * 86400))
    accounts.note(connection, act, "token_added", f"{name} as {role} for {days} days")
    return secret


def revoke(connection: sa.Connection, name: str, act: Act) -> None:
    """Ends every valid token of this name. Raises ConfigError where there is none."""
    valid = (tokens.c.name == name) & tokens.c.revoked_at.is_(None) & (tokens.c.expires_at > act.at)
    audit_log.take_turn(connection)
    if connection.execute(sa.update(tokens).where(valid).values(revoked_at=act.at)).rowcount == 0:
        raise ConfigError(f"there is no valid token {name[:40]!r}: look at the list")
    accounts.note(connection, act, "token_revoked", name)


def all_tokens(connection: sa.Connection) -> list[Token]:
    """The newest first."""
    rows = connection.execute(sa.select(*_columns()).order_by(tokens.c.id.desc()))
    return [Token(**row._mapping) for row in rows]


def of_secret(connection: sa.Connection, secret: str, now: float) -> Token | None:
    """The token, if it is valid."""
    row = connection.execute(sa.select(*_columns()).where(tokens.c.sha256 == _hash(secret))).first()
    found = None if row is None else Token(**row._mapping)
    return found if found and found.state(now) == "valid" else None


def used(connection: sa.Connection, token: Token, now: float) -> None:
    """Remembers that it was; at most once a minute, so that reading does not turn into writing."""
    connection.execute(sa.update(tokens).where(tokens.c.id == token.id).values(used_at=now))


def wants_noting(token: Token, now: float) -> bool:
    return token.used_at is None or now - token.used_at >= USED_EVERY_S


def _columns() -> list[sa.Column]:
    return [tokens.c[name] for name in Token.__struct_fields__]


def _hash(secret: str) -> str:
    """A plain hash does: nobody guesses 256 random bits."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
