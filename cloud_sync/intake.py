"""A batch of messages from the stations -> rows with one commit -> receipts for what the database now holds.

Every message may come twice and in any batch. What cannot be taken becomes a dead letter with its reason. Whatever
fails for want of disk or database is raised before anything is acknowledged, and the batch may simply be handled
again.
"""

import functools
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from cloud_sync import (
    case_groups,
    case_row,
    challenge_parts,
    challenge_runs,
    db,
    dead_letters,
    device_health,
    gaps,
    looks,
)
from cloud_sync.challenge_runs import Shown
from cloud_sync.clip_parts import ClipMessage, ClipParts
from cloud_sync.db import insert_rows, take_turns
from cloud_sync.dead_letters import Message
from cloud_sync.speakers import Speakers
from cloud_sync.store import ClipStore
from cloud_sync.tables import cases, second_words, stations
from edge_agent import wire
from edge_agent.errors import LinkError
from edge_agent.messages import Alarm, ClipManifest, Receipt, Status

log = logging.getLogger(__name__)
Station = tuple[str, str]
"""Site and station."""


class Handled(msgspec.Struct, frozen=True):
    """What a batch led to."""

    receipts: tuple[Message, ...]
    clips: tuple[str, ...]
    """Hashes of clips that the store now holds."""


@dataclass(slots=True)
class _Sorted:
    """A batch taken apart; numbers are places in the batch."""

    cases: list[tuple[int, dict]] = field(default_factory=list)
    seconds: dict[int, dict] = field(default_factory=dict)
    """What challengers said; by place, where one spoke."""
    clips: list[ClipMessage] = field(default_factory=list)
    statuses: dict[Station, bytes] = field(default_factory=dict)
    spoken: list[tuple[Station, Status]] = field(default_factory=list)
    """Every status, in order."""
    metrics: dict[Station, bytes] = field(default_factory=dict)
    alarms: dict[tuple[str, str, str], Alarm | None] = field(default_factory=dict)
    refused: list[tuple[int, str]] = field(default_factory=list)


