"""`agent panel`: the operator's screen, alarms and set-up as one Flask application, beside the inspection.

It reads what the other processes write and holds nothing that the station needs: it may be killed at any time.
"""

import argparse
import http.client
import logging
import os
import secrets
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from types import FrameType

import waitress
from flask import Blueprint, Flask, Response, jsonify, render_template, request
from flask_wtf import CSRFProtect
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException

from edge_agent import config as configuration
from edge_agent import panel_alarms, panel_guards, panel_health, panel_languages, panel_pin, panel_screen
from edge_agent.config import DeviceConfig
from edge_agent.errors import LinkError, StoreError
from edge_agent.languages import Languages
from edge_agent.notify import Notifier
from edge_agent.panel_pin import Sessions
from edge_agent.panel_streams import Places
from edge_agent.pin import Pin, write_private
from edge_agent.rhythm import every
from edge_agent.shift_counts import ShiftCounts, zone_of

PAGES = (panel_pin, panel_screen, panel_alarms, panel_health)
"""Modules with a `blueprint`; a page that takes a PIN asks for it itself (`panel_pin.needs_pin`)."""
STATE_STREAMS, LIVE_STREAMS = 4, 3
"""Screens and live pictures at once: a kiosk, an engineer's tablet, and some that were left open."""
THREADS = STATE_STREAMS + LIVE_STREAMS + 6
"""One more of each stream may be open while it makes room; four stay for pages."""
LARGEST_FORM = 256 * 1024
UNREAD_BYTES = 256 * 1024
"""So much waits at most for a browser that does not read: a few pictures."""
GONE_MS = 15_000
"""A browser that takes nothing for so long is gone."""
ANSWER_S = 10.0
"""A page that takes longer is no answer."""
OPTIONS = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, GONE_MS))
PLACES = (("/", "menu.screen"), ("/alarms", "menu.alarms"), ("/setup", "menu.setup"))
"""Of the menu, as far as this panel has them, and the key of their words."""
SAID_FAULTS = (400, 404, 405, 413, 503)
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Panel:
    """What every page may reach for, as `current_app.extensions["tankwatch"]`."""

    device: DeviceConfig
    config_path: Path
    """device.toml."""
    sessions: Sessions
    screens: Places
    pictures: Places
    languages: Languages
    zone: tzinfo
    """Of the clock on the wall."""
    counts: ShiftCounts


def agent_panel(argv: list[str], mounted: Sequence[Blueprint] = ()) -> int:
    """`tankwatch agent panel --config device.toml`; serves until it is ended. `mounted`: see `create_app`."""
    parser = argparse.ArgumentParser("tankwatch agent panel", description="The operator's screen, in a browser.")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="device.toml")
    path = parser.parse_args(argv).config
    device = configuration.load(path)
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    # Browsers come and go.
    logging.getLogger("waitress").setLevel(logging.WARNING)
    server = make_server(create_app(device, path, mounted), device)
    former = signal.signal(signal.SIGTERM, _end)
    port = getattr(server, "effective_port", device.panel.port)
    print(f"screen: http://{_address(device)}:{port}/", file=sys.stderr, flush=True)
    told = Notifier()
    told.ready()
    try:
        with _watched(told, device.panel.reached_at, port):
            server.run()
    finally:
        signal.signal(signal.SIGTERM, former)
    return 0


def _watched(told: Notifier, host: str, port: int) -> AbstractContextManager[None]:
    """Where systemd listens it hears each time that the screen was answered, as it would be to a browser."""
    return every(told.every_s, lambda: told.alive() if answers(host, port) else None) if told.every_s else nullcontext()


def answers(host: str, port: int) -> bool:
    """Whether somebody who asks for the screen gets an answer, whatever it is."""
    connection = http.client.HTTPConnection(host, port, timeout=ANSWER_S)
    try:
        connection.request("GET", "/")
        connection.getresponse().read()
    except (OSError, http.client.HTTPException) as error:
        log.warning("the screen does not answer: %s", error)
        return False
    finally:
        connection.close()
    return True


