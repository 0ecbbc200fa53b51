"""The fleet: every station, one station's day, stations side by side; what did not arrive; addresses for watchdogs."""

from datetime import UTC, datetime

import sqlalchemy as sa
from flask import Blueprint, Response, abort, current_app, jsonify, render_template, request
from sqlalchemy.engine import Engine

from cloud_sync import cases, challenge_history, db, fleet, gaps
from cloud_sync.accounts import needs
from cloud_sync.case_words import WORDS
from cloud_sync.tables import cases as case_table
from cloud_sync.tables import dead_letters

blueprint = Blueprint("status", __name__)
SHOWN = 50
CHOICES = (1, 7, 30, 90)
"""Days that stations are compared over."""


@blueprint.get("/stations")
@needs("viewer")
def station_list() -> str:
    with _engine().connect() as connection:
        found = fleet.now(connection, db.now())
        missing = gaps.not_to_come(connection, SHOWN)
        summary = cases.held(connection)
        missed = [miss.run for miss in challenge_history.misses(connection) if miss.is_open]
        refused = connection.execute(sa.select(dead_letters).order_by(dead_letters.c.last_at.desc()).limit(SHOWN)).all()
    return render_template(
        "stations.html", stations=found, missing=missing, refused=refused, summary=summary, missed=missed, words=WORDS
    )


@blueprint.get("/stations/compare")
@needs("viewer")
def compare() -> str:
    days = _days(request.args.get("days", ""))
    now = db.now()
    with _engine().connect() as connection:
        found = fleet.counts(connection, now - days * fleet.DAY_S, now + fleet.DAY_S)
    return render_template("stations_compare.html", found=sorted(found.items()), days=days, choices=CHOICES)


@blueprint.get("/stations/<site>/<station>")
@needs("viewer")
def station_day(site: str, station: str) -> str:
    """One day as a strip of cases; today unless `day` names another."""
    place, today = (site, station), fleet.midnight(db.now())
    began_at = _midnight(request.args.get("day", ""), today)
    with _engine().connect() as connection:
        if not fleet.known(connection, place):
            abort(404)
        day = fleet.day(connection, place, began_at)
        (station_now,) = fleet.now(connection, db.now(), place)
    beside = [_date(began_at + step * fleet.DAY_S) for step in (-1, 0, 1)]
    return render_template(
        "station_day.html", now=station_now, place=place, day=day, dates=beside, is_today=began_at >= today, words=WORDS
    )


@blueprint.get("/healthz")
def healthy() -> Response:
    """This process answers."""
    return jsonify(status="ok")


@blueprint.get("/readyz")
def ready() -> tuple[Response, int]:
    """Database and clip store can be used; otherwise 503 and which of them cannot."""
    shelf = current_app.extensions["tankwatch"]
    faults = []
    try:
        with shelf.engine.connect() as connection:
            connection.execute(sa.select(case_table.c.case_id).limit(1))
    except sa.exc.SQLAlchemyError:
        current_app.logger.exception("database")
        faults.append("database")
    if fault := shelf.store_fault.answer():
        faults.append(fault)
    return jsonify(status="ready" if not faults else "not ready", faults=faults, at=db.now()), 503 if faults else 200


def _engine() -> Engine:
    return current_app.extensions["tankwatch"].engine


def _days(text: str) -> int:
    """One of CHOICES; anything else asks for the usual week."""
    return int(text) if text in map(str, CHOICES) else CHOICES[1]


def _midnight(text: str, today: float) -> float:
    """Of a day as YYYY-MM-DD; 404 for what is none, or lies ahead."""
    if not text:
        return today
    try:
        asked = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()
    except ValueError:
        abort(404)
    return asked if asked <= today else abort(404)


def _date(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")
