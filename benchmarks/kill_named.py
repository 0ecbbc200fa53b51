"""`drill kill` at its named points: the scene is set, the process dies there, everything starts again and must hold."""

import functools
import multiprocessing
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

import msgspec
import paho.mqtt.client as mqtt

from benchmarks.installation import until
from benchmarks.kill_points import Point, Process
from benchmarks.kill_site import DIE_S, Site, device_faults
from benchmarks.made_cases import SITE, STATION
from benchmarks.wholeness import half_written
from cloud_sync import mqtt_client, ordering
from edge_agent import state, wire
from edge_agent.config import DeviceConfig
from edge_agent.messages import Command, Desired
from edge_agent.outbox import Outbox
from edge_agent.spool import Spool

MONTH_S = 31 * 86_400.0
ALL = 1 << 62
TOPICS = wire.Topics(SITE, STATION)
_FORK = multiprocessing.get_context("fork")


def strike(site: Site, point: Point, number: int) -> list[str]:
    """The `number`th point: what did not hold, in words; nothing where all did."""
    if point.scene == "new device":
        return _at_first_start(site, point, number)
    # Every ninth case has a large clip, every third a small one.
    first = 9 * number + (0 if point.large else 3)
    return _HOW[point.process](site, point, range(first, first + 2)) + site.faults()


def _at_first_start(site: Site, point: Point, number: int) -> list[str]:
    """A device of its own, which is not connected."""
    new = msgspec.structs.replace(site.device, data_dir=str(site.folder / f"new-{number}"))
    work = site.feeding(range(1, 4), new)
    with _without_uplink(site):
        struck = site.dies(point.process, point.moment, site.sending(new) if point.process == "uplink" else work)
    site.does(work)
    name = Spool(new.spool_path).install_id()
    kept = sum(1 for _ in Spool(new.spool_path).case_ids())
    found = _missed(struck) + device_faults(new) + ([] if kept == 3 else [f"{kept} of 3 cases are kept"])
    return found + ([] if len(name) == 8 else [f"the installation is called {name!r}"])


def _inspect(site: Site, point: Point, numbers: range) -> list[str]:
    work, struck = site.feeding(numbers), True
    with _without_uplink(site) if point.scene == "damaged" else _as_it_is():
        for moment in point.first:
            struck &= site.dies("inspect", moment, work)
        _SPOILT.get(point.scene, lambda _: None)(site.device.outbox_path)
        struck &= site.dies("inspect", point.moment, work)
        site.does(work)
    return _missed(struck)


def _upkeep(site: Site, point: Point, numbers: range) -> list[str]:
    site.does(site.feeding(numbers))
    found = site.faults()
    work = functools.partial(_retain, site.device, little_room=point.scene == "little room")
    with _without_uplink(site):
        struck = site.dies("uplink", point.moment, work)
        # The row goes on to name a file that is gone until retention comes round again.
        found += half_written(site.device.spool_path)
        site.does(work)
    return found + _missed(struck)


def _uplink(site: Site, point: Point, numbers: range) -> list[str]:
    with _without_uplink(site):
        site.does(site.feeding(numbers))
        heard = _SCENES.get(point.scene, _nothing)(site, numbers[0])
        struck = site.dies("uplink", point.moment, site.sending())
    return _missed(struck) + heard()


_HOW: dict[Process, Callable[[Site, Point, range], list[str]]] = {
    "inspect": _inspect,
    "uplink": _uplink,
    "upkeep": _upkeep,
}


def _missed(struck: bool) -> list[str]:
    return [] if struck else ["the process did not come to this point"]


@contextmanager
def _without_uplink(site: Site) -> Iterator[None]:
    site.processes.kill("uplink")
    yield
    site.processes.start("uplink")


@contextmanager
def _as_it_is() -> Iterator[None]:
    yield


def _damage(database: Path) -> None:
    """As a bad disk does: the beginnings of the file and of its journal are something else."""
    for path in (database, Path(f"{database}-wal")):
        with open(path, "r+b") as file:
            file.write(b"\xff" * 4096)


def _of_another_version(database: Path) -> None:
    """As after an upgrade that was taken back."""
    with closing(sqlite3.connect(database)) as rows:
        rows.execute("PRAGMA user_version=99")


_SPOILT: dict[str, Callable[[Path], None]] = {"damaged": _damage, "other version": _of_another_version}


def _retain(device: DeviceConfig, *, little_room: bool) -> None:
    """What the uplink does once an hour, with a month between, or on a disk that is never free enough."""
    outbox = Outbox.attach(device.outbox_path, device.spool_path)
    outbox.retain(0.0, ALL if little_room else 0)
    if not little_room:
        outbox.retain(MONTH_S, 0)
    outbox.close()


def _nothing(site: Site, number: int) -> Callable[[], list[str]]:
    return list


def _wish(site: Site, number: int) -> Callable[[], list[str]]:
    """The cloud wishes something of the device; it has to be kept in the end."""
    wish = Desired(counter=number)
    client = mqtt_client.make(site.cloud.broker, f"drill-wish-{number}", keep_session=False)
    client.connect(site.cloud.broker.host, site.cloud.broker.port)
    sent = client.publish(TOPICS.desired, wire.encode(wish), qos=1, retain=True)
    until(lambda: client.loop(0.05) != mqtt.MQTT_ERR_SUCCESS or sent.is_published(), DIE_S, 0)
    client.disconnect()

    def heard() -> list[str]:
        kept = until(lambda: state.desired(site.device.desired_path) == wish, DIE_S)
        return [] if kept else ["the cloud's wish was lost"]

    return heard


def _order(site: Site, number: int) -> Callable[[], list[str]]:
    """Somebody orders all cases again; the answer has to come."""
    command = Command(id=f"drill-{number}", order="resend_since", since="2026-01-01T00:00:00Z")
    asking: BaseProcess = _FORK.Process(target=_ask, args=(site, command), daemon=True)
    asking.start()

    def heard() -> list[str]:
        asking.join(DIE_S)
        asking.kill()
        return [] if asking.exitcode == 0 else ["an order was lost"]

    return heard


def _ask(site: Site, command: Command) -> None:
    answer = ordering.give(site.cloud.broker, TOPICS, command, 30.0)
    raise SystemExit(0 if answer.reply is not None and answer.reply.done else 1)


_SCENES: dict[str, Callable[[Site, int], Callable[[], list[str]]]] = {"wish": _wish, "order": _order}
