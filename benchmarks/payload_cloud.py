"""Spoilt messages -> the cloud's real intake and database, batch by batch, each with a sound case behind it.

What is malformed is said by the schema: what it decodes, and JSON's own reader reads, is a message. Everything else has
to be a dead letter with a reason. Nothing may be raised, nor take longer than a moment of CPU time.
"""

import json
import logging
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from benchmarks import payload_seeds
from benchmarks.mutations import mutated, odd_topic
from cloud_sync import case_row, cloud_metrics, db, dead_letters, fleet, fleet_figures
from cloud_sync.cloud_metrics import Look
from cloud_sync.config import CloudConfig
from cloud_sync.dead_letters import Message
from cloud_sync.intake import Intake
from cloud_sync.store import open_store
from cloud_sync.tables import cases
from edge_agent import exposition, wire
from edge_agent.errors import LinkError

BATCH = 200
ALONE_EVERY = 20
"""One batch in so many goes in message by message, so that each refusal is counted apart."""
LOOK_EVERY = 5
"""Batches between two looks at what the fleet has said last."""
STALL_S = 1.0
"""CPU time that no message may take."""
BEGAN_AT = 1_796_000_000.0
STEP_S = 60.0
"""Logical time between two batches."""


@dataclass(slots=True)
class Found:
    """What was seen."""

    messages: int = 0
    malformed: int = 0
    letters: int = 0
    good: int = 0
    slowest_s: float = 0.0
    faults: Counter = field(default_factory=Counter)
    """By the names of `drill_payload.FAULTS`."""
    words: list[str] = field(default_factory=list)
    """Of the first faults."""

    def fault(self, name: str, words: str, count: int = 1) -> None:
        self.faults[name] += count
        if len(self.words) < 20:
            self.words.append(f"{name}: {words[:300]}")


