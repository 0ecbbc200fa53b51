"""`cloud ingest`, the process between broker and database. One loop: receive, commit, send receipts, acknowledge.

What becomes of a message is `intake`'s matter. A message is acknowledged only after its commit, so whatever happens
here, the broker or the station sends it again.
"""

import argparse
import hashlib
import hmac
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import paho.mqtt.client as mqtt
import sqlalchemy as sa

from cloud_sync import config as cloud_config
from cloud_sync import db, mqtt_client
from cloud_sync.config import BrokerConfig, CloudConfig
from cloud_sync.dead_letters import Message
from cloud_sync.desire_sending import DesireSending
from cloud_sync.intake import Intake
from cloud_sync.intake_fault import IntakeFault
from cloud_sync.store import open_store
from cloud_sync.video import Transcoder
from edge_agent import wire
from edge_agent.errors import StoreError

log = logging.getLogger(__name__)
IDLE_S = 0.2
"""How long a quiet connection is listened to before the loop looks up."""
LULL_S = 0.002
"""A pause this long ends a batch: whoever waits for a receipt should not wait for strangers."""
REST_S = 0.05
"""Between two commits at least: with one for each of 200 messages a second nobody else could write to SQLite."""
MANY = 50
"""So many do not rest: a station with a backlog has 100 under way, and waits for their receipts before it says more."""
BATCH_BYTES = 32 * 1024 * 1024
BACK_OFF_S = (1.0, 30.0)
TRY_AGAIN = (StoreError, sa.exc.OperationalError, sa.exc.InterfaceError)
"""The disk or the database is at fault: the same batch will do later."""


def ingest(argv: list[str]) -> int:
    """`tankwatch cloud ingest --config cloud.toml`"""
    parser = argparse.ArgumentParser(prog="tankwatch cloud ingest", description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="cloud.toml")
    config = cloud_config.load(parser.parse_args(argv).config)
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    run(config, stop)
    return 0


def run(config: CloudConfig, stop: threading.Event) -> None:
    """Ingests until `stop` is set; an absent broker is waited for. Raises TankwatchError at start."""
    store, engine = open_store(config), db.open_database(config)
    quota = config.max_clip_gb_per_station
    intake = Intake(
        engine,
        store,
        max_clip_bytes=config.max_clip_mb * 1_000_000,
        station_clip_bytes=None if quota is None else int(quota * 1e9),
    )
    fault = IntakeFault(config.folder, config.broker.client_id)
    listener = Listener(config, intake, DesireSending(engine), fault)
    transcoder = Transcoder(store)
    listener.on_clip = transcoder.add
    try:
        listener.listen(stop.is_set, stop.wait)
    finally:
        listener.close()
        transcoder.close()


