"""Pages for quality engineers: cases with search and CSV, datasets and their manifests."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import get_args

import msgspec
from flask import Blueprint, abort, current_app, redirect, render_template, request, stream_with_context, url_for
from werkzeug.wrappers import Response

from cloud_sync import cases, dataset, db
from cloud_sync.accounts import needs
from cloud_sync.cases import Search
from cloud_sync.dataset import Example
from edge_agent.errors import TankwatchError
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


@blueprint.get("/datasets")
@needs("viewer")
def dataset_list(fault: str | None = None) -> str:
    with _engine().connect() as connection:
        released = dataset.all_datasets(connection)
        current = [example for _, example in dataset.current(connection)]
    counts = {split: sum(example.split == split for example in current) for split in dataset.SPLITS}
    return render_template("datasets.html", released=released, current=current, counts=counts, fault=fault)


@blueprint.post("/datasets")
@needs("quality")
def dataset_release() -> Response | tuple[str, int]:
    """The next version of a dataset from what is judged by now."""
    try:
        released = dataset.release(_engine(), request.form.get("name", ""), db.now())
    except TankwatchError as error:
        return dataset_list(fault=str(error)), 400
    return redirect(url_for("records.dataset_page", name=released.name, version=released.version))


@blueprint.get("/datasets/<name>/<int:version>")
@needs("viewer")
def dataset_page(name: str, version: int) -> str:
    manifest = dataset.manifest_of(_engine(), name, version) or abort(404)
    members = [msgspec.json.decode(line, type=Example) for line in manifest.splitlines()]
    with _engine().connect() as connection:
        (about,) = (
            found for found in dataset.all_datasets(connection) if (found.name, found.version) == (name, version)
        )
    return render_template("dataset.html", about=about, members=members)


@blueprint.get("/datasets/<name>/<int:version>/manifest.jsonl")
@needs("viewer")
def dataset_manifest(name: str, version: int) -> Response:
    manifest = dataset.manifest_of(_engine(), name, version) or abort(404)
    response = current_app.response_class(manifest, mimetype="application/jsonl")
    response.headers["Content-Disposition"] = f"attachment; filename={name}-{version}.jsonl"
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