class Flood:
    """One cloud under fire."""

    def __init__(self, config: CloudConfig, seed: int) -> None:
        self.config, self.engine = config, db.open_database(config)
        self._intake = Intake(self.engine, open_store(config), max_clip_bytes=1_000_000)
        self._chance, self._seed = random.Random(seed), seed
        self.found, self._now, self._batch = Found(), BEGAN_AT, 0

    def send(self, malformed: int) -> None:
        """Spoilt messages until so many of them were none, and a sound one behind each batch."""
        while self.found.malformed < malformed:
            self._batch += 1
            self._now += STEP_S
            batch = [spoilt(self._chance, self._batch * BATCH + number) for number in range(BATCH)]
            alone = self._batch % ALONE_EVERY == 1
            for part in [[message] for message in batch] if alone else [batch]:
                self._take(part, alone=alone)
            self.found.good += 1
            self._good()
            if self._batch % LOOK_EVERY == 1:
                self._look_at_fleet()

    def close(self) -> None:
        self.engine.dispose()

    def _take(self, batch: list[Message], *, alone: bool) -> None:
        found, before = self.found, self._letters()
        malformed = [message for message in batch if not self._is_message(message)]
        began_s = time.process_time()
        try:
            self._intake.handle(batch, self._now)
        except Exception as error:  # noqa: BLE001 - whatever it raises is what the drill looks for
            found.fault("crashes", f"{type(error).__name__}: {error} in a batch of {len(batch)}, {batch[0].topic!r}")
            malformed = []
        took_s = time.process_time() - began_s
        found.slowest_s = max(found.slowest_s, took_s)
        if took_s > STALL_S:
            found.fault("stalls", f"{took_s:.2f} s for {len(batch)} messages, the longest {max(map(_size, batch))} B")
        letters = self._letters() - before
        found.messages += len(batch)
        found.malformed += len(malformed)
        found.letters += letters
        if letters < len(malformed) or (alone and malformed and letters != 1):
            found.fault("silent", f"{letters} letters of {len(malformed)} malformed messages", len(malformed) - letters)
        self._look_for(batch)

    def _is_message(self, message: Message) -> bool:
        """Decoded by the schema, and then by JSON's own reader too."""
        try:
            topic = wire.parse_topic(message.topic)
            if topic.kind == "clip_part" or (topic.kind == "alarm" and not message.payload):
                return True
            wire.decode(message.payload, wire.MESSAGES[topic.kind])
        except LinkError:
            return False
        except Exception as error:  # noqa: BLE001 - as above
            self.found.fault("crashes", f"{type(error).__name__}: {error} in decoding {message.topic!r}")
            return False
        try:
            json.loads(message.payload.decode("utf-8"), parse_constant=_refuse, parse_int=len)
        except (ValueError, RecursionError) as error:
            self.found.fault("not_json", f"{error}: {message.payload[:200]!r}")
        return True

    def _look_for(self, batch: list[Message]) -> None:
        """Cases that have to be held now, under whatever name was first."""
        wanted: set[str] = set()
        for message in batch:
            try:
                topic = wire.parse_topic(message.topic)
                if topic.kind == "case":
                    wanted.add(str(case_row.case_row(topic, message.payload, self._now)["case_id"]))
            except Exception:  # noqa: BLE001 - what is none was counted before
                continue
        with self.engine.connect() as connection:
            held = set(connection.scalars(sa.select(cases.c.case_id).where(cases.c.case_id.in_(wanted))))
        if wanted - held:
            self.found.fault("held_not", f"{sorted(wanted - held)[:3]}", len(wanted - held))

    def _good(self) -> None:
        message = payload_seeds.good(self.found.good, self._seed)
        try:
            handled = self._intake.handle([message], self._now)
        except Exception as error:  # noqa: BLE001 - as above
            self.found.fault("good_lost", f"{type(error).__name__}: {error}")
            return
        with self.engine.connect() as connection:
            held = connection.scalar(sa.select(sa.func.count()).where(cases.c.payload == message.payload))
        if held != 1 or len(handled.receipts) != 1:
            self.found.fault("good_lost", message.topic)

    def _look_at_fleet(self) -> None:
        """As the page of stations and Prometheus do."""
        try:
            with self.engine.connect() as connection:
                fleet.now(connection, self._now)
                figures = fleet_figures.figures(connection, self._now)
                clips = fleet_figures.clip_figures(connection)
            exposition.text(cloud_metrics.CATALOGUE, Look(figures, clips, True, 0.0, self._now))
        except Exception as error:  # noqa: BLE001 - as above
            self.found.fault("pages_broken", f"{type(error).__name__}: {error}")

    def _letters(self) -> int:
        with self.engine.connect() as connection:
            return dead_letters.refused(connection).messages


def spoilt(chance: random.Random, number: int) -> Message:
    """Message `number` of a station, or what has become of it."""
    station = chance.choice(payload_seeds.STATIONS)
    said = chance.choice(payload_seeds.from_station(station, number + 1))
    draw = chance.random()
    if draw < 0.08:
        return Message(odd_topic(chance, said.topic), said.payload)
    if draw < 0.12:
        other = chance.choice(payload_seeds.from_station(chance.choice(payload_seeds.STATIONS), number + 1))
        return Message(other.topic, said.payload)
    return Message(said.topic, mutated(chance, said.payload))


def drilled(config: CloudConfig, malformed: int, seed: int) -> Found:
    """The whole flood, quietly: each refusal is a line in the log."""
    logging.disable(logging.CRITICAL)
    flood = Flood(config, seed)
    try:
        flood.send(malformed)
    finally:
        flood.close()
        logging.disable(logging.NOTSET)
    return flood.found


def config_in(folder: Path) -> CloudConfig:
    """A cloud of its own."""
    return CloudConfig(data_dir=str(folder / "cloud"))


def _size(message: Message) -> int:
    return len(message.payload)


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is no JSON")
