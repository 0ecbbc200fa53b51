"""`cloud web`: the experts' pages. Joins database, store and blueprints into one Flask application and serves it."""

import argparse
import logging
import os
import random
import secrets
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import waitress
from flask import Flask, Response, render_template
from flask_wtf import CSRFProtect
from flask_wtf.csrf import CSRFError
from sqlalchemy.engine import Engine
from werkzeug.exceptions import HTTPException

from cloud_sync import (
    accounts,
    clip_pages,
    consistency_pages,
    dataset_pages,
    db,
    error_pages,
    policy_file,
    record_pages,
    review,
    status_pages,
    vocabulary,
)
from cloud_sync import config as cloud_config
from cloud_sync.config import CloudConfig
from cloud_sync.judgement import Desk
from cloud_sync.store import ClipStore
from cloud_sync.video import Videos
from edge_agent import durable
from edge_agent.errors import LinkError

SIGNED_IN = timedelta(hours=12)
LARGEST_FORM = 64 * 1024
THREADS = 8
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
FAULT_WORDS = {
    400: "This request does not fit: go back, load the page again and try once more.",
    403: "Your role does not include this page: ask an administrator.",
    404: "There is nothing under this address.",
    413: "That is too much text.",
    500: "Something went wrong here. It is in the log.",
}


@dataclass(frozen=True, slots=True)
class Shelf:
    """What every page may reach for."""

    config: CloudConfig
    engine: Engine
    store: ClipStore
    videos: Videos
    desk: Desk


def web(argv: list[str]) -> int:
    """`tankwatch cloud web --config cloud.toml`"""
    parser = argparse.ArgumentParser(prog="tankwatch cloud web", description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="cloud.toml")
    config = cloud_config.load(parser.parse_args(argv).config)
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    server = make_server(config)
    print(f"review page: http://{config.web.host}:{server.effective_port}/review", file=sys.stderr)
    server.run()
    return 0


def make_server(config: CloudConfig) -> waitress.server.BaseWSGIServer:
    """The server, listening; `run()` serves and `close()` ends it. Raises LinkError where the port is taken."""
    application = create_app(config)
    try:
        return waitress.create_server(
            application, host=config.web.host, port=config.web.port, threads=THREADS, max_request_body_size=LARGEST_FORM
        )
    except OSError as error:
        where = f"{config.web.host}:{config.web.port}"
        raise LinkError(
            f"{where} cannot be used ({error.strerror}): end what uses it or choose another port"
        ) from error


def create_app(config: CloudConfig) -> Flask:
    """The application; tables are made or upgraded first. Raises ConfigError or StoreError."""
    store = ClipStore(config.folder)
    policy, _ = policy_file.load(config)
    desk = Desk(policy, random.SystemRandom())
    shelf = Shelf(config, db.open_database(config), store, Videos(store), desk)
    app = Flask(__name__)
    app.config.update(_settings(config))
    app.extensions["tankwatch"] = shelf
    CSRFProtect(app)
    accounts.login_manager(shelf.engine).init_app(app)
    for module in (
        accounts,
        review,
        clip_pages,
        record_pages,
        dataset_pages,
        error_pages,
        consistency_pages,
        status_pages,
        vocabulary,
    ):
        app.register_blueprint(module.blueprint)
    app.add_template_filter(_moment, "moment")
    app.add_template_filter(_length, "length_s")
    app.register_error_handler(HTTPException, _fault)
    app.register_error_handler(CSRFError, _fault)
    app.after_request(_guarded)
    return app


def _settings(config: CloudConfig) -> dict[str, object]:
    return {
        "SECRET_KEY": cloud_config.secret(config.web.secret_env) or _kept_key(config.folder / "web.key"),
        "SESSION_COOKIE_NAME": "tankwatch",
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "SESSION_COOKIE_SECURE": config.web.https,
        "PERMANENT_SESSION_LIFETIME": SIGNED_IN,
        "MAX_CONTENT_LENGTH": LARGEST_FORM,
        "WTF_CSRF_TIME_LIMIT": None,  # as long as the session; a review may stay open over lunch
    }


def _kept_key(path: Path) -> str:
    """A key of our own, made once: sessions survive a restart. Whoever reads data_dir can read it."""
    if not path.is_file():
        durable.write(path, secrets.token_hex(32).encode())
        os.chmod(path, 0o600)
    return path.read_text()


def _guarded(response: Response) -> Response:
    response.headers.setdefault("Content-Security-Policy", CONTENT_POLICY)
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Referrer-Policy", "same-origin")
    if "Cache-Control" not in response.headers:
        response.headers["Cache-Control"] = "no-store"
    return response


def _fault(error: HTTPException) -> tuple[str, int]:
    code = error.code or 500
    words = error.description if isinstance(error, CSRFError) else FAULT_WORDS.get(code, error.description)
    return render_template("fault.html", code=code, words=words), code


def _moment(seconds: float) -> str:
    """UTC, for people."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _length(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
