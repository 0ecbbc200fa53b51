"""One immersion of the twin, taped once and played to agents as a recording, or live with whatever goes wrong."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from calibration.scene import draw_scene, draw_station
from calibration.truth import CaseTruth
from calibration.twin import Twin, profile_of
from edge_agent import config, station
from edge_agent.capture import LiveCapture
from edge_agent.config import DeviceConfig
from edge_agent.records import Frame

LOOK = draw_station(31, "demo")
PROFILE = profile_of(LOOK)
FPS = 20.0


@dataclass(frozen=True)
class Tape:
    """Compressed pictures at 20 frames/s, and what happens in them."""

    pictures: list[np.ndarray]
    truth: CaseTruth

    def frames(self, first: int = 0, last: int | None = None) -> Iterator[Frame]:
        for number in range(len(self.pictures))[first:last]:
            image = cv2.imdecode(self.pictures[number], cv2.IMREAD_COLOR)
            yield Frame(image, number, number / FPS, 1_790_000_000 + number / FPS)


@cache
def tape() -> Tape:
    """A leaking unit, held for seven seconds and a half, then judged."""
    scene = replace(draw_scene(3, LOOK, "demo", leaky=True), hands=(), hold_s=7.5, decision="leak")
    twin = Twin(LOOK, [scene], fps=FPS, seed=4, colour=True)
    pictures = [cv2.imencode(".jpg", frame.image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1] for frame, _ in twin.frames()]
    return Tape(pictures, twin.cases[0])


class TapeCamera:
    """Plays the tape; `at` does something just before the frame of that number."""

    live = False
    frame_count = None

    def __init__(self, at: dict[int, Callable[[], object]] | None = None) -> None:
        self._at = at or {}
        self.closed = False

    def frames(self) -> Iterator[Frame]:
        for frame in tape().frames():
            self._at.get(frame.sequence, lambda: None)()
            yield frame

    def close(self) -> None:
        self.closed = True


class TapeClock:
    """The time of a live camera that plays faster than life."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        self.now_s += 1e-6
        return self.now_s


def going_live(last: int, clock: TapeClock, gone: threading.Event) -> LiveCapture:
    """A live camera that is pulled after `last` frames: its driver blocks until the test is over (`gone`), and again
    where a reader that was stuck connects anew."""
    frames = tape().frames(last=last)

    def connect() -> Iterator[Frame]:
        for frame in frames:
            # As fast as the agent takes them, so that none is dropped.
            while len(camera._waiting) > 1 and not gone.is_set():
                time.sleep(0.001)
            clock.now_s += 1 / FPS
            yield replace(frame, monotonic_s=clock())
        gone.wait(30)

    camera = LiveCapture(connect, now=clock)
    return camera


def write_device(folder: Path, camera: str = "tape:", **settings) -> Path:
    """device.toml with its station.toml beside it."""
    (folder / "station.toml").write_bytes(station.dump(PROFILE))
    device = DeviceConfig(site="plant", station="station.toml", camera=camera, data_dir="data", seed=1, **settings)
    path = folder / "device.toml"
    path.write_bytes(config.dump(device))
    return path
