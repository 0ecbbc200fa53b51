"""A subscriber that believes no receipt: at each it looks into the database, over a connection of its own.

What a receipt names has to be committed with those very bytes when it arrives. What it saw is a line each in a file.
"""

import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import paho.mqtt.client as mqtt
import sqlalchemy as sa

from benchmarks import flow, ledger
from cloud_sync.config import CloudConfig
from cloud_sync.store import ClipStore, open_store
from cloud_sync.tables import cases, clips
from edge_agent import wire
from edge_agent.messages import Receipt

AGAIN_S = 0.05


class Seen(msgspec.Struct, frozen=True):
    """One receipt. `at_s`: monotonic, the same clock for every process of this machine."""

    at_s: float
    cases: int
    clips: int
    early: int
    """Cases and clips it names that were not held, or with other bytes."""


def watch(cloud: CloudConfig, port: int, file: Path) -> None:
    """Until it is killed; the file is there once it listens."""
    engine, store = flow.open_to_look(cloud.database_url), open_store(cloud)
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="witness")
    with open(file, "ab", buffering=0) as lines:

        def take(_client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
            seen = look(engine, store, wire.decode(bytes(message.payload), Receipt))
            lines.write(msgspec.json.encode(seen) + b"\n")

        def connected(client: mqtt.Client, *_: object) -> None:
            client.subscribe(wire.Topics("+", "+").receipt, 1)

        def subscribed(*_: object) -> None:
            lines.write(b"\n")

        client.on_connect, client.on_subscribe = connected, subscribed
        client.on_message = take
        client.connect("127.0.0.1", port)
        client.loop_forever()


def seen_in(file: Path) -> list[Seen]:
    """All that the witness has written; none before it listens."""
    lines = file.read_bytes().split(b"\n") if file.is_file() else []
    return [msgspec.json.decode(line, type=Seen) for line in lines[:-1] if line]


def listens(file: Path) -> bool:
    return file.is_file() and file.stat().st_size > 0


def look(engine: sa.Engine, store: ClipStore, receipt: Receipt) -> Seen:
    """What the receipt says against what is held now; a database that does not answer is asked until it does."""
    at_s = time.monotonic()
    early = _patiently(lambda: _early_cases(engine, receipt) + _early_clips(engine, store, receipt))
    return Seen(at_s, len(receipt.cases), len(receipt.clips), early)


def _patiently(count: Callable[[], int]) -> int:
    while True:
        try:
            return count()
        except sa.exc.OperationalError:
            time.sleep(AGAIN_S)


def _early_cases(engine: sa.Engine, receipt: Receipt) -> int:
    query = sa.select(cases.c.case_id, cases.c.payload).where(cases.c.case_id.in_([id for id, _ in receipt.cases]))
    with engine.connect() as connection:
        held = {row.case_id: wire.sha256_of(bytes(row.payload)) for row in connection.execute(query)}
    return sum(held.get(id) != sha256 for id, sha256 in receipt.cases)


def _early_clips(engine: sa.Engine, store: ClipStore, receipt: Receipt) -> int:
    query = sa.select(clips.c.sha256).where(clips.c.sha256.in_(receipt.clips), clips.c.state == "stored")
    with engine.connect() as connection:
        held = set(connection.scalars(query))
    return sum(sha256 not in held or not ledger.is_whole(store, sha256) for sha256 in receipt.clips)
