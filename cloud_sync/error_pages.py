"""Pages on errors: what to work on next, the clips behind each line, and what can be done about them.

Tags, sending to training and asking the devices for more are explicit acts; each is a line in the audit log.
"""

import hashlib
import math
from typing import Any

import msgspec
import sqlalchemy as sa
from flask import Blueprint, abort, current_app, flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from cloud_sync import db, desire, error_analysis, judged_cases, sending, slices, tagging
from cloud_sync.accounts import needs
from cloud_sync.slices import CLARITY_LIMITS, Judged, Slice
from edge_agent.errors import ConfigError
from edge_agent.messages import SamplingWish

blueprint = Blueprint("errors", __name__)
PAGE = 60
DAY_S = 86_400
SPANS = (7, 30, 90, 365)
LONGEST_ORDER_DAYS = 90


@blueprint.get("/errors")
@needs("quality")
def page() -> str:
    """Slices, the largest gain first; what is asked of devices."""
    days = _days()
    with _engine().connect() as connection:
        cases = judged_cases.judged(connection, db.now() - days * DAY_S)
        wishes = desire.wishes(connection, db.now())
    inspector, expert = error_analysis.human_error(cases)
    return render_template(
        "errors.html",
        findings=error_analysis.analyse(cases),
        overall=error_analysis.overall(cases),
        inspector=inspector,
        expert=expert,
        judged=len(cases),
        days=days,
        spans=SPANS,
        wishes=wishes,
        fewest=(error_analysis.FEWEST_CASES, error_analysis.FEWEST_ERRORS),
    )


@blueprint.get("/errors/cases")
@needs("quality")
def cases() -> Response | str:
    """The clips of one slice: its errors, or all of them."""
    if not (request.args.get("group") and request.args.get("name")):
        return redirect(url_for("errors.page"))
    return _slice_page()


def _slice_page(fault: str | None = None) -> str:
    which, days = Slice(request.args.get("group", ""), request.args.get("name", "")), _days()
    with _engine().connect() as connection:
        held = judged_cases.judged(connection, db.now() - days * DAY_S)
        tags, places = tagging.every(connection), desire.known_places(connection)
    lights = slices.light_limits(held)
    inside = [one for one in held if which in slices.slices_of(one, lights)]
    everything = request.args.get("all") == "1"
    chosen = [one for one in inside if everything or error_analysis.is_error(one)]
    begin = _after(chosen, request.args.get("after", ""))
    return render_template(
        "error_cases.html",
        which=which,
        days=days,
        everything=everything,
        shown=chosen[begin : begin + PAGE],
        more=len(chosen) > begin + PAGE,
        counts=(sum(map(error_analysis.is_error, inside)), len(inside)),
        tags=tags,
        places=places,
        limits=_limits(which, lights),
        longest_days=LONGEST_ORDER_DAYS,
        here=_here(),
        fault=fault,
    )


@blueprint.post("/errors/cases")
@needs("quality")
def act() -> Response | tuple[str, int]:
    """Tags cases, takes a tag off them, or sends them to training."""
    chosen, who, now = request.form.getlist("case"), current_user.name, db.now()
    tag = request.form.get("tag", "")
    try:
        if not chosen:
            raise ConfigError("no case is chosen: tick some")
        with _engine().begin() as connection:
            match request.form.get("act"):
                case "tag":
                    flash(f"{tagging.add(connection, chosen, tag, who=who, now=now)} cases are tagged {tag.strip()}.")
                case "untag":
                    count = tagging.remove(connection, chosen, tag, who=who, now=now)
                    flash(f"{tag.strip()} is taken off {count} cases.")
                case "send":
                    reason = f"{request.args.get('group', '')}: {request.args.get('name', '')}"
                    new, tests = sending.send(connection, chosen, reason, who=who, now=now)
                    flash(f"{new} cases are sent to training; {tests} are released test data and stay it.")
                case _:
                    abort(400)
    except ConfigError as error:
        return _slice_page(str(error)), 400
    return redirect(url_for("errors.cases", **_here()))


@blueprint.post("/errors/order")
@needs("quality")
def order() -> Response | tuple[str, int]:
    """Asks devices for more cases of a kind."""
    now = db.now()
    try:
        wish = _wish(request.form, now)
        with _engine().begin() as connection:
            known = desire.known_places(connection)
            places = [place for place in known if request.form.get("place", "") in ("", "/".join(place))]
            if not places:
                raise ConfigError("no device of that name has been heard of: choose a station from the list")
            desire.order(connection, places, wish, who=current_user.name, now=now)
    except ConfigError as error:
        return _slice_page(str(error)), 400
    flash(f"Asked of {len(places)} station{'' if len(places) == 1 else 's'} until {wish.until}.")
    return redirect(url_for("errors.page"))


@blueprint.post("/errors/order/end")
@needs("quality")
def end() -> Response:
    """Takes one wish back."""
    place = (request.form.get("site", ""), request.form.get("station", ""))
    with _engine().begin() as connection:
        desire.withdraw(connection, place, request.form.get("wish", ""), who=current_user.name, now=db.now())
    return redirect(url_for("errors.page"))


def _wish(form: dict, now: float) -> SamplingWish:
    """The same limits have the same name, so an order given again replaces itself. Raises ConfigError."""
    try:
        days = float(form.get("days", "14"))
        limits = {
            name: float(form[name])
            for name in ("clarity_below", "light_below", "score_from", "score_below")
            if form.get(name)
        }
        if not all(map(math.isfinite, limits.values())):
            raise ValueError("a limit is no number")  # as JSON it would be no limit at all
        fields = limits | ({"verdict": form["verdict"]} if form.get("verdict") else {})
        if not 0 < days <= LONGEST_ORDER_DAYS:
            raise ConfigError(f"{days:g} days are asked for: 1 to {LONGEST_ORDER_DAYS} are possible")
        name = hashlib.sha256(msgspec.json.encode(fields, order="deterministic")).hexdigest()[:12]
        about = {"id": name, "probability": float(form.get("percent", "")) / 100, "until": desire.until(now, days)}
        return msgspec.convert(about | fields | {"reason": form.get("reason", "")[:200]}, type=SamplingWish)
    except (ValueError, msgspec.ValidationError) as error:
        raise ConfigError(f"this order is not understood: {error}") from error


def _limits(which: Slice, lights: tuple[float, ...]) -> dict[str, str]:
    """What a device can measure of a slice, to fill the order with."""
    found = {}
    if which.group == "station":
        found["place"] = which.name
    words = which.name.removeprefix("clarity ").removeprefix("grey level ").split()
    bounds = {"murk": ("clarity_below", CLARITY_LIMITS), "light": ("light_below", lights)}.get(which.group)
    if bounds and len(words) > 1 and (limit := words[-1]) in {f"{one:g}" for one in bounds[1]}:
        found[bounds[0]] = limit
    return found


def _here() -> dict[str, Any]:
    """The slice that the address names, for a link back to it."""
    return {name: request.args[name] for name in ("group", "name", "days", "all") if name in request.args}


def _days() -> int:
    asked = request.args.get("days", "")
    return int(asked) if asked in map(str, SPANS) else 90


def _after(chosen: list[Judged], case_id: str) -> int:
    return next((number + 1 for number, one in enumerate(chosen) if one.case_id == case_id), 0)


def _engine() -> sa.Engine:
    return current_app.extensions["tankwatch"].engine
