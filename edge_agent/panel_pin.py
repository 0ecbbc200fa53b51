"""Who may change something at the panel: the page that asks for the PIN, and sessions that end after 15 idle minutes.

Sessions live in this process alone, on the clock that nobody sets: who signs out is out, and a restart ends them all.
"""

import secrets
import threading
import time
from collections.abc import Callable
from math import ceil
from typing import TypeVar

from flask import Blueprint, Flask, current_app, jsonify, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response

from edge_agent.pin import Pin

IDLE_S = 15 * 60.0
MOST_SESSIONS = 32
"""Of one device; the one that has been idle longest goes."""
BACKGROUND = "X-Tankwatch-Background"
"""Header of requests that a page sends by itself: they do not count as somebody being there."""
blueprint = Blueprint("pin", __name__)
V = TypeVar("V", bound=Callable)


class Sessions:
    """Who is signed in. `clock`: seconds, and never jumps."""

    def __init__(self, pin: Pin, clock: Callable[[], float] = time.monotonic) -> None:
        self.pin, self._clock = pin, clock
        self._turn = threading.Lock()
        self._seen: dict[str, tuple[float, str]] = {}
        """Session -> when somebody was last there, and under which PIN."""

    def begin(self) -> str:
        """The name of a new one."""
        name = secrets.token_urlsafe(24)
        with self._turn:
            self._seen[name] = self._clock(), self.pin.epoch
            for idle in sorted(self._seen, key=lambda one: self._seen[one][0])[:-MOST_SESSIONS]:
                del self._seen[idle]
        return name

    def holds(self, name: str | None, *, somebody: bool = True) -> bool:
        """Whether it still does; `somebody` is there, and it goes on."""
        with self._turn:
            seen_s, epoch = self._seen.get(name or "", (float("-inf"), ""))
            if self._clock() - seen_s >= IDLE_S or not epoch or epoch != self.pin.epoch:
                self._seen.pop(name or "", None)
                return False
            if somebody:
                self._seen[name or ""] = self._clock(), epoch
            return True

    def end(self, name: str | None) -> None:
        with self._turn:
            self._seen.pop(name or "", None)


def needs_pin(view: V) -> V:
    """Marks one route (below the route's own decorator) that asks for the PIN."""
    view.needs_pin = True  # type: ignore[attr-defined]
    return view


def guard(app: Flask, mounted: set[str]) -> None:
    """Before each request, and before form tokens are looked at; blueprints named in `mounted` ask as a whole."""

    @app.before_request
    def _ask() -> Response | tuple[Response | str, int] | None:
        view = app.view_functions.get(request.endpoint or "")
        guarded = bool(mounted.intersection(request.blueprints)) or getattr(view, "needs_pin", False)
        return None if not guarded or signed_in(somebody=BACKGROUND not in request.headers) else _refusal()


def signed_in(*, somebody: bool = False) -> bool:
    """Whether whoever sends this request has given the PIN."""
    return _sessions().holds(session.get("panel"), somebody=somebody)


@blueprint.get("/pin")
def page() -> Response | str | tuple[str, int]:
    if signed_in():
        return redirect(inside(request.args.get("next", "")))
    return _page(request.args.get("next", ""))


@blueprint.post("/pin")
def sign_in() -> Response | tuple[str, int]:
    where = request.form.get("next", "")
    if not _sessions().pin.epoch:
        return _page(where)
    answer = _sessions().pin.is_right(request.form.get("pin", "").strip())
    if answer is not True:
        return _page(where, wrong=answer is False, status=401 if answer is False else 429)
    session.clear()
    session["panel"] = _sessions().begin()
    return redirect(inside(where))


@blueprint.post("/pin/out")
def sign_out() -> Response:
    _sessions().end(session.pop("panel", None))
    return redirect("/")


def inside(target: str) -> str:
    """A page of ours to go on to; never another site, whatever browsers make of backslashes and control characters."""
    ours = target.startswith("/") and not target.startswith("//") and "\\" not in target and target.isprintable()
    return target if ours else "/"


def _refusal() -> Response | tuple[Response | str, int]:
    if request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json":
        words = "Give the PIN first." if _sessions().pin.epoch else "No PIN is set on this device."
        return jsonify(error={"status": 401, "code": "pin", "words": words}), 401
    if request.method == "GET":
        return redirect(url_for("pin.page", next=request.full_path.rstrip("?")))
    return _page(_came_from(), ended=True, status=401)


def _came_from() -> str:
    """The page with the form that was sent."""
    page = request.referrer or ""
    return page[len(request.host_url) - 1 :] if page.startswith(request.host_url) else "/"


def _page(where: str, *, wrong: bool = False, ended: bool = False, status: int = 200) -> tuple[str, int]:
    pin = _sessions().pin
    if not pin.epoch:
        return render_template("pin_missing.html", config_path=current_app.extensions["tankwatch"].config_path), 403
    wait_s = ceil(pin.wait_s)
    return render_template("pin.html", next=inside(where), wrong=wrong, ended=ended, wait_s=wait_s), status


def _sessions() -> Sessions:
    return current_app.extensions["tankwatch"].sessions
