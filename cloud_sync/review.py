"""The review pages: the queue, and one case after the other, blind until the expert has judged.

Before the judgement no page, address or picture tells what machine or inspector said. A second judgement is added to
the first and said plainly; none is ever changed.
"""

import msgspec
import sqlalchemy as sa
from flask import Blueprint, abort, current_app, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from cloud_sync import db, judgement, review_queue, triage
from cloud_sync.accounts import needs
from cloud_sync.judgement import KINDS, Kept, Review
from cloud_sync.sign_in import first_page
from cloud_sync.tables import cases, clips
from edge_agent.records import Case

blueprint = Blueprint("review", __name__)
FAMILIAR = {"yes": True, "no": False}
OUTCOME_WORDS = {
    "agree": "Machine and inspector agree",
    "machine_leak": "Machine says leak, inspector ok",
    "human_leak": "Inspector says leak, machine ok",
    "unsure": "The machine was unsure",
    "not_tested": "The machine could not test this unit",
    "undecided": "No decision by an inspector",
    "machine_only": "The machine decided alone",
}
SPLIT_WORDS = {
    "train": "Goes to the training set: the machine was wrong about something familiar.",
    "test": "Goes to the test set: the machine was wrong about something unfamiliar.",
    "pool": "Goes to the pool: labelled, but no mistake of the machine.",
    None: "Becomes no example.",
}


@blueprint.get("/")
def start() -> Response:
    """To where this user's work is."""
    return redirect(first_page(current_user) if current_user.is_authenticated else url_for("review.queue"))


@blueprint.get("/review")
@needs("expert")
def queue() -> str:
    shelf = current_app.extensions["tankwatch"]
    with shelf.engine.connect() as connection:
        waiting = review_queue.waiting(connection, db.now(), shelf.config.clip_overdue_h)
        counts = review_queue.counts(connection)
    return render_template("queue.html", waiting=waiting, counts=counts)


@blueprint.get("/review/next")
@needs("expert")
def following() -> Response:
    """The next case that can be watched, or the queue where there is none."""
    with current_app.extensions["tankwatch"].engine.connect() as connection:
        case_id = review_queue.next_case(connection, after=request.args.get("after"))
    return redirect(url_for("review.case", case_id=case_id) if case_id else url_for("review.queue"))


@blueprint.get("/review/<case_id>")
@needs("expert")
def case(case_id: str) -> str:
    """Blind while this expert has not judged; afterwards everything, unless a second judgement is asked for."""
    return _page(case_id, fault=None, form={})


@blueprint.post("/review/<case_id>")
@needs("expert")
def judge(case_id: str) -> Response | tuple[str, int]:
    """Adds the judgement and shows what there was to know."""
    try:
        review = _review(request.form)
    except msgspec.ValidationError:
        return _page(case_id, fault="Choose leak, ok or cannot tell.", form=request.form), 400
    shelf = current_app.extensions["tankwatch"]
    with shelf.engine.connect() as connection:
        watchable = _row(connection, case_id).state == "stored"
    fault = judgement.incomplete(review)
    if review.judgement != "cannot_tell" and not watchable:
        fault = "There is no video to judge by, so only “cannot tell” is possible."
    if fault:
        return _page(case_id, fault=fault, form=request.form), 400
    if judgement.record(shelf.engine, case_id, review, current_user.name, db.now()) is None:
        abort(404)
    return redirect(url_for("review.case", case_id=case_id))


def may_know(connection: sa.Connection, case_id: str, user_name: str) -> bool:
    """Has this expert judged the case?"""
    return any(review.reviewer == user_name for review in judgement.reviews_of(connection, case_id))


def _page(case_id: str, *, fault: str | None, form: dict) -> str:
    shelf = current_app.extensions["tankwatch"]
    with shelf.engine.connect() as connection:
        row = _row(connection, case_id)
        kept = judgement.reviews_of(connection, case_id)
        counts = review_queue.counts(connection)
    mine = [review for review in kept if review.reviewer == current_user.name]
    clip = triage.clip_word(
        row.clip_sha256, row.state == "stored", db.now() - row.received_at, shelf.config.clip_overdue_h
    )
    about = {"row": row, "clip": clip, "counts": counts, "arrived": _arrived(row)}
    if mine and "again" not in request.args and fault is None:
        return _revealed(row, kept, mine[-1], about)
    return render_template(
        "case.html", **about, kinds=KINDS, fault=fault, form=form, mine=mine, others=len(kept) - len(mine)
    )


def _revealed(row: sa.Row, kept: list[Kept], mine: Kept, about: dict) -> str:
    case_message = msgspec.json.decode(row.payload, type=Case)
    return render_template(
        "revealed.html",
        **about,
        case=case_message,
        leak_at=case_message.leak_at_tank_px,
        mine=mine,
        kept=kept,
        outcome_words=OUTCOME_WORDS.get(row.outcome, row.outcome),
        split_words=SPLIT_WORDS[mine.split],
    )


def _row(connection: sa.Connection, case_id: str) -> sa.Row:
    query = sa.select(cases, clips.c.state, clips.c.next_part, clips.c.parts).outerjoin(
        clips, clips.c.sha256 == cases.c.clip_sha256
    )
    return connection.execute(query.where(cases.c.case_id == case_id)).first() or abort(404)


def _arrived(row: sa.Row) -> int | None:
    """Per cent of the clip, where some of it has come."""
    return round(100 * row.next_part / row.parts) if row.parts else None


def _review(form: dict) -> Review:
    """Raises msgspec.ValidationError for what no page of ours sends."""
    return msgspec.convert(
        {
            "judgement": form.get("judgement"),
            "seen": form.get("seen") or None,
            "familiar": FAMILIAR.get(form.get("familiar", "")),
            "note": form.get("note", "").strip(),
        },
        type=Review,
    )
