"""The commissioning pages as one blueprint: from a sheet of markers to a station that was seen to work.

The front door mounts it on the device's panel, behind the PIN; it knows what it is handed, and no process there.
"""

import secrets
import time
from collections.abc import Callable

from flask import Blueprint, redirect, render_template, request, session, url_for
from flask.sansio.app import App
from werkzeug.wrappers import Response

from calibration import setup_aim, setup_check, setup_history, setup_lamps, setup_measure, setup_progress, setup_start
from calibration.setup_desk import Desk, desk, other, shown
from calibration.setup_device import SetupDevice

PAGES = (setup_start, setup_aim, setup_lamps, setup_measure, setup_check, setup_history)
"""Modules with ROUTES: path, name, method, view."""


def make_blueprint(device: SetupDevice, clock: Callable[[], float] = time.time) -> Blueprint:
    """`/setup` for `create_app(…, mounted=[…])`. `clock`: UTC, seconds since 1970."""
    blueprint = Blueprint(
        "setup",
        __name__,
        url_prefix="/setup",
        template_folder="templates",
        static_folder="static",
        static_url_path="/static",
    )
    made = Desk(device, clock)
    blueprint.record(lambda state: _install(state.app, made))
    blueprint.before_request(_one_at_a_time)
    blueprint.add_url_rule("/", "overview", overview)
    blueprint.add_url_rule("/take-over", "take_over", take_over, methods=["POST"])
    for page in PAGES:
        for path, name, method, view in page.ROUTES:
            blueprint.add_url_rule(path, name, view, methods=[method])
    return blueprint


def overview() -> str:
    """Where one is, and what can be done."""
    return shown("setup_overview.html", now=desk().device.now(), fault=desk().notice())


def take_over() -> Response:
    """The second person goes on: the two have talked."""
    progress = setup_progress.load(desk().device)
    desk().turn.take(_me(), progress.who, request.remote_addr or "")
    return redirect(url_for("setup.overview"))


def _one_at_a_time() -> tuple[str, int] | None:
    """Only whoever has the turn changes anything; the second one may look."""
    if request.endpoint in ("setup.static", "setup.take_over"):
        return None
    progress = setup_progress.load(desk().device)
    holder = desk().turn.other(_me(), progress.who, request.remote_addr or "")
    if holder is None or request.method == "GET":
        return None
    return render_template("setup_other.html", other=other()), 409


def _me() -> str:
    if "setup" not in session:
        session["setup"] = secrets.token_urlsafe(12)
    return session["setup"]


def _install(app: App, made: Desk) -> None:
    app.extensions["tankwatch-setup"] = made
