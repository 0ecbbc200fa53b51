"""First step: who sets up which station, how large the markers are printed, and the sheet to print."""

import re

from flask import Response, redirect, request, url_for
from werkzeug.wrappers import Response as Answer

from calibration import markers, setup_progress
from calibration.setup_desk import Route, changed, desk, number, progress, shown
from edge_agent.errors import ConfigError, TankwatchError
from edge_agent.station import STATION_ID


def page(fault: str = "") -> str:
    return shown("setup_station.html", step="station", fault=fault, entered=request.form)


def enter() -> Answer | tuple[str, int]:
    try:
        who, station, marker_mm = _entered()
        before = progress()
        other_markers = (station, marker_mm) != (before.station, before.marker_mm)
        # What was measured of other markers holds no longer.
        more = {"aimed": False, "draft": False, "saved": None} if other_markers and before.station else {}
        changed(who=who, station=station, marker_mm=marker_mm, **more)
    except TankwatchError as error:
        return page(str(error)), 400
    return redirect(url_for("setup.aim"))


def again() -> Answer | tuple[str, int]:
    """From the beginning, with what the present profile says."""
    try:
        desk().notice()
        setup_progress.keep(desk().device, setup_progress.fresh(desk().device.place))
    except TankwatchError as error:
        return page(str(error)), 400
    return redirect(url_for("setup.station"))


def sheet() -> Response | tuple[str, int]:
    """The markers as PDF; those of the form where they differ from what was kept."""
    try:
        size = number(request.args.get("mm")) or progress().marker_mm
        data, _ = markers.sheet(request.args.get("station", "").strip().upper() or progress().station, size)
    except (ConfigError, ValueError) as error:
        return page(str(error)), 400
    return Response(data, mimetype="application/pdf", headers={"Content-Disposition": 'inline; filename="markers.pdf"'})


def _entered() -> tuple[str, str, float]:
    who = " ".join(request.form.get("who", "").split())[: setup_progress.LONGEST_NAME]
    station = request.form.get("station", "").strip().upper()
    if not who:
        raise ConfigError("your name is missing: the history says who set the station up")
    if not re.fullmatch(STATION_ID, station):
        raise ConfigError(f"station id {station!r} is not usable: take 1 to 16 of A-Z, 0-9 and '-', e.g. TANK1")
    try:
        marker_mm = number(request.form.get("marker_mm"))
    except ValueError:
        marker_mm = None
    low, high = markers.SMALLEST_MM, markers.LARGEST_MM
    if marker_mm is None or not low <= marker_mm <= high:
        raise ConfigError(f"the side of a marker is no length from {low:g} to {high:g} mm: measure one with a ruler")
    return who, station, marker_mm


ROUTES: tuple[Route, ...] = (
    ("/station", "station", "GET", page),
    ("/station", "enter_station", "POST", enter),
    ("/again", "again", "POST", again),
    ("/markers.pdf", "markers", "GET", sheet),
)
