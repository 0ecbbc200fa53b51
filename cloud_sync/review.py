"""The review pages: the queue, and one case after the other, blind until the expert has judged.

Before the judgement no page, address or picture tells what machine or inspector said, or why the case is shown. After
it the next case comes at once; what others said is shown when asked for, and for some seconds before that the judgement
can be taken back. A second judgement is added to the first; none is ever changed.
"""

import msgspec
import sqlalchemy as sa
from flask import Blueprint, abort, current_app, jsonify, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response

from cloud_sync import db, desk_goal, judgement, review_queue, standards, triage, vocabulary
from cloud_sync import review_words as words
from cloud_sync.accounts import needs
from cloud_sync.judgement import Kept, Review, Stale
from cloud_sync.sessions import fault_json, wants_json
from cloud_sync.sign_in import first_page
from cloud_sync.tables import cases, clips, gold
from cloud_sync.triage import ClipWord
from edge_agent.records import Case

blueprint = Blueprint("review", __name__)
FAMILIAR = {"yes": True, "no": False}
Fault = tuple[str, int]
"""Words for the expert, and the status of the answer."""
Answer = Response | str | tuple[str | Response, int]


@blueprint.get("/")
def start() -> Response:
    """To where this user's work is."""
    return redirect(first_page(current_user) if current_user.is_authenticated else url_for("review.queue"))


@blueprint.get("/review")
@needs("expert")
def queue() -> str:
    shelf, now = _shelf(), db.now()
    after = request.args.get("after", default=0, type=int)
    with shelf.engine.connect() as connection:
        waiting = review_queue.waiting(connection, current_user.name, now, shelf.config.clip_overdue_h, after=after)
        about = {
            "counts": review_queue.counts(connection, current_user.name),
            "goal": desk_goal.of(connection, shelf.desk.policy, current_user.name, now),
            "judged": _just_judged(connection, now),
        }
    return render_template("queue.html", waiting=waiting, page=review_queue.PAGE, after=after, **about)


@blueprint.get("/review/next")
@needs("expert")
def following() -> Response:
    """The next case for this expert, reserved for him, or the queue where there is none."""
    shelf, after = _shelf(), request.args.get("after")
    case_id = review_queue.draw(
        shelf.engine, shelf.desk, current_user.name, db.now(), after=after, with_gold=not current_user.may("quality")
    )
    judged = request.args.get("judged")
    if case_id is None:
        return redirect(url_for("review.queue", judged=judged))
    return redirect(url_for("review.case", case_id=case_id, judged=judged))


@blueprint.get("/review/<case_id>")
@needs("expert")
def case(case_id: str) -> Answer:
    """Blind while this expert has not judged; afterwards everything, unless a second judgement is asked for."""
    return _page(case_id)


@blueprint.post("/review/<case_id>")
@needs("expert")
def judge(case_id: str) -> Answer:
    """Adds the judgement and goes on to the next case; for scripts (Accept: application/json) says what can follow."""
    shelf, now = _shelf(), db.now()
    try:
        review = _review(request.form)
    except msgspec.DecodeError as error:
        return _refused(case_id, (words.unreadable(str(error)), 400))
    if (fault := _fault(case_id, review)) is not None:
        return _refused(case_id, fault)
    try:
        kept = judgement.record(shelf.engine, shelf.desk, case_id, review, current_user.name, now) or abort(404)
    except Stale:
        return _refused(case_id, (words.STALE, 409))
    if wants_json():
        return jsonify(_judged_record(kept))
    return redirect(url_for("review.following", after=case_id, judged=case_id))


@blueprint.post("/review/<case_id>/undo")
@needs("expert")
def undo(case_id: str) -> Answer:
    """Takes the last judgement back; the page is blind again."""
    shelf, now = _shelf(), db.now()
    with shelf.engine.connect() as connection:
        mine = _standing(connection, case_id)
    done = bool(mine) and judgement.withdraw(shelf.engine, mine[-1].id, current_user.name, now)
    if wants_json():
        return jsonify({"undone": done}), 200 if done else 409
    return redirect(url_for("review.case", case_id=case_id, late=None if done else 1))


@blueprint.post("/review/<case_id>/reveal")
@needs("expert")
def reveal(case_id: str) -> Response:
    """From now on this expert knows."""
    with _shelf().engine.connect() as connection:
        judged = bool(_standing(connection, case_id))
    if judged:
        judgement.reveal(_shelf().engine, case_id, current_user.name, db.now())
    return redirect(url_for("review.case", case_id=case_id))


def may_know(connection: sa.Connection, case_id: str, user_name: str) -> bool:
    """Has this expert judged the case, and may no longer take it back?"""
    return judgement.is_revealed(connection, case_id, user_name, db.now())


