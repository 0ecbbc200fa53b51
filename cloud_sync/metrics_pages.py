"""/metrics of the cloud, for Prometheus: against a bearer token of somebody who may see cases.

Counts by verdict tell what a plant makes and how well, so nobody gets them for the asking. Being on the same machine
is no proof: behind a reverse proxy everybody is.
"""

import shutil
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from flask import Blueprint, Response, current_app, request
from flask.blueprints import BlueprintSetupState

from cloud_sync import api_request, cloud_metrics, db, fleet_figures
from cloud_sync.api_request import Refused
from cloud_sync.cloud_metrics import Look
from cloud_sync.fleet_figures import ClipFigures, Figures
from edge_agent import exposition

blueprint = Blueprint("metrics", __name__)
FIGURES_S = 5.0
"""Two scrapers, or one that is impatient, cost no more than one."""
CLIPS_S = 300.0
"""A million rows are read for them."""
KEPT = "tankwatch-metrics"
T = TypeVar("T")


class Recent(Generic[T]):
    """An answer that holds for some seconds; whoever comes while it is made anew waits for it."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._clock = seconds, clock
        self._lock = threading.Lock()
        self._answer: tuple[float, T] | None = None

    def answer(self, ask: Callable[[], T]) -> T:
        with self._lock:
            now_s = self._clock()
            if self._answer is None or now_s - self._answer[0] >= self._seconds:
                self._answer = now_s, ask()
            return self._answer[1]


@blueprint.record_once
def _begin(setup: BlueprintSetupState) -> None:
    setup.app.extensions[KEPT] = Recent[Figures](FIGURES_S), Recent[ClipFigures](CLIPS_S)


@blueprint.get("/metrics")
def metrics() -> Response:
    shelf = current_app.extensions["tankwatch"]
    try:
        if not api_request.caller(shelf.engine, request, db.now()).may("viewer"):
            raise Refused(403, "role", "This token's role does not include metrics: use one of a viewer.")
    except Refused as refused:
        return Response(f"{refused.words}\n", refused.status, refused.headers, mimetype="text/plain")
    return Response(exposition.text(cloud_metrics.CATALOGUE, _look()), content_type=exposition.CONTENT_TYPE)


def _look() -> Look:
    shelf = current_app.extensions["tankwatch"]
    recent, recent_clips = current_app.extensions[KEPT]

    def figures() -> Figures:
        with shelf.engine.connect() as connection:
            return fleet_figures.figures(connection, db.now())

    def clips() -> ClipFigures:
        with shelf.engine.connect() as connection:
            return fleet_figures.clip_figures(connection)

    return Look(
        recent.answer(figures),
        recent_clips.answer(clips),
        store_up=shelf.store_fault.answer() is None,
        free_bytes=shutil.disk_usage(shelf.config.folder).free,
        now_s=db.now(),
    )