class Listener:
    """One MQTT connection and the messages that wait for their commit."""

    def __init__(
        self,
        config: CloudConfig,
        intake: Intake,
        desires: DesireSending | None = None,
        fault: IntakeFault | None = None,
    ) -> None:
        """`fault`: where it says that it takes nothing in."""
        self._broker, self._batch = config.broker, config.batch
        self._fault = fault
        self._intake, self._desires = intake, desires
        self.on_clip: Callable[[str], None] = lambda _: None
        """Told of every clip that is held."""
        self._waiting: list[tuple[int, int, Message]] = []
        """MQTT's number, its quality of service, the message."""
        self._bytes = 0
        self._client = mqtt_client.make(config.broker, config.broker.client_id, keep_session=True, manual_ack=True)
        self._client.max_inflight_messages_set(1000)
        self._committed_at_s = 0.0
        self._client.on_message = self._received
        self._client.on_connect = self._connected
        self._client.on_disconnect = self._disconnected
        self._client.on_subscribe = _subscribed
        self._client.on_publish = self._published

    def listen(self, stopped: Callable[[], bool], wait: Callable[[float], object]) -> None:
        """Until `stopped`; `wait(seconds)` returns early when stopped."""
        back_off = BACK_OFF_S[0]
        while not stopped():
            if self._client.socket() is None and not self._connect():
                wait(back_off)
                back_off = min(2 * back_off, BACK_OFF_S[1])
                continue
            if self._client.loop(IDLE_S) is mqtt.MQTT_ERR_SUCCESS:
                back_off = BACK_OFF_S[0] if self._client.is_connected() else back_off
            self._gather()
            self._ask()
            if self._waiting and not self._step():
                wait(BACK_OFF_S[0])
            elif self._client.socket() is None:
                wait(back_off)
                back_off = min(2 * back_off, BACK_OFF_S[1])

    def close(self) -> None:
        """Says goodbye; what waits unacknowledged stays with the broker."""
        self._client.disconnect()

    def _connect(self) -> bool:
        try:
            self._client.connect(self._broker.host, self._broker.port, keepalive=30)
            return True
        except OSError as error:
            log.warning("broker %s:%d is not there (%s): trying again", self._broker.host, self._broker.port, error)
            return False

    def _gather(self) -> None:
        """More of what is already on its way, or comes while others may write, up to one batch."""
        count, rested_at_s = 0, self._committed_at_s + REST_S
        while 0 < len(self._waiting) < self._batch and self._bytes < BATCH_BYTES:
            if count == len(self._waiting) and (count >= MANY or time.monotonic() >= rested_at_s):
                return
            count = len(self._waiting)
            # What has arrived is read without asking each time whether there is more: that was a third of its cost.
            self._client.loop_read()
            if len(self._waiting) <= count:
                self._client.loop(LULL_S)

    def _ask(self) -> None:
        """What the devices are asked for; a database that would not is tried again."""
        try:
            if self._desires is not None:
                self._desires.turn(self._client, time.monotonic(), db.now())
        except TRY_AGAIN as error:
            log.error("nothing is asked of devices now: %s: trying again", error)

    def _step(self) -> bool:
        """Commit, receipts, acknowledgements. False: disk or database would not; everything waits."""
        waiting, self._waiting, self._bytes = self._waiting, [], 0
        try:
            self._handle([message for _, _, message in waiting])
            self._committed_at_s = time.monotonic()
            if self._fault:
                self._fault.ends()
        except TRY_AGAIN as error:
            log.error("nothing is taken in now: %s: trying again", error)
            if self._fault:
                self._fault.holds(error)
            if self._client.is_connected():
                self._waiting = waiting
                self._bytes = sum(len(message.payload) for _, _, message in waiting)
            return False
        for number, qos, _ in waiting:
            if qos:
                self._client.ack(number, qos)
        return True

    def _handle(self, batch: list[Message]) -> None:
        try:
            self._take(batch)
        except TRY_AGAIN:
            raise
        except Exception as error:
            # The outermost edge: one message that trips over a bug of ours must not stop all the others for good.
            log.exception("a batch of %d cannot be handled", len(batch))
            if len(batch) == 1:
                self._intake.bury(batch[0], f"our fault: {type(error).__name__}: {error}", db.now())
                return
            for message in batch:
                self._handle([message])

    def _take(self, batch: list[Message]) -> None:
        handled = self._intake.handle(batch, db.now())
        for receipt in handled.receipts:
            sent = self._client.publish(receipt.topic, receipt.payload, qos=1)
            if sent.rc not in (mqtt.MQTT_ERR_SUCCESS, mqtt.MQTT_ERR_NO_CONN):
                log.warning("receipt topic=%s rc=%d: the station will ask again", receipt.topic, sent.rc)
        for sha256 in handled.clips:
            self.on_clip(sha256)

    def _received(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = "(not UTF-8)"
        self._waiting.append((message.mid, message.qos, Message(topic, bytes(message.payload))))
        self._bytes += len(message.payload)

    def _connected(
        self, client: mqtt.Client, _data: object, _flags: object, reason: object, _properties: object
    ) -> None:
        if getattr(reason, "is_failure", False):
            log.error(
                "broker %s:%d refuses us (%s): check username, password_env and certificates",
                *_address(self._broker),
                reason,
            )
            return
        log.info("connected broker=%s:%d", *_address(self._broker))
        if self._desires is not None:
            self._desires.connected()
        client.subscribe([(topic, 1) for topic in subscriptions(self._broker)])

    def _published(
        self, _client: mqtt.Client, _data: object, number: int, _reason: object, _properties: object
    ) -> None:
        if self._desires is not None:
            self._desires.confirmed(number)

    def _disconnected(
        self, _client: mqtt.Client, _data: object, _flags: object, reason: object, _properties: object
    ) -> None:
        """The broker sends again what is not acknowledged, under new numbers."""
        self._waiting, self._bytes = [], 0
        log.warning("disconnected reason=%s", reason)


def subscriptions(broker: BrokerConfig) -> tuple[str, ...]:
    """Parts of a clip are taken in order, so each process hears all of them and the first takes each; who shares a
    subscription is not told what the broker retains."""
    shared = f"$share/{_group(broker)}/" if broker.share else ""
    everybody = (f"{wire.ROOT}/+/+/{name}" for name in ("status", "alarm/+", "clip/+/+"))
    return (*everybody, *(f"{shared}{wire.ROOT}/+/+/{name}" for name in ("case", "metrics")))


def _group(broker: BrokerConfig) -> str:
    """The shared group's name, which only those can tell who have the cloud's key or password.

    Mosquitto's access list rules what a member hears, not who joins: a station that knew the name would be dealt its
    share of all cases, and they would be dropped before it instead of coming here.
    """
    secret = Path(broker.key).read_bytes() if broker.key else cloud_config.secret(broker.password_env) or b""
    known = secret if isinstance(secret, bytes) else secret.encode()
    return f"{broker.share}-{hmac.new(known, str(broker.share).encode(), hashlib.sha256).hexdigest()[:16]}"


def _subscribed(_client: mqtt.Client, _data: object, _mid: int, reasons: list, _properties: object) -> None:
    if any(reason.is_failure for reason in reasons):
        log.error("the broker does not let us subscribe: give this user read access to %s/#", wire.ROOT)


def _address(broker: BrokerConfig) -> tuple[str, int]:
    return broker.host, broker.port


if __name__ == "__main__":
    sys.exit(ingest(sys.argv[1:]))
