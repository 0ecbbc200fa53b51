"""Two devices with one certificate, as processes at the real broker -> after how long people are told of it.

A disk that was copied, or a certificate that was put into a second installation; and devices that only look like it:
they are started again and again, and nothing may be said of them.
"""

import json
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import msgspec

from benchmarks.installation import Processes, sending, taking_in, until
from benchmarks.secured import HOST, SITE, Broker
from benchmarks.visitor import Visitor, bearer, signed_in
from calibration.scene import draw_station
from calibration.twin import profile_of
from cloud_sync import config as cloud_config
from cloud_sync.config import CloudConfig
from cloud_sync.web import create_app
from edge_agent import config as device_config
from edge_agent import rivals, station
from edge_agent.config import DeviceConfig
from edge_agent.outbox import Outbox

WITHIN_S = 60.0
RESTARTS = 4
SHARED = 'tankwatch_cloud_station_name_shared{site="%s",station="%s"} 1'


class Desk:
    """The cloud's pages, as somebody who is signed in sees them."""

    def __init__(self, cloud: CloudConfig) -> None:
        app = create_app(cloud)
        self.engine = app.extensions["tankwatch"].engine
        self._visitor: Visitor = signed_in(app, self.engine, "admin")
        self._bearer = bearer(self.engine, "viewer")

    def tells(self, name: str) -> bool:
        """Page and metrics, both."""
        page = self._visitor.get(f"/stations/{SITE}/{name}").text
        figures = self._visitor.client.get("/metrics", headers=self._bearer).text
        return "two devices speak as" in page and SHARED % (SITE, name) in figures

    def knows(self, name: str) -> bool:
        return self._visitor.get(f"/stations/{SITE}/{name}").status_code == 200


def cloned(broker: Broker, folder: Path, *, disk: str, certificate: str, steady: str) -> dict:
    """Three stations -> seconds until each copy was told of, by cloud and device, and whether the steady one was left
    alone. `disk`: its data folder is copied; `certificate`: the second has a folder of its own.
    """
    cloud = _cloud(broker, folder)
    with ExitStack() as stack:
        processes = Processes({"ingest": taking_in(cloud, folder)})
        stack.callback(processes.stop)
        desk = Desk(cloud)
        stack.callback(desk.engine.dispose)
        processes.start("ingest")
        found: dict = {}
        for kind, name in (("disk", disk), ("certificate", certificate)):
            cloud_s, device_s = _one(broker, folder / name, name, kind, processes, desk)
            found |= {f"{kind}_cloud_s": cloud_s, f"{kind}_device_s": device_s}
        _restarted(broker, folder / steady, steady, processes, desk)
        found["false_alarms"] = int(desk.tells(steady)) + int(_says_so(_device(broker, folder / steady, steady)))
    return found


def _one(
    broker: Broker, folder: Path, name: str, kind: str, processes: Processes, desk: Desk
) -> tuple[float | None, float | None]:
    """None where nobody was told within WITHIN_S."""
    first = _device(broker, folder, name)
    _begin(processes, f"{name} first", first, folder)
    until(lambda: desk.knows(name), WITHIN_S)
    if kind == "disk":
        shutil.copytree(first.data_dir, folder / "copy")
    second = msgspec.structs.replace(first, data_dir=str(folder / "copy"))
    began_s = time.monotonic()
    _begin(processes, f"{name} second", second, folder)
    devices = (first, second)
    told = _first_times(began_s, (lambda: desk.tells(name), lambda: any(map(_says_so, devices))))
    for which in ("first", "second"):
        processes.kill(f"{name} {which}")
    return told


def _first_times(began_s: float, told: tuple[Callable[[], bool], ...]) -> tuple[float | None, float | None]:
    seen: list[float | None] = [None] * len(told)
    while None in seen and time.monotonic() - began_s < WITHIN_S:
        for place, is_told in enumerate(told):
            if seen[place] is None and is_told():
                seen[place] = round(time.monotonic() - began_s, 1)
        time.sleep(0.1)
    return seen[0], seen[1]


def _restarted(broker: Broker, folder: Path, name: str, processes: Processes, desk: Desk) -> None:
    device = _device(broker, folder, name)
    for number in range(RESTARTS):
        Path(device.uplink_path).unlink(missing_ok=True)
        _begin(processes, name, device, folder)
        until(lambda: desk.knows(name) and bool(_told(device).get("connected")), WITHIN_S)
        if number < RESTARTS - 1:
            processes.kill(name)


def _begin(processes: Processes, name: str, device: DeviceConfig, folder: Path) -> None:
    processes.starts[name] = sending(device, folder)
    processes.start(name)


def _says_so(device: DeviceConfig) -> bool:
    return rivals.ALARM in [alarm["id"] for alarm in _told(device).get("alarms", ())]


def _told(device: DeviceConfig) -> dict:
    """uplink.json; nothing before its first second."""
    try:
        return json.loads(Path(device.uplink_path).read_bytes())
    except (OSError, ValueError):
        return {}


def _device(broker: Broker, folder: Path, name: str) -> DeviceConfig:
    """With the files that were made for its device."""
    folder.mkdir(exist_ok=True)
    own = broker.station(name)
    (folder / "station.toml").write_bytes(station.dump(profile_of(draw_station(1, "demo", station_id=name))))
    device = DeviceConfig(
        site=SITE,
        station=str(folder / "station.toml"),
        camera="twin:",
        data_dir=str(folder / "device"),
        keep_free_mb=0,
        broker=device_config.BrokerConfig(
            host=HOST,
            port=broker.ports[0],
            ca=str(own / "ca.crt"),
            cert=str(own / "device.crt"),
            key=str(own / "device.key"),
        ),
    )
    Outbox.open(device.outbox_path, device.spool_path).close()
    return device


def _cloud(broker: Broker, folder: Path) -> CloudConfig:
    place = broker.cloud
    access = cloud_config.BrokerConfig(
        host=HOST,
        port=broker.ports[1],
        ca=str(place / "ca.crt"),
        cert=str(place / "cloud.crt"),
        key=str(place / "cloud.key"),
    )
    return CloudConfig(data_dir=str(folder / "cloud"), broker=access)
