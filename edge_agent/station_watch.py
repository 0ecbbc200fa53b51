"""station.toml on the disk -> the profile that holds, as it changes while the inspection runs.

One that cannot be used is said in words, and the one before goes on holding. Files are looked at beside the frame loop,
which takes what is new between two units.
"""

import threading
from dataclasses import dataclass
from pathlib import Path

from edge_agent import station
from edge_agent.errors import StationError
from edge_agent.records import Frame
from edge_agent.station import StationProfile

NOT_SET_UP = "the station has not been set up: set it up in the browser at /setup, or with 'calibrate fit'"
"""Of a file that is not there."""


@dataclass(frozen=True, slots=True)
class HeldProfile:
    """A profile that can be used, and the hash of its bytes."""

    profile: StationProfile
    sha256: str


class StationWatch:
    """Follows one file. `words`: why what it holds now cannot be used; empty while it can."""

    def __init__(self, path: Path) -> None:
        self.words = ""
        self._path = path
        self._lock = threading.Lock()
        self._stamp: object = "unknown"
        self._next: HeldProfile | None = None
        self._taken: str | None = None
        """Hash of the one that holds."""

    def look(self) -> None:
        """Reads the file where it has changed. From any thread."""
        with self._lock:
            stamp = stamp_of(self._path)
            if stamp == self._stamp:
                return
            self._stamp = stamp
            self._next, self.words = self._read()

    def take(self, frame: Frame) -> HeldProfile | None:
        """What is new and fits the camera's picture, once; it holds from now on. None where nothing is.

        One that does not fit waits: the camera may be set to its size.
        """
        with self._lock:
            found = self._next
            if found is None:
                return None
            self.words = misfit(found.profile, frame)
            if self.words:
                return None
            self._next, self._taken = None, found.sha256
            return found

    def _read(self) -> tuple[HeldProfile | None, str]:
        if not self._path.exists():
            gone = f"station profile {self._path} is gone: put it back, or set the station up anew"
            return None, gone if self._taken else NOT_SET_UP
        try:
            profile, sha256 = station.load(self._path)
        except StationError as error:
            return None, str(error)
        return (None if sha256 == self._taken else HeldProfile(profile, sha256)), ""


def stamp_of(path: Path) -> object:
    """Another one whenever the file is another; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def misfit(profile: StationProfile, frame: Frame) -> str:
    """Words where the profile is for pictures of another size; empty where it fits."""
    height, width = frame.image.shape[:2]
    if (width, height) == profile.frame_size_px:
        return ""
    wanted = "{}x{}".format(*profile.frame_size_px)
    return (
        f"the picture is {width}x{height}, the station profile is for {wanted}: "
        "set the station up with this camera, or set the camera to that size"
    )
