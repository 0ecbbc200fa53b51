"""A request to /api/v1 -> who asks and what, checked once; bearer tokens only, no cookies, so nothing to forge."""

import logging
from typing import Any

import msgspec
import sqlalchemy as sa
from flask import Request
from sqlalchemy.engine import Engine

from cloud_sync import roles, throttle, tokens
from cloud_sync.judgement import Desk
from cloud_sync.roles import Right, Role
from cloud_sync.throttle import FAILURES_ADDRESS, FAILURES_WITHIN_S, Attempt
from cloud_sync.tokens import Token

log = logging.getLogger(__name__)
SCHEME = "bearer "


class Refused(Exception):
    """Status, code and words of an answer that is no success."""

    def __init__(self, status: int, code: str, words: str) -> None:
        super().__init__(words)
        self.status, self.code, self.words = status, code, words

    @property
    def headers(self) -> dict[str, str]:
        if self.status == 401:
            return {"WWW-Authenticate": 'Bearer realm="tankwatch"'}
        return {"Retry-After": str(FAILURES_WITHIN_S)} if self.status == 429 else {}


class Caller(msgspec.Struct, frozen=True):
    """Whoever holds a token. The colon keeps it apart from every user's name."""

    token: str
    role: Role

    @property
    def who(self) -> str:
        return f"token:{self.token}"

    def may(self, *rights: Right) -> bool:
        return roles.may(self.role, *rights)


class Asked(msgspec.Struct, frozen=True):
    """One request, checked."""

    engine: Engine
    desk: Desk
    caller: Caller
    path: Any
    query: Any
    body: Any
    now: float
    overdue_h: int


def caller(engine: Engine, request: Request, now: float) -> Caller:
    """Raises Refused: 401 without a valid token, 429 after too many wrong ones from one address."""
    given = request.headers.get("Authorization", "")
    if not given.lower().startswith(SCHEME):
        raise Refused(401, "no_token", "Send a token: Authorization: Bearer tw_…")
    with engine.connect() as connection:
        token = tokens.of_secret(connection, given[len(SCHEME) :].strip(), now)
    if token is None:
        raise _wrong(engine, request, now)
    if tokens.wants_noting(token, now):
        _note_use(engine, token, now)
    return Caller(token.name, token.role)


def part(given: dict[str, str], kind: type) -> Any:
    """Query or path as its record. Raises msgspec.ValidationError."""
    return msgspec.convert(given, type=kind, strict=False)


def body(request: Request, kind: type | None) -> Any:
    """Raises Refused: 415 no JSON, 400 other JSON than asked for."""
    if kind is None:
        return None
    if request.mimetype != "application/json":
        raise Refused(415, "no_json", "Send JSON: Content-Type: application/json")
    try:
        return msgspec.json.decode(request.get_data(), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(400, "bad_body", f"This body is not understood: {error}.") from error


def query(request: Request, kind: type) -> Any:
    """Raises Refused."""
    twice = [name for name, values in request.args.lists() if len(values) > 1]
    if twice:
        raise Refused(400, "bad_query", f"{twice[0][:40]!r} is given more than once.")
    try:
        return part(request.args.to_dict(), kind)
    except (msgspec.ValidationError, OverflowError) as error:
        raise Refused(400, "bad_query", f"This query is not understood: {error}.") from error


def _wrong(engine: Engine, request: Request, now: float) -> Refused:
    attempt = Attempt("", request.remote_addr or "", now, kind="token", most=FAILURES_ADDRESS)
    if throttle.admitted(engine, attempt):
        return Refused(401, "bad_token", "This token is wrong, expired or revoked: ask an administrator for a new one.")
    return Refused(429, "too_many", "Too many wrong tokens from this address: wait a quarter of an hour.")


def _note_use(engine: Engine, token: Token, now: float) -> None:
    """A database that takes nothing just now still answers, and its metrics are wanted most then."""
    try:
        with engine.begin() as connection:
            tokens.used(connection, token, now)
    except sa.exc.OperationalError as error:
        log.warning("use of token %s is not noted: %s", token.name, error.orig)
