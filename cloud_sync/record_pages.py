"""Pages for quality engineers: datasets and their manifests."""

import msgspec
from flask import Blueprint, abort, current_app, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from cloud_sync import dataset, db
from cloud_sync.accounts import needs
from cloud_sync.dataset import Example
from edge_agent.errors import TankwatchError

blueprint = Blueprint("records", __name__)


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


def _engine():
    return current_app.extensions["tankwatch"].engine
