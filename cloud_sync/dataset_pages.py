"""Pages about datasets: what is judged and where it would go, the versions, what is in each and how two differ."""

from collections import Counter

import sqlalchemy as sa
from flask import Blueprint, abort, current_app, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from cloud_sync import (
    dataset,
    dataset_members,
    db,
    draw,
    manifest,
    policy_file,
    policy_words,
    set_change,
    standing,
    vocabulary,
)
from cloud_sync.accounts import needs
from cloud_sync.dataset import Dataset, Rules
from edge_agent.errors import TankwatchError

blueprint = Blueprint("datasets", __name__)
MOST_CHANGES = 500
"""Shown of a comparison; the manifests hold them all."""


@blueprint.get("/datasets")
@needs("viewer")
def page(fault: str | None = None) -> str:
    """What the next version would hold, by which rules, and the versions there are."""
    rules = _rules()
    with _engine().connect() as connection:
        held = standing.standing(connection, rules.policy)
        released, disputed = dataset.all_datasets(connection), standing.conflicts(connection)
    drawn = draw.draw([one.candidate for one in held], rules.policy)
    return render_template(
        "datasets.html",
        released=released,
        judged=len(held),
        counts=Counter(one.split for one in drawn.values() if one.split),
        left_out=Counter(one.why for one in drawn.values() if one.split is None),
        states=Counter(one.candidate.state for one in held),
        labels=Counter(one.candidate.label for one in held),
        disputed=disputed,
        rules=rules,
        explained=policy_words.explained(rules.policy),
        fault=fault,
    )


@blueprint.post("/datasets")
@needs("quality")
def release() -> Response | tuple[str, int]:
    """The next version of a dataset from what is judged by now."""
    try:
        released = dataset.release(_engine(), request.form.get("name", ""), db.now(), _rules(), who=current_user.name)
    except TankwatchError as error:
        return page(fault=str(error)), 400
    return redirect(url_for("datasets.one", name=released.name, version=released.version))


@blueprint.get("/datasets/<name>/<int:version>")
@needs("viewer")
def one(name: str, version: int) -> str:
    """Its figures, and its examples by filters."""
    about, wanted = _found(name, version), dataset_members.asked(request.args)
    with _engine().connect() as connection:
        rows = dataset_members.find(connection, name, version, wanted)
        versions = [other for other in dataset.all_datasets(connection) if other != about]
        kinds = vocabulary.every(connection)
    return render_template(
        "dataset.html",
        about=about,
        figures=dataset.statistics_of(_engine(), name, version),
        rows=rows[: dataset_members.PAGE],
        more=len(rows) > dataset_members.PAGE,
        wanted=wanted,
        versions=versions,
        kinds=kinds,
    )


@blueprint.get("/datasets/<name>/<int:version>/compare")
@needs("viewer")
def compare(name: str, version: int) -> str:
    """How it differs from the version named in `with` (NAME/VERSION)."""
    about, other = _found(name, version), _named(request.args.get("with", ""))
    members = [manifest.read(dataset.manifest_of(_engine(), one.name, one.version) or b"") for one in (other, about)]
    changes = set_change.changes(*members)
    return render_template(
        "dataset_compare.html",
        about=about,
        other=other,
        figures=[dataset.statistics_of(_engine(), one.name, one.version) for one in (other, about)],
        changes=changes[:MOST_CHANGES],
        counts=Counter(change.what for change in changes),
        total=len(changes),
    )


@blueprint.get("/datasets/<name>/<int:version>/manifest.jsonl")
@needs("viewer")
def manifest_file(name: str, version: int) -> Response:
    about = _found(name, version)
    response = current_app.response_class(dataset.manifest_of(_engine(), name, version), mimetype="application/jsonl")
    response.headers["Content-Disposition"] = f"attachment; filename={about.name}-{version}.jsonl"
    return response


@blueprint.get("/datasets/<name>/<int:version>/export.tar")
@needs("quality")
def export(name: str, version: int) -> Response:
    """Manifest and clips as one file. A clip that is gone ends it early: tar then says that the file is cut off."""
    about = _found(name, version)
    pieces = dataset.packed(_engine(), current_app.extensions["tankwatch"].store, about)
    response = current_app.response_class(pieces, mimetype="application/x-tar")
    response.headers["Content-Disposition"] = f"attachment; filename={about.name}-{version}.tar"
    return response


def _found(name: str, version: int) -> Dataset:
    return dataset.find(_engine(), name, version) or abort(404)


def _named(text: str) -> Dataset:
    name, _, version = text.rpartition("/")
    return _found(name, int(version)) if version.isdecimal() and len(version) < 10 else abort(404)


def _rules() -> Rules:
    return Rules(*policy_file.load(current_app.extensions["tankwatch"].config))


def _engine() -> sa.Engine:
    return current_app.extensions["tankwatch"].engine
