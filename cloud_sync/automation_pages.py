"""The page Automation: what each station may decide, what shows it, what is missing for more, and orders."""

import msgspec
import sqlalchemy as sa
from flask import Blueprint, abort, current_app, redirect, render_template, request, url_for
from flask_login import current_user
from sqlalchemy.engine import Engine
from werkzeug.wrappers import Response

from cloud_sync import certificates, certify, db, desire, mode_orders, offers
from cloud_sync.accounts import needs
from cloud_sync.certificates import Place, Subject
from cloud_sync.certify import Measured
from cloud_sync.mode_orders import ABOVE_SHADOW, MODES, Wanted
from cloud_sync.policy import Automation
from edge_agent.errors import ConfigError
from edge_agent.messages import ModeOrder, Status
from edge_agent.records import Mode

blueprint = Blueprint("automation", __name__)
MOST_MEASURED = 12
"""Stations whose evidence is added up for one page; each one's own page always does."""
MEANS: dict[Mode, str] = {
    "human_only": "The inspector decides. A device that does not know enough falls back to this by itself.",
    "shadow": "The inspector decides; the machine's word is logged and shown to nobody there.",
    "assist": "The inspector decides and is shown the machine's word.",
    "partial": "The machine decides where it is certain; the rest waits for the inspector.",
    "full": "The machine decides where it is certain; what waits raises an alarm.",
}


class Step(msgspec.Struct, frozen=True):
    """One mode above shadow, and what is missing for it; empty = certified."""

    mode: Mode
    missing: str
    miss_rate: float
    false_alarm_rate: float
    coverage: float


class StationView(msgspec.Struct, frozen=True, kw_only=True):
    """One station as the page shows it."""

    place: Place
    status: Status | None
    ordered: ModeOrder | None
    mode: Mode
    """Ordered, or lowered to since."""
    asked: str
    """Words where it was lowered since; else empty."""
    measured: Measured | None
    steps: tuple[Step, ...]

    @property
    def next_step(self) -> Step | None:
        """The lowest mode above the present one."""
        return next((step for step in self.steps if MODES.index(step.mode) > MODES.index(self.mode)), None)


@blueprint.get("/automation")
@needs("viewer")
def page() -> str:
    with _engine().connect() as connection:
        places = sorted({*desire.known_places(connection), *mode_orders.ordered_places(connection)})
        measured = len(places) <= MOST_MEASURED
        views = [_view(connection, place, measured=measured) for place in places]
    fault = offers.missing(current_app.extensions["tankwatch"].config)
    return render_template("automation.html", views=views, measured=measured, days=_policy().valid_days, fault=fault)


@blueprint.get("/automation/<site>/<station>")
@needs("viewer")
def station_page(site: str, station: str, fault: str | None = None) -> str:
    place = (site, station)
    with _engine().connect() as connection:
        if place not in desire.known_places(connection):
            abort(404)
        view = _view(connection, place, measured=True)
        history = mode_orders.history(connection, place)
    asked = {"mode": request.form.get("mode", view.mode), "reason": request.form.get("reason", "")}
    return render_template(
        "automation_station.html",
        view=view,
        best=certify.shown(view.measured, least_parts=_policy().least_parts) if view.measured else None,
        history=history,
        modes=MODES,
        means=MEANS,
        fault=fault,
        asked=asked,
        may_order=current_user.may("quality"),
    )


@blueprint.post("/automation/<site>/<station>")
@needs("quality")
def order(site: str, station: str) -> Response | tuple[str, int]:
    mode = request.form.get("mode", "")
    if mode not in MODES:
        return station_page(site, station, fault="There is no such mode: choose one of the list."), 400
    wanted = Wanted(place=(site, station), mode=mode, reason=request.form.get("reason", "")[:500])
    try:
        with _engine().begin() as connection:
            mode_orders.order(connection, wanted, _policy(), who=current_user.name, now=db.now())
    except ConfigError as error:
        return station_page(site, station, fault=f"{error}."), 400
    return redirect(url_for("automation.station_page", site=site, station=station))


@blueprint.app_template_filter("percent")
def percent(share: float) -> str:
    """A bound is rounded up: it stays one."""
    return "100 %" if share >= 1 else f"{int(share * 1000 + 0.999999) / 10:.1f} %"


def _view(connection: sa.Connection, place: Place, *, measured: bool) -> StationView:
    given, status = mode_orders.latest(connection, place), mode_orders.status_of(connection, place)
    mode = mode_orders.mode_of(connection, place)
    found = _measured(connection, place, status) if measured else None
    ordered = given.mode if given else "shadow"
    return StationView(
        place=place,
        status=status,
        ordered=given,
        mode=mode,
        asked=f"lowered to {mode} since" if mode != ordered else "",
        measured=found,
        steps=_steps(found, _policy()) if found else (),
    )


def _measured(connection: sa.Connection, place: Place, status: Status | None) -> Measured | None:
    """Of the bundle that speaks; None where none is known to."""
    profile = certificates.profile_of(connection, place)
    if profile is None or status is None or status.bundle is None:
        return None
    return certificates.measured(connection, Subject(place, status.bundle.sha256, profile))


def _steps(found: Measured, automation: Automation) -> tuple[Step, ...]:
    return tuple(_step(found, mode, automation) for mode in ABOVE_SHADOW)


def _step(found: Measured, mode: Mode, automation: Automation) -> Step:
    required = mode_orders.required(automation, mode)
    missing = mode_orders.why_not(found, mode, automation)
    return Step(mode, missing, required.miss_rate, required.false_alarm_rate, required.coverage)


def _policy() -> Automation:
    return current_app.extensions["tankwatch"].desk.policy.automation


def _engine() -> Engine:
    return current_app.extensions["tankwatch"].engine
