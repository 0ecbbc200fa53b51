"""Device, broker and cloud of one small installation, each process on its own, to be killed and started again.

What drills have in common. Configurations name ports of this machine; nothing here knows what is fed in or counted.
"""

import functools
import logging
import multiprocessing
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

from benchmarks.made_cases import SITE, STATION
from calibration.scene import draw_station
from calibration.twin import profile_of
from cloud_sync import config as cloud_config
from cloud_sync import ingest
from cloud_sync.config import CloudConfig
from edge_agent import config as device_config
from edge_agent import station, uplink
from edge_agent.config import DeviceConfig

SETTLE_S = 90.0
"""After the last case: longer than two re-sends, so that what is missing then is lost."""
FRONT_DOOR = Path(__file__).resolve().parent.parent / "tankwatch.py"
_FORK = multiprocessing.get_context("fork")


@dataclass(slots=True)
class Processes:
    """The installation's processes by name; one that is not alive is started again."""

    starts: dict[str, Callable[[], None]]
    alive: dict[str, BaseProcess] = field(default_factory=dict)
    killed: Counter = field(default_factory=Counter)

    def start(self, name: str) -> None:
        process = _FORK.Process(target=self.starts[name], name=name, daemon=True)
        process.start()
        self.alive[name] = process

    def kill(self, name: str) -> None:
        """SIGKILL: no handler, no flush, no goodbye."""
        self.alive[name].kill()
        self.alive[name].join()
        self.killed[name] += 1

    def stop(self) -> None:
        for process in self.alive.values():
            process.kill()
            process.join()


def make_configs(folder: Path, port: int) -> tuple[DeviceConfig, CloudConfig]:
    """A device and a cloud that speak over the broker at `port`."""
    profile = profile_of(draw_station(1, "demo", station_id=STATION))
    (folder / "station.toml").write_bytes(station.dump(profile))
    device = DeviceConfig(
        site=SITE,
        station=str(folder / "station.toml"),
        camera="twin:",
        data_dir=str(folder / "device"),
        keep_free_mb=0,
        broker=device_config.BrokerConfig(port=port),
    )
    broker = cloud_config.BrokerConfig(port=port)
    return device, CloudConfig(data_dir=str(folder / "cloud"), broker=broker)


def sending(device: DeviceConfig, folder: Path) -> Callable[[], None]:
    """`agent uplink` until it is killed, its log in the folder."""
    return functools.partial(quietly, folder / "uplink.log", uplink.run, device, lambda: False)


def taking_in(cloud: CloudConfig, folder: Path) -> Callable[[], None]:
    """`cloud ingest` until it is killed, its log in the folder."""
    return functools.partial(quietly, folder / "ingest.log", ingest.run, cloud, threading.Event())


def as_command(log: Path, *words: str) -> Callable[[], None]:
    """`tankwatch WORDS` until it is killed: a program of its own, with nothing of ours in its memory."""
    return functools.partial(_become, log, [sys.executable, str(FRONT_DOOR), *words])


def _become(log: Path, command: list[str]) -> None:
    with open(log, "ab") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    os.execv(command[0], command)


def quietly(log: Path, process: Callable[..., None], *arguments: object) -> None:
    """Runs a process with its log in a file."""
    logging.basicConfig(filename=log, level=logging.INFO, force=True)
    process(*arguments)


def until(true: Callable[[], bool], within_s: float, every_s: float = 0.1) -> bool:
    """Waits for it; whether it has come true."""
    deadline_s = time.monotonic() + within_s
    while not true():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(every_s)
    return True