def _page(case_id: str, fault: str | None = None, form: dict | None = None) -> str:
    shelf, now = _shelf(), db.now()
    with shelf.engine.connect() as connection:
        row = _row(connection, case_id)
        kept = judgement.reviews_of(connection, case_id)
        mine = [review for review in kept if review.reviewer == current_user.name and not review.withdrawn]
        known = judgement.is_revealed(connection, case_id, current_user.name, now)
        about: dict[str, object] = {"row": row, "clip": _clip_word(row, now), "arrived": _arrived(row), "mine": mine}
        about["counts"] = review_queue.counts(connection, current_user.name)
        if mine and "again" not in request.args and fault is None:
            return (
                _revealed(connection, row, kept, mine[-1], about) if known else render_template("judged.html", **about)
            )
        kinds, standard = vocabulary.offered(connection), standards.current(connection)
        judged = _just_judged(connection, now)
    if not mine:
        review_queue.take(shelf.engine, shelf.desk, case_id, current_user.name, now)
    own = sum(review.reviewer == current_user.name for review in kept)
    blind = {
        "kinds": kinds,
        "fault": fault,
        "form": form or {},
        "own": own,
        "judged": judged,
        "known": known,
        "standard": standard,
    }
    return render_template("case.html", **about, **blind, marks=[], may_mark=True, late=request.args.get("late"))


def _revealed(connection: sa.Connection, row: sa.Row, kept: list[Kept], mine: Kept, about: dict) -> str:
    case_message = msgspec.json.decode(row.payload, type=Case)
    truth = judgement.truth_of(connection, row.case_id)
    known_truth = connection.scalar(sa.select(gold.c.truth).where(gold.c.case_id == row.case_id))
    return render_template(
        "revealed.html",
        **about | {"mine": mine},
        case=case_message,
        leak_at=case_message.leak_at_tank_px,
        kept=kept,
        kinds={kind: text for named in vocabulary.every(connection).values() for kind, text in named.items()},
        truth=truth,
        gold_truth=known_truth if mine.purpose == "gold" else None,
        words=words,
    )


def _refused(case_id: str, fault: Fault) -> Answer:
    text, status = fault
    if wants_json():
        return fault_json(status, "not_taken", text)
    return _page(case_id, text, request.form), status


def _fault(case_id: str, review: Review) -> Fault | None:
    shelf = _shelf()
    with shelf.engine.connect() as connection:
        row = _row(connection, case_id)
        kinds = vocabulary.offered(connection)
    if review.judgement != "cannot_tell" and _clip_word(row, db.now()) != "ready":
        return words.NO_VIDEO, 400
    if (missing := judgement.incomplete(review, kinds)) is not None:
        return missing, 400
    return None


def _just_judged(connection: sa.Connection, now: float) -> dict | None:
    """What the page before this one judged, while it can be taken back."""
    case_id = request.args.get("judged")
    mine = _standing(connection, case_id) if case_id else []
    if not mine or not judgement.may_withdraw(connection, mine[-1], now):
        return None
    return _judged_record(mine[-1]) | {"left_s": max(0.0, judgement.UNDO_S - (now - mine[-1].at))}


def _judged_record(kept: Kept) -> dict:
    return {
        "case_id": kept.case_id,
        "judgement": kept.judgement,
        "left_s": judgement.UNDO_S,
        "undo": url_for("review.undo", case_id=kept.case_id),
        "reveal": url_for("review.reveal", case_id=kept.case_id),
    }


def _standing(connection: sa.Connection, case_id: str) -> list[Kept]:
    kept = judgement.reviews_of(connection, case_id)
    return [review for review in kept if review.reviewer == current_user.name and not review.withdrawn]


def _row(connection: sa.Connection, case_id: str) -> sa.Row:
    query = sa.select(cases, clips.c.state, clips.c.next_part, clips.c.parts).outerjoin(
        clips, clips.c.sha256 == cases.c.clip_sha256
    )
    return connection.execute(query.where(cases.c.case_id == case_id)).first() or abort(404)


def _clip_word(row: sa.Row, now: float) -> ClipWord:
    shelf = _shelf()
    word = triage.clip_word(row.clip_sha256, row.state, now - row.received_at, shelf.config.clip_overdue_h)
    return "damaged" if word == "ready" and shelf.videos.fault(row.clip_sha256) else word


def _arrived(row: sa.Row) -> int | None:
    """Per cent of the clip, where some of it has come."""
    return round(100 * row.next_part / row.parts) if row.parts else None


def _review(form: MultiDict) -> Review:
    """Raises msgspec.DecodeError for what no page of ours sends."""
    took_ms = form.get("took_ms", "")
    return msgspec.convert(
        {
            "judgement": form.get("judgement"),
            "seen": form.get("seen") or None,
            "familiar": FAMILIAR.get(form.get("familiar", "")),
            "note": form.get("note", "").strip(),
            "marks": _marks(form.get("marks") or "[]"),
            "own": form.get("own", type=int),
            "took_s": min(int(took_ms) / 1000, 86_400) if took_ms.isdecimal() and len(took_ms) < 12 else None,
        },
        type=Review,
    )


def _marks(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise msgspec.DecodeError(f"$.marks: {error}") from error


def _shelf():
    return current_app.extensions["tankwatch"]
