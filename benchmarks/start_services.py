"""A device's services, all started at once -> how long until the first frame is inspected, as systemd would hear it."""

import os
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

from calibration.scene import draw_station
from calibration.twin import profile_of
from edge_agent import config, station
from edge_agent.config import BrokerConfig, DeviceConfig, PanelConfig

ROOT = Path(__file__).parent.parent
SERVICES = ("inspect", "uplink", "update", "panel")
LIMIT_S = 5.0
PATIENCE_S = 60.0


def first_frame_s(folder: Path, video: Path, runs: int) -> float:
    """Median over `runs`, wall time, of a device whose camera is the recording `video` of station 11."""
    taken = []
    for number in range(runs):
        own = folder / f"services{number}"
        own.mkdir()
        taken.append(_once(own, video))
    return round(statistics.median(taken), 2)


def _once(folder: Path, video: Path) -> float:
    path = _device(folder, video)
    address = folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(address))
        systemd.settimeout(PATIENCE_S)
        began_s = time.monotonic()
        processes = [_started(name, path, address) for name in SERVICES]
        try:
            while not systemd.recv(4096).startswith(b"READY=1"):
                pass
            return time.monotonic() - began_s
        finally:
            for process in processes:
                process.kill()
                process.wait()


def _started(service: str, path: Path, address: Path) -> subprocess.Popen:
    """Only the inspection tells when it is ready."""
    told = {"NOTIFY_SOCKET": str(address)} if service == "inspect" else {}
    return subprocess.Popen(
        [sys.executable, str(ROOT / "tankwatch.py"), "agent", service, "--config", str(path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | told,
    )


def _device(folder: Path, video: Path) -> Path:
    (folder / "station.toml").write_bytes(station.dump(profile_of(draw_station(11, "reference"))))
    broker, panel = BrokerConfig(port=_free_port()), PanelConfig(port=_free_port())
    device = DeviceConfig(
        site="bench", station="station.toml", camera=str(video), data_dir="data", broker=broker, panel=panel
    )
    path = folder / "device.toml"
    path.write_bytes(config.dump(device))
    return path


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
