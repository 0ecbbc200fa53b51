"""The operator's screen: the page, what changes on it as server-sent events, and the live picture."""

import time
from collections.abc import Callable, Iterator

import msgspec
from flask import Blueprint, Response, abort, current_app, render_template, request

from edge_agent import panel_languages, panel_live, state
from edge_agent.languages import Language
from edge_agent.panel_streams import Ending, Held, Places
from edge_agent.screen import Screen, Seen, screen

LOOK_EVERY_S = 0.25
"""As often as the inspection says what it knows."""
BEAT_S = 1.0
"""A browser that hears nothing for some beats says that it shows nothing new."""
AGAIN_MS = 1000
blueprint = Blueprint("screen", __name__)


@blueprint.get("/")
def page() -> str:
    return render_template("screen.html", now=shown_now(current_app.extensions["tankwatch"], panel_languages.spoken()))


@blueprint.get("/state")
def states() -> Response:
    """One event each time something has changed, and one a second where nothing has."""
    panel, language = current_app.extensions["tankwatch"], panel_languages.spoken()
    return _stream(panel.screens, "text/event-stream", lambda ending: _events(panel, language, ending))


@blueprint.get("/live.mjpg")
def live() -> Response:
    panel = current_app.extensions["tankwatch"]
    return _stream(panel.pictures, panel_live.TYPE, lambda ending: panel_live.pictures(panel.device, ending))


def shown_now(panel, language: Language) -> Screen:
    """What the device's files say at this moment. `panel`: panel.Panel."""
    device, now = panel.device, time.time()
    seen = Seen(
        now=now,
        zone=panel.zone,
        state=state.read(device.state_path),
        uplink=state.read_uplink(device.uplink_path),
        counts=panel.counts.now(now),
        has_picture=panel_live.is_fresh(device),
    )
    return screen(seen, language)


def _events(panel, language: Language, ending: Ending) -> Iterator[bytes]:
    yield f"retry: {AGAIN_MS}\n\n".encode()
    said, said_s = b"", 0.0
    while not ending.is_set():
        now, now_s = msgspec.json.encode(shown_now(panel, language)), time.monotonic()
        if now != said:
            yield b"data: " + now + b"\n\n"
            said, said_s = now, now_s
        elif now_s - said_s >= BEAT_S:
            yield b"event: beat\ndata:\n\n"
            said_s = now_s
        ending.wait(LOOK_EVERY_S)


def _stream(places: Places, type: str, parts: Callable[[Ending], Iterator[bytes]]) -> Response:
    if request.method == "HEAD":
        # Nothing of it would be read, nor closed.
        return Response(mimetype=type)
    mine = places.take()
    if mine is None:
        abort(503)
    return Response(Held(parts(mine), places, mine), content_type=type)
