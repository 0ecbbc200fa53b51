"""Pages of the rollouts: all of them with a form to begin one; one with steps, devices, gates, events and buttons."""

import msgspec
import sqlalchemy as sa
from flask import Blueprint, abort, current_app, redirect, render_template, request, url_for
from flask_login import current_user
from sqlalchemy.engine import Engine
from werkzeug.wrappers import Response

from cloud_sync import db, desire, fleet_reports, registry, rollout_gates, rollout_state, rollouts
from cloud_sync.accounts import needs
from cloud_sync.policy import Policy
from cloud_sync.rollout_plan import Plan
from cloud_sync.rollout_records import Place, Reading, Report, Rollout, Seat
from cloud_sync.rollouts import Kept
from edge_agent.errors import ConfigError

blueprint = Blueprint("rollouts", __name__)
FIRST: tuple[registry.State, ...] = ("challenger", "candidate", "champion")
"""The bundles that a rollout may be of, the likeliest first; a retired one comes back by the command line."""
EVENTS = 200
SHOWN = 500
"""Devices on the page; those that have been touched come first."""
PRESSABLE = {
    "planned": ("abort",),
    "rolling": ("halt", "back"),
    "soaking": ("halt", "back"),
    "halted": ("resume", "back"),
    "rolling_back": ("abort",),
    "done": ("back",),
    "rolled_back": (),
}
"""State -> what a person may do in it, the mildest first."""


class Line(msgspec.Struct, frozen=True):
    """One device, as the page shows it."""

    seat: Seat
    word: str
    tone: str
    """Class of the chip."""
    report: Report
    verdict_ms: float | None
    crashes: int
    readings: dict[str, Reading]
    """By gate."""


@blueprint.get("/rollouts")
@needs("viewer")
def page(fault: str | None = None) -> str:
    with _engine().connect() as connection:
        bundles = [known for known in registry.all_bundles(connection) if known.state in FIRST]
        return render_template(
            "rollouts.html",
            rollouts=rollouts.everyone(connection),
            bundles=sorted(bundles, key=lambda known: FIRST.index(known.state)),
            sites=sorted({site for site, _ in desire.known_places(connection)}),
            places=desire.known_places(connection),
            plan=_plan(),
            fault=fault,
        )


@blueprint.post("/rollouts")
@needs("quality")
def begin() -> Response | tuple[str, int]:
    sha256, reason = request.form.get("bundle", ""), request.form.get("reason", "")
    try:
        with _engine().begin() as connection:
            db.take_turns(connection, ["rollouts"])
            places = _chosen(connection, sha256, request.form.get("to", ""))
            about = {"plan": _plan(), "who": current_user.name, "reason": reason, "now": db.now()}
            number = rollouts.begin(connection, sha256, places, **about)
    except ConfigError as error:
        return page(fault=str(error)), 400
    return redirect(url_for("rollouts.one", number=number))


@blueprint.get("/rollouts/<int:number>")
@needs("viewer")
def one(number: int, fault: str | None = None) -> str:
    with _engine().connect() as connection:
        kept = _found(connection, number)
        may_switch = fleet_reports.certified(_policy().automation)
        reports = fleet_reports.read(connection, kept.rollout, may_switch)
        events = rollouts.events(connection, number, EVENTS)
        known = registry.find(connection, kept.rollout.bundle.sha256)
    now = db.now()
    readings = rollout_state.readings(kept.rollout, reports, now)
    return render_template(
        "rollout.html",
        kept=kept,
        rollout=kept.rollout,
        bundle=known,
        steps=_steps(kept.rollout),
        lines=_lines(kept.rollout, reports, readings)[:SHOWN],
        pooled=[reading for reading in readings if reading.place is None],
        cases=rollout_state.cases_of(kept.rollout, reports),
        soaked_h=(now - kept.rollout.since) / 3600,
        events=events,
        verbs=PRESSABLE[kept.rollout.state],
        fault=fault,
    )


@blueprint.post("/rollouts/<int:number>")
@needs("quality")
def act(number: int) -> Response | tuple[str, int]:
    verb = request.form.get("verb", "")
    if verb not in rollouts.VERBS:
        abort(400)
    try:
        with _engine().begin() as connection:
            _found(connection, number)
            reason = request.form.get("reason", "")
            rollouts.act(connection, number, verb, who=current_user.name, reason=reason, now=db.now())
    except ConfigError as error:
        return one(number, fault=str(error)), 400
    return redirect(url_for("rollouts.one", number=number))


def _chosen(connection: sa.Connection, sha256: str, to: str) -> list[Place]:
    """`to`: empty for all that the bundle is for, a site, or a site/station."""
    known = registry.find(connection, sha256)
    if known is None:
        raise ConfigError("choose a bundle of the registry")
    places = rollouts.places_for(connection, known) if "/" not in to else desire.known_places(connection)
    return [place for place in places if to in ("", place[0], "/".join(place))]


def _steps(rollout: Rollout) -> list[tuple[int, str]]:
    """(devices, word) of each step."""
    over = {"done": len(rollout.sizes)}.get(rollout.state, rollout.step)
    ended = rollout.state in ("rolling_back", "rolled_back", "planned")
    return [
        (size, "done" if number < over else "now" if number == over and not ended else "ahead")
        for number, size in enumerate(rollout.sizes)
    ]


def _lines(rollout: Rollout, reports: dict[Place, Report], readings: list[Reading]) -> list[Line]:
    by_place: dict[Place, dict[str, Reading]] = {}
    for reading in readings:
        if reading.place is not None:
            by_place.setdefault(reading.place, {})[reading.gate] = reading
    seats = sorted(rollout.seats, key=lambda seat: (seat.former is None, not seat.held, seat.place))
    return [_line(rollout, seat, reports.get(seat.place, Report()), by_place.get(seat.place, {})) for seat in seats]


def _line(rollout: Rollout, seat: Seat, report: Report, readings: dict[str, Reading]) -> Line:
    word, tone = _word(rollout, seat, report)
    watched = rollout.state in rollout_state.GOING
    verdict_ms = rollout_gates.verdict_ms(seat, report) if watched else report.verdict_ms
    return Line(seat, word, tone, report, verdict_ms, rollout_gates.crashes(seat, report), readings)


def _word(rollout: Rollout, seat: Seat, report: Report) -> tuple[str, str]:
    """How far the device is, and the chip's class."""
    if seat.failed:
        return f"{seat.failed} it", "leak"
    if seat.former is None:
        return ("held back", "warn") if seat.held else ("not asked", "")
    if rollout.state in ("rolling_back", "rolled_back"):
        back = seat.back_at is not None or rollout_state.runs(report, seat.former)
        return ("back", "good") if back else ("to go back", "warn")
    if rollout_state.runs(report, rollout.bundle):
        return ("has it", "good") if seat.asked_at is not None else ("to go back", "warn")
    if seat.late:
        return "late", "warn"
    return ("runs another", "warn") if seat.taken_at is not None else ("asked", "")


def _found(connection: sa.Connection, number: int) -> Kept:
    return (rollouts.find(connection, number) if number < 2**31 else None) or abort(404)


def _plan() -> Plan:
    return _policy().rollout


def _policy() -> Policy:
    return current_app.extensions["tankwatch"].desk.policy


def _engine() -> Engine:
    return current_app.extensions["tankwatch"].engine
