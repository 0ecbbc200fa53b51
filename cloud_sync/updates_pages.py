"""The signed repository over HTTP: metadata for everybody, targets for whoever holds a token; ranges, so that a broken
download goes on. A plain static server of data_dir/updates/ does as well.
"""

import re

from flask import Blueprint, Response, abort, current_app, request, send_file

from cloud_sync import api_request, db
from cloud_sync.api_request import Refused

blueprint = Blueprint("updates", __name__)
METADATA = re.compile(r"(timestamp|[1-9][0-9]{0,9}\.(root|targets|bundles|stations|snapshot))\.json")
TARGET = re.compile(r"(bundles|stations/[A-Za-z0-9_-]+/[A-Z0-9-]+)/[0-9a-f]{64}\.[A-Za-z0-9][A-Za-z0-9._-]*")
"""No name that fits has `..` or a folder that is not one of ours."""
KEPT_S = 86_400


@blueprint.get("/updates/metadata/<name>")
def metadata(name: str) -> Response:
    """Signed, and without anything about the plant but the names of its stations."""
    if not METADATA.fullmatch(name):
        abort(404)
    return _file(f"metadata/{name}", fixed=name != "timestamp.json")


@blueprint.get("/updates/targets/<path:name>")
def target(name: str) -> Response | tuple[str, int, dict[str, str]]:
    shelf = current_app.extensions["tankwatch"]
    if not TARGET.fullmatch(name):
        abort(404)
    if not shelf.config.updates.open:
        try:
            api_request.caller(shelf.engine, request, db.now())
        except Refused as refused:
            return refused.words, refused.status, {**refused.headers, "Content-Type": "text/plain; charset=utf-8"}
    return _file(f"targets/{name}", fixed=True)


def _file(name: str, *, fixed: bool) -> Response:
    """`fixed`: under this name there are never other bytes."""
    path = current_app.extensions["tankwatch"].config.updates_path / name
    if not path.is_file():
        abort(404)
    kind = "application/json" if path.suffix == ".json" else "application/octet-stream"
    response = send_file(path, mimetype=kind, conditional=True)
    response.headers["Cache-Control"] = f"private, max-age={KEPT_S}" if fixed else "no-cache"
    return response
