"""The pages beside the way: every profile that ever held, taking a change back, and two profiles side by side."""

from datetime import timedelta

from flask import Response, redirect, request, url_for
from werkzeug.wrappers import Response as Answer

from calibration import profile_difference, setup_pictures, setup_progress, setup_report
from calibration.setup_desk import LONGEST_REASON, Route, desk, progress, shown
from calibration.setup_device import newest
from edge_agent import profile_history, utc
from edge_agent.errors import StationError, TankwatchError
from edge_agent.profile_history import Change, Trail
from edge_agent.station import StationProfile

DAY_S = timedelta(days=1).total_seconds()


def page(fault: str = "") -> str:
    unkept = desk().notice()
    trail = _trail()
    reports = {entry.new for entry in trail.entries if entry.new and setup_report.stored(desk().device, entry.new)}
    return shown("setup_history.html", fault=fault or unkept or trail.fault, trail=trail, reports=reports)


def undo() -> Answer | tuple[str, int]:
    """The last change is taken back, or the profile of `sha256` holds again."""
    expected = request.form.get("holds") or None
    change = Change(who=progress().who or "unknown", through="browser", reason=_reason())
    place, now, wanted = desk().device.place, desk().clock(), request.form.get("sha256", "")
    try:
        _fits_the_camera(wanted)
        if wanted:
            profile_history.restore(place, wanted, change, expected=expected, now=now)
        else:
            profile_history.undo(place, change, expected=expected, now=now)
        # What was measured before belongs to another profile.
        setup_progress.keep(desk().device, _begun_anew())
    except TankwatchError as error:
        return page(str(error)), 409
    return redirect(url_for("setup.history"))


def compare() -> str | tuple[str, int]:
    """Two profiles: those that were asked for, else yesterday's and the one that holds."""
    trail = _trail()
    old, new = _pair(trail)
    try:
        before, after = _kept(old), _kept(new)
    except StationError as error:
        return shown("setup_compare.html", fault=str(error), trail=trail, old=old, new=new), 404
    difference = profile_difference.between(before, after) if before and after else None
    return shown(
        "setup_compare.html",
        fault="",
        trail=trail,
        old=old,
        new=new,
        before=before,
        after=after,
        difference=difference,
    )


def picture() -> Response | tuple[str, int]:
    """The newest picture with the one profile's lines over the other's; on blank paper where there is no picture."""
    try:
        before, after = _kept(request.args.get("old", "")), _kept(request.args.get("new", ""))
    except StationError as error:
        return str(error), 404
    if after is None:
        return "no profile", 404
    return Response(setup_pictures.jpeg(setup_pictures.outlined(_ground(after), after, before)), mimetype="image/jpeg")


def _fits_the_camera(wanted: str) -> None:
    """Raises StationError where the profile that is wanted back is for pictures of another size."""
    entries = _trail().entries
    sha256 = wanted or (entries[-1].old if entries else None)
    profile = _kept(sha256 or "")
    if profile is None:
        return
    try:
        size = newest(desk().device)[-1].image.shape[1::-1]
    except StationError:
        return
    if size != profile.frame_size_px:
        was, is_now = ("{}x{}".format(*one) for one in (profile.frame_size_px, size))
        raise StationError(
            f"that profile is for pictures of {was}, the camera gives {is_now}: measure the station and save it anew"
        )


def _ground(profile: StationProfile):
    try:
        image = newest(desk().device)[-1].image
    except StationError:
        return setup_pictures.blank(profile)
    return image if image.shape[1::-1] == profile.frame_size_px else setup_pictures.blank(profile)


def _pair(trail: Trail) -> tuple[str, str]:
    yesterday = trail.held_at(utc.text(desk().clock() - DAY_S))
    return request.args.get("old") or yesterday or "", request.args.get("new") or trail.holds or ""


def _kept(sha256: str) -> StationProfile | None:
    if not sha256:
        return None
    if not sha256.isalnum():
        raise StationError("this is no profile's hash: choose one from the history")
    return profile_history.kept(desk().device.place, sha256)


def _trail() -> Trail:
    try:
        return profile_history.trail(desk().device.place)
    except TankwatchError as error:
        return Trail(fault=str(error))


def _reason() -> str:
    given = " ".join(request.form.get("reason", "").split())[:LONGEST_REASON]
    return given or ("restored" if request.form.get("sha256") else "undone")


def _begun_anew() -> setup_progress.Progress:
    fresh = setup_progress.fresh(desk().device.place)
    return setup_progress.with_name(fresh, progress().who)


ROUTES: tuple[Route, ...] = (
    ("/history", "history", "GET", page),
    ("/history", "undo", "POST", undo),
    ("/compare", "compare", "GET", compare),
    ("/compare.jpg", "compare_picture", "GET", picture),
)