@dataclass(slots=True)
class _Held:
    """What the database holds of one station's messages."""

    cases: dict[str, str] = field(default_factory=dict)
    clips: list[str] = field(default_factory=list)
    parts: list[tuple[str, int]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


class Intake:
    """Where messages become rows; knows nothing of the connection that brought them."""

    def __init__(
        self,
        engine: Engine,
        store: ClipStore,
        *,
        max_clip_bytes: int,
        station_clip_bytes: int | None = None,
        root: str = wire.ROOT,
    ) -> None:
        """`station_clip_bytes`: of all clips of one station; None = as many as there is room for."""
        self._engine = engine
        self._speakers = Speakers(db.now())
        self._root = root
        self._clip_parts = ClipParts(store, max_bytes=max_clip_bytes, station_bytes=station_clip_bytes)

    def handle(self, batch: Sequence[Message], now: float) -> Handled:
        """One commit for the batch, then the receipts to publish. Raises StoreError or SQLAlchemy's DatabaseError."""
        taken = _sort(batch, self._root, now)
        held: dict[Station, _Held] = defaultdict(_Held)
        with self._engine.begin() as connection:
            take_turns(connection, _concerned(batch))
            _take_statuses(connection, taken.statuses, now)
            shown = challenge_runs.recognised(connection, (row for _, row in taken.cases))
            # What still waits at a station is said before its cases: then a gap in them is known to be none.
            device_health.take_metrics(connection, taken.metrics, now)
            # Clips first: nobody waits for the sums that cases change while a clip goes to a bucket.
            stored = self._take_clips(connection, taken, held, now)
            self._take_cases(connection, taken, held, shown, now=now)
            device_health.take_alarms(connection, taken.alarms, now)
            speaking = self._who_speaks(taken, now)
            device_health.take_alarms(connection, speaking, now)
            dead_letters.bury(connection, [(batch[place], reason) for place, reason in taken.refused], now)
        self._speakers.kept(speaking)
        receipts = tuple(_receipt(station, what, self._root) for station, what in held.items())
        return Handled(receipts, stored)

    def bury(self, message: Message, reason: str, now: float) -> None:
        """Sets a message aside that nothing else can be done with."""
        with self._engine.begin() as connection:
            take_turns(connection, _concerned([message]))
            dead_letters.bury(connection, [(message, reason)], now)

    def _who_speaks(self, taken: _Sorted, now: float) -> Mapping[tuple[str, str, str], Alarm | None]:
        for station, status in taken.spoken:
            self._speakers.hear(station, status, now)
        return self._speakers.alarms({*taken.statuses, *taken.metrics}, now)

    def _take_cases(
        self,
        connection: sa.Connection,
        taken: _Sorted,
        held: dict[Station, _Held],
        shown: Mapping[str, Shown],
        *,
        now: float,
    ) -> None:
        if not taken.cases:
            return
        wanted = {row["case_id"] for _, row in taken.cases}
        columns = (cases.c.case_id, cases.c.sha256, cases.c.site, cases.c.station)
        held_before = connection.execute(sa.select(*columns).where(cases.c.case_id.in_(wanted))).all()
        known = {row.case_id: row.sha256 for row in held_before}
        owners = {row.case_id: (row.site, row.station) for row in held_before}
        new: dict[Station, list[dict]] = defaultdict(list)
        seconds: list[dict] = []
        for place, row in taken.cases:
            station, case_id = (row["site"], row["station"]), row["case_id"]
            if owners.setdefault(case_id, station) != station:
                # No receipt either: it would tell one station of another's case.
                taken.refused.append((place, f"case {case_id} is another station's: refused"))
                continue
            if case_id not in known:
                known[case_id] = row["sha256"]
                new[station].append(row)
                seconds += [taken.seconds[place]] if place in taken.seconds else []
            elif known[case_id] != row["sha256"]:
                taken.refused.append((place, f"case {case_id} is held with other content: the first one stays"))
            held[station].cases[case_id] = known[case_id]
        for station, rows in new.items():
            highest = gaps.highest_of(connection, *station)
            insert_rows(connection, cases, rows)
            case_groups.count_in(connection, rows)
            gaps.note(connection, station, highest, [row["sequence"] for row in rows], now=now)
            challenge_runs.note(connection, rows, shown, now)
            # Of a challenge part the truth is known: nobody needs to say it.
            looks.want_first(connection, [row for row in rows if row["case_id"] not in shown], now)
        if seconds:
            insert_rows(connection, second_words, seconds)
        log.info("cases handled=%d new=%d", len(taken.cases), sum(map(len, new.values())))

    def _take_clips(
        self, connection: sa.Connection, taken: _Sorted, held: dict[Station, _Held], now: float
    ) -> tuple[str, ...]:
        if not taken.clips:
            return ()
        done = self._clip_parts.take(connection, taken.clips, now)
        taken.refused.extend(done.refused)
        senders = {str(message.topic.id): (message.topic.site, message.topic.station) for message in taken.clips}
        if done.stored:
            looks.clips_stored(connection, done.stored)
            log.info("clips stored=%s", ",".join(done.stored))
        for sha256 in (*done.stored, *done.retired):
            held[senders[sha256]].clips.append(sha256)
        for sha256 in done.unwanted:
            held[senders[sha256]].refused.append(sha256)
        for sha256, part in done.wanted:
            held[senders[sha256]].parts.append((sha256, part))
        return done.stored


def _concerned(batch: Sequence[Message]) -> set[str]:
    """Stations and clips, as their topics name them: several ingest processes take turns at each."""
    return {"/".join(message.topic.split("/")[2:4]) for message in batch} | {
        message.topic.split("/")[5] for message in batch if "/clip/" in message.topic and message.topic.count("/") > 4
    }


def _sort(batch: Sequence[Message], root: str, now: float) -> _Sorted:
    taken = _Sorted()
    for place, message in enumerate(batch):
        try:
            _sort_one(taken, place, message, root, now)
        except LinkError as error:
            taken.refused.append((place, str(error)))
    return taken


def _sort_one(taken: _Sorted, place: int, message: Message, root: str, now: float) -> None:
    topic = _parse_topic(message.topic, root)
    match topic.kind:
        case "case":
            row, second = case_row.rows(topic, message.payload, now)
            taken.cases.append((place, row))
            if second is not None:
                taken.seconds[place] = second
        case "clip_manifest":
            manifest = wire.decode(message.payload, ClipManifest)
            taken.clips.append(ClipMessage(place, topic, manifest))
        case "clip_part":
            taken.clips.append(ClipMessage(place, topic, None, message.payload))
        case "status":
            taken.spoken.append(((topic.site, topic.station), wire.decode(message.payload, Status)))
            taken.statuses[topic.site, topic.station] = message.payload
        case "metrics":
            taken.metrics[topic.site, topic.station] = device_health.checked_metrics(message.payload)
        case "alarm":
            key = (topic.site, topic.station, str(topic.id))
            taken.alarms[key] = device_health.checked_alarm(topic, message.payload)
        case _:
            # Others' business: ingest does not subscribe to these. One that is none has to be found all the same.
            wire.decode(message.payload, wire.MESSAGES[topic.kind])


@functools.lru_cache(maxsize=1024)
def _parse_topic(topic: str, root: str) -> wire.Topic:
    """A station says the same topic all day."""
    return wire.parse_topic(topic, root)


def _take_statuses(connection: sa.Connection, statuses: dict[Station, bytes], now: float) -> None:
    for (site, station), payload in statuses.items():
        values = {"status": payload.decode(), "seen_at": now}
        mine = (stations.c.site == site) & (stations.c.station == station)
        if connection.execute(sa.update(stations).where(mine).values(values)).rowcount == 0:
            connection.execute(sa.insert(stations).values(site=site, station=station, **values))
            challenge_parts.tell(connection, (site, station), why="the station is new", now=now)


def _receipt(station: Station, held: _Held, root: str) -> Message:
    receipt = Receipt(
        cases=tuple(held.cases.items()), clips=tuple(held.clips), parts=tuple(held.parts), refused=tuple(held.refused)
    )
    return Message(wire.Topics(*station, root=root).receipt, wire.encode(receipt))
