"""Second step: the camera is turned, moved and focused, with a picture that says what is still to improve."""

import msgspec
from flask import Response, redirect, url_for
from werkzeug.wrappers import Response as Answer

from calibration import setup_pictures
from calibration.fitting import BLURRED_MODULES, LEAST_CONTRAST
from calibration.markers import LEAST_MODULE_PX
from calibration.setup_desk import Route, as_json, changed, desk, progress, shown, told
from calibration.setup_device import aimed
from edge_agent import station
from edge_agent.errors import StationError, TankwatchError

LIMITS = {"module_px": LEAST_MODULE_PX, "contrast": LEAST_CONTRAST, "edge_modules": BLURRED_MODULES}


def page(fault: str = "") -> str | Answer:
    if not progress().station:
        return redirect(url_for("setup.station"))
    return shown("setup_aim.html", step="aim", fault=fault, limits=LIMITS)


def now() -> Response | tuple[Response, int]:
    """The newest picture, and all that is seen in it."""
    try:
        frame, seen = aimed(desk().device, progress().station)
    except StationError as error:
        return told(str(error), 503)
    about = msgspec.to_builtins(seen) | {"ready": seen.ready, "noted": _noted(seen.frame_size_px)}
    return as_json(about | {"picture": setup_pictures.text(setup_pictures.jpeg(frame.image))})


def done() -> Answer | tuple[str | Answer, int]:
    """On, where all four markers can be read; what is left to improve will be in the report."""
    try:
        _, seen = aimed(desk().device, progress().station)
        if not seen.tank_px or len(seen.faults) > sum(bool(corner.words) for corner in seen.corners):
            raise StationError(seen.faults[0])
        changed(aimed=True)
    except TankwatchError as error:
        return page(str(error)), 400
    return redirect(url_for("setup.lamps"))


def _noted(size_px: tuple[int, int]) -> str:
    """A profile that holds for pictures of another size inspects nothing until it was measured anew."""
    try:
        profile, _ = station.load(desk().device.place.station)
    except StationError:
        return ""
    if profile.frame_size_px == size_px:
        return ""
    was, is_now = ("{}x{}".format(*size) for size in (profile.frame_size_px, size_px))
    return f"the profile that holds is for pictures of {was}, the camera gives {is_now}: measure and save it anew"


ROUTES: tuple[Route, ...] = (
    ("/aim", "aim", "GET", page),
    ("/aim", "aimed", "POST", done),
    ("/aim.json", "aim_now", "GET", now),
)
