"""Page for quality engineers: gold cases, and how each expert does on them."""

from flask import Blueprint, current_app, redirect, render_template, request, url_for
from flask_login import current_user
from sqlalchemy.engine import Engine
from werkzeug.wrappers import Response

from cloud_sync import db, gold_cases
from cloud_sync.accounts import needs
from edge_agent.errors import ConfigError

blueprint = Blueprint("gold", __name__)


@blueprint.get("/gold")
@needs("quality")
def page(fault: str | None = None) -> str:
    with _engine().connect() as connection:
        known, experts = gold_cases.every(connection), gold_cases.experts(connection)
    policy = current_app.extensions["tankwatch"].desk.policy
    return render_template("gold.html", known=known, experts=experts, policy=policy, fault=fault)


@blueprint.post("/gold")
@needs("quality")
def change() -> Response | tuple[str, int]:
    case_id, who, now = request.form.get("case_id", "").strip(), current_user.name, db.now()
    if request.form.get("act") == "retire":
        gold_cases.retire(_engine(), case_id, who=who, now=now)
        return redirect(url_for("gold.page"))
    try:
        gold_cases.declare(_engine(), case_id, request.form.get("truth", ""), who=who, now=now)
    except ConfigError as error:
        return page(fault=str(error)), 400
    return redirect(url_for("gold.page"))


def _engine() -> Engine:
    return current_app.extensions["tankwatch"].engine
