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
from urllib.parse import urlsplit

import sqlalchemy as sa
import waitress
from flask import Flask, Response, abort, current_app, g, render_template, request
from flask_login import current_user
from flask_wtf import CSRFProtect
from flask_wtf.csrf import CSRFError
from sqlalchemy.engine import Engine
from werkzeug.exceptions import BadRequest, HTTPException, MethodNotAllowed, SecurityError

from cloud_sync import (
    accounts,
    agreement_pages,
    api,
    audit_log,
    audit_pages,
    automation_pages,
    case_pages,
    challenge_pages,
    clip_pages,
    consistency_pages,
    dataset_pages,
    db,
    drift_pages,
    error_pages,
    gold_pages,
    intake_fault,
    metrics_pages,
    model_pages,
    navigation,
    parallel_pages,
    policy_file,
    review,
    rollout_pages,
    sessions,
    sign_in,
    status_pages,
    study_pages,
    updates_pages,
    user_pages,
    value_pages,
    vocabulary,
)
from cloud_sync import config as cloud_config
from cloud_sync.config import CloudConfig
from cloud_sync.decoding import Decoding
from cloud_sync.judgement import Desk
from cloud_sync.one_at_a_time import OneAtATime
from cloud_sync.store import ClipStore, open_store
from cloud_sync.video import Videos
from edge_agent import durable
from edge_agent.errors import ConfigError, LinkError

PAGES = (
    sign_in,
    review,
    clip_pages,
    case_pages,
    dataset_pages,
    drift_pages,
    model_pages,
    error_pages,
    consistency_pages,
    status_pages,
    vocabulary,
    gold_pages,
    challenge_pages,
    parallel_pages,
    agreement_pages,
    study_pages,
    value_pages,
    automation_pages,
    user_pages,
    audit_pages,
    rollout_pages,
    updates_pages,
    metrics_pages,
    api,
)
READABLE = timedelta(days=30)
"""A session's cookie can be read for so long; whether it still holds is `sessions`' matter."""
HERE = ("localhost", "127.0.0.1", "[::1]")
"""Names by which a watchdog on this machine may ask, whatever [web] url says."""
LARGEST_FORM = 64 * 1024
THREADS = 8
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
GUARDS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
FAULT_WORDS = {
    400: "This request does not fit: go back, load the page again and try once more.",
    401: "Sign in first.",
    403: "Your role does not include this page: ask an administrator.",
    404: "There is nothing under this address.",
    405: "That cannot be done at this address.",
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
    pictures: Decoding
    """For posters and heat maps: nobody waits for a video."""
    desk: Desk
    store_fault: OneAtATime[str | None]
    """A bucket that is away lets wait."""


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
            application,
            host=config.web.host,
            port=config.web.port,
            threads=THREADS,
            max_request_body_size=LARGEST_FORM,
            **_behind(config.web.proxy),
        )
    except OSError as error:
        where = f"{config.web.host}:{config.web.port}"
        raise LinkError(
            f"{where} cannot be used ({error.strerror}): end what uses it or choose another port"
        ) from error


def create_app(config: CloudConfig) -> Flask:
    """The application; tables are made or upgraded first. Raises ConfigError or StoreError."""
    store = open_store(config)
    policy, _ = policy_file.load(config)
    desk = Desk(policy, random.SystemRandom())
    shelf = Shelf(
        config,
        db.open_database(config),
        store,
        Videos(store),
        Decoding(),
        desk,
        OneAtATime(
            lambda: store.fault() or intake_fault.words(config.folder, db.now()), "clip store, which is being asked"
        ),
    )
    app = Flask(__name__)
    app.config.update(_settings(config))
    app.extensions["tankwatch"] = shelf
    sessions.look_at_every_request(app)
    app.before_request(_readable)
    csrf = CSRFProtect(app)
    csrf.exempt(api.blueprint)
    csrf.exempt(sign_in.resume)
    sessions.login_manager(shelf.engine, config.web).init_app(app)
    for module in PAGES:
        app.register_blueprint(module.blueprint)
    _add_company_sign_in(app, config)
    app.context_processor(lambda: {"navigation": navigation})
    app.add_template_filter(_moment, "moment")
    app.add_template_filter(_length, "length_s")
    app.register_error_handler(HTTPException, _fault)
    app.register_error_handler(CSRFError, _fault)
    app.register_error_handler(sa.exc.DataError, _unfit)
    app.register_error_handler(OverflowError, _unfit)
    app.before_request(_count_lines)
    app.after_request(_leave_a_line)
    app.after_request(_guarded)
    return app


