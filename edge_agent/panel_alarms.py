"""The panel's page of alarms: what stands, with cause and cure, what people order of it, and how it measures up.

Anybody may look. Acknowledging, shelving and changing a setting take the PIN and a name.
"""

import time
from collections.abc import Callable
from datetime import datetime
from typing import get_args

from flask import Blueprint, abort, current_app, flash, jsonify, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response

from edge_agent import alarm_catalogue, alarm_files, alarm_report, alarms, panel_languages, panel_pin
from edge_agent.alarm_catalogue import Catalogue, Setting
from edge_agent.alarm_settings import Wish
from edge_agent.alarms import Board, Order, OrderWord
from edge_agent.errors import ConfigError, StoreError

DAYS = (1, 7, 30)
SHELVES_MIN = (15, 30, 60, 240, 480, 1440)
MOST_EVENTS = 40
"""Rows of the history on the page; the command line has all."""
LONGEST_NAME = 40
blueprint = Blueprint("alarms", __name__)


@blueprint.get("/alarms")
def page() -> str:
    days = request.args.get("days", 1, int)
    found = alarm_report.report(_device(), time.time(), days if days in DAYS else 1)
    return render_template(
        "alarms.html",
        found=found,
        stamp=_stamp(found.board),
        proposals=alarm_report.propose(_device(), time.time()),
        shelves=_shelves(found.catalogue),
        events=found.events[:MOST_EVENTS],
        days=days if days in DAYS else 1,
        all_days=DAYS,
        moment=_moment,
        name=session.get("alarms.name", ""),
    )


@blueprint.get("/alarms/stamp")
def stamp() -> Response:
    """Changes when the page would show something else; a page that is open asks for it."""
    settings = alarm_report.settings_of(_device())
    return jsonify(stamp=_stamp(alarm_files.standing(_device().alarms_path, settings.catalogue)))


@blueprint.post("/alarms/acknowledge")
@panel_pin.needs_pin
def acknowledge() -> Response:
    return _carried_out(lambda: _give("acknowledge", occurrence=_field("occurrence")))


@blueprint.post("/alarms/shelve")
@panel_pin.needs_pin
def shelve() -> Response:
    minutes = request.form.get("minutes", 0.0, float)
    return _carried_out(lambda: _give("shelve", for_s=minutes * 60, reason=_field("reason")))


@blueprint.post("/alarms/unshelve")
@panel_pin.needs_pin
def unshelve() -> Response:
    return _carried_out(lambda: _give("unshelve"))


@blueprint.post("/alarms/set")
@panel_pin.needs_pin
def change() -> Response:
    """Accepting a proposal, or any other setting."""
    setting = _field("setting")
    if setting not in get_args(Setting):
        abort(400)

    def carry_out() -> None:
        value = alarm_catalogue.value(setting, _field("value"))  # type: ignore[arg-type]
        wish = Wish(id=_field("id"), setting=setting, value=value, by=_by(), reason=_field("reason"))  # type: ignore[arg-type]
        alarm_report.settings_of(_device()).change(wish, time.time())

    return _carried_out(carry_out)


def _carried_out(order: Callable[[], None]) -> Response:
    """Back to the page, which says what became of it."""
    try:
        order()
        flash(panel_languages.spoken().word("alarms.ordered"), "notice")
    except (ConfigError, StoreError) as error:
        flash(panel_languages.spoken().say(str(error)), "fault")
    return redirect(url_for("alarms.page"))


def _give(word: OrderWord, *, occurrence: str = "", for_s: float = 0.0, reason: str = "") -> None:
    order = Order(
        id=_field("id"),
        order=word,
        by=_by(),
        at_s=time.time(),
        occurrence=occurrence,
        for_s=for_s,
        reason=reason,
    )
    alarm_files.give(_device().alarms_path, alarm_report.settings_of(_device()).catalogue, order)


def _by() -> str:
    """Whoever knows the PIN says who he is; it stands in the history."""
    name = _field("name")[:LONGEST_NAME]
    if not name:
        raise ConfigError("an order needs a name: say who gives it")
    session["alarms.name"] = name
    return f"{name} (panel)"


def _field(name: str) -> str:
    return request.form.get(name, "").strip()


def _shelves(catalogue: Catalogue) -> dict[str, list[int]]:
    """Alarm -> the minutes for which it may be shelved."""
    longest = {
        id: alarms.longest_shelf_s(rule, catalogue.rules(rule.raised_by)) for id, rule in catalogue.alarm.items()
    }
    return {id: [minutes for minutes in SHELVES_MIN if minutes * 60 <= seconds] for id, seconds in longest.items()}


def _stamp(board: Board) -> str:
    return " ".join(f"{one.id}={one.state}@{one.since}" for one in (*board.active, *board.aside))


def _moment(at: str | float | None) -> str:
    """By the clock on the wall; the day where it is another one."""
    if at is None or at == "":
        return "–"
    zone = current_app.extensions["tankwatch"].zone
    found = datetime.fromisoformat(at) if isinstance(at, str) else datetime.fromtimestamp(at, zone)
    local, today = found.astimezone(zone), datetime.now(zone).date()
    return f"{local:%H:%M:%S}" if local.date() == today else f"{local:%Y-%m-%d %H:%M}"


def _device():
    return current_app.extensions["tankwatch"].device
