"""Clips over HTTP: what the player needs to know, the video (with ranges), the stored frames, the evidence's pictures,
the original.
"""

import struct
from collections.abc import Callable, Iterable
from http import HTTPStatus
from pathlib import Path

import msgspec
import sqlalchemy as sa
from flask import Blueprint, Response, abort, current_app, jsonify, request, send_file, url_for
from flask_login import current_user

from cloud_sync import video, webm
from cloud_sync.accounts import needs
from cloud_sync.review import may_know
from cloud_sync.tables import cases
from edge_agent import clips
from edge_agent.errors import StoreError

blueprint = Blueprint("clips", __name__)
KEPT_S = 3600
"""Browsers keep a clip as long; its name is its content."""
SPACING_S = 0.05
"""Between the frames of the player's composites: what the shipped nets were trained with (models/data.py)."""
MOST_FRAMES = 60
"""In one answer: 2 s of 30 pictures a second, some 2 MB."""
_LENGTH = struct.Struct("<I")


class Descriptor(msgspec.Struct, frozen=True, kw_only=True):
    """What the player must know to show a clip; says nothing of lamps, bundle or evidence."""

    sha256: str
    clip: str
    """Address of this description."""
    video: str
    frames: str
    """Address of several frames at once."""
    fault: str | None = None
    """Why nothing can be shown; what follows is empty then."""
    size_px: tuple[int, int] | None = None
    """Tank view, width and height."""
    whole: bool = False
    """False: the clip breaks off behind its last frame."""
    fps: float | None = None
    spacing_s: float = SPACING_S
    times_s: list[float] = []
    """When each frame begins in the video."""
    taken_s: list[float] = []
    """Monotonic capture times, as stored: composites choose their frames by them."""


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


@blueprint.get("/clips/<sha256>/clip.json")
@needs("expert")
def about(sha256: str) -> Response:
    """The descriptor; a clip that cannot be shown has a `fault` in words."""
    found = _described(_shelf_with(sha256), sha256)
    response = Response(msgspec.json.encode(found), mimetype="application/json")
    # A fault may be mended.
    return response if found.fault else _private(response)


@blueprint.get("/clips/<sha256>/frames/<int:number>")
@needs("expert")
def frame(sha256: str, number: int) -> Response:
    """One tank view as it is stored, from 0."""
    (picture,) = _pictures(sha256, lambda count: [number] if number < count else []) or abort(404)
    return _private(Response(picture, mimetype="image/png" if picture[:1] == b"\x89" else "image/jpeg"))


@blueprint.get("/clips/<sha256>/frames.bin")
@needs("expert")
def several_frames(sha256: str) -> Response:
    """`count` stored tank views from number `from` in steps of `step`, each behind its length (u32, little-endian)."""
    first, wanted, step = (
        max(low, request.args.get(name, low, type=int)) for name, low in (("from", 0), ("count", 1), ("step", 1))
    )
    numbers = _pictures(sha256, lambda count: range(first, count, step)[: min(wanted, MOST_FRAMES)]) or abort(404)
    data = b"".join(_LENGTH.pack(len(picture)) + picture for picture in numbers)
    return _private(Response(data, mimetype="application/octet-stream"))


@blueprint.get("/clips/<sha256>/composite.png")
@needs("expert", "viewer")
def composite(sha256: str) -> Response:
    path = _for_who_may_know(sha256)
    try:
        _, picture, _ = clips.read(path).evidence_bytes() or abort(404)
    except StoreError as error:
        current_app.logger.warning("no composite clip=%s: %s", sha256, error)
        abort(404)
    return _private(Response(picture, mimetype="image/png"))


@blueprint.get("/clips/<sha256>/heat.png")
@needs("expert", "viewer")
def heat(sha256: str) -> Response:
    """The heat map in colour, transparent where the detector saw nothing."""
    path = _for_who_may_know(sha256)
    try:
        picture = current_app.extensions["tankwatch"].pictures.heat(path)
    except StoreError as error:
        current_app.logger.warning("no heat clip=%s: %s", sha256, error)
        abort(404)
    return _private(Response(picture, mimetype="image/png"))


@blueprint.get("/clips/<sha256>.twclip")
@needs("quality")
def original(sha256: str) -> Response:
    shelf = _shelf_with(sha256)
    return _private(send_file(shelf.store.clip(sha256), mimetype="application/x-tankwatch-clip", as_attachment=True))


def addresses(sha256: str) -> Descriptor:
    """A clip's addresses without a look at its file: enough for the player to `load` or `preload` it."""
    clip, movie, frames = (url_for(f"clips.{name}", sha256=sha256) for name in ("about", "as_video", "several_frames"))
    return Descriptor(sha256=sha256, clip=clip, video=movie, frames=frames)


@blueprint.app_template_global("clip_addresses")
def _addresses_json(sha256: str) -> str:
    """For the page's data-clip."""
    return msgspec.json.encode(addresses(sha256)).decode()


@blueprint.app_template_global("clip_fault")
def fault_of(sha256: str) -> str | None:
    """Why a clip cannot be shown, as far as that was tried."""
    return current_app.extensions["tankwatch"].videos.fault(sha256)


def _described(shelf, sha256: str) -> Descriptor:
    known = addresses(sha256)
    path = shelf.store.clip(sha256)
    try:
        clip = clips.read(path)
        taken_s = clip.taken_s()
        times_s = [tick / webm.TICKS_PER_S for tick in webm.ticks(taken_s)]
    except StoreError as error:
        return msgspec.structs.replace(known, fault=video.without_path(error, path))
    fault = shelf.videos.fault(sha256) or (None if times_s else webm.NO_FRAME)
    if fault:
        return msgspec.structs.replace(known, fault=fault)
    return msgspec.structs.replace(
        known,
        size_px=clip.header.view_size_px,
        whole=clip.whole,
        fps=(len(taken_s) - 1) / (taken_s[-1] - taken_s[0]) if taken_s[-1] > taken_s[0] else None,
        times_s=times_s,
        taken_s=taken_s,
    )


def _pictures(sha256: str, choose: Callable[[int], Iterable[int]]) -> list[bytes]:
    """The stored tank views whose numbers `choose` picks, given how many there are.

    A damaged clip is answered with 410 and the words for the page: the player may ask for frames before its video has
    failed.
    """
    shelf = _shelf_with(sha256)
    path = shelf.store.clip(sha256)
    try:
        clip = clips.read(path)
        return list(clip.tank_pictures(choose(clip.frame_count)))
    except StoreError as error:
        current_app.logger.warning("no frames clip=%s: %s", sha256, error)
        words = shelf.videos.keep_fault(sha256, path, error)
        abort(404 if words is None else Response(words, HTTPStatus.GONE, mimetype="text/plain"))


def _for_who_may_know(sha256: str) -> Path:
    """The clip, only for those who have judged, or whose work it is to see everything."""
    shelf = _shelf_with(sha256)
    with shelf.engine.connect() as connection:
        ids = connection.scalars(sa.select(cases.c.case_id).where(cases.c.clip_sha256 == sha256)).all()
        known = any(may_know(connection, case_id, current_user.name) for case_id in ids)
    if not known and not current_user.may("viewer"):
        abort(403)
    try:
        return shelf.store.clip(sha256)
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
