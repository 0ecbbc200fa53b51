"""What all commissioning pages share: the device, whose turn it is, how far one is, and how a page is shown."""

from collections.abc import Callable
from typing import cast

import msgspec
from flask import Response, current_app, render_template, request, session

from calibration import setup_progress
from calibration.setup_device import SetupDevice
from calibration.setup_fit import Fit
from calibration.setup_progress import STEPS, Progress
from calibration.setup_turn import Holder, Turn
from edge_agent import profile_history
from edge_agent.bundle import Bundle
from edge_agent.errors import TankwatchError

OPENED_S = 60.0
"""Another champion may have taken its place since."""
LONGEST_REASON = 200
Route = tuple[str, str, str, Callable]
"""Path below /setup, name, method, view."""


class Desk:
    """One panel's commissioning."""

    def __init__(self, device: SetupDevice, clock: Callable[[], float]) -> None:
        self.device, self.clock = device, clock
        self.turn, self.fit = Turn(), Fit()
        self._bundle: tuple[float, Bundle] | None = None

    def bundle(self) -> Bundle:
        """The champion, opened now and then: a page asks several times a second. Raises ModelError, ConfigError."""
        now = self.clock()
        if self._bundle is None or not 0 <= now - self._bundle[0] < OPENED_S:
            self._bundle = now, self.device.bundle()
        return self._bundle[1]

    def notice(self) -> str:
        """A profile that was changed by hand goes into the history; words where that cannot be kept."""
        try:
            profile_history.notice(self.device.place, self.clock())
        except TankwatchError as error:
            return str(error)
        return ""


def desk() -> Desk:
    """Of the panel that answers this request."""
    return cast(Desk, current_app.extensions["tankwatch-setup"])


def progress() -> Progress:
    """How far one is, from the disk."""
    return setup_progress.load(desk().device)


def changed(**values: object) -> Progress:
    """Keeps how far one is now. Raises StoreError."""
    return setup_progress.changed(desk().device, **values)


def other() -> Holder | None:
    """Somebody else who is at it."""
    return desk().turn.other(session.get("setup", ""), progress().who, request.remote_addr or "")


def shown(template: str, **about: object) -> str:
    """A page of the way, with its steps."""
    so_far = progress()
    names = [name for name, _ in STEPS]
    reachable = names.index(so_far.next_step) + 1
    about = {"fault": "", "progress": so_far, "next_step": so_far.next_step} | about
    return render_template(template, steps=STEPS, reachable=reachable, other=other(), **about)


def told(words: str, status: int = 400) -> tuple[Response, int]:
    """A fault for a script."""
    return as_json({"fault": words}, status), status


def as_json(about: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(about), status, mimetype="application/json")


def number(text: str | None) -> float | None:
    """A number as people write it, with a comma too; None where the field is empty. Raises ValueError."""
    cleaned = (text or "").strip().replace(",", ".")
    return float(cleaned) if cleaned else None
