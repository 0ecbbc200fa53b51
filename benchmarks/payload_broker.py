"""Spoilt messages over a real broker into `cloud ingest`, a process of its own; a sound case behind each batch."""

import random
import threading
from pathlib import Path

import paho.mqtt.client as mqtt
import sqlalchemy as sa

from benchmarks import payload_seeds
from benchmarks.installation import SETTLE_S, Processes, make_configs, taking_in, until
from benchmarks.payload_cloud import Found, spoilt
from cloud_sync import db, dead_letters
from cloud_sync.broker import LARGEST_MESSAGE, EmbeddedBroker
from cloud_sync.config import CloudConfig
from cloud_sync.dead_letters import Message
from cloud_sync.tables import cases
from edge_agent import wire
from edge_agent.errors import LinkError

BATCH = 100


def drilled(folder: Path, count: int, seed: int) -> Found:
    """`count` spoilt messages, those left out that no broker passes on."""
    chance, found = random.Random(seed), Found()
    with EmbeddedBroker(0, folder / "broker") as broker:
        _, cloud = make_configs(folder, broker.port)
        engine = db.open_database(cloud)
        processes = Processes({"ingest": taking_in(cloud, folder)})
        processes.start("ingest")
        try:
            _wait_until_heard(cloud, engine, seed)
            sender = _Sender(cloud)
            while found.messages < count:
                batch = [spoilt(chance, found.messages + number) for number in range(BATCH)]
                batch = [message for message in batch if _passes(message)]
                found.messages += len(batch)
                found.malformed += sum(map(_is_malformed, batch))
                found.good += 1
                sender.send([*batch, payload_seeds.good(found.good, seed)])
                if not until(lambda: _holds(engine, payload_seeds.good(found.good, seed)), SETTLE_S):
                    found.fault("good_lost", f"{found.good} is not held after {SETTLE_S:.0f} s")
                    break
            sender.close()
            if not processes.alive["ingest"].is_alive():
                found.fault("crashes", "ingest has ended")
            _count(engine, found)
        finally:
            processes.stop()
            engine.dispose()
    return found


class _Sender:
    """A client that waits until the broker has everything: what it has refused would be sent for ever."""

    def __init__(self, cloud: CloudConfig) -> None:
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="drill-payload")
        self._client.connect(cloud.broker.host, cloud.broker.port)
        self._client.loop_start()

    def send(self, messages: list[Message]) -> None:
        """Raises RuntimeError where the broker does not take one of them."""
        sent = [(self._client.publish(message.topic, message.payload, qos=1), message) for message in messages]
        for info, message in sent:
            info.wait_for_publish(SETTLE_S)
            if not info.is_published():
                raise RuntimeError(f"the broker does not take a message on {message.topic!r}")

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def _wait_until_heard(cloud: CloudConfig, engine: sa.Engine, seed: int) -> None:
    """What is said before the first subscription is nobody's."""
    sender, ready = _Sender(cloud), threading.Event()
    while not ready.is_set():
        sender.send([payload_seeds.good(0, seed)])
        if until(lambda: _holds(engine, payload_seeds.good(0, seed)), 1.0):
            ready.set()
    sender.close()


def _passes(message: Message) -> bool:
    """Whether a broker takes it, and ingest is subscribed to it. Mosquitto hangs up on control characters."""
    filters = [one for one in wire.device_filters() if not one.endswith(("disposition", "reply/+"))]
    fits = len(message.payload) < LARGEST_MESSAGE - 1000 and not set("+#") & set(message.topic)
    return fits and message.topic.isprintable() and any(mqtt.topic_matches_sub(one, message.topic) for one in filters)


def _is_malformed(message: Message) -> bool:
    try:
        topic = wire.parse_topic(message.topic)
        if topic.kind != "clip_part" and not (topic.kind == "alarm" and not message.payload):
            wire.decode(message.payload, wire.MESSAGES[topic.kind])
        return False
    except LinkError:
        return True


def _holds(engine: sa.Engine, message: Message) -> bool:
    query = sa.select(sa.func.count()).where(cases.c.payload == message.payload)
    with engine.connect() as connection:
        return connection.scalar(query) == 1


def _count(engine: sa.Engine, found: Found) -> None:
    with engine.connect() as connection:
        found.letters = dead_letters.refused(connection).messages
    if found.letters < found.malformed:
        found.fault("silent", f"{found.letters} letters of {found.malformed} malformed messages")
