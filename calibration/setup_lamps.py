"""Third step: lamps are marked on the picture, and each shows at once what the lamp model reads of it."""

from flask import Response, redirect, request, url_for
from werkzeug.wrappers import Response as Answer

from calibration import fitting, setup_pictures
from calibration.setup_desk import Route, as_json, changed, desk, progress, shown, told
from calibration.setup_device import newest
from edge_agent.errors import ConfigError, TankwatchError
from edge_agent.lamps import LampReader
from edge_agent.records import Frame
from edge_agent.station import Lamp

MEANINGS = (("ok", "good", "green"), ("leak", "leak", "red"))
"""As in a profile, as people say it, the usual colour."""


def page(fault: str = "") -> str | Answer:
    if not progress().station:
        return redirect(url_for("setup.station"))
    marked: dict[str, tuple[int, int, int, int]] = {lamp.means: lamp.rect_px for lamp in progress().lamps}
    entered = {means: _entered_or(marked.get(means), means) for means, _, _ in MEANINGS}
    return shown("setup_lamps.html", step="lamps", fault=fault, meanings=MEANINGS, entered=entered)


def now() -> Response | tuple[Response, int]:
    """The newest picture, and of each lamp in the query (`ok=x,y,w,h`) its crop and what is read of it."""
    try:
        frame = newest(desk().device)[-1]
        found = {means: _read(frame, means) for means, _, _ in MEANINGS if request.args.get(means)}
    except TankwatchError as error:
        return told(str(error), 503)
    size = (frame.image.shape[1], frame.image.shape[0])
    picture = setup_pictures.text(setup_pictures.jpeg(frame.image))
    return as_json({"frame_size_px": size, "picture": picture, "lamps": found})


def done() -> Answer | tuple[str | Answer, int]:
    try:
        lamps = tuple(lamp for means, _, _ in MEANINGS if (lamp := _entered(means)))
        if not lamps and not request.form.get("none"):
            raise ConfigError("no lamp is marked: mark both, or say that this station has none")
        size = newest(desk().device)[-1].image.shape[1::-1]
        fitting.lamps_fit(lamps, (size[0], size[1]))
        _apart(lamps)
        again = lamps != progress().lamps
        changed(lamps=lamps, lamps_done=True, **({"draft": False, "saved": None} if again else {}))
    except TankwatchError as error:
        return page(str(error)), 400
    return redirect(url_for("setup.measure"))


def _read(frame: Frame, means: str) -> dict[str, object]:
    """Crop and word of one lamp, or what is wrong with its place."""
    try:
        rect = _numbers(request.args[means].split(","))
        lamp = Lamp(means, rect)  # type: ignore[arg-type]
        fitting.lamps_fit((lamp,), (frame.image.shape[1], frame.image.shape[0]))
    except ConfigError as error:
        return {"fault": str(error)}
    bundle = desk().bundle()
    reading = LampReader(bundle.nets["lamps"], (lamp,)).read(frame)[means]
    crop = setup_pictures.text(setup_pictures.lamp(frame.image, rect))
    return {"word": reading.word(bundle.manifest.thresholds.lamps), "lit": round(reading.lit, 3), "crop": crop}


def _entered(means: str) -> Lamp | None:
    parts = [request.form.get(f"{means}_{side}", "").strip() for side in "xywh"]
    return Lamp(means, _numbers(parts)) if any(parts) else None  # type: ignore[arg-type]


def _entered_or(rect: tuple[int, int, int, int] | None, means: str) -> tuple[object, ...]:
    """What stands in a form's four fields."""
    if request.method == "POST":
        return tuple(request.form.get(f"{means}_{side}", "") for side in "xywh")
    return rect or ("", "", "", "")


def _numbers(parts: list[str]) -> tuple[int, int, int, int]:
    try:
        x, y, width, height = (round(float(part)) for part in parts)
    except (ValueError, OverflowError):
        raise ConfigError("a lamp needs four whole numbers: left, top, width and height in pixels") from None
    return x, y, width, height


def _apart(lamps: tuple[Lamp, ...]) -> None:
    """Two lamps that lie on each other would always say the same."""
    if len(lamps) < 2:
        return
    (ax, ay, aw, ah), (bx, by, bw, bh) = lamps[0].rect_px, lamps[1].rect_px
    if min(ax + aw, bx + bw) > max(ax, bx) and min(ay + ah, by + bh) > max(ay, by):
        raise ConfigError("the two lamps lie on each other: draw each closely round its own light")


ROUTES: tuple[Route, ...] = (
    ("/lamps", "lamps", "GET", page),
    ("/lamps", "mark_lamps", "POST", done),
    ("/lamps.json", "lamps_now", "GET", now),
)
