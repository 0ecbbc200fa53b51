"""Fourth step: how long and how small, then the station is measured while it stands empty, and saved."""

import msgspec
from flask import Response, redirect, request, url_for
from werkzeug.wrappers import Response as Answer

from calibration import setup_progress
from calibration.setup_desk import LONGEST_REASON, Route, as_json, changed, desk, number, progress, shown
from edge_agent import profile_history
from edge_agent.errors import ConfigError, TankwatchError
from edge_agent.profile_history import Change
from edge_agent.station import StationProfile

USUAL_REASON = "set up anew"


def page(fault: str = "") -> str | Answer:
    if not progress().station:
        return redirect(url_for("setup.station"))
    return shown(
        "setup_measure.html",
        step="fit",
        fault=fault or desk().fit.now.fault,
        fit=desk().fit.now,
        draft=_draft(),
        reason=request.form.get("reason", USUAL_REASON),
    )


def measure() -> Answer | tuple[str | Answer, int]:
    try:
        hold_s, sensitivity = _entered()
        now = changed(
            required_hold_s=hold_s, required_sensitivity_std_cm3_s=sensitivity, draft=False, found=(), unfit=()
        )
    except TankwatchError as error:
        return page(str(error)), 400
    desk().fit.start(desk().device, now)
    return redirect(url_for("setup.measure"))


def now() -> Response:
    """How the measuring goes."""
    return as_json(desk().fit.now)


def save() -> Answer | tuple[str | Answer, int]:
    """The draft holds from now on, where nobody saved another profile meanwhile."""
    so_far, place = progress(), desk().device.place
    reason = " ".join(request.form.get("reason", "").split())[:LONGEST_REASON] or USUAL_REASON
    change = Change(who=so_far.who or "unknown", through="browser", reason=reason)
    try:
        if not so_far.draft:
            raise ConfigError("nothing was measured yet: measure first, then save")
        profile = setup_progress.draft(desk().device)
        sha256 = profile_history.save(place, profile, change, expected=so_far.base, now=desk().clock())
        changed(saved=sha256, base=sha256, draft=False, empty_since=None, empty_cycles=0, real_since=None)
    except TankwatchError as error:
        return page(str(error)), 409
    return redirect(url_for("setup.cycles"))


def _entered() -> tuple[float, float | None]:
    try:
        hold_s = number(request.form.get("required_hold_s"))
        sensitivity = number(request.form.get("required_sensitivity"))
        kept = msgspec.structs.replace(
            progress(), required_hold_s=hold_s, required_sensitivity_std_cm3_s=sensitivity
        )  # fmt: skip
        msgspec.convert(msgspec.to_builtins(kept), setup_progress.Progress)
    except (ValueError, msgspec.ValidationError):
        raise ConfigError(
            "that does not fit: a unit is watched for 0 to 3600 s, and the smallest leak is 1e-9 to 1000 std cm3/s "
            "or left empty"
        ) from None
    return kept.required_hold_s, sensitivity


def _draft() -> StationProfile | None:
    if not progress().draft:
        return None
    try:
        return setup_progress.draft(desk().device)
    except TankwatchError:
        return None


ROUTES: tuple[Route, ...] = (
    ("/measure", "measure", "GET", page),
    ("/measure", "start_measuring", "POST", measure),
    ("/measure.json", "measure_now", "GET", now),
    ("/save", "save", "POST", save),
)
