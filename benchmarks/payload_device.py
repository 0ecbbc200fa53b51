"""Spoilt receipts, wishes and orders -> a device's real uplink state and outbox; a sound order and receipt follow.

Nothing may be raised; what is no message is a line in the log that says why; every order is answered; and a receipt
that does not name what is held, with its hash, ends no delivery.
"""

import logging
import random
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import payload_seeds
from benchmarks.feeding import put
from benchmarks.made_cases import SITE, STATION, make_case
from benchmarks.mutations import mutated, odd_topic
from benchmarks.payload_cloud import BEGAN_AT, STALL_S, Found
from edge_agent import compare, state, wire
from edge_agent.alarm_keeper import AlarmKeeper
from edge_agent.deliveries import Publish
from edge_agent.errors import LinkError
from edge_agent.messages import Command, Receipt, Reply
from edge_agent.outbox import Outbox
from edge_agent.uplink_state import Acknowledged, Connected, Device, Event, Now, Received, UplinkState

if TYPE_CHECKING:
    from collections.abc import Iterator

TOPICS = wire.Topics(SITE, STATION)
_SEEN = compare.Seen("ok", 0.1, 0.3, 50.0, BEGAN_AT)
"""A case that a wish may ask for."""
HELD = 12
"""Cases that wait for their receipt, every third with a clip."""
BATCH = 50


class _Heard(logging.Handler):
    """Counts the lines of the log that say that something was ignored, and why."""

    ignored = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.ignored += record.getMessage().startswith("ignored topic=") and "reason=" in record.getMessage()


