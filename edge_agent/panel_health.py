"""Blueprint of the panel for watchdogs and Prometheus: /metrics, /healthz and /readyz, from the files of the others."""

import hmac

from flask import Blueprint, Response, current_app, jsonify, request
from flask.blueprints import BlueprintSetupState

from edge_agent import exposition, panel_metrics, signs_of_life
from edge_agent.config import DeviceConfig, secret
from edge_agent.machine import OwnProcess

blueprint = Blueprint("health", __name__)
PROCESS, TOKEN = "tankwatch-process", "tankwatch-metrics-token"
NO_TOKEN = "Send the token that [panel] metrics_token_env names: Authorization: Bearer ...\n"


@blueprint.record_once
def _begin(setup: BlueprintSetupState) -> None:
    device = setup.app.extensions["tankwatch"].device
    setup.app.extensions[PROCESS] = OwnProcess()
    setup.app.extensions[TOKEN] = secret(device.panel.metrics_token_env)


@blueprint.get("/metrics")
def metrics() -> Response:
    """Of the whole device; nobody is asked, so it is answered also while all others are down."""
    if not _may_ask():
        return Response(NO_TOKEN, 401, {"WWW-Authenticate": 'Bearer realm="tankwatch"'}, mimetype="text/plain")
    # Counts by verdict tell the machine's word to whoever watches them closely.
    for_all = current_app.extensions[TOKEN] is None
    signs = signs_of_life.look(_device(), current_app.extensions[PROCESS], for_all=for_all)
    return Response(exposition.text(panel_metrics.CATALOGUE, signs), content_type=exposition.CONTENT_TYPE)


@blueprint.get("/healthz")
def healthy() -> tuple[Response, int]:
    """The inspection runs and its camera gives pictures; otherwise 503 and why."""
    faults = signs_of_life.look(_device()).faults()
    return jsonify(status="ok" if not faults else "not ok", faults=faults), 503 if faults else 200


@blueprint.get("/readyz")
def ready() -> tuple[Response, int]:
    """Units can be tested and their cases leave the device; otherwise 503 and what is in the way."""
    faults = signs_of_life.look(_device()).obstacles()
    return jsonify(status="ready" if not faults else "not ready", faults=faults), 503 if faults else 200


def _may_ask() -> bool:
    """Whoever has the token, where one is named."""
    token, given = current_app.extensions[TOKEN], request.headers.get("Authorization", "")
    return token is None or hmac.compare_digest(given.encode(), f"Bearer {token}".encode())


def _device() -> DeviceConfig:
    return current_app.extensions["tankwatch"].device
