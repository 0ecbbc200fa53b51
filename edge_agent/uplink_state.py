"""Events from the broker and the time -> what to publish next. No network, no waiting: `uplink` is the shell around it.

Deliveries of cases and clips are `deliveries`' matter; here are status, alarms, metrics, orders and the wanted state.
"""

import contextlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge_agent import durable, orders, state, update_report, utc, wire
from edge_agent.alarm_keeper import AlarmKeeper
from edge_agent.alarms import Board, Moment
from edge_agent.deliveries import Deliveries, Publish
from edge_agent.errors import StoreError, TankwatchError
from edge_agent.messages import (
    Alarm,
    Command,
    Desired,
    Disposition,
    InputMetrics,
    Metrics,
    OutputMetrics,
    Receipt,
    SoftwareMetrics,
    Status,
)
from edge_agent.outbox import Outbox
from edge_agent.rivals import Rivals
from edge_agent.state import DeviceState, UplinkReport
from edge_agent.update_report import UpdateFile
from edge_agent.uplink_health import Traffic, UplinkHealth

METRICS_S = 10.0
LOOK_S = 0.25
BROKER_SILENT_S, MOST_SILENT_S = 15.0, 60.0
"""A broker that acknowledges nothing for so long while nothing moves is dropped and connected again: half-open links
tell nobody. Metrics are due every METRICS_S, so it is noticed within half a minute. Where that does not help it may be
something that takes our bytes and passes them on slowly: then twice as long each time."""
HOLD_S = 2.0
"""Without an acknowledgement for so long nothing new goes out: what moves then is what went out before."""
ORDERS_LEFT, AGAIN_S = 100, 1.0
"""Orders that the disk did not take are kept and tried again so often: the broker does not give them again."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Now:
    """One moment on two clocks: `monotonic_s` for waits, `utc_s` (seconds since 1970) for what people read."""

    monotonic_s: float
    utc_s: float

    @property
    def utc(self) -> str:
        return utc.text(self.utc_s)


@dataclass(frozen=True, slots=True)
class Connected:
    """The broker has accepted the device."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection is gone."""


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The broker has one more of the published messages."""


@dataclass(frozen=True, slots=True)
class Moved:
    """Bytes of ours have arrived on the other side: the link may be slow, it is not dead."""


@dataclass(frozen=True, slots=True)
class Received:
    """A message from one of the device's subscriptions."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Reconnect:
    """The connection is of no use: drop it."""

    reason: str


Event = Connected | Disconnected | Acknowledged | Moved | Received
Action = Publish | Reconnect


@dataclass(frozen=True, slots=True)
class Device:
    """What the uplink is told once. `inflight`: messages at the broker without acknowledgement, at most."""

    topics: wire.Topics
    version: str
    boot_id: str
    state_path: Path
    desired_path: Path
    update_path: Path | None = None
    """What `agent update` says of itself; None = there is none."""
    inflight: int = 20
    keep_free_bytes: int = 1 << 30
    uplink_id: str | None = None
    """Of this start, random; None = not told."""


