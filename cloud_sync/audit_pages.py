"""The audit log for people: who did what and when, page by page, and whether the chain holds."""

from datetime import UTC, datetime

import msgspec
import sqlalchemy as sa
from flask import Blueprint, current_app, render_template, request

from cloud_sync import audit_log
from cloud_sync.accounts import needs
from cloud_sync.tables import audit

blueprint = Blueprint("audit", __name__)
PAGE = 100
LARGEST_ID = 2**31 - 1


class Asked(msgspec.Struct, frozen=True):
    """What is looked for; an empty text asks for nothing."""

    who: str = ""
    did: str = ""
    about: str = ""
    since: float | None = None
    until: float | None = None
    before: int | None = None
    """Only lines with a smaller number: the next page."""


@blueprint.get("/audit")
@needs("quality")
def log() -> str:
    asked, fault = _asked()
    shelf = current_app.extensions["tankwatch"]
    with shelf.engine.connect() as connection:
        rows = connection.execute(_query(asked)).all()
        end, published = audit_log.end(connection), audit_log.heads(connection)
    return render_template(
        "audit.html",
        rows=rows[:PAGE],
        more=rows[PAGE - 1].id if len(rows) > PAGE else None,
        asked={name: value for name, value in request.args.items() if name != "before"},
        fault=fault,
        end=end,
        published=published[-1] if published else None,
    )


def _asked() -> tuple[Asked, str | None]:
    """And what was not understood, for a person."""
    given = request.args
    texts = {name: given.get(name, "").strip() for name in ("who", "did", "about")}
    try:
        before = int(given["before"]) if given.get("before") else None
        if before is not None and not 0 <= before <= LARGEST_ID:
            raise ValueError("there is no such line")
        return Asked(
            **texts, since=_seconds(given.get("from")), until=_seconds(given.get("until")), before=before
        ), None
    except (ValueError, OverflowError) as error:
        return Asked(), f"This search is not understood: {error}."


def _seconds(text: str | None) -> float | None:
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _query(asked: Asked) -> sa.Select:
    query = sa.select(audit).order_by(audit.c.id.desc()).limit(PAGE + 1)
    wanted = [audit.c[name] == getattr(asked, name) for name in ("who", "did") if getattr(asked, name)]
    if asked.about:
        wanted.append(audit.c.about.contains(asked.about, autoescape=True))
    if asked.since is not None:
        wanted.append(audit.c.at >= asked.since)
    if asked.until is not None:
        wanted.append(audit.c.at < asked.until)
    if asked.before is not None:
        wanted.append(audit.c.id < asked.before)
    return query.where(*wanted)
