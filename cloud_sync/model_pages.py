"""Pages about models: which bundles there are and where each comes from, how far runs are, and two compared."""

import re

import msgspec
import sqlalchemy as sa
from flask import Blueprint, abort, current_app, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from cloud_sync import db, model_records, registry, run_folder, runs
from cloud_sync.accounts import needs
from cloud_sync.runs import Order, Run
from edge_agent.errors import ConfigError
from edge_agent.messages import IDENTIFIER

blueprint = Blueprint("models", __name__)
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
"""A report is one file with its style and pictures in it; it runs nothing and reaches nothing."""
SCOPE = re.compile(rf"general|site/{IDENTIFIER}|station/{IDENTIFIER}/{IDENTIFIER}")
LONGEST_REASON = 200
LAST_LINES = 40
REPORTS = ("test", "twin")


@blueprint.get("/models")
@needs("viewer")
def page(fault: str | None = None) -> str:
    """Bundles, what is best for each station, and the runs."""
    with _engine().connect() as connection:
        return render_template(
            "models.html",
            listed=model_records.listed(connection),
            places=model_records.best_by_place(connection),
            runs=runs.every(connection, 30),
            fault=fault,
        )


@blueprint.post("/models")
@needs("quality")
def start() -> Response | tuple[str, int]:
    """A run that waits for `cloud retrain`, which the timer starts every hour."""
    scope = request.form.get("scope", "").strip()
    try:
        run_id = _queue(scope, _reason())
    except ConfigError as error:
        return page(fault=str(error)), 400
    return redirect(url_for("models.run_page", run_id=run_id))


@blueprint.get("/models/<sha256>")
@needs("viewer")
def one(sha256: str, fault: str | None = None) -> str:
    """Model card, figures, lineage both ways, history."""
    with _engine().connect() as connection:
        known = registry.find(connection, sha256) or abort(404)
        manifest = registry.manifest_of(connection, sha256) or abort(404)
        made_by = runs.of_bundle(connection, sha256)
        run = next((found for found in made_by if found.state == "done"), None)
        others = [other for other in registry.all_bundles(connection) if other.sha256 != sha256]
        return render_template(
            "model.html",
            known=known,
            manifest=manifest,
            card=model_records.card_of(manifest),
            runs=made_by,
            run=run,
            metrics=model_records.metrics_of(run),
            parts=model_records.PARTS,
            dataset=model_records.dataset_of(connection, run, known),
            parent=registry.find(connection, known.parent_sha256) if known.parent_sha256 else None,
            children=[other for other in others if other.parent_sha256 == sha256],
            history=registry.history(connection, sha256),
            others=others,
            fault=fault,
        )


@blueprint.post("/models/<sha256>")
@needs("quality")
def retire(sha256: str) -> Response | tuple[str, int]:
    """A champion goes when another takes its place, not here."""
    try:
        reason = _reason()
        with _engine().begin() as connection:
            known = registry.find(connection, sha256) or abort(404)
            if known.state == "champion":
                raise ConfigError("this bundle is champion: it is retired when another one takes its place")
            registry.move(connection, sha256, "retired", who=current_user.name, reason=reason, now=db.now())
    except ConfigError as error:
        return one(sha256, fault=str(error)), 400
    return redirect(url_for("models.one", sha256=sha256))


@blueprint.get("/models/compare")
@needs("viewer")
def compare() -> str:
    """Bundles `first` and `second` on the cases that both were evaluated on."""
    with _engine().connect() as connection:
        pair = [registry.find(connection, request.args.get(name, "")) or abort(404) for name in ("first", "second")]
        rows = model_records.compared(connection, pair[0].sha256, pair[1].sha256)
    return render_template(
        "model_compare.html",
        pair=pair,
        rows=rows[: model_records.MOST_ROWS],
        total=len(rows),
        counts=model_records.counted(rows),
        parts=model_records.PARTS,
    )


@blueprint.get("/models/runs/<int:run_id>")
@needs("viewer")
def run_page(run_id: int, fault: str | None = None) -> str:
    """How far a run is, and what came of it."""
    with _engine().connect() as connection:
        run = _found(connection, run_id)
        bundle = registry.find(connection, run.bundle_sha256) if run.bundle_sha256 else None
    folder = run_folder.of_run(current_app.extensions["tankwatch"].config, run_id)
    return render_template(
        "run.html",
        run=run,
        bundle=bundle,
        metrics=model_records.metrics_of(run),
        parts=model_records.PARTS,
        reports=[part for part in REPORTS if (folder / part / "report.html").is_file()],
        log=run_folder.log_of(folder, LAST_LINES),
        now=db.now(),
        fault=fault,
    )


@blueprint.post("/models/runs/<int:run_id>")
@needs("quality")
def take_up(run_id: int) -> Response | tuple[str, int]:
    """A failed run waits again; what it has seen and judged is still there."""
    try:
        with _engine().begin() as connection:
            runs.take_up(connection, run_id, who=current_user.name, now=db.now())
    except ConfigError as error:
        return run_page(run_id, fault=str(error)), 400
    return redirect(url_for("models.run_page", run_id=run_id))


@blueprint.get("/models/runs/<int:run_id>/<part>.html")
@needs("viewer")
def report(run_id: int, part: str) -> Response:
    """The evaluation's own page, as it was written."""
    path = run_folder.of_run(current_app.extensions["tankwatch"].config, run_id) / part / "report.html"
    if part not in REPORTS or not path.is_file():
        abort(404)
    response = current_app.response_class(path.read_bytes(), mimetype="text/html")
    response.headers["Content-Security-Policy"] = REPORT_POLICY
    return response


def _queue(scope: str, reason: str) -> int:
    if not SCOPE.fullmatch(scope):
        raise ConfigError(f"{scope[:60]!r} is no scope: write general, site/SITE or station/SITE/STATION")
    settings = current_app.extensions["tankwatch"].config.retrain
    order = Order(scope, current_user.name, reason, settings.seed, settings=msgspec.json.encode(settings))
    with _engine().begin() as connection:
        return runs.queue(connection, order, db.now())


def _reason() -> str:
    reason = request.form.get("reason", "").strip()
    if not reason or len(reason) > LONGEST_REASON:
        raise ConfigError(f"the reason has {len(reason)} characters, 1 to {LONGEST_REASON} are needed: say why")
    return reason


def _found(connection: sa.Connection, run_id: int) -> Run:
    return (runs.find(connection, run_id) if run_id < 2**31 else None) or abort(404)


def _engine() -> sa.Engine:
    return current_app.extensions["tankwatch"].engine
