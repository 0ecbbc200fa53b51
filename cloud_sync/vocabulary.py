"""The vocabulary of what experts see: kinds of bubble and of nuisance, which an administrator adds to and retires.

A kind that was used stays readable for ever; a retired one is only no longer offered.
"""

import re

import sqlalchemy as sa
from flask import Blueprint, current_app, redirect, render_template, request, url_for
from flask_login import current_user
from sqlalchemy.engine import Engine
from werkzeug.wrappers import Response

from cloud_sync import audit_log, db
from cloud_sync.accounts import needs
from cloud_sync.judgement import Kinds
from cloud_sync.tables import kinds
from edge_agent.errors import ConfigError

blueprint = Blueprint("vocabulary", __name__)
NAME = r"[a-z][a-z0-9_]{0,39}"
LONGEST_WORDS = 60
MOST_OFFERED = 9
"""As many as there are number keys."""
JUDGEMENTS = ("leak", "ok", "cannot_tell")


def offered(connection: sa.Connection) -> Kinds:
    """What can be chosen now."""
    return _kinds(connection, kinds.c.retired_at.is_(None))


def every(connection: sa.Connection) -> Kinds:
    """Every kind there ever was, for reading what was said."""
    return _kinds(connection, sa.true())


def add(engine: Engine, judgement: str, kind: str, words: str, *, who: str, now: float) -> None:
    """A new kind, an old one with other words, or a retired one again. Raises ConfigError."""
    words = words.strip()
    if judgement not in JUDGEMENTS or not re.fullmatch(NAME, kind):
        raise ConfigError(f"{kind[:40]!r} cannot name a kind: use small letters, digits and underscores, at most 40")
    if not 0 < len(words) <= LONGEST_WORDS:
        raise ConfigError(f"the words have {len(words)} characters, 1 to {LONGEST_WORDS} are possible")
    with engine.begin() as connection:
        audit_log.take_turn(connection)
        held = offered(connection)
        if any(kind in named for other, named in every(connection).items() if other != judgement):
            raise ConfigError(f"{kind!r} is a kind of another judgement already: choose another name")
        if kind not in held[judgement] and len(held[judgement]) >= MOST_OFFERED:
            raise ConfigError(f"there are {MOST_OFFERED} kinds already, one for each number key: retire one first")
        mine = (kinds.c.judgement == judgement) & (kinds.c.kind == kind)
        changed = sa.update(kinds).where(mine).values(words=words, retired_at=None)
        if connection.execute(changed).rowcount == 0:
            place = connection.scalar(sa.select(sa.func.max(kinds.c.place)).where(kinds.c.judgement == judgement)) or 0
            row = {"judgement": judgement, "kind": kind, "words": words, "place": place + 1}
            connection.execute(sa.insert(kinds).values(row))
        audit_log.note(connection, who=who, did="kind_set", about=f"{judgement} {kind}: {words}", now=now)


def retire(engine: Engine, judgement: str, kind: str, *, who: str, now: float) -> None:
    """No longer offered. Harmless where it is retired already, or never was."""
    mine = (kinds.c.judgement == judgement) & (kinds.c.kind == kind) & kinds.c.retired_at.is_(None)
    with engine.begin() as connection:
        audit_log.take_turn(connection)
        if connection.execute(sa.update(kinds).where(mine).values(retired_at=now)).rowcount:
            audit_log.note(connection, who=who, did="kind_retired", about=f"{judgement} {kind}", now=now)


@blueprint.get("/vocabulary")
@needs("admin")
def page(fault: str | None = None) -> str:
    with _engine().connect() as connection:
        held = offered(connection)
        retired = {judgement: set(named) - set(held[judgement]) for judgement, named in every(connection).items()}
    return render_template("vocabulary.html", offered=held, retired=retired, fault=fault)


@blueprint.post("/vocabulary")
@needs("admin")
def change() -> Response | tuple[str, int]:
    judgement, kind = request.form.get("judgement", ""), request.form.get("kind", "")
    if request.form.get("act") == "retire":
        retire(_engine(), judgement, kind, who=current_user.name, now=db.now())
        return redirect(url_for("vocabulary.page"))
    try:
        add(_engine(), judgement, kind, request.form.get("words", ""), who=current_user.name, now=db.now())
    except ConfigError as error:
        return page(fault=str(error)), 400
    return redirect(url_for("vocabulary.page"))


def _kinds(connection: sa.Connection, which: sa.ColumnElement[bool]) -> Kinds:
    found: dict[str, dict[str, str]] = {judgement: {} for judgement in JUDGEMENTS}
    for row in connection.execute(sa.select(kinds).where(which).order_by(kinds.c.place, kinds.c.kind)):
        found.setdefault(row.judgement, {})[row.kind] = row.words
    return found


def _engine() -> Engine:
    return current_app.extensions["tankwatch"].engine