def _add_company_sign_in(app: Flask, config: CloudConfig) -> None:
    """What is not configured is not even loaded."""
    name = config.oidc.name if config.oidc else ""
    app.context_processor(lambda: {"company": name})
    if config.oidc is None:
        return
    try:
        from cloud_sync import oidc
    except ModuleNotFoundError as error:
        raise ConfigError(f"[oidc] needs {error.name}, which is not installed: install the extra oidc") from error
    oidc.install(app, config)


def _settings(config: CloudConfig) -> dict[str, object]:
    return {
        "SECRET_KEY": cloud_config.secret(config.web.secret_env) or _kept_key(config.folder / "web.key"),
        # The prefix keeps neighbours under the same domain from setting it.
        "SESSION_COOKIE_NAME": "__Host-tankwatch" if config.web.https else "tankwatch",
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "SESSION_COOKIE_SECURE": config.web.https,
        "PERMANENT_SESSION_LIFETIME": READABLE,
        "TRUSTED_HOSTS": [_host_of(config.web.url), *HERE] if config.web.url else None,
        # Otherwise the answer to a picture asked for before signing out would sign in again.
        "SESSION_REFRESH_EACH_REQUEST": False,
        "MAX_CONTENT_LENGTH": LARGEST_FORM,
        "WTF_CSRF_TIME_LIMIT": None,  # as long as the session; a review may stay open over lunch
    }


def _kept_key(path: Path) -> str:
    """A key of our own, made once: sessions survive a restart. Whoever reads data_dir can read it."""
    if not path.is_file():
        durable.write(path, secrets.token_hex(32).encode())
        os.chmod(path, 0o600)
    return path.read_text()


def _host_of(url: str) -> str:
    """Without the port: a proxy may ask with or without."""
    return urlsplit(url).hostname or ""


def _behind(proxy: str | None) -> dict[str, object]:
    """waitress takes this proxy's word on addresses and scheme, and nobody else's."""
    if proxy is None:
        return {}
    headers = {"x-forwarded-for", "x-forwarded-proto"}
    return {"trusted_proxy": proxy, "trusted_proxy_count": 1, "trusted_proxy_headers": headers}


def _readable() -> None:
    """NUL is in no name, note or search, and PostgreSQL refuses it."""
    values = [request.path, *request.args, *request.args.values()]
    if request.mimetype == "application/x-www-form-urlencoded":
        values += [*request.form, *request.form.values()]
    if any("\0" in value for value in values):
        abort(400)


def _count_lines() -> None:
    g.lines_before = audit_log.lines_written()


def _leave_a_line(response: Response) -> Response:
    """The net below: whatever was posted with success and has left no line of its own in the audit log gets one."""
    wrote = request.method == "POST" and response.status_code < 400 and request.endpoint is not None
    if wrote and current_user.is_authenticated and audit_log.lines_written() == g.get("lines_before"):
        with current_app.extensions["tankwatch"].engine.begin() as connection:
            accounts.noted(connection, str(request.endpoint), request.path)
    return response


def _guarded(response: Response) -> Response:
    for name, value in GUARDS.items():
        response.headers.setdefault(name, value)
    if current_app.config["SESSION_COOKIE_SECURE"]:
        response.headers.setdefault("Strict-Transport-Security", "max-age=31536000")
    if "Cache-Control" not in response.headers:
        response.headers["Cache-Control"] = "no-store"
    return response


def _fault(error: HTTPException) -> tuple[Response | str, int]:
    code = error.code or 500
    if isinstance(error, SecurityError):  # not our host name: no page of ours can be built for it
        return Response("This host name is not served here.", code, mimetype="text/plain"), code
    words = error.description if isinstance(error, CSRFError) else FAULT_WORDS.get(code, error.description)
    if request.path.startswith(api.PREFIX) or sessions.wants_json():
        name = "csrf" if isinstance(error, CSRFError) else error.name.lower().replace(" ", "_")
        response, _ = sessions.fault_json(code, name, str(words))
        if isinstance(error, MethodNotAllowed) and error.valid_methods:
            response.headers["Allow"] = ", ".join(error.valid_methods)
        return response, code
    return render_template("fault.html", code=code, words=words), code


def _unfit(error: Exception) -> tuple[Response | str, int]:
    """A number or a text that no column takes, as PostgreSQL says: a zero character, a number over 2^31; SQLite's
    driver takes none over 2^63.
    """
    current_app.logger.warning("unfit request path=%s: %s", request.path, str(error).split("\n", 1)[0])
    return _fault(BadRequest())


def _moment(seconds: float) -> str:
    """UTC, for people."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _length(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
