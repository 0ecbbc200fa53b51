"""The page on label consistency: where experts disagree, and the labelling standard that settles it."""

from typing import get_args

import sqlalchemy as sa
from flask import Blueprint, current_app, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from cloud_sync import db, disputes, standards
from cloud_sync.accounts import needs
from cloud_sync.disputes import Grouping
from cloud_sync.tables import truths
from edge_agent.errors import ConfigError

blueprint = Blueprint("consistency", __name__)
SHOWN = 12
"""Cases of a group."""


@blueprint.get("/consistency")
@needs("quality")
def page(fault: str | None = None, draft: dict | None = None) -> str:
    by: Grouping = request.args.get("by", "seen") if request.args.get("by") in get_args(Grouping) else "seen"  # type: ignore[assignment]
    with _engine().connect() as connection:
        found, held = disputes.disputes(connection), standards.current(connection)
        counted = connection.execute(sa.select(truths.c.state, sa.func.count()).group_by(truths.c.state))
        states: dict[str, int] = {row[0]: row[1] for row in counted}
    return render_template(
        "consistency.html",
        groups=disputes.grouped(found, by),
        by=by,
        groupings=get_args(Grouping),
        standards=held,
        texts={one.subject: one.text for one in held},
        states=states,
        shown=SHOWN,
        fault=fault,
        draft=draft or {},
    )


@blueprint.post("/consistency")
@needs("quality")
def write() -> Response | tuple[str, int]:
    """A new text on a subject; an empty one takes it back."""
    try:
        with _engine().begin() as connection:
            standards.write(
                connection,
                request.form.get("subject", ""),
                request.form.get("text", ""),
                who=current_user.name,
                now=db.now(),
            )
    except ConfigError as error:
        return page(fault=str(error), draft=dict(request.form)), 400
    return redirect(url_for("consistency.page", by=request.args.get("by", "seen")))


def _engine() -> sa.Engine:
    return current_app.extensions["tankwatch"].engine
