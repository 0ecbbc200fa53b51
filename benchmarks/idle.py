"""`bench idle`: what the agent takes of a core between immersions, above capture and decoding, and what a screen adds.

The baseline, taken at the same time, captures and decodes the same stream and does nothing with it. Both are processes
of their own whose CPU time the system counts: every thread, every file, the state four times a second.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from benchmarks.retaken import Sensor
from calibration.scene import draw_scene, draw_station
from calibration.twin import Twin, profile_of
from edge_agent import config, live, station
from edge_agent.capture import LiveCapture
from edge_agent.config import DeviceConfig
from edge_agent.records import Frame

ROOT = Path(__file__).parent.parent
SEED, FPS = 31, 20.0
EMPTY_S = 3.0
"""Of the stream, again and again."""
LIMIT_PERCENT, LIMIT_LIVE_PERCENT = 3.0, 5.0
"""Of a core: between immersions, above the baseline; and what a screen with ten pictures a second adds to that."""
SETTLE_S, WINDOW_S = 6.0, 5.0
CPUCLOCK_SCHED = 2


def run(argv: list[str]) -> int:
    """`tankwatch bench idle`."""
    parser = argparse.ArgumentParser("tankwatch bench idle", description="The agent over an empty tank.")
    parser.add_argument("--windows", type=int, default=8, help=f"of {WINDOW_S:g} s each, of both kinds (default 8)")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--as", dest="part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.part:
        PARTS[options.part](options.folder)
        return 0
    with tempfile.TemporaryDirectory(prefix="tankwatch-bench-") as folder:
        figures = measure(Path(folder), options.windows)
    print(json.dumps(figures) if options.json else _words(figures), file=sys.stdout if options.json else sys.stderr)
    return 0 if is_kept(figures) else 1


def is_kept(figures: dict) -> bool:
    """Whether both limits hold."""
    return figures["idle_percent"] <= LIMIT_PERCENT and figures["live_percent"] <= LIMIT_LIVE_PERCENT


def measure(folder: Path, windows: int) -> dict:
    """Medians over windows in which nobody looks, and as many in which somebody does, in turn; percent of a core."""
    device = _station(folder)
    parts = {name: _started(name, folder) for name in PARTS}
    try:
        time.sleep(SETTLE_S)
        quiet: list[float] = []
        watched: list[float] = []
        base: list[float] = []
        for number in range(2 * windows):
            looks = number % 2 == 1
            spent = _window(parts, partial(live.wish, device.live_path, "screen") if looks else _nobody)
            base.append(spent["capture"])
            (watched if looks else quiet).append(spent["agent"] - spent["capture"])
    finally:
        for process in parts.values():
            process.terminate()
            process.wait(20)
    idle = statistics.median(quiet)
    return {
        "bench": "idle",
        "fps": FPS,
        "frame": "640x480",
        "baseline_percent": round(statistics.median(base), 2),
        "idle_percent": round(idle, 2),
        "idle_spread_percent": [round(min(quiet), 2), round(max(quiet), 2)],
        "live_percent": round(statistics.median(watched) - idle, 2),
        "limit_percent": LIMIT_PERCENT,
        "limit_live_percent": LIMIT_LIVE_PERCENT,
        "windows": windows,
    }


def _window(parts: dict[str, subprocess.Popen], look: Callable[[], None]) -> dict[str, float]:
    """Percent of a core that each took meanwhile; one that has ended is an error."""
    began_s, before = time.monotonic(), {name: _cpu_s(process) for name, process in parts.items()}
    while time.monotonic() - began_s < WINDOW_S:
        look()
        time.sleep(live.WISH_S / 2)
    took_s = time.monotonic() - began_s
    return {name: (_cpu_s(process) - before[name]) / took_s * 100 for name, process in parts.items()}


def _cpu_s(process: subprocess.Popen) -> float:
    if process.poll() is not None:
        raise SystemExit(f"{process.args!r} has ended with {process.returncode}")
    # The clock of that process, in nanoseconds: ticks miss what wakes for a tenth of a millisecond, or count it as ten,
    # and a sum over its threads misses those that have ended. Its number is the kernel's MAKE_PROCESS_CPUCLOCK.
    return time.clock_gettime((~process.pid << 3) | CPUCLOCK_SCHED)


def _nobody() -> None:
    """Looks."""


def _station(folder: Path) -> DeviceConfig:
    """device.toml, station.toml and the stream."""
    look = draw_station(SEED, "demo")
    (folder / "station.toml").write_bytes(station.dump(profile_of(look)))
    scene = replace(draw_scene(3, look, "demo"), hands=(), gap_s=EMPTY_S + 1)
    for frame, _ in Twin(look, [scene], fps=FPS, seed=SEED, colour=True).frames():
        if frame.sequence >= EMPTY_S * FPS:
            break
        cv2.imwrite(str(folder / f"{frame.sequence:03d}.jpg"), frame.image, [cv2.IMWRITE_JPEG_QUALITY, 92])
    device = DeviceConfig(
        site="bench", station=str(folder / "station.toml"), camera="empty:", data_dir=str(folder / "data"), seed=1
    )
    (folder / "device.toml").write_bytes(config.dump(device))
    return device


def _camera(folder: Path) -> LiveCapture:
    """The empty tank at the pace of the clock, decoded picture by picture in the capture thread."""
    pictures = [path.read_bytes() for path in sorted(folder.glob("*.jpg"))]
    sensor = Sensor()

    def connect() -> Iterator[Frame]:
        began_s, number = time.monotonic(), 0
        while True:
            time.sleep(max(0.0, began_s + number / FPS - time.monotonic()))
            data = np.frombuffer(pictures[number % len(pictures)], np.uint8)
            yield Frame(
                sensor.take(cv2.imdecode(data, cv2.IMREAD_COLOR), number), number, time.monotonic(), time.time()
            )
            number += 1

    return LiveCapture(connect)


def _capture(folder: Path) -> None:
    cv2.setNumThreads(1)
    for _ in _camera(folder).frames():
        pass


def _agent(folder: Path) -> None:
    from edge_agent.agent import agent_inspect

    agent_inspect(["--config", str(folder / "device.toml")], {"empty:": lambda _: _camera(folder)})


PARTS: dict[str, Callable[[Path], None]] = {"capture": _capture, "agent": _agent}


def _started(name: str, folder: Path) -> subprocess.Popen:
    command = [sys.executable, "-c", "import sys; from benchmarks.idle import run; sys.exit(run(sys.argv[1:]))"]
    quiet = {"stdout": subprocess.DEVNULL, "env": os.environ | {"OMP_NUM_THREADS": "1"}}
    return subprocess.Popen([*command, "--as", name, "--folder", str(folder)], cwd=ROOT, **quiet)  # type: ignore[call-overload]


def _words(figures: dict) -> str:
    return (
        f"{figures['frame']} at {figures['fps']:g} frames/s, percent of a core, medians of {figures['windows']} "
        f"windows: capture and decoding alone {figures['baseline_percent']}; the agent over an empty tank "
        f"{figures['idle_percent']:+} {figures['idle_spread_percent']} (limit {figures['limit_percent']}); "
        f"a screen with ten pictures a second {figures['live_percent']:+} (limit {figures['limit_live_percent']})"
    )
