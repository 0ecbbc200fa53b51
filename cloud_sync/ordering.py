"""A command -> a station, over the broker, and its reply back. The broker keeps it for a station that is away."""

import time

import msgspec
import paho.mqtt.client as mqtt

from cloud_sync import mqtt_client
from cloud_sync.config import BrokerConfig
from edge_agent import wire
from edge_agent.errors import LinkError
from edge_agent.messages import Command, Reply, Status

STEP_S = 0.1


class Answer(msgspec.Struct, frozen=True):
    """What came back in time."""

    reply: Reply | None
    status: Status | None
    """The station's retained status; None where this broker has never heard of it."""


def give(broker: BrokerConfig, topics: wire.Topics, command: Command, wait_s: float) -> Answer:
    """Publishes the command and waits for its reply. Raises LinkError where the broker is not to be had."""
    talk = _Talk(broker, topics, command)
    try:
        return talk.until(time.monotonic() + wait_s)
    finally:
        talk.close()


class _Talk:
    def __init__(self, broker: BrokerConfig, topics: wire.Topics, command: Command) -> None:
        self._place = f"broker {broker.host}:{broker.port}"
        self._topics, self._command = topics, command
        self._reply: Reply | None = None
        self._status: Status | None = None
        self._fault = ""
        self._client = mqtt_client.make(broker, f"tankwatch-order-{command.id}", keep_session=False)
        self._client.on_connect = self._connected
        self._client.on_subscribe = self._subscribed
        self._client.on_message = self._received
        try:
            self._client.connect(broker.host, broker.port, keepalive=30)
        except OSError as error:
            raise LinkError(f"{self._place} is not there ({error}): start it, or check [broker]") from error

    def until(self, deadline_s: float) -> Answer:
        while self._reply is None and not self._fault and time.monotonic() < deadline_s:
            if self._client.loop(STEP_S) != mqtt.MQTT_ERR_SUCCESS:
                self._fault = self._fault or f"{self._place} has ended the connection: try again"
        if self._fault and self._reply is None:
            raise LinkError(self._fault)
        return Answer(self._reply, self._status)

    def close(self) -> None:
        self._client.disconnect()

    def _connected(self, client: mqtt.Client, _data: object, _flags: object, reason, _properties: object) -> None:
        if reason.is_failure:
            self._fault = f"{self._place} refuses us ({reason}): check username, password_env and certificates"
            return
        client.subscribe([(self._topics.status, 1), (self._topics.reply(self._command.id), 1)])

    def _subscribed(self, client: mqtt.Client, _data: object, _mid: int, reasons: list, _properties: object) -> None:
        if any(reason.is_failure for reason in reasons):
            self._fault = f"{self._place} does not let us hear replies: give this user read access to {wire.ROOT}/#"
            return
        client.publish(self._topics.command(self._command.id), wire.encode(self._command), qos=1)

    def _received(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        try:
            if message.topic == self._topics.status:
                self._status = wire.decode(bytes(message.payload), Status)
            else:
                self._reply = wire.decode(bytes(message.payload), Reply)
        except LinkError as error:
            self._fault = f"the station's answer is not understood: {error}"
