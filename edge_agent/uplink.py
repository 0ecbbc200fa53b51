"""`agent uplink`: the outbox goes out over MQTT, receipts come in. One loop: receive, step, send.

It shares nothing with the inspection but the outbox, the spool and state.json, so no network trouble can reach a frame.
"""

import argparse
import logging
import secrets
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from edge_agent import config as device_config
from edge_agent import state, station_name, wire
from edge_agent.alarm_keeper import AlarmKeeper
from edge_agent.config import DeviceConfig
from edge_agent.ending import with_its_threads
from edge_agent.errors import StoreError
from edge_agent.link import Link
from edge_agent.notify import Notifier
from edge_agent.outbox import Outbox
from edge_agent.rhythm import Patient, asking
from edge_agent.station_name import Renaming
from edge_agent.uplink_state import Device, Now, Reconnect, UplinkState

STEP_S = 0.05
TELL_S = 1.0
RETAIN_S = 3600.0
FIRST_RETAIN_S = 60.0
log = logging.getLogger(__name__)


def uplink(argv: list[str]) -> int:
    """`tankwatch agent uplink --config device.toml`; ends at SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser("tankwatch agent uplink", description="Sends the outbox over MQTT.")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="device.toml")
    options = parser.parse_args(argv)
    config = device_config.load(options.config)
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    asked: list[int] = []
    with asking(asked), with_its_threads():
        run(config, lambda: bool(asked))
    return 0


def run(config: DeviceConfig, stopped: Callable[[], bool]) -> None:
    """Sends until `stopped` says so, or the station has another name. Raises ConfigError or StoreError."""
    told = Notifier()
    name = station_name.awaited(Path(config.station), stopped, told.waits)
    if name is not None:
        _send(config, name, told, stopped)
    told.stopping()


def _send(config: DeviceConfig, name: str, told: Notifier, stopped: Callable[[], bool]) -> None:
    outbox = Outbox.attach(config.outbox_path, config.spool_path)
    try:
        device = _device(config, name, outbox.spool.install_id())
        alarms = AlarmKeeper("uplink", config.alarms_path, config.alarm_settings_path, say=log.warning)
        uplink_state = UplinkState(device, outbox, _now(), alarms)
        link = Link(
            config.broker,
            config.broker.client_id or f"{config.site}-{name}",
            subscriptions=uplink_state.subscriptions,
            will=lambda: uplink_state.will(_now()),
        )

        def tell() -> None:
            report = uplink_state.report(_now())
            told.status("connected" if report.connected else f"no broker since {report.since}")
            state.write(config.uplink_path, report)

        keep_free_bytes = config.keep_free_mb * 1_000_000
        make_room = Patient(lambda: _make_room(outbox, keep_free_bytes), log.warning)
        renaming = Renaming(Path(config.station), name)
        upkeep = Upkeep(Patient(tell, log.warning), make_room, keep_free_bytes, told, renaming)
        _loop(uplink_state, link, outbox, upkeep, stopped)
    finally:
        outbox.close()


@dataclass(frozen=True, slots=True)
class Upkeep:
    """What is done now and then beside the conversation."""

    tell: Callable[[], None]
    """Says how the uplink is, in uplink.json."""
    make_room: Callable[[], None]
    """A disk fills within minutes: looked at as often."""
    keep_free_bytes: int
    told: Notifier
    renaming: Renaming


def _loop(talk: UplinkState, link: Link, outbox: Outbox, upkeep: Upkeep, stopped: Callable[[], bool]) -> None:
    tell_at_s, retain_at_s = time.monotonic(), time.monotonic() + FIRST_RETAIN_S
    upkeep.told.ready()
    while not stopped():
        upkeep.told.alive()
        for action in talk.step(link.receive(STEP_S), _now()):
            if isinstance(action, Reconnect):
                link.drop(action.reason)
            else:
                link.send(action)
        _say(outbox.notes)
        _say(talk.deliveries.notes)
        if time.monotonic() >= tell_at_s:
            tell_at_s = time.monotonic() + TELL_S
            upkeep.tell()
            upkeep.make_room()
            if upkeep.renaming.has_come():
                log.warning("the profile is another station's: the uplink ends, and is started anew for it")
                break
        if time.monotonic() >= retain_at_s:
            retain_at_s = time.monotonic() + RETAIN_S
            _retain(outbox, upkeep.keep_free_bytes)
    link.close(talk.farewell(_now()))


def _retain(outbox: Outbox, keep_free_bytes: int) -> None:
    try:
        removed = outbox.retain(time.monotonic(), keep_free_bytes)
        log.info("retained removed_files=%d", removed)
    except StoreError as error:
        log.error("retention failed fault=%s", error)


def _make_room(outbox: Outbox, keep_free_bytes: int) -> None:
    removed = outbox.make_room(keep_free_bytes)
    if removed:
        log.info("room made removed_clips=%d", removed)


def _say(notes: list[str]) -> None:
    while notes:
        log.warning("%s", notes.pop(0))


def _device(config: DeviceConfig, station_id: str, install_id: str) -> Device:
    return Device(
        topics=wire.Topics(config.site, station_id),
        version=_version(),
        boot_id=install_id,
        uplink_id=secrets.token_hex(8),
        state_path=config.state_path,
        desired_path=config.desired_path,
        update_path=config.update_path,
        inflight=config.broker.inflight,
        keep_free_bytes=config.keep_free_mb * 1_000_000,
    )


def _version() -> str:
    """The project runs from its tree: there it is not an installed package."""
    try:
        return metadata.version("tankwatch")
    except metadata.PackageNotFoundError:
        return "tree"


def _now() -> Now:
    return Now(time.monotonic(), time.time())
