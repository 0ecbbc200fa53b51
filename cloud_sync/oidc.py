"""Signing in through the company's own provider (OpenID Connect): code flow with PKCE, state and nonce.

Only loaded where cloud.toml has [oidc]. Users are known by issuer and subject, never by a name that the provider
could give to somebody else; the first sign-in makes the user.
"""

import secrets
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.flask_client import OAuth
from flask import Blueprint, Flask, current_app, redirect, render_template, request, session, url_for
from flask_login import current_user
from joserfc.errors import JoseError
from requests import RequestException
from werkzeug.wrappers import Response

from cloud_sync import accounts, audit_log, db, sessions, throttle
from cloud_sync import config as cloud_config
from cloud_sync.accounts import Account, Act, Change, NewUser, User
from cloud_sync.config import CloudConfig, OidcConfig
from cloud_sync.one_at_a_time import OneAtATime
from cloud_sync.roles import RIGHTS, ROLES, Role
from cloud_sync.sign_in import first_page, inside
from cloud_sync.throttle import Attempt
from edge_agent.errors import ConfigError, LinkError

blueprint = Blueprint("oidc", __name__)
EXTENSION = "tankwatch.oidc"
FAULT = "tankwatch.oidc.fault"
NEXT = "oidc_next"
PATIENCE_S = 10
WRONG = (AuthlibBaseError, JoseError, RequestException, ValueError, KeyError, LinkError)
"""What a provider that answers wrongly, or somebody who plays one, leads to."""


def install(app: Flask, config: CloudConfig) -> None:
    """Raises ConfigError where something is missing for it."""
    wanted = config.oidc
    if wanted is None:
        return
    if config.web.url is None:
        raise ConfigError("[oidc] needs url in [web], because the provider sends browsers back there: add it")
    address = urlsplit(wanted.issuer)
    if address.scheme != "https" and address.hostname not in ("localhost", "127.0.0.1"):
        raise ConfigError(f"issuer {wanted.issuer[:80]} is not https, so anybody could answer for it: use https")
    oauth = OAuth(app)
    oauth.register(
        "company",
        client_id=wanted.client_id,
        client_secret=cloud_config.secret(wanted.secret_env),
        server_metadata_url=wanted.issuer.rstrip("/") + "/.well-known/openid-configuration",
        client_kwargs={"scope": "openid email profile", "code_challenge_method": "S256", "timeout": PATIENCE_S},
        token_endpoint_auth_method="client_secret_basic" if wanted.secret_env else "none",
    )
    app.extensions[EXTENSION] = oauth
    app.extensions[FAULT] = OneAtATime(lambda: _fault(oauth), "it is being asked at this moment")
    app.register_blueprint(blueprint)


@blueprint.get("/login/company")
def begin() -> Response | tuple[str, int]:
    """Off to the provider."""
    session[NEXT] = inside(request.args.get("next", "")) or ""
    try:
        if fault := current_app.extensions[FAULT].answer():
            raise LinkError(fault)
        return _client().authorize_redirect(_here())
    except WRONG as error:
        return _refused("The provider cannot be reached", error)


@blueprint.get("/login/company/back")
def back() -> Response | tuple[str, int]:
    """Where the provider sends the browser; nothing of its answer is believed unchecked."""
    following = session.get(NEXT, "")
    try:
        claims = _claims()
        user = _admitted(claims)
    except WRONG as error:
        return _refused("The provider's answer does not hold", error)
    except ConfigError as error:
        return _refused(str(error))
    sessions.begin(user)
    return redirect(following or first_page(user))


def _fault(oauth: OAuth) -> str | None:
    """Why the provider's own description cannot be had; it is kept once it is here."""
    try:
        oauth.create_client("company").load_server_metadata()
    except WRONG as error:
        return f"{type(error).__name__}: {error}"
    return None


