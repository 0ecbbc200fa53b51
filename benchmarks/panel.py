"""`bench panel`: what the operator's screen and the live picture cost, against a station that nobody looks at.

One live twin station and one panel. Windows in which nobody looks, with a screen open, and with the live picture too
take turns, so that whatever else the machine does falls on all of them. CPU time is the two processes', by the kernel.
"""

import argparse
import contextlib
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from calibration.scene import draw_station
from calibration.twin import profile_of
from edge_agent import config, state, station
from edge_agent.config import DeviceConfig, PanelConfig

ROOT = Path(__file__).parent.parent
SCREEN_LIMIT, LIVE_LIMIT = 0.02, 0.05
"""Of one core: the panel with a screen open, and the live picture on top of that."""
FASTEST_FPS = 10.0
START_S = 60.0
SETTLE_S = 1.0
TICKS_S = os.sysconf("SC_CLK_TCK")


def run(argv: list[str]) -> int:
    """`tankwatch bench panel`."""
    parser = argparse.ArgumentParser("tankwatch bench panel")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=15.0, help="of each window")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), options.rounds, options.seconds)
    print(json.dumps(figures) if options.json else _words(figures), file=sys.stdout if options.json else sys.stderr)
    return 0 if _is_kept(figures) else 1


def measure(folder: Path, rounds: int, seconds: float) -> dict:
    """Medians over `rounds`, shares of one core."""
    device, path = _device(folder)
    seen: dict[str, list[tuple[float, float]]] = {"nobody": [], "screen": [], "live": []}
    fps: list[float] = []
    with _process("agent", "inspect", path) as agent:
        _wait_for(lambda: (said := state.read(device.state_path)) is not None and said.watched is not None)
        with _process("agent", "panel", path) as panel:
            _wait_for(lambda: _answers(device))
            for _ in range(rounds):
                seen["nobody"].append(_window(agent, panel, seconds))
                with _looking(device, "/state"):
                    seen["screen"].append(_window(agent, panel, seconds))
                    with _looking(device, "/live.mjpg") as pictures:
                        seen["live"].append(_window(agent, panel, seconds))
                        fps.append(pictures() / (seconds + SETTLE_S))
    return _figures(seen, fps, rounds)


def _figures(seen: dict[str, list[tuple[float, float]]], fps: list[float], rounds: int) -> dict:
    agent, panel = ({name: [pair[which] for pair in pairs] for name, pairs in seen.items()} for which in (0, 1))
    screen = statistics.median(panel["screen"])
    live_panel = statistics.median(after - before for after, before in zip(panel["live"], panel["screen"], strict=True))
    live_agent = statistics.median(after - before for after, before in zip(agent["live"], agent["screen"], strict=True))
    return {
        "bench": "panel",
        "agent_share": round(statistics.median(agent["nobody"]), 4),
        "agent_share_with_screen": round(statistics.median(agent["screen"]), 4),
        "panel_idle_share": round(statistics.median(panel["nobody"]), 4),
        "screen_share": round(screen, 4),
        "live_share": round(live_panel + live_agent, 4),
        "live_panel_share": round(live_panel, 4),
        "live_agent_share": round(live_agent, 4),
        "fps": round(statistics.median(fps), 2),
        "screen_limit": SCREEN_LIMIT,
        "live_limit": LIVE_LIMIT,
        "rounds": rounds,
    }


def _is_kept(figures: dict) -> bool:
    shares = figures["screen_share"] <= SCREEN_LIMIT and figures["live_share"] <= LIVE_LIMIT
    return shares and 0 < figures["fps"] <= FASTEST_FPS


def _device(folder: Path) -> tuple[DeviceConfig, Path]:
    (folder / "station.toml").write_bytes(station.dump(profile_of(draw_station(5, "demo"))))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    device = DeviceConfig(
        site="bench",
        station=str(folder / "station.toml"),
        camera="twin:seed=5,profile=demo,live=1",
        data_dir=str(folder / "data"),
        keep_free_mb=0,
        seed=1,
        panel=PanelConfig(port=port),
    )
    path = folder / "device.toml"
    path.write_bytes(config.dump(device))
    return device, path


@contextmanager
def _process(name: str, part: str, path: Path) -> Iterator[subprocess.Popen]:
    command = [sys.executable, str(ROOT / "tankwatch.py"), name, part, "--config", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def _looking(device: DeviceConfig, path: str) -> Iterator:
    """Somebody reads that stream; gives how many pictures came so far."""
    connection = http.client.HTTPConnection("127.0.0.1", device.panel.port, timeout=30)
    connection.request("GET", path)
    answer = connection.getresponse()
    count = [0]

    def read() -> None:
        with contextlib.suppress(OSError, ValueError, AttributeError, http.client.HTTPException):
            while data := answer.read1(65536):
                count[0] += data.count(b"Content-Length")

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield lambda: count[0]
    finally:
        if connection.sock:
            connection.sock.shutdown(socket.SHUT_RDWR)
        reader.join(5)
        connection.close()


def _window(agent: subprocess.Popen, panel: subprocess.Popen, seconds: float) -> tuple[float, float]:
    """Shares of one core that the two processes take."""
    time.sleep(SETTLE_S)
    began_s, before = time.monotonic(), [_cpu_s(one.pid) for one in (agent, panel)]
    time.sleep(seconds)
    passed_s = time.monotonic() - began_s
    first, second = (_cpu_s(one.pid) - cpu_s for one, cpu_s in zip((agent, panel), before, strict=True))
    return first / passed_s, second / passed_s


def _cpu_s(pid: int) -> float:
    """User and system time of all of a process's threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_S


def _answers(device: DeviceConfig) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", device.panel.port), 1):
        return True
    return False


def _wait_for(holds) -> None:
    until_s = time.monotonic() + START_S
    while not holds():
        if time.monotonic() > until_s:
            raise TimeoutError("the station did not start within a minute")
        time.sleep(0.1)


def _words(figures: dict) -> str:
    return (
        f"panel: a screen takes {figures['screen_share']:.1%} of a core (limit {SCREEN_LIMIT:.0%}), the live picture "
        f"{figures['live_share']:.1%} more at {figures['fps']:.1f} fps (limit {LIVE_LIMIT:.0%}: panel "
        f"{figures['live_panel_share']:.1%}, inspection {figures['live_agent_share']:.1%}); the inspection takes "
        f"{figures['agent_share']:.1%} alone and {figures['agent_share_with_screen']:.1%} beside a screen"
    )
