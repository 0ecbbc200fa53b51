"""Both ends of a delivery, this project's and peers': a publisher before the proxy, a listener behind the broker.

A publisher stands in a frame loop and is handed a case every so often. What counts is what it was handed.
"""

import base64
import functools
import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec
import paho.mqtt.client as mqtt

from benchmarks import ledger
from benchmarks.delivery_page import Row
from benchmarks.fault_proxy import HOST
from benchmarks.installation import Processes, make_configs, sending, taking_in, until
from benchmarks.made_cases import SITE, STATION, make_case
from cloud_sync import cases as cloud_cases
from cloud_sync import db
from edge_agent import wire
from edge_agent.config import DeviceConfig
from edge_agent.keeper import Keeper
from edge_agent.outbox import Outbox, PendingCases
from edge_agent.records import Case
from edge_agent.spool import Spool

READY_S = 30.0
LOOP = Path(__file__).with_name("delivery_peer.py")
TOPIC = wire.Topics(SITE, STATION).case


@dataclass(frozen=True, slots=True)
class Setting:
    """What both ends are told. `broker`: the port itself; `proxy`: the way with faults."""

    folder: Path
    broker: int
    proxy: int
    cases: int
    pace_s: float
    seed: int
    alone_until_s: float
    """By then each fault has happened alone; afterwards two at a time."""

    @property
    def numbers(self) -> range:
        return range(1, self.cases + 1)

    def came_alone(self, number: int) -> bool:
        return number * self.pace_s < self.alone_until_s


class Side(Protocol):
    """A publisher and its listener, as the schedule of faults sees them."""

    def listen(self) -> None: ...

    def leave(self) -> None: ...

    def publish(self) -> None: ...

    def kill_publisher(self) -> None: ...

    def handed_over(self) -> int: ...

    def arrived(self) -> int: ...

    def row(self, name: str) -> Row: ...

    def close(self) -> None: ...