class UplinkState:
    """One device's side of the conversation. `step` may be called at any pace."""

    def __init__(self, device: Device, outbox: Outbox, started: Now, alarms: AlarmKeeper) -> None:
        """`alarms`: keeps those that the uplink raises."""
        self.device, self._outbox = device, outbox
        self._alarm_keeper = alarms
        self._topics = device.topics
        self.deliveries = Deliveries(outbox, device.topics)
        self._since = started.utc
        self._connected = False
        self._linked_since = started.utc
        """Since when there is a connection, or none."""
        self._receipt_at: str | None = None
        self._unacknowledged = 0
        self._last_sign_s = self._acknowledged_s = started.monotonic_s
        self._patience_s = BROKER_SILENT_S
        self._metrics_due_s = started.monotonic_s
        self._retained: dict[str, bytes] = {}
        """What this run has published with retain, by topic: only changes go out again."""
        self._answers: list[Publish] = []
        self._wish_left: tuple[Desired, bytes] | None = None
        self._orders_left: dict[str, Command] = {}
        """What the disk did not take."""
        self._again_from_s = float("-inf")
        self._said_disposition: Disposition | None = None
        self._health = UplinkHealth(
            outbox,
            version=device.version,
            started_s=started.monotonic_s,
            keep_free_bytes=device.keep_free_bytes,
        )
        self._rivals = Rivals(device.uplink_id)
        self._board = Board()
        self._looked_s = float("-inf")
        self._fault = ""
        """Why the outbox cannot be used at the moment."""
        self._sent = self._receipted = self._connects = 0

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """The device's own alarms too: those that a former run left at the broker have to be ended. And its own
        status: another's there is another device's.
        """
        topics = self._topics
        return (topics.receipt, topics.desired, topics.commands, topics.status, topics.alarm("+"))

    def will(self, now: Now) -> Publish:
        """What the broker says for the device when it falls silent."""
        return self._status("offline", None, now.utc)

    def farewell(self, now: Now) -> Publish:
        """The last word before a wanted stop."""
        return self._status("offline", state.read(self.device.state_path), now.utc)

    def step(self, events: list[Event], now: Now) -> list[Action]:
        """What has happened -> what to do."""
        self._try_again(now)
        for event in events:
            self._take(event, now)
        if not self._connected:
            return []
        if self._unacknowledged and now.monotonic_s - self._last_sign_s > self._patience_s:
            return [self._give_up(now)]
        if self._unacknowledged and now.monotonic_s - self._acknowledged_s > HOLD_S:
            return []
        free = self.device.inflight - self._unacknowledged
        # Answers wait for no room: once the events are dealt with, the broker does not give an order again.
        out, self._answers = self._answers, []
        if free > 0:
            out += self._news(now)
            out += self._from_outbox(now, max(0, free - len(out)))
        if not self._unacknowledged:
            self._last_sign_s = self._acknowledged_s = now.monotonic_s
            self._patience_s = BROKER_SILENT_S
        self._unacknowledged += len(out)
        self._sent += len(out)
        return list(out)

    def report(self, now: Now) -> UplinkReport:
        """What the processes beside this one may know; an outbox that cannot be used leaves what was known before."""
        with contextlib.suppress(StoreError, OSError):
            self._health.look(now.monotonic_s)
        self._look(now)
        return UplinkReport(
            at=now.utc,
            connected=self._connected,
            since=self._linked_since,
            receipt_at=self._receipt_at,
            software=self._software(now, state.read(self.device.state_path)),
            waiting_bytes=self._health.waiting_bytes,
            alarms=(*self._board.active, *self._updates_alarm()),
            alarms_aside=self._board.aside,
            process=self._health.process,
        )

    def _take(self, event: Event, now: Now) -> None:
        match event:
            case Connected():
                self._connected, self._since, self._linked_since = True, now.utc, now.utc
                self._last_sign_s = self._acknowledged_s = self._metrics_due_s = now.monotonic_s
                self._connects += 1
                self._retained.clear()
                self.deliveries.reconnected(now.monotonic_s)
            case Disconnected():
                self._connected, self._linked_since = False, now.utc
            case Acknowledged():
                self._unacknowledged = max(0, self._unacknowledged - 1)
                self._last_sign_s = self._acknowledged_s = now.monotonic_s
            case Moved():
                self._last_sign_s = now.monotonic_s
            case Received(topic, payload):
                try:
                    self._hear(topic, payload, now)
                except StoreError as error:
                    # Orders and wishes are tried again here; of a receipt the case goes again, and so does the receipt.
                    log.warning("not taken yet topic=%s reason=%s", topic[:200], error)
                except TankwatchError as error:
                    log.warning("ignored topic=%s reason=%s", topic[:200], error)

    def _give_up(self, now: Now) -> Reconnect:
        silent_s, self._last_sign_s = now.monotonic_s - self._last_sign_s, now.monotonic_s
        self._patience_s = min(2 * self._patience_s, MOST_SILENT_S)
        return Reconnect(f"the broker acknowledged nothing for {silent_s:.0f} s")

    def _hear(self, topic: str, payload: bytes, now: Now) -> None:
        kind = wire.parse_topic(topic, self._topics.root)
        match kind.kind:
            case "receipt":
                self._receipted += self.deliveries.receipt(wire.decode(payload, Receipt))
                self._receipt_at = now.utc
            case "command":
                self._order(wire.decode(payload, Command), now)
            case "desired":
                self._wish(payload)
            case "status" if payload:
                self._rivals.heard(wire.decode(payload, Status), now.monotonic_s)
            case "alarm" if payload and topic not in self._alarms(state.read(self.device.state_path)):
                self._retained[topic] = payload

    def _news(self, now: Now) -> list[Publish]:
        """Status, alarms and disposition, as far as they are new."""
        device_state = state.read(self.device.state_path)
        self._look(now)
        wanted = {self._topics.status: self._status("online", device_state, self._since).payload}
        wanted |= self._alarms(device_state)
        for topic in self._retained.keys() - wanted.keys():
            wanted[topic] = b""
        out = [Publish(topic, data, retain=True) for topic, data in wanted.items() if self._retained.get(topic) != data]
        self._retained = {topic: data for topic, data in wanted.items() if data}
        if device_state and device_state.disposition != self._said_disposition:
            self._said_disposition = device_state.disposition
            if device_state.disposition:
                out.append(Publish(self._topics.disposition, wire.encode(device_state.disposition)))
        return out

    def _from_outbox(self, now: Now, budget: int) -> list[Publish]:
        """Metrics, cases and clips; nothing while the outbox cannot be used, which is logged once."""
        out = []
        try:
            if now.monotonic_s >= self._metrics_due_s:
                self._metrics_due_s = now.monotonic_s + METRICS_S
                out.append(Publish(self._topics.metrics, wire.encode(self._metrics(now))))
            out += self.deliveries.next(now.monotonic_s, max(0, budget - len(out)))
            self._fault = ""
        except StoreError as error:
            if str(error) != self._fault:
                self._fault = str(error)
                log.error("outbox fault=%s", error)
        return out

    def _status(self, word: Literal["online", "offline"], device_state: DeviceState | None, since: str) -> Publish:
        told = self._updates()
        status = Status(
            status=word,
            mode=device_state.mode if device_state else None,
            mode_words=device_state.mode_words if device_state else "",
            bundle=device_state.bundle if device_state else None,
            challenger=device_state.challenger if device_state else None,
            update=told.champion_report(device_state.update if device_state else None),
            challenger_update=told.challenger.report if told.challenger else None,
            software=self.device.version,
            since=since,
            uplink_id=self.device.uplink_id,
        )
        return Publish(self._topics.status, wire.encode(status), retain=True)

    def _updates(self) -> UpdateFile:
        path = self.device.update_path
        return update_report.read(path) if path else UpdateFile()

    def _alarms(self, device_state: DeviceState | None) -> dict[str, bytes]:
        """All whose cause is there, also those that nobody is shown."""
        told = Board(device_state.alarms, device_state.alarms_aside) if device_state else Board()
        holding = [*told.holding, *self._board.holding, *self._updates_alarm()]
        return {self._topics.alarm(alarm.id): wire.encode(alarm) for alarm in holding}

    def _look(self, now: Now) -> None:
        """People's orders are taken within a quarter of a second."""
        if now.monotonic_s - self._looked_s >= LOOK_S:
            self._looked_s = now.monotonic_s
            conditions = (*self._health.conditions, *self._rivals.conditions(now.monotonic_s))
            self._board = self._alarm_keeper.look(conditions, Moment(now.monotonic_s, now.utc_s))

    def _updates_alarm(self) -> tuple[Alarm, ...]:
        trouble = self._updates().alarm
        return (trouble,) if trouble else ()

    def _metrics(self, now: Now) -> Metrics:
        self._health.look(now.monotonic_s)
        seen = state.read(self.device.state_path)
        return Metrics(
            at=now.utc,
            boot_id=seen.boot_id if seen else self.device.boot_id,
            software=self._software(now, seen),
            input=seen.input if seen else InputMetrics(),
            output=seen.output if seen else OutputMetrics(),
        )

    def _software(self, now: Now, seen: DeviceState | None) -> SoftwareMetrics:
        traffic = Traffic(self._sent, self._receipted, self.deliveries.resent, self._connects - 1)
        return self._health.software(now.monotonic_s, traffic, seen)

    def _order(self, command: Command, now: Now) -> None:
        try:
            self._obey(command, now)
        except StoreError:
            # A trigger is of its moment: later nobody waits for it.
            if command.order != "trigger" and len(self._orders_left) < ORDERS_LEFT:
                self._orders_left[command.id] = command
            raise
        self._orders_left.pop(command.id, None)

    def _obey(self, command: Command, now: Now) -> None:
        known = self._outbox.answer(command.id)
        if known is None:
            reply = orders.carry_out(command, self._outbox, state.read(self.device.state_path), now.utc)
            known = wire.encode(reply)
            trigger = command.order == "trigger" and reply.done
            self._outbox.keep_answer(command.id, known, trigger=trigger)
            log.info("order id=%s order=%s done=%s text=%s", command.id, command.order, reply.done, reply.text)
        self._answers.append(Publish(self._topics.reply(command.id), known))

    def _wish(self, payload: bytes) -> None:
        wish = wire.decode(payload, Desired)
        if self._wish_left is None or wish.counter > self._wish_left[0].counter:
            self._wish_left = wish, payload
        self._keep_wish()

    def _keep_wish(self) -> None:
        """The highest counter wins, also after a restart; what becomes of it is decided beside the frames."""
        if self._wish_left is None:
            return
        (wish, payload), kept = self._wish_left, state.desired(self.device.desired_path)
        if kept is None or wish.counter > kept.counter:
            durable.write(self.device.desired_path, payload)
            log.info("desired counter=%d mode=%s", wish.counter, wish.mode)
        self._wish_left = None

    def _try_again(self, now: Now) -> None:
        """What the disk did not take before. An outbox that does not take the first order is not asked for the next."""
        if now.monotonic_s < self._again_from_s:
            return
        self._again_from_s = now.monotonic_s + AGAIN_S
        with contextlib.suppress(StoreError):
            self._keep_wish()
        with contextlib.suppress(StoreError):
            for command in list(self._orders_left.values()):
                self._order(command, now)
