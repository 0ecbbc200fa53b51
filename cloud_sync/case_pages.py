"""Pages of the cases held, for all who may see verdicts: one form for search and containment, with list, CSV, clips and
a permanent link; and everything on record of one case.
"""

from collections.abc import Iterator

import sqlalchemy as sa
from flask import Blueprint, abort, current_app, render_template, request, stream_with_context
from flask_login import current_user
from werkzeug.wrappers import Response

from cloud_sync import (
    answers,
    case_file,
    case_table,
    case_words,
    clip_archive,
    db,
    judgement,
    registry,
    search,
)
from cloud_sync.accounts import needs
from cloud_sync.answers import PAGE
from cloud_sync.search import Search
from cloud_sync.search_terms import result_of
from cloud_sync.tables import case_groups, cases, clips
from edge_agent.errors import StoreError

blueprint = Blueprint("cases", __name__)
KEPT = "private, max-age=86400"
MOST_STATIONS = 200
OUT_OF_ORDER = "The address does not say where the list goes on: search again."
MORE = tuple(
    name
    for name in search.NAMES
    if name not in ("site", "station", "from", "until", "result", "bundle", "clarity_below", "known")
)
"""Fields that the form shows when asked to."""


@blueprint.get("/cases")
@needs("viewer")
def case_list() -> str | tuple[str, int]:
    """What is asked for is in the address, and nothing else decides what is shown."""
    wanted, fault = search.asked(request.args)
    try:
        place = search.place(request.args)
    except ValueError:
        fault, place = OUT_OF_ORDER, None
    with _engine().connect() as connection:
        stations = _stations(connection)
        if fault:
            return _listed(fault=fault, fields=dict(request.args), stations=stations), 400
        way = answers.way(connection, wanted)
        page = answers.page(connection, wanted, way, place)
        rows = case_table.rows(connection, page.keys)
        matches = answers.count(connection, wanted, way)
    links = {"fields": search.as_fields(wanted), "fixed": search.as_fields(search.fixed(wanted, db.now()))}
    return _listed(page=page, rows=rows, matches=matches, first=place is None, stations=stations, **links)


@blueprint.get("/cases.csv")
@needs("viewer")
def case_csv() -> Response:
    wanted = _wanted()

    def lines() -> Iterator[str]:
        with _engine().connect() as connection:
            yield from case_table.as_csv(connection, wanted)

    return _attached(stream_with_context(lines()), "cases.csv", "text/csv")


@blueprint.get("/cases.tar")
@needs("quality")
def case_clips() -> Response | tuple[str, int]:
    """The clips of the answer and a manifest of all its cases, held or not."""
    wanted, store = _wanted(), _shelf().store
    with _engine().connect() as connection:
        try:
            lines = clip_archive.gathered(connection, wanted)
        except StoreError as error:
            return _listed(fault=f"{error}.", fields=search.as_fields(wanted), stations=_stations(connection)), 400
    return _attached(clip_archive.as_tar(lines, store, db.now()), "clips.tar", "application/x-tar")


@blueprint.get("/cases/<case_id>")
@needs("viewer")
def case_page(case_id: str) -> str:
    """The address that an audit keeps."""
    shelf = _shelf()
    with shelf.engine.connect() as connection:
        overdue_h = shelf.config.clip_overdue_h
        found = case_file.of(connection, shelf.store, case_id, now=db.now(), overdue_h=overdue_h) or abort(404)
        bundle = registry.find(connection, found.row.bundle_sha256)
    _note_shown(case_id)
    return render_template("case_file.html", file=found, row=found.row, words=case_words, bundle=bundle)


@blueprint.get("/cases/<case_id>/record.json")
@needs("viewer")
def record(case_id: str) -> Response:
    """Byte for byte as the station sent it; one that names an inspector, under a pseudonym, is for quality alone."""
    with _engine().connect() as connection:
        query = sa.select(cases.c.payload, cases.c.sha256, cases.c.inspector).where(cases.c.case_id == case_id)
        row = connection.execute(query).first() or abort(404)
    if row.inspector is not None and not current_user.may("quality"):
        abort(403)
    _note_shown(case_id)
    response = _attached(bytes(row.payload), f"{row.sha256[:16]}.json", "application/json")
    response.headers["ETag"] = f'"{row.sha256}"'
    return response


@blueprint.get("/posters/<sha256>.jpg")
@needs("viewer")
def poster(sha256: str) -> Response:
    """A small picture from the middle of a clip."""
    shelf = _shelf()
    with shelf.engine.connect() as connection:
        known = connection.scalar(sa.select(clips.c.state).where(clips.c.sha256 == sha256)) == "stored"
    try:
        picture = shelf.pictures.poster(shelf.store.clip(sha256)) if known else abort(404)
    except StoreError:
        abort(404)
    response = current_app.response_class(picture, mimetype="image/jpeg")
    response.headers["Cache-Control"] = KEPT
    return response


def _note_shown(case_id: str) -> None:
    if current_user.may("expert"):
        judgement.note_shown(_engine(), case_id, current_user.name, db.now())


def _listed(**about: object) -> str:
    shown = {"page": None, "rows": [], "matches": None, "fault": None, "first": True, "fixed": {}} | about
    shown["more_open"] = any(name in about["fields"] for name in MORE)  # type: ignore[operator]
    return render_template(
        "cases.html", choices=search.CHOICES, words=case_words, result_of=result_of, size=PAGE, **shown
    )


def _wanted() -> Search:
    """What is asked for, or 400."""
    wanted, fault = search.asked(request.args)
    return abort(400) if fault else wanted


def _stations(connection: sa.Connection) -> list[str]:
    """From one name to the next by the index, however many groups there are of each."""
    c = case_groups.c
    names = sa.select(sa.func.min(c.station).label("name")).cte("names", recursive=True)
    following = sa.select(sa.func.min(c.station)).where(c.station > names.c.name).scalar_subquery()
    names = names.union_all(sa.select(following).where(names.c.name.isnot(None)))
    return list(connection.scalars(sa.select(names.c.name).where(names.c.name.isnot(None)).limit(MOST_STATIONS)))


def _attached(data: Iterator[str] | Iterator[bytes] | bytes, name: str, mimetype: str) -> Response:
    response = current_app.response_class(data, mimetype=mimetype)
    response.headers["Content-Disposition"] = f"attachment; filename={name}"
    return response


def _shelf():
    return current_app.extensions["tankwatch"]


def _engine() -> sa.Engine:
    return _shelf().engine
