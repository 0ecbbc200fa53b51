"""Pages of the attribute study: plan, an appraiser's blind trials, results and the printable report."""

import msgspec
import sqlalchemy as sa
from flask import Blueprint, abort, current_app, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response

from cloud_sync import accounts, db, study, study_records, study_report, triage
from cloud_sync.accounts import needs
from cloud_sync.study import LIMITS, Plan, Word
from cloud_sync.study_records import Held, Results
from cloud_sync.tables import cases, clips
from edge_agent.errors import ConfigError

blueprint = Blueprint("studies", __name__)


class _Answer(msgspec.Struct, frozen=True):
    trial: int
    judgement: Word


@blueprint.get("/studies")
@needs("expert")
def study_list() -> str:
    """Quality sees every study; an expert those in which there is something to do or was."""
    return _list_page(fault=None, form=MultiDict())


@blueprint.post("/studies")
@needs("quality")
def plan() -> Response | tuple[str, int]:
    try:
        number = study_records.make(_engine(), _plan(request.form), current_user.name, db.now())
    except ConfigError as error:
        return _list_page(fault=f"This study cannot be made: {error}.", form=request.form), 400
    return redirect(url_for("studies.results_page", number=number))


@blueprint.get("/studies/<int:number>/look")
@needs("expert")
def look(number: int) -> Response | str:
    """The next part in this appraiser's own order. Neither part, nor trial, nor case id is shown."""
    shelf = current_app.extensions["tankwatch"]
    with shelf.engine.connect() as connection:
        held = _appraised(connection, number)
        asked = study_records.next_look(connection, number, current_user.name)
        if asked is None:
            return render_template("study_done.html", held=held)
        row = connection.execute(
            sa.select(cases, clips.c.state)
            .outerjoin(clips, clips.c.sha256 == cases.c.clip_sha256)
            .where(cases.c.case_id == asked.case_id)
        ).one()
    clip = triage.clip_word(row.clip_sha256, row.state, 0.0, shelf.config.clip_overdue_h)
    return render_template("study_look.html", held=held, ask=asked, row=row, clip=clip, counts={}, may_mark=False)


@blueprint.post("/studies/<int:number>/look")
@needs("expert")
def judge(number: int) -> Response:
    with _engine().connect() as connection:
        _appraised(connection, number)
    try:
        answer = msgspec.convert(request.form.to_dict(), type=_Answer, strict=False)
    except msgspec.ValidationError:
        abort(400)
    study_records.judge(_engine(), answer.trial, current_user.name, answer.judgement, db.now())
    return redirect(url_for("studies.look", number=number))


@blueprint.get("/studies/<int:number>")
@needs("quality")
def results_page(number: int) -> str:
    held, results = _results(number)
    return render_template("study.html", held=held, results=results, limits=LIMITS)


@blueprint.post("/studies/<int:number>/close")
@needs("quality")
def close(number: int) -> Response:
    """Ends a study that somebody does not finish: who has trials left is left out."""
    if not study_records.close(_engine(), number, current_user.name, db.now()):
        abort(400)
    return redirect(url_for("studies.results_page", number=number))


@blueprint.get("/studies/<int:number>/report.pdf")
@needs("quality")
def report(number: int) -> Response:
    held, results = _results(number)
    pdf = study_report.pdf(held, results or abort(404), printed_at=db.now())
    response = current_app.response_class(pdf, mimetype="application/pdf")
    response.headers["Content-Disposition"] = f"inline; filename=study-{number}.pdf"
    return response


def _results(number: int) -> tuple[Held, Results | None]:
    with _engine().connect() as connection:
        held = study_records.find(connection, number) or abort(404)
        results = study_records.results(connection, held)
    return held, results


def _appraised(connection: sa.Connection, number: int) -> Held:
    """The study, for those who are its appraisers."""
    held = study_records.find(connection, number) or abort(404)
    return held if current_user.name in held.plan.appraisers else abort(403)


def _list_page(*, fault: str | None, form: MultiDict) -> str:
    with _engine().connect() as connection:
        held = study_records.all_studies(connection)
        clips_held = study_records.candidates(connection) if current_user.may("quality") else []
    mine = [one for one in held if current_user.name in one.plan.appraisers]
    return render_template(
        "studies.html",
        held=held if current_user.may("quality") else mine,
        users=study_records.possible_appraisers(accounts.all_users(_engine())),
        candidates=len(clips_held),
        borderline=sum(one.borderline for one in clips_held),
        leaking=sum(one.truth == "leak" for one in clips_held),
        fault=fault,
        form=form,
        least=round(100 * study.LEAST_BORDERLINE),
        most=round(100 * study.MOST_BORDERLINE),
    )


def _plan(form: MultiDict) -> Plan:
    """Raises ConfigError with words for a person."""
    fields = {name: form.get(name, "").strip() for name in ("name", "parts", "trials", "seed")}
    try:
        share = float(form.get("borderline", "40").replace(",", ".")) / 100
        wanted = {**fields, "appraisers": form.getlist("appraiser"), "borderline": share}
        return msgspec.convert(wanted, type=Plan, strict=False)
    except (ValueError, msgspec.ValidationError) as error:
        raise ConfigError(str(error).replace("`$.", "").replace("`", "").replace(" - at ", ": ").lower()) from error


def _engine():
    return current_app.extensions["tankwatch"].engine
