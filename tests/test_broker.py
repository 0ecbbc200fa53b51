"""Either broker carries a message to those who may have it."""

import socket
import sys
import threading
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest

from cloud_sync.broker import EmbeddedBroker, mosquitto
from edge_agent.errors import LinkError

PROGRAMS = [
    pytest.param(
        None, id="mosquitto", marks=pytest.mark.skipif(mosquitto() is None, reason="mosquitto is not installed")
    ),
    pytest.param(sys.executable, id="amqtt"),
]


def _connect(port: int, user: str | None = None, password: str | None = None) -> tuple[mqtt.Client, str]:
    """A client with its network loop running, and what the broker said to it."""
    answered, answer = threading.Event(), []
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
    client.on_connect = lambda _c, _d, _f, reason, _p: (answer.append(str(reason)), answered.set())
    if user is not None:
        client.username_pw_set(user, password)
    client.connect("127.0.0.1", port)
    client.loop_start()
    assert answered.wait(10)
    return client, answer[0]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_message_goes_through_the_broker(tmp_path: Path, program: str | None) -> None:
    arrived, got = threading.Event(), []
    with EmbeddedBroker(0, tmp_path, program=program) as broker:
        client, answer = _connect(broker.port)
        assert answer == "Success"
        subscribed = threading.Event()
        client.on_subscribe = lambda *_: subscribed.set()
        client.on_message = lambda _c, _d, message: (got.append(message.payload), arrived.set())
        client.subscribe("tankwatch/v1/#", 1)
        assert subscribed.wait(10)
        client.publish("tankwatch/v1/plant/TANK1/case", b"x" * 300_000, qos=1)
        assert arrived.wait(10)
        client.disconnect()
        client.loop_stop()
    assert got == [b"x" * 300_000]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_broker_with_users_lets_in_only_those_who_know_the_password(tmp_path: Path, program: str | None) -> None:
    with EmbeddedBroker(0, tmp_path, {"edge": "right"}, program=program) as broker:
        for user, password, welcome in (("edge", "right", True), ("edge", "wrong", False), (None, None, False)):
            client, answer = _connect(broker.port, user, password)
            assert (answer == "Success") is welcome
            client.disconnect()
            client.loop_stop()


def test_a_port_in_use_is_one_clear_line(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(LinkError, match=r"port \d+ on 127.0.0.1 cannot be used .* choose another"):
            EmbeddedBroker(other.getsockname()[1], tmp_path).start()


def test_a_broker_can_be_stopped_twice_and_started_again_on_its_port(tmp_path: Path) -> None:
    broker = EmbeddedBroker(0, tmp_path)
    for _ in range(2):
        broker.start()
        client, answer = _connect(broker.port)
        assert answer == "Success"
        client.disconnect()
        client.loop_stop()
        broker.stop()
        broker.stop()
