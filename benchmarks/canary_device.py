"""One real device beside a cloud in this process: its inspection and its updates are processes, its uplink is stepped
here and speaks to `intake` without a broker.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from benchmarks.canary_plant import SITE, Plant
from benchmarks.hostile_run import Supervised
from calibration.scene import draw_station
from calibration.twin import profile_of
from cloud_sync import desire
from cloud_sync.dead_letters import Message
from edge_agent import config as device_config
from edge_agent import slots, state, station, wire
from edge_agent.alarm_keeper import AlarmKeeper
from edge_agent.bundle import Bundle
from edge_agent.config import DeviceConfig, UpdatesConfig
from edge_agent.deliveries import Publish
from edge_agent.outbox import Outbox
from edge_agent.records import BundleRef
from edge_agent.state import DeviceState
from edge_agent.update import Update
from edge_agent.uplink_state import Acknowledged, Connected, Device, Event, Now, Received, UplinkState

SINCE = "2026-11-20T14:00:00Z"
EVERY_S = 2.0
"""Between two looks at the repository; a wish is looked at at once."""


def make_device(folder: Path, seed: int, champion: Path) -> tuple[DeviceConfig, str]:
    """device.toml (without a repository yet) and station.toml in `folder`; the config, and the station's name.

    A certificate is required, as on a device that may decide.
    """
    folder.mkdir()
    profile = profile_of(draw_station(seed, "demo"))
    (folder / "station.toml").write_bytes(station.dump(profile))
    device = DeviceConfig(
        site=SITE,
        station=str(folder / "station.toml"),
        camera=f"twin:seed={seed},profile=demo,live=1",
        bundle=str(champion),
        data_dir=str(folder / "device"),
        keep_free_mb=0,
        seed=seed,
    )
    return device, profile.station


def joined(device: DeviceConfig, url: str, root: Path) -> DeviceConfig:
    """The device knows the repository at `url`; device.toml says so."""
    updates = UpdatesConfig(url=url, root=str(root), every_s=EVERY_S, require_certificate=True)
    device = msgspec.structs.replace(device, updates=updates)
    Path(device.station).with_name("device.toml").write_bytes(device_config.dump(device))
    return device


@dataclass
class Line:
    """The device's uplink, stepped by hand, with the cloud at its other end."""

    device: DeviceConfig
    plant: Plant
    events: list[Event] = field(default_factory=lambda: [Connected()])
    _counter: int = -1

    def __post_init__(self) -> None:
        self.device.folder.mkdir(parents=True, exist_ok=True)
        self.outbox = Outbox.attach(self.device.outbox_path, self.device.spool_path)
        at = self.device
        topics = wire.Topics(*self.plant.real)
        told = Device(topics, "drill", "boot", at.state_path, at.desired_path, at.update_path, keep_free_bytes=0)
        self._uplink = UplinkState(
            told, self.outbox, _now(), AlarmKeeper("uplink", at.alarms_path, at.alarm_settings_path)
        )

    def turn(self) -> None:
        """What the device has to say is in the database, and what is answered has reached it."""
        self._wish()
        events, self.events = self.events, []
        said = [one for one in self._uplink.step(events, _now()) if isinstance(one, Publish)]
        if said:
            handled = self.plant.intake.handle([Message(one.topic, one.payload) for one in said], time.time())
            self.events += [Acknowledged() for _ in said]
            self.events += [Received(one.topic, one.payload) for one in handled.receipts]

    def _wish(self) -> None:
        with self.plant.engine.connect() as connection:
            wished = desire.wanted(connection, self.plant.real)
        if wished.counter > self._counter:
            self._counter = wished.counter
            self.events.append(Received(wire.Topics(*self.plant.real).desired, wire.encode(wished)))


@dataclass
class Agent:
    """Both processes, started again whenever they end."""

    inspect: Supervised
    update: Supervised

    def keep_alive(self) -> None:
        self.inspect.keep_alive()
        self.update.keep_alive()


@contextmanager
def running(device: DeviceConfig) -> Iterator[Agent]:
    """The device's processes, as long as the context lasts."""
    config = Path(device.station).with_name("device.toml")
    agent = Agent(Supervised(config), Supervised(config, "update"))
    try:
        yield agent
    finally:
        agent.inspect.stop()
        agent.update.stop()


class ByHand:
    """The device without processes: its updates are stepped, trial and all; a bundle that then speaks fails at once."""

    def __init__(self, device: DeviceConfig, station_name: str, runs: BundleRef) -> None:
        self._device = device
        self._update = Update(device, station_name)
        if state.read(device.state_path) is None:
            device.folder.mkdir(parents=True, exist_ok=True)
            state.write(device.state_path, DeviceState(at=SINCE, boot_id="boot", mode="shadow", bundle=runs))

    def keep_alive(self) -> None:
        """One step of it."""
        self._update.step(time.monotonic())
        speaks = slots.speaking(self._device)
        if speaks.trial is not None and speaks.bundle is not None:
            slots.start(self._device)
            slots.trouble(self._device, speaks.bundle.sha256, "as in a live run: the drill says so")
            self._update.step(time.monotonic())


def in_place(device: DeviceConfig, bundle: Bundle) -> bool:
    """Whether the bundle speaks, or is about to."""
    speaks = slots.speaking(device)
    return speaks.bundle is not None and speaks.bundle.sha256 == bundle.sha256


def _now() -> Now:
    return Now(time.monotonic(), time.time())
