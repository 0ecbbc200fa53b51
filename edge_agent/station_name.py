"""station.toml -> the station's name, for processes that speak in its name: waited for, and watched for another one."""

import contextlib
import logging
import threading
from collections.abc import Callable
from pathlib import Path

from edge_agent import station
from edge_agent.errors import StationError
from edge_agent.station_watch import stamp_of

WAIT_S = 0.5
"""Between two looks for a profile, while the station has none."""
log = logging.getLogger(__name__)


def awaited(profile: Path, stopped: Callable[[], bool], waits: Callable[[str], None] | None = None) -> str | None:
    """The name, once there is a profile; None where it was stopped before. `waits` is told at each look why not yet."""
    pause, said = threading.Event(), ""
    while True:
        try:
            return station.load(profile)[0].station
        except StationError as error:
            if str(error) != said:
                said = str(error)
                log.warning("waiting for a profile, which names the station: %s", said)
        if stopped():
            return None
        if waits:
            waits(said)
        pause.wait(WAIT_S)


class Renaming:
    """Whether the profile has come to be another station's: its topics and its orders are others, and whoever works
    for the one begins anew for the other."""

    def __init__(self, profile: Path, name: str) -> None:
        self._path, self._name = profile, name
        self._stamp: object = None
        self._has_come = False

    def has_come(self) -> bool:
        """Costs a `stat`. A file that is away or unusable for a while says nothing of names."""
        stamp = stamp_of(self._path)
        if stamp != self._stamp:
            self._stamp = stamp
            with contextlib.suppress(StationError):
                self._has_come = station.load(self._path)[0].station != self._name
        return self._has_come
