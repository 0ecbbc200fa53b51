"""The MQTT connection of one device: paho in, events out. MQTT 3.1.1, QoS 1, a session that outlives the connection.

It tries again for ever, waiting longer each time, and says once what is wrong. No callback lets an exception out: one
would end paho's work for good while it still calls itself connected.
"""

import contextlib
import logging
import socket
import ssl
import time
from collections.abc import Callable

import paho.mqtt.client as mqtt

from edge_agent import config as device_config
from edge_agent import dead_peer
from edge_agent.config import BrokerConfig
from edge_agent.deliveries import Publish
from edge_agent.errors import ConfigError
from edge_agent.uplink_state import BROKER_SILENT_S, Acknowledged, Connected, Disconnected, Event, Moved, Received

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
STABLE_S = 10.0
"""A connection that lasts so long was a good one."""
CONNECT_TIMEOUT_S = 5.0
SAFE = "cases wait safely"
log = logging.getLogger(__name__)


class Link:
    """One connection. `will` is asked for before each connect; `subscriptions` are made after each."""

    def __init__(
        self, broker: BrokerConfig, client_id: str, *, subscriptions: tuple[str, ...], will: Callable[[], Publish]
    ) -> None:
        self._broker, self._client_id = broker, client_id
        self._subscriptions, self._will = subscriptions, will
        self._events: list[Event] = []
        self._taken: list[int] = []
        """Numbers of the messages that were given out, and of which the broker has not heard."""
        self._client = self._make_client()
        self._up_since_s: float | None = None
        self._asked_s = 0.0
        """When the broker was asked to take this device."""
        self._under_way_bytes = 0
        self._wait_s, self._next_try_s = FIRST_WAIT_S, 0.0
        self._short_lives = 0
        self._fault = ""

    def receive(self, timeout_s: float) -> list[Event]:
        """What has happened, waiting at most `timeout_s` for it; connects where it is time to.

        Who asks has dealt with what was given before: only now the broker hears that those messages have come.
        """
        self._acknowledge()
        if self._client.socket() is None:
            self._connect_when_due(timeout_s)
        if self._client.socket() is not None:
            self._client.loop(timeout_s)
            if self._client.want_write():
                # What came again is acknowledged before anybody deals with it: who dies of it shall hear of it no more.
                self._client.loop_write()
            self._leave_who_does_not_answer()
            self._look_at_what_moves()
        events, self._events = self._events, []
        return events

    def send(self, message: Publish) -> None:
        """Hands a message to paho, which keeps it over a lost connection until the broker acknowledges it."""
        handed = self._client.publish(message.topic, message.payload, qos=1, retain=message.retain)
        if handed.rc not in (mqtt.MQTT_ERR_SUCCESS, mqtt.MQTT_ERR_NO_CONN):
            log.warning("publish refused topic=%s reason=%s", message.topic, mqtt.error_string(handed.rc))
            self._events.append(Acknowledged())

    def _acknowledge(self) -> None:
        taken, self._taken = self._taken, []
        for number in taken:
            self._client.ack(number, 1)

    def drop(self, reason: str) -> None:
        """Gives the connection up; the next `receive` makes a new one."""
        log.warning("connection dropped broker=%s reason=%s", self._place, reason)
        self._hang_up()

    def close(self, farewell: Publish, within_s: float = 2.0) -> None:
        """Says the last word and leaves, without waiting for long."""
        if self._client.socket() is not None:
            handed = self._client.publish(farewell.topic, farewell.payload, qos=1, retain=farewell.retain)
            until = time.monotonic() + within_s
            while not handed.is_published() and self._client.socket() is not None and time.monotonic() < until:
                self._client.loop(0.05)
            self._client.disconnect()
            self._client.loop(0)

    @property
    def _place(self) -> str:
        return f"{self._broker.host}:{self._broker.port}"

    def _make_client(self) -> mqtt.Client:
        client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            client_id=self._client_id,
            clean_session=False,
            protocol=mqtt.MQTTv311,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.connect_timeout = CONNECT_TIMEOUT_S
        # The window is kept by UplinkState; paho may hold what is in it and a few words more, never a second queue.
        client.max_inflight_messages_set(self._broker.inflight + 50)
        if self._broker.username is not None:
            client.username_pw_set(self._broker.username, device_config.secret(self._broker.password_env))
        if self._broker.ca is not None:
            _set_tls(client, self._broker)
        client.on_socket_open = self._guarded(lambda _client, _userdata, opened: dead_peer.notice(opened))
        client.on_connect = self._guarded(self._on_connect)
        client.on_disconnect = self._guarded(self._on_disconnect)
        client.on_publish = self._guarded(lambda *_: self._events.append(Acknowledged()))
        client.on_message = self._guarded(self._on_message)
        client.on_subscribe = self._guarded(self._on_subscribe)
        return client

    def _guarded(self, callback: Callable) -> Callable:
        def call(*arguments: object) -> None:
            try:
                callback(*arguments)
            except Exception:
                log.exception("callback failed")

        return call

    def _hang_up(self) -> None:
        """At once: MQTT's goodbye would queue behind what a dead link does not take."""
        connection = self._client.socket()
        with contextlib.suppress(OSError):  # it may have broken by itself
            if isinstance(connection, socket.socket):
                connection.shutdown(socket.SHUT_RDWR)
        self._client.loop(0)

    def _leave_who_does_not_answer(self) -> None:
        waits = self._client.socket() is not None and not self._client.is_connected()
        if waits and time.monotonic() - self._asked_s > BROKER_SILENT_S:
            self._say(f"broker {self._place} takes connections and does not answer: see what listens there; {SAFE}")
            self._hang_up()

    def _look_at_what_moves(self) -> None:
        before, self._under_way_bytes = self._under_way_bytes, dead_peer.under_way_bytes(self._client.socket())
        if self._under_way_bytes < before:
            self._events.append(Moved())

    def _connect_when_due(self, timeout_s: float) -> None:
        wait_s = self._next_try_s - time.monotonic()
        if wait_s > 0:
            time.sleep(min(wait_s, timeout_s))
            return
        will = self._will()
        self._client.will_set(will.topic, will.payload, qos=1, retain=will.retain)
        self._next_try_s = time.monotonic() + self._wait_s
        self._wait_s = min(self._wait_s * 2, LONGEST_WAIT_S)
        try:
            self._client.connect(self._broker.host, self._broker.port, keepalive=self._broker.keepalive_s)
            self._asked_s = time.monotonic()
        except ssl.SSLCertVerificationError as error:
            cure = "see that this device's clock is right, then check broker.ca"
            self._say(f"broker {self._place} shows a certificate that is not trusted ({error}): {cure}; {SAFE}")
        except (OSError, ValueError) as error:
            self._say(f"broker {self._place} cannot be reached ({error}): check host, port and network; {SAFE}")

    def _say(self, fault: str) -> None:
        """Once for each fault, not for each attempt."""
        if fault != self._fault:
            self._fault = fault
            log.warning("%s", fault)

    def _on_connect(self, client, _userdata, _flags, reason_code, _properties) -> None:
        if reason_code.is_failure:
            self._say(
                f"broker {self._place} refuses client {self._client_id} ({reason_code}): check broker.username, the "
                "password in the variable that broker.password_env names, and its access list; "
                f"{SAFE}"
            )
            return
        self._fault = ""
        self._up_since_s = time.monotonic()
        client.subscribe([(topic, 1) for topic in self._subscriptions])
        log.info("connected broker=%s client=%s", self._place, self._client_id)
        self._events.append(Connected())

    def _on_message(self, client, _userdata, message: mqtt.MQTTMessage) -> None:
        self._events.append(Received(message.topic, bytes(message.payload)))
        if message.dup:
            # It comes again: one that ends this process shall not do so for ever.
            client.ack(message.mid, message.qos)
        elif message.qos:
            self._taken.append(message.mid)

    def _on_subscribe(self, _client, _userdata, _mid, reason_codes, _properties) -> None:
        refused = [topic for topic, code in zip(self._subscriptions, reason_codes, strict=False) if code.is_failure]
        if refused:
            log.error("broker %s refuses the subscriptions %s: check its access list", self._place, refused)

    def _on_disconnect(self, _client, _userdata, _flags, reason_code, _properties) -> None:
        if self._up_since_s is None:
            return
        lasted_s = time.monotonic() - self._up_since_s
        self._up_since_s = None
        self._events.append(Disconnected())
        # The broker gives them again, under numbers of the next connection.
        self._taken.clear()
        log.info("disconnected broker=%s reason=%s after_s=%.1f", self._place, reason_code, lasted_s)
        self._short_lives = 0 if lasted_s >= STABLE_S else self._short_lives + 1
        if lasted_s >= STABLE_S:
            self._wait_s, self._next_try_s = FIRST_WAIT_S, 0.0
        if self._short_lives == 3:
            log.warning(
                "connections to %s break at once: does another device use the client id %s?",
                self._place,
                self._client_id,
            )


def _set_tls(client: mqtt.Client, broker: BrokerConfig) -> None:
    for key in ("ca", "cert", "key"):
        _see_that_it_can_be_read(key, getattr(broker, key))
    try:
        client.tls_set(ca_certs=broker.ca, certfile=broker.cert, keyfile=broker.key)
    except (OSError, ssl.SSLError, ValueError) as error:
        raise ConfigError(f"TLS files of the broker cannot be used ({error}): check broker.ca, cert and key") from error


def _see_that_it_can_be_read(key: str, path: str | None) -> None:
    """TLS itself does not say which file is missing."""
    try:
        if path is not None:
            open(path, "rb").close()
    except OSError as error:
        cure = "put it there, or let this process read it"
        raise ConfigError(f"broker.{key} {path} cannot be read ({error.strerror}): {cure}") from error
