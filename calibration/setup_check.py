"""Last steps: the inspection takes the profile over, empty and real cycles are watched, and the report is made."""

from flask import Response, abort, redirect, request, send_from_directory, url_for
from werkzeug.wrappers import Response as Answer

from calibration import setup_report
from calibration.setup_cycles import CyclesSeen
from calibration.setup_desk import Route, as_json, changed, desk, progress, shown, told
from calibration.setup_device import speaks
from calibration.setup_progress import CYCLES
from edge_agent import station, utc
from edge_agent.errors import ConfigError, TankwatchError

KINDS = {"html": "text/html", "json": "application/json", "jpg": "image/jpeg"}


def page(fault: str = "") -> str | Answer:
    if progress().saved is None:
        return redirect(url_for("setup.measure"))
    try:
        watched = _watched()
    except TankwatchError as error:
        watched, fault = CyclesSeen(empty_done=0, empty_cases=0, wanted=CYCLES), fault or str(error)
    return shown("setup_cycles.html", step="cycles", fault=fault, watched=watched, standing=_standing(), wanted=CYCLES)


def now() -> Response | tuple[Response, int]:
    """Where the inspection stands with the profile, and what was watched."""
    try:
        watched = _watched()
    except TankwatchError as error:
        return told(str(error), 503)
    about = {"standing": _standing(), "empty_cases": watched.empty_cases, "good": watched.good, "real": watched.real}
    return as_json(about | {"phase": _phase()})


def cycle() -> Answer | tuple[str | Answer, int]:
    """`act`: `begin` the empty cycles, one `empty` is done, begin the `real` ones, `finish`."""
    try:
        _ACTS.get(request.form.get("act", ""), _refuse)()
    except TankwatchError as error:
        return page(str(error)), 400
    where = "setup.report" if request.form.get("act") == "finish" else "setup.cycles"
    return redirect(url_for(where))


def report() -> str:
    """The report of the profile that holds."""
    return shown("setup_report.html", step="report", fault="", report=_stored())


def make_report() -> Answer | tuple[str, int]:
    try:
        setup_report.make(desk().device, progress(), desk().clock())
    except TankwatchError as error:
        return shown("setup_report.html", step="report", fault=str(error), report=_stored()), 400
    return redirect(url_for("setup.report"))


def file(sha256: str, kind: str) -> Response:
    """A stored report: its picture, its figures, or all of it as one file to take along."""
    if kind not in KINDS or not sha256.isalnum():
        abort(404)
    name = f"tankwatch-report-{sha256[:12]}.{kind}"
    return send_from_directory(
        desk().device.reports, f"{sha256}.{kind}", mimetype=KINDS[kind], as_attachment=kind != "jpg", download_name=name
    )


def _watched() -> CyclesSeen:
    profile, _ = station.load(desk().device.place.station)
    return setup_report.cycles(desk().device, progress(), profile)


def _stored() -> setup_report.SetupReport | None:
    try:
        _, sha256 = station.load(desk().device.place.station)
    except TankwatchError:
        return None
    return setup_report.stored(desk().device, sha256)


def _phase() -> str:
    now_ = desk().device.now()
    return (now_.phase or "") if now_ else ""


def _standing() -> dict[str, object]:
    """What the inspection makes of the profile that was saved, in words, and whether all is well."""
    now_, saved = desk().device.now(), progress().saved
    if now_ is None or not speaks(now_, desk().clock()):
        return {"well": False, "words": "the inspection does not run: start it (systemctl start tankwatch-inspect)"}
    if now_.camera in ("stalled", "lost"):
        return {"well": False, "words": "the camera gives no pictures: check its cable and power"}
    if now_.profile_sha256 != saved:
        return {"well": False, "words": "the inspection takes the profile over as soon as the tank stands empty"}
    if now_.checked != saved:
        words = now_.framing_words or "it looks whether all markers are where the profile says"
        return {"well": False, "words": words}
    return {"well": True, "words": "the inspection works with this profile, and sees all markers in their places"}


def _begin() -> None:
    standing = _standing()
    if not standing["well"]:
        raise ConfigError(f"not yet: {standing['words']}")
    changed(empty_since=utc.text(desk().clock()), empty_cycles=0, real_since=None)


def _empty() -> None:
    """One more empty cycle; a case that was made of one begins them anew."""
    so_far = progress()
    if not so_far.empty_since:
        raise ConfigError("the empty cycles have not begun: press begin first")
    if _watched().empty_cases:
        changed(empty_since=utc.text(desk().clock()), empty_cycles=0)
        raise ConfigError(
            "a case was made of an empty cycle, so they begin anew: was a unit in? If not, measure again while the "
            "tank stands empty, and take away what moves in the picture"
        )
    changed(empty_cycles=min(CYCLES, so_far.empty_cycles + 1))


def _real() -> None:
    if progress().empty_cycles < CYCLES:
        raise ConfigError(f"run {CYCLES} empty cycles first")
    changed(real_since=utc.text(desk().clock()))


def _finish() -> None:
    setup_report.make(desk().device, progress(), desk().clock())


def _refuse() -> None:
    raise ConfigError("this request does not fit: load the page again")


_ACTS = {"begin": _begin, "empty": _empty, "real": _real, "finish": _finish}
ROUTES: tuple[Route, ...] = (
    ("/cycles", "cycles", "GET", page),
    ("/cycles", "cycle", "POST", cycle),
    ("/cycles.json", "cycles_now", "GET", now),
    ("/report", "report", "GET", report),
    ("/report", "make_report", "POST", make_report),
    ("/report/<sha256>.<kind>", "report_file", "GET", file),
)
