"""Blueprint of the panel for watchdogs and Prometheus: /metrics, /healthz and /readyz, from the files of the others."""

from flask import Blueprint, Response, current_app, jsonify
from flask.blueprints import BlueprintSetupState

from edge_agent import exposition, panel_metrics, signs_of_life
from edge_agent.config import DeviceConfig
from edge_agent.machine import OwnProcess

blueprint = Blueprint("health", __name__)
PROCESS = "tankwatch-process"


@blueprint.record_once
def _begin(setup: BlueprintSetupState) -> None:
    setup.app.extensions[PROCESS] = OwnProcess()


@blueprint.get("/metrics")
def metrics() -> Response:
    """Of the whole device; nobody is asked, so it is answered also while all others are down."""
    signs = signs_of_life.look(_device(), current_app.extensions[PROCESS])
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


def _device() -> DeviceConfig:
    return current_app.extensions["tankwatch"].device
