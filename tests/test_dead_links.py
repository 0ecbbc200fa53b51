"""A link that is dead tells nobody: whoever speaks over it has to notice, in time, and to leave it at once."""

import contextlib
import logging
import socket
import threading

import pytest

from benchmarks.installation import until
from benchmarks.mqtt_packets import CONNECT, Packets, kind
from cloud_sync import config as cloud_config
from cloud_sync import mqtt_client
from edge_agent import dead_peer, link
from edge_agent.config import BrokerConfig
from edge_agent.deliveries import Publish
from edge_agent.link import Link
from edge_agent.uplink_state import Connected, Disconnected, Event, Moved

WITHIN_S = 20.0
CONNACK_PACKET = b"\x20\x02\x00\x00"
LARGE = Publish("t/part", b"x" * 256 * 1024)


class DeafBroker:
    """Answers CONNECT, where it `answers`, and reads nothing more."""

    def __init__(self, *, answers: bool = True):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port, self.answers, self.kept = self.server.getsockname()[1], answers, []
        self.reads = threading.Event()
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self):
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            self.kept.append(connection)
            threading.Thread(target=self._hear, args=(connection,), daemon=True).start()

    def _hear(self, connection):
        with contextlib.suppress(OSError):  # a client that leaves
            asked = Packets().feed(connection.recv(4096))
            if self.answers and asked and kind(asked[0]) == CONNECT:
                connection.sendall(CONNACK_PACKET)
            self.reads.wait()
            while connection.recv(65536):
                pass


@pytest.fixture
def deaf():
    brokers = []

    def start(**how):
        brokers.append(DeafBroker(**how))
        return brokers[-1]

    yield start
    for broker in brokers:
        broker.server.close()
        for connection in broker.kept:
            connection.close()


def linked(broker, events: list[Event]):
    """A link and a look at what happened on it, which goes to `events`."""
    made = Link(BrokerConfig(port=broker.port), "device", subscriptions=("t/#",), will=lambda: Publish("t/will", b""))

    def look(of: type) -> bool:
        fresh = made.receive(0.02)
        events.extend(fresh)
        return any(isinstance(event, of) for event in fresh)

    return made, look


def test_a_connection_that_takes_nothing_is_left_at_once_though_much_waits_to_be_written(deaf):
    events: list[Event] = []
    made, look = linked(deaf(), events)
    assert until(lambda: look(Connected), WITHIN_S, 0)
    for _ in range(40):
        made.send(LARGE)
    for _ in range(5):
        look(Disconnected)
    made.drop("the broker acknowledged nothing")
    assert until(lambda: look(Disconnected), 2.0, 0)


def test_a_listener_that_takes_the_connection_and_never_answers_is_left_and_said_once(deaf, monkeypatch, caplog):
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(link, "BROKER_SILENT_S", 0.1)
    broker, events = deaf(answers=False), []
    _, look = linked(broker, events)
    assert until(lambda: look(Connected) or len(broker.kept) >= 3, WITHIN_S, 0)
    assert not any(isinstance(event, Connected) for event in events)
    assert caplog.text.count("takes connections and does not answer") == 1


def test_bytes_that_arrive_are_a_sign_of_life_and_bytes_that_only_wait_are_none(deaf):
    broker = deaf()
    made, look = linked(broker, [])
    assert until(lambda: look(Connected), WITHIN_S, 0)
    for _ in range(60):
        made.send(LARGE)
    assert until(lambda: not any(look(Moved) for _ in range(25)), WITHIN_S, 0)
    broker.reads.set()
    assert until(lambda: look(Moved), WITHIN_S, 0)


def test_the_kernel_ends_what_either_side_has_with_a_broker_that_is_gone_without_a_word(deaf):
    broker = deaf()
    made, look = linked(broker, [])
    assert until(lambda: look(Connected), WITHIN_S, 0)
    cloud = mqtt_client.make(cloud_config.BrokerConfig(port=broker.port), "cloud", keep_session=True)
    cloud.connect("127.0.0.1", broker.port)
    for connection in (made._client.socket(), cloud.socket()):
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == dead_peer.DEAD_S * 1000
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    cloud.disconnect()