def _claims() -> dict[str, Any]:
    """The ID token's claims: signature, issuer, audience, times and nonce are right. Raises one of WRONG."""
    config, claims = _config(), _client().authorize_access_token().get("userinfo")
    if not claims:
        raise LinkError("there is no ID token in it")
    if claims["iss"].rstrip("/") != config.issuer.rstrip("/"):
        raise LinkError("it is of another issuer")
    if not isinstance(claims["sub"], str) or not claims["sub"]:
        raise LinkError("it names nobody")
    return dict(claims)


def _admitted(claims: dict[str, Any]) -> User:
    """The user, made or brought up to date. Raises ConfigError where this person may not sign in."""
    config, act_now = _config(), _act(claims)
    _check_domain(config, claims)
    role = role_of(config, claims)
    subject = f"{claims['iss']} {claims['sub']}"
    with _shelf().engine.begin() as connection:
        audit_log.take_turn(connection)
        held = accounts.of_subject(connection, subject)
        if held is None:
            name = f"user-{secrets.token_hex(4)}" if config.pseudonyms else name_of(claims)
            accounts.add(connection, NewUser(name, role, subject=subject), act_now)
        else:
            name = _brought_up_to_date(connection, held, role, act_now)
        accounts.note(connection, Act(name, act_now.address, act_now.at), "sign_in_company", subject)
        found = accounts.find(connection, name)
        assert found is not None
    return User(found.name, found.role, found.epoch)


def _brought_up_to_date(connection: sa.Connection, held: Account, role: Role, act_now: Act) -> str:
    """Where the provider says roles, its word counts; otherwise ours."""
    if held.disabled_at is not None:
        raise ConfigError("This account is disabled: ask an administrator.")
    if _config().role_claim and held.role != role:
        accounts.change(connection, held.name, Change(role=role), act_now)
    return held.name


def role_of(config: OidcConfig, claims: dict[str, Any]) -> Role:
    """The strongest role that the claim names. Raises ConfigError where there is none and no default."""
    said = claims.get(config.role_claim) if config.role_claim else None
    values = said if isinstance(said, list) else [said]
    named = [role for role in ROLES if role in values]
    if named:
        return max(named, key=lambda role: len(RIGHTS[role]))
    if config.default_role == "none":
        raise ConfigError("The provider gives you no role here: ask an administrator.")
    return config.default_role


def name_of(claims: dict[str, Any]) -> str:
    """What the user is called here. Raises ConfigError where nothing fits."""
    for claim in ("preferred_username", "email"):
        if isinstance(said := claims.get(claim), str) and said:
            return said
    raise ConfigError("The provider tells neither preferred_username nor email: ask its administrator for one.")


def _check_domain(config: OidcConfig, claims: dict[str, Any]) -> None:
    if not config.domains:
        return
    address = claims.get("email") if claims.get("email_verified") is True else None
    if not isinstance(address, str) or address.rpartition("@")[2].lower() not in config.domains:
        raise ConfigError("Your e-mail address is not one that may sign in here: ask an administrator.")


def _refused(words: str, error: Exception | None = None) -> tuple[str, int]:
    if error is not None:
        current_app.logger.warning("company sign-in refused: %s: %s: %s", words, type(error).__name__, error)
        words += ": sign in again, or ask an administrator."
    attempt = Attempt("", request.remote_addr or "", db.now(), kind="sign_in_company")
    throttle.failed(_shelf().engine, attempt, type(error).__name__ if error else words)
    if not current_user.is_authenticated:  # a link on another site must not end anybody's session
        session.clear()
    return render_template("login.html", fault=words, name="", kept="", expired=False, lost=False), 403


def _act(claims: dict[str, Any]) -> Act:
    return Act(f"provider {claims['iss']}", request.remote_addr or "", db.now())


def _here() -> str:
    """By our own configuration, not by what a request says its host is."""
    return str(_shelf().config.web.url) + url_for("oidc.back")


def _config() -> OidcConfig:
    return _shelf().config.oidc


def _client() -> Any:
    return current_app.extensions[EXTENSION].create_client("company")


def _shelf() -> Any:
    return current_app.extensions["tankwatch"]
