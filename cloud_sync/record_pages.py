"""Pages for quality engineers: cases with search and CSV."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import get_args

import msgspec
from flask import Blueprint, abort, current_app, render_template, request, stream_with_context
from werkzeug.wrappers import Response

from cloud_sync import cases
from cloud_sync.accounts import needs
from cloud_sync.cases import Search
from edge_agent.records import DecisionWord, OutcomeWord, VerdictWord

blueprint = Blueprint("records", __name__)
CHOICES = {"verdict": get_args(VerdictWord), "decision": get_args(DecisionWord), "outcome": get_args(OutcomeWord)}
TEXTS = ("text", "station", "verdict", "decision", "outcome")


@blueprint.get("/cases")
@needs("viewer")
def case_list() -> str:
    search, fault = searched(request.args)
    with _engine().connect() as connection:
        rows = cases.find(connection, search)
    return render_template(
        "cases.html",
        rows=rows[: cases.PAGE],
        more=len(rows) > cases.PAGE,
        asked=request.args,
        fault=fault,
        choices=CHOICES,
    )


@blueprint.get("/cases.csv")
@needs("viewer")
def case_csv() -> Response:
    search, fault = searched(request.args)
    if fault:
        abort(400)

    def lines():
        with _engine().connect() as connection:
            yield from cases.as_csv(connection, search)

    response = current_app.response_class(stream_with_context(lines()), mimetype="text/csv")
    response.headers["Content-Disposition"] = "attachment; filename=cases.csv"
    return response


def searched(asked: Mapping[str, str]) -> tuple[Search, str | None]:
    """The page's fields -> what to search for, and what was not understood. Times are UTC."""
    fields: dict[str, object] = {name: asked.get(name, "").strip() for name in TEXTS}
    try:
        fields["bundle_version"] = int(asked["bundle"]) if asked.get("bundle") else None
        fields["started_from"] = _seconds(asked.get("from", ""))
        fields["started_until"] = _seconds(asked.get("until", ""))
        return msgspec.convert(fields, type=Search), None
    except (ValueError, OverflowError) as error:
        return Search(), f"This search is not understood: {error}."


def _seconds(text: str) -> float | None:
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _engine():
    return current_app.extensions["tankwatch"].engine
