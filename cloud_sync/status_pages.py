"""How the cloud itself is: stations and what did not arrive from them, and two addresses for watchdogs."""

import msgspec
import sqlalchemy as sa
from flask import Blueprint, Response, current_app, jsonify, render_template

from cloud_sync import cases, challenge_history, db
from cloud_sync.accounts import needs
from cloud_sync.tables import case_groups, dead_letters, gaps, stations
from cloud_sync.tables import cases as case_table
from edge_agent.messages import Status

blueprint = Blueprint("status", __name__)
SHOWN = 50


@blueprint.get("/stations")
@needs("viewer")
def station_list() -> str:
    engine = current_app.extensions["tankwatch"].engine
    with engine.connect() as connection:
        found = connection.execute(_stations()).all()
        missing = connection.execute(
            sa.select(gaps).where(gaps.c.closed_at.is_(None)).order_by(gaps.c.noticed_at.desc()).limit(SHOWN)
        ).all()
        summary = cases.held(connection)
        missed = [miss.run for miss in challenge_history.misses(connection) if miss.is_open]
        refused = connection.execute(sa.select(dead_letters).order_by(dead_letters.c.last_at.desc()).limit(SHOWN)).all()
    said = {(row.site, row.station): msgspec.json.decode(row.status, type=Status) for row in found if row.status}
    return render_template(
        "stations.html", stations=found, said=said, missing=missing, refused=refused, summary=summary, missed=missed
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


def _stations() -> sa.Select:
    """Every station that has said anything, with its status and its latest case."""
    latest = (
        sa.select(
            case_groups.c.site,
            case_groups.c.station,
            sa.func.max(case_groups.c.last_at).label("last_case_at"),
            sa.func.sum(case_groups.c.cases).label("cases"),
        )
        .group_by(case_groups.c.site, case_groups.c.station)
        .subquery()
    )
    names = sa.union(
        sa.select(stations.c.site, stations.c.station), sa.select(latest.c.site, latest.c.station)
    ).subquery()
    return (
        sa.select(
            names.c.site, names.c.station, stations.c.status, stations.c.seen_at, latest.c.last_case_at, latest.c.cases
        )
        .outerjoin(stations, (stations.c.site == names.c.site) & (stations.c.station == names.c.station))
        .outerjoin(latest, (latest.c.site == names.c.site) & (latest.c.station == names.c.station))
        .order_by(names.c.site, names.c.station)
    )
