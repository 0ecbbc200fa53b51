"""One queue of case messages at a real Mosquitto, emptied by our ingest, a bare paho and mosquitto_sub in turns.

Each has a session at the broker that was filled while it was away, and a process of its own; what is timed is from
connecting to the last message: committed, receipted and acknowledged, or only received.
"""

import multiprocessing
import shutil
import subprocess
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

import msgspec
import paho.mqtt.client as mqtt

from benchmarks.made_cases import SITE, STATION, make_case
from cloud_sync.broker import HOST, EmbeddedBroker
from cloud_sync.config import BrokerConfig, CloudConfig
from cloud_sync.db import open_database
from cloud_sync.folder_store import FolderStore
from cloud_sync.ingest import Listener
from cloud_sync.intake import Handled, Intake
from edge_agent import wire

TOPIC = wire.Topics(SITE, STATION).case
OURS, BARE, TOOL = "tankwatch-ingest", "bare-paho", "mosquitto-sub"
MESSAGES = 10_000
PATIENCE_S = 120.0
_FORK = multiprocessing.get_context("fork")


def measure(folder: Path, rounds: int, messages: int = MESSAGES) -> dict:
    """Rates in messages a second, and our rate as a share of the others': medians of the rounds."""
    tool = shutil.which("mosquitto_sub")
    names = [OURS, BARE, *([TOOL] if tool else [])]
    rates: dict[str, list[float]] = {name: [] for name in names}
    with EmbeddedBroker(0, folder / "broker") as broker:
        for name in names:
            _subscribe(name, broker.port)
        for turn in range(rounds):
            _fill(broker.port, range(turn * messages + 1, (turn + 1) * messages + 1))
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                rates[name].append(messages / _seconds(name, broker.port, folder, messages))
    share = {name: round(median(a / b for a, b in zip(rates[OURS], rates[name], strict=True)), 2) for name in names}
    return {
        "broker": broker.name,
        "ingest_per_s": round(median(rates[OURS])),
        "paho_per_s": round(median(rates[BARE])),
        "of_paho": share[BARE],
        "mosquitto_sub_per_s": round(median(rates[TOOL])) if tool else None,
        "of_mosquitto_sub": share[TOOL] if tool else None,
    }


def _seconds(name: str, port: int, folder: Path, messages: int) -> float:
    if name == TOOL:
        return _by_tool(port, messages)
    here, there = _FORK.Pipe()
    take = _take_in if name == OURS else _take_bare
    process = _FORK.Process(target=take, args=(port, folder, messages, there), daemon=True)
    process.start()
    if not here.poll(PATIENCE_S):
        process.kill()
        raise TimeoutError(f"{name} had not taken {messages} messages after {PATIENCE_S:.0f} s")
    seconds = float(here.recv())
    process.join()
    return seconds


def _take_in(port: int, folder: Path, messages: int, done: Connection) -> None:
    config = CloudConfig(data_dir=str(folder / "cloud"), broker=BrokerConfig(port=port, client_id=OURS))
    intake = _Counted(open_database(config), FolderStore(config.folder), max_clip_bytes=1_000_000)
    listener = Listener(config, intake)
    began_s = time.perf_counter()
    listener.listen(lambda: intake.taken >= messages, time.sleep)
    done.send(time.perf_counter() - began_s)
    listener.close()


class _Counted(Intake):
    taken = 0

    def handle(self, batch: Sequence, now: float) -> Handled:
        handled = super().handle(batch, now)
        self.taken += len(batch)
        return handled


def _take_bare(port: int, _folder: Path, messages: int, done: Connection) -> None:
    taken = 0

    def take(client: mqtt.Client, _data: object, _message: mqtt.MQTTMessage) -> None:
        nonlocal taken
        taken += 1
        if taken == messages:
            client.disconnect()

    client = _client(BARE)
    client.on_message = take
    began_s = time.perf_counter()
    client.connect(HOST, port)
    client.loop_forever()
    done.send(time.perf_counter() - began_s)


def _by_tool(port: int, messages: int) -> float:
    began_s = time.perf_counter()
    subprocess.run(
        ["mosquitto_sub", "-h", HOST, "-p", str(port), "-i", TOOL, "-c", "-q", "1", "-t", TOPIC, "-C", str(messages)],
        stdout=subprocess.DEVNULL,
        check=True,
        timeout=PATIENCE_S,
    )
    return time.perf_counter() - began_s


def _client(name: str) -> mqtt.Client:
    return mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name, clean_session=False)


def _subscribe(name: str, port: int) -> None:
    """From now on the broker keeps for `name` what comes."""
    client = _client(name)
    client.on_connect = lambda client, *_: client.subscribe(TOPIC, 1)
    client.on_subscribe = lambda client, *_: client.disconnect()
    _run(client, port)


def _fill(port: int, numbers: Sequence[int]) -> None:
    """New cases for everybody's queue; each is acknowledged when this returns."""
    client, left = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2), len(numbers)

    def acknowledged(client: mqtt.Client, *_: object) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            client.disconnect()

    def publish(client: mqtt.Client, *_: object) -> None:
        for number in numbers:
            case = msgspec.structs.replace(make_case(number), sequence=number)
            client.publish(TOPIC, wire.encode(case), qos=1)

    client.on_connect, client.on_publish = publish, acknowledged
    client.max_inflight_messages_set(500)
    _run(client, port)


def _run(client: mqtt.Client, port: int) -> None:
    client.connect(HOST, port)
    client.loop_forever()
