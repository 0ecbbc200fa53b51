"""Clips over HTTP: the video for browsers (with ranges), its frame times, the evidence's pictures, the original."""

import cv2
import numpy as np
import sqlalchemy as sa
from flask import Blueprint, Response, abort, current_app, jsonify, send_file
from flask_login import current_user

from cloud_sync import video
from cloud_sync.accounts import needs
from cloud_sync.review import may_know
from cloud_sync.tables import cases
from edge_agent import clips
from edge_agent.clips import EvidencePictures
from edge_agent.errors import StoreError

blueprint = Blueprint("clips", __name__)
KEPT_S = 3600
"""Browsers keep a clip as long; its name is its content."""
FAINTEST = 0.15
"""Heat under this is left transparent: it is nobody's evidence."""


@blueprint.get("/clips/<sha256>.webm")
@needs("expert", "viewer")
def as_video(sha256: str) -> Response:
    shelf = _shelf_with(sha256)
    try:
        path = shelf.videos.of(sha256)
    except StoreError as error:
        current_app.logger.warning("no video clip=%s: %s", sha256, error)
        abort(404)
    return _private(send_file(path, mimetype="video/webm", conditional=True))


@blueprint.get("/clips/<sha256>/times.json")
@needs("expert", "viewer")
def times(sha256: str) -> Response:
    """Seconds at which each frame of the video begins."""
    shelf = _shelf_with(sha256)
    try:
        return _private(jsonify(video.times_s(shelf.videos.of(sha256))))
    except StoreError:
        abort(404)


@blueprint.get("/clips/<sha256>/composite.png")
@needs("expert", "viewer")
def composite(sha256: str) -> Response:
    return _private(Response(_evidence(sha256).composite_png, mimetype="image/png"))


@blueprint.get("/clips/<sha256>/heat.png")
@needs("expert", "viewer")
def heat(sha256: str) -> Response:
    """The heat map in colour, transparent where the detector saw nothing."""
    return _private(Response(coloured(_evidence(sha256).heat), mimetype="image/png"))


@blueprint.get("/clips/<sha256>.twclip")
@needs("quality")
def original(sha256: str) -> Response:
    shelf = _shelf_with(sha256)
    return _private(send_file(shelf.store.clip(sha256), mimetype="application/x-tankwatch-clip", as_attachment=True))


def coloured(heat: np.ndarray) -> bytes:
    """(h, w) float32, 0..1 -> PNG with colour and alpha."""
    levels = np.rint(np.clip(heat, 0, 1) * 255).astype(np.uint8)
    picture = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2BGRA)
    picture[:, :, 3] = np.where(heat < FAINTEST, 0, np.minimum(255, 1.4 * levels)).astype(np.uint8)
    return cv2.imencode(".png", picture)[1].tobytes()


def _evidence(sha256: str) -> EvidencePictures:
    """Only for those who have judged, or whose work it is to see everything."""
    shelf = _shelf_with(sha256)
    with shelf.engine.connect() as connection:
        ids = connection.scalars(sa.select(cases.c.case_id).where(cases.c.clip_sha256 == sha256)).all()
        known = any(may_know(connection, case_id, current_user.name) for case_id in ids)
    if not known and not current_user.may("viewer"):
        abort(403)
    try:
        return clips.read(shelf.store.clip(sha256)).evidence() or abort(404)
    except StoreError as error:
        current_app.logger.warning("no evidence clip=%s: %s", sha256, error)
        abort(404)


def _shelf_with(sha256: str):
    shelf = current_app.extensions["tankwatch"]
    if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef") or not shelf.store.holds(sha256):
        abort(404)
    return shelf


def _private(response: Response) -> Response:
    response.headers["Cache-Control"] = f"private, max-age={KEPT_S}"
    return response