class Talk:
    """A device that is connected and has cases to send, and whoever speaks to it."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.outbox = Outbox.open(folder / "outbox.db", folder / "spool")
        self._device = Device(TOPICS, "1.0", "boot", folder / "state.json", folder / "desired.json", keep_free_bytes=0)
        self._now_s, self._number = 100.0, 0
        keeper = AlarmKeeper("uplink", folder / "alarms", folder / "alarms.toml")
        self._uplink = UplinkState(self._device, self.outbox, self._now(), keeper)
        self._chance, self.found = random.Random(seed), Found()
        self._step(Connected())
        self._seed, self._put = seed, 0
        self._fill()

    def speak(self, malformed: int) -> None:
        """Spoilt messages until so many of them were none; behind each batch a sound order is answered."""
        with _listening() as heard:
            while self.found.malformed < malformed:
                for _ in range(BATCH):
                    self._say(heard)
                self._order()
                self._fill()
        self._receipt()

    def close(self) -> None:
        self.outbox.close()

    def _fill(self) -> None:
        """A spoilt receipt may still name a case with its hash: then it is no longer waited for, and rightly so."""
        while len(self._waiting()) < HELD:
            self._put += 1
            put(self.outbox, make_case(self._put, seed=self._seed))

    def _say(self, heard: _Heard) -> None:
        found, message = self.found, self._spoilt()
        before, waiting, ignored = _matched(message, self._waiting()), self._waiting(), heard.ignored
        began_s = time.process_time()
        try:
            answers = self._step(message)
        except Exception as error:  # noqa: BLE001 - whatever it raises is what the drill looks for
            found.fault("crashes", f"{type(error).__name__}: {error} at {message.topic!r} {message.payload[:120]!r}")
            return
        took_s = time.process_time() - began_s
        found.messages, found.slowest_s = found.messages + 1, max(found.slowest_s, took_s)
        if took_s > STALL_S:
            found.fault("stalls", f"{took_s:.2f} s for {len(message.payload)} B at {message.topic!r}")
        told = heard.ignored - ignored
        if not _is_message(message):
            found.malformed, found.letters = found.malformed + 1, found.letters + told
            if told != 1:
                found.fault("silent", f"{message.topic!r} {message.payload[:120]!r}")
        elif _kind(message) == "command" and not told and not any("/reply/" in one.topic for one in answers):
            found.fault("silent", f"no reply to {message.payload[:120]!r}")
        gone = waiting - self._waiting()
        if gone - before:
            found.fault("deleted_wrongly", f"{sorted(gone - before)} by {message.payload[:200]!r}")
        self._look_at_wish()

    def _spoilt(self) -> Received:
        chance = self._chance
        self._number += 1
        seeds = payload_seeds.from_cloud(TOPICS, self._number) + [self._close_to_right()]
        said = chance.choice(seeds)
        topic = odd_topic(chance, said.topic) if chance.random() < 0.05 else said.topic
        return Received(topic, mutated(chance, said.payload) if chance.random() < 0.95 else said.payload)

    def _close_to_right(self) -> payload_seeds.Message:
        """A receipt for a case that is held, with another case's hash."""
        cases = self.outbox.waiting_cases(HELD)
        pairs = [(one.case_id, other.sha256) for one, other in zip(cases, cases[1:] + cases[:1], strict=True)]
        return payload_seeds.Message(TOPICS.receipt, wire.encode(Receipt(cases=tuple(pairs))))

    def _order(self) -> None:
        """The sound one behind a batch."""
        self.found.good += 1
        order = Command(id=f"good-{self.found.good}", order="self_test")
        try:
            answers = self._step(Received(TOPICS.command(order.id), wire.encode(order)))
        except Exception as error:  # noqa: BLE001 - as above
            self.found.fault("crashes", f"{type(error).__name__}: {error} at a sound order")
            return
        replies = [wire.decode(one.payload, Reply) for one in answers if one.topic == TOPICS.reply(order.id)]
        if [reply.done for reply in replies] != [True]:
            self.found.fault("good_lost", order.id)

    def _receipt(self) -> None:
        """The right one, at last: all that waits is receipted."""
        self.found.good += 1
        waiting = self._waiting()
        self._step(Received(TOPICS.receipt, wire.encode(Receipt(cases=tuple(waiting)))))
        if not waiting or self._waiting():
            self.found.fault("good_lost", f"{len(waiting)} waited, {len(self._waiting())} do")

    def _step(self, event: Event) -> list[Publish]:
        """The broker acknowledges all that this leads to."""
        self._now_s += 0.3
        events: list[Event] = [event]
        said: list[Publish] = []
        while events:
            out = [one for one in self._uplink.step(events, self._now()) if isinstance(one, Publish)]
            said, events = said + out, [Acknowledged()] * len(out)
        return said

    def _look_at_wish(self) -> None:
        """What the frame loop makes of the wish that is kept."""
        wish = state.desired(self._device.desired_path)
        if wish is not None and wish.sampling:
            try:
                compare.wished(wish.sampling, _SEEN)
            except Exception as error:  # noqa: BLE001 - as above
                self.found.fault("crashes", f"{type(error).__name__}: {error} in a wish {wish.sampling!r}")

    def _waiting(self) -> set[tuple[str, str]]:
        return {(case.case_id, case.sha256) for case in self.outbox.waiting_cases(10 * HELD)}

    def _now(self) -> Now:
        return Now(self._now_s, BEGAN_AT + self._now_s)


def drilled(folder: Path, malformed: int, seed: int) -> Found:
    """The whole talk."""
    talk = Talk(folder, seed)
    try:
        talk.speak(malformed)
    finally:
        talk.close()
    return talk.found


def _matched(message: Received, waiting: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """What a receipt names with the right hash."""
    try:
        named = wire.decode(message.payload, Receipt).cases if _kind(message) == "receipt" else ()
    except LinkError:
        return set()
    return waiting & set(named)


def _is_message(message: Received) -> bool:
    kind = _kind(message)
    try:
        if kind in ("receipt", "desired", "command"):
            wire.decode(message.payload, wire.MESSAGES[kind])
        # A device's own alarms are ended whatever is said of them, and others' topics are not subscribed to.
        return kind is not None
    except LinkError:
        return False


def _kind(message: Received) -> str | None:
    try:
        return wire.parse_topic(message.topic).kind
    except LinkError:
        return None


@contextmanager
def _listening() -> "Iterator[_Heard]":
    log, heard = logging.getLogger("edge_agent.uplink_state"), _Heard()
    before = log.level, log.propagate
    log.addHandler(heard)
    log.setLevel(logging.WARNING)
    log.propagate = False
    try:
        yield heard
    finally:
        log.removeHandler(heard)
        log.setLevel(before[0])
        log.propagate = before[1]