class Peer:
    """Somebody's publisher in its own process, and a plain durable subscriber: paho, QoS 1, a session that stays."""

    def __init__(self, setting: Setting, peer: str, python: str) -> None:
        self._setting, self._got = setting, Counter[str]()
        self._lines, self._journal = setting.folder / "cases", setting.folder / "journal"
        made = (make_case(number, seed=setting.seed) for number in setting.numbers)
        lines = (f"{case.case_id} {base64.b64encode(wire.encode(case)).decode()}\n" for case in made)
        self._lines.write_text("".join(lines))
        self._command = [python, str(LOOP), peer, str(setting.proxy), str(self._lines), str(self._journal)]
        self._command.append(str(setting.pace_s))
        self._process: subprocess.Popen | None = None
        self._subscribed = False
        self._client = self._subscriber()

    def listen(self) -> None:
        self._client.connect(HOST, self._setting.broker)
        self._client.loop_start()
        until(lambda: self._subscribed, READY_S)

    def leave(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self) -> None:
        with open(self._setting.folder / "peer.log", "ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        until(self._journal.is_file, READY_S, 0.01)

    def kill_publisher(self) -> None:
        """Between two cases where it can be: nobody is to blame for what its caller repeats. It is back at once."""
        before = self.handed_over()
        until(lambda: self.handed_over() > before, 1.0, 0.002)
        self._kill_loop()

    def handed_over(self) -> int:
        return len(self._words())

    def arrived(self) -> int:
        return self._got.total()

    def row(self, name: str) -> Row:
        words = self._words()
        numbers = {make_case(number, seed=self._setting.seed).case_id: number for number in self._setting.numbers}
        lost = [word for word in words if word["id"] not in self._got]
        return Row(
            name=name,
            handed_over=len(words),
            lost_alone=sum(self._setting.came_alone(numbers[word["id"]]) for word in lost),
            lost=len(lost),
            told=sum(word["told"] for word in lost),
            twice=sum(count > 1 for count in self._got.values()),
            blocked_ms=max((word["ms"] for word in words), default=0.0),
        )

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._kill_loop()
        self.leave()

    def _kill_loop(self) -> None:
        os.kill(int(Path(f"{self._journal}.pid").read_text()), signal.SIGKILL)

    def _words(self) -> list[dict]:
        lines = self._journal.read_bytes().split(b"\n")[:-1] if self._journal.is_file() else []
        return [json.loads(line) for line in lines if line]

    def _subscriber(self) -> mqtt.Client:
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="listener", clean_session=False)
        client.reconnect_delay_set(1, 1)

        def subscribed(*_: object) -> None:
            self._subscribed = True

        def got(_client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
            self._got[wire.decode(bytes(message.payload), Case).case_id] += 1

        client.on_connect = lambda client, *_: client.subscribe(TOPIC, 1)
        client.on_subscribe, client.on_message = subscribed, got
        return client


class Ours:
    """`agent inspect`'s way out, as the frame loop uses it (keeper, outbox), `agent uplink`, and `cloud ingest`."""

    def __init__(self, setting: Setting) -> None:
        device, self._cloud = make_configs(setting.folder, setting.broker)
        way = msgspec.structs.replace(device.broker, port=setting.proxy)
        self._device = msgspec.structs.replace(device, broker=way)
        self._engine = db.open_database(self._cloud)
        self._journal, self._waits = setting.folder / "journal", setting.folder / "waits"
        starts: dict[str, Callable[[], None]] = {
            "inspect": functools.partial(_frame_loop, self._device, self._journal, self._waits, setting),
            "uplink": sending(self._device, setting.folder),
            "ingest": taking_in(self._cloud, setting.folder),
        }
        self._processes, self._log = Processes(starts), setting.folder / "ingest.log"

    def listen(self) -> None:
        self._processes.start("ingest")
        until(lambda: self._log.is_file() and "connected broker" in self._log.read_text(), READY_S)

    def leave(self) -> None:
        self._processes.kill("ingest")

    def publish(self) -> None:
        self._processes.start("inspect")
        self._processes.start("uplink")

    def kill_publisher(self) -> None:
        for name in ("inspect", "uplink"):
            self._processes.kill(name)
        self.publish()

    def handed_over(self) -> int:
        return len(_lines(self._journal))

    def arrived(self) -> int:
        return cloud_cases.summary(self._engine)["cases"]

    def row(self, name: str) -> Row:
        spoken = ledger.said_in(Spool(self._device.spool_path))
        found = ledger.compare(self._engine, spoken, journal=_lines(self._journal))
        return Row(
            name=name,
            handed_over=self.handed_over(),
            lost_alone=found["lost"] + found["changed"],
            lost=found["lost"] + found["changed"],
            told=0,
            twice=found["duplicated"],
            blocked_ms=max(float(line) for line in _lines(self._waits)),
        )

    def close(self) -> None:
        self._processes.stop()
        self._engine.dispose()


def _frame_loop(device: DeviceConfig, journal: Path, waits: Path, setting: Setting) -> None:
    """A case every so often to the keeper; said is what it says, and that is when the case is on the disk."""
    outbox, done = Outbox.open(device.outbox_path, device.spool_path), set(_lines(journal))
    with open(journal, "a", buffering=1) as said, open(waits, "a", buffering=1) as waited:
        keeper = Keeper(PendingCases(outbox), said=lambda case: print(case.case_id, file=said), warn=lambda _: None)
        began_s, first = time.monotonic(), len(done)
        for number in setting.numbers:
            case = make_case(number, seed=setting.seed)
            if case.case_id in done:
                continue
            time.sleep(max(0.0, began_s + (number - 1 - first) * setting.pace_s - time.monotonic()))
            handed_s = time.perf_counter()
            keeper.keep(case, None)
            print(round((time.perf_counter() - handed_s) * 1000, 3), file=waited)
        keeper.close()


def _lines(path: Path) -> list[str]:
    return path.read_text().split("\n")[:-1] if path.is_file() else []