def create_app(device: DeviceConfig, config_path: Path, mounted: Sequence[Blueprint] = ()) -> Flask:
    """The application. Blueprints in `mounted` stand behind the PIN as a whole; they may extend `panel_base.html`."""
    app = Flask(__name__)
    zone = zone_of(device.panel.timezone)
    app.extensions["tankwatch"] = Panel(
        device=device,
        config_path=config_path.resolve(),
        sessions=Sessions(Pin(device.folder)),
        screens=Places(STATE_STREAMS),
        pictures=Places(LIVE_STREAMS),
        languages=Languages(config_path.resolve().parent / "languages", device.panel.language),
        zone=zone,
        counts=ShiftCounts(device.outbox_path, device.panel.shifts, zone),
    )
    app.config.update(_settings(device))
    panel_guards.install(app, device.panel.names)
    panel_pin.guard(app, {blueprint.name for blueprint in mounted})
    CSRFProtect(app)
    for blueprint in (*(module.blueprint for module in PAGES), *mounted):
        app.register_blueprint(blueprint)
    places = [(path, words) for path, words in PLACES if _has(app, path)]
    app.context_processor(lambda: {"places": places, "signed_in": panel_pin.signed_in()})
    app.context_processor(panel_languages.for_templates)
    app.after_request(panel_languages.keep)
    app.register_error_handler(HTTPException, _fault)
    return app


def make_server(app: Flask, device: DeviceConfig) -> waitress.server.BaseWSGIServer:
    """The server, listening; `run()` serves and `close()` ends it. Raises LinkError where the port is taken."""
    listening: dict[int, object] = {}
    try:
        server = waitress.create_server(
            app,
            map=listening,
            host=device.panel.host,
            port=device.panel.port,
            threads=THREADS,
            max_request_body_size=LARGEST_FORM,
            outbuf_high_watermark=UNREAD_BYTES,
            ident=None,
        )
    except (OSError, ValueError) as error:
        where = f"{device.panel.host}:{device.panel.port}"
        why = getattr(error, "strerror", None) or error
        raise LinkError(
            f"{where} cannot be used ({why}): end what uses it, or change [panel] in device.toml"
        ) from error
    # Also of a browser that was pulled off the net while a stream waits for it.
    for one in listening.values():
        if adjusted := getattr(one, "adj", None):
            adjusted.socket_options = [*OPTIONS]
    return server


def _settings(device: DeviceConfig) -> dict[str, object]:
    return {
        "SECRET_KEY": _key(device.folder / "panel.key"),
        "SESSION_COOKIE_NAME": "tankwatch-panel",
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Strict",
        "MAX_CONTENT_LENGTH": LARGEST_FORM,
        "WTF_CSRF_TIME_LIMIT": None,  # a form stays open over a shift
    }


def _key(path: Path) -> str:
    """Kept, so that a form that was open over a restart can still be sent. A disk that cannot keep it stops nothing."""
    try:
        kept = path.read_text()
    except (OSError, UnicodeDecodeError):
        kept = ""
    if len(kept) >= 64:
        return kept
    made = secrets.token_hex(32)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_private(path, made.encode())
    except (OSError, StoreError) as error:
        log.warning("forms end with this process: %s", error)
    return made


def _has(app: Flask, path: str) -> bool:
    return any(rule.rule.rstrip("/") == path.rstrip("/") for rule in app.url_map.iter_rules())


def _fault(error: HTTPException) -> tuple[str | Response, int] | HTTPException:
    if error.code is None or error.code < 400:
        return error
    key = "csrf" if isinstance(error, CSRFError) else str(error.code if error.code in SAID_FAULTS else 500)
    words = panel_languages.spoken().word(f"fault.{key}")
    if request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json":
        return jsonify(error={"status": error.code, "code": error.name, "words": words}), error.code
    return render_template("panel_fault.html", words=words), error.code


def _address(device: DeviceConfig) -> str:
    host = device.panel.host
    return f"[{host}]" if ":" in host else host


def _end(_number: int, _frame: FrameType | None) -> None:
    """Nothing here needs an orderly end, and streams would make it wait."""
    sys.stdout.flush()
    os._exit(0)
