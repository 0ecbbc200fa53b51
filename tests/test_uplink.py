"""The uplink over a real connection; Mosquitto where it is installed, otherwise amqtt."""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import paho.mqtt.client as mqtt
import pytest
from test_notify import Supervisor

from benchmarks.installation import make_configs
from benchmarks.made_cases import SITE, STATION, make_case, write_clip
from cloud_sync.broker import EmbeddedBroker
from edge_agent import config as device_config
from edge_agent import state, station, uplink, wire
from edge_agent.deliveries import Publish
from edge_agent.errors import ConfigError
from edge_agent.link import Link
from edge_agent.messages import ClipManifest, Receipt, Status
from edge_agent.outbox import Outbox
from edge_agent.records import Case
from edge_agent.uplink_state import Connected, Received

TOPICS = wire.Topics(SITE, STATION)


class Cloud:
    """Stands for ingest: keeps what it hears and receipts cases and whole clips."""

    def __init__(self, port, username=None, password=None):
        self.heard: list[tuple[str, bytes]] = []
        self.receipts = True
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="cloud", protocol=mqtt.MQTTv311)
        if username:
            self.client.username_pw_set(username, password)
        self.client.on_message = self._hear
        self.client.on_connect = lambda client, *_: client.subscribe("tankwatch/v1/#", qos=1)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def _hear(self, client, _userdata, message):
        topic = wire.parse_topic(message.topic)
        if topic.kind == "receipt":
            return
        self.heard.append((topic.kind, message.payload))
        if topic.kind == "case" and self.receipts:
            case = wire.decode(message.payload, Case)
            self._receipt(cases=((case.case_id, wire.sha256_of(message.payload)),))
        if topic.kind == "clip_manifest" and self.receipts:
            self._receipt(parts=((topic.id, 0),))
        if topic.kind == "clip_part" and self.receipts:
            parts = b"".join(payload for kind, payload in self.heard if kind == "clip_part")
            self._receipt(clips=(wire.sha256_of(parts),))

    def _receipt(self, **fields):
        self.client.publish(TOPICS.receipt, wire.encode(Receipt(**fields)), qos=1)

    def said(self, kind):
        return [payload for heard, payload in self.heard if heard == kind]

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def running(tmp_path):
    """Starts uplinks in threads; all are stopped at the end."""
    threads, stop = [], threading.Event()

    def start(config):
        threads.append(threading.Thread(target=uplink.run, args=(config, stop.is_set)))
        threads[-1].start()

    yield start
    stop.set()
    for thread in threads:
        thread.join(10)


def until(condition, within_s=20.0):
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        threading.Event().wait(0.01)


def put(outbox, number, clip=False):
    case = make_case(number)
    draft = outbox.spool.draft(case.case_id)
    if clip:
        case = msgspec.structs.replace(case, clip=write_clip(draft, case))
    return outbox.put(case, draft if clip else None)


def test_cases_and_clips_arrive_and_leave_the_outbox_with_their_receipts(tmp_path, running):
    with EmbeddedBroker(0, tmp_path / "broker") as broker:
        device, _ = make_configs(tmp_path, broker.port)
        outbox = Outbox.open(device.outbox_path, device.spool_path)
        cloud = Cloud(broker.port)
        for number in range(1, 51):
            put(outbox, number)
        stored = put(outbox, 51, clip=True)
        running(device)
        until(lambda: outbox.backlog().cases == 0 and outbox.backlog().clips == 0)
        assert [wire.decode(payload, Case).sequence for payload in cloud.said("case")] == list(range(1, 52))
        assert wire.decode(cloud.said("clip_manifest")[0], ClipManifest).sha256 == stored.clip.sha256
        assert wire.sha256_of(b"".join(cloud.said("clip_part"))) == stored.clip.sha256
        assert wire.decode(cloud.said("status")[0], Status).status == "online" and cloud.said("metrics")
        cloud.close()
        outbox.close()


def test_it_waits_for_an_absent_broker_and_outlives_a_killed_one(tmp_path, running, caplog):
    caplog.set_level(logging.INFO)
    broker = EmbeddedBroker(0, tmp_path / "broker")
    device, _ = make_configs(tmp_path, broker.port)
    outbox = Outbox.open(device.outbox_path, device.spool_path)
    put(outbox, 1)
    running(device)
    until(lambda: "cannot be reached" in caplog.text)
    with broker:
        cloud = Cloud(broker.port)
        until(lambda: outbox.backlog().cases == 0)
        broker.kill()
        put(outbox, 2)
        broker.start()
        until(lambda: outbox.backlog().cases == 0)
        cloud.close()
    outbox.close()
    assert caplog.text.count("cannot be reached") <= 2


def test_a_wrong_password_is_said_in_one_line_and_tried_again(tmp_path, running, caplog, monkeypatch):
    monkeypatch.setenv("TEST_BROKER_PASSWORD", "wrong")
    with EmbeddedBroker(0, tmp_path / "broker", users={"tank": "right"}) as broker:
        device, _ = make_configs(tmp_path, broker.port)
        access = msgspec.structs.replace(device.broker, username="tank", password_env="TEST_BROKER_PASSWORD")
        device = msgspec.structs.replace(device, broker=access)
        running(device)
        until(lambda: "refuses client" in caplog.text)
        (line,) = [record.getMessage() for record in caplog.records if "refuses client" in record.getMessage()]
        assert "broker.username" in line and "wrong" not in line


def test_who_joins_late_sees_the_status_and_the_last_will_of_a_killed_device(tmp_path):
    with EmbeddedBroker(0, tmp_path / "broker") as broker:
        device, _ = make_configs(tmp_path, broker.port)
        config = tmp_path / "device.toml"
        config.write_bytes(device_config.dump(device))
        root = Path(uplink.__file__).parent.parent
        process = subprocess.Popen(
            [sys.executable, "tankwatch.py", "agent", "uplink", "--config", str(config)],
            cwd=root,
            stdout=subprocess.PIPE,
            text=True,
        )
        until(lambda: "connected broker" in process.stdout.readline())
        cloud = Cloud(broker.port)
        until(lambda: cloud.said("status"))
        assert wire.decode(cloud.said("status")[0], Status).status == "online"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        until(lambda: len(cloud.said("status")) > 1)
        assert wire.decode(cloud.said("status")[-1], Status).status == "offline"
        cloud.close()
        process.stdout.close()


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('site = "p"\nstation = "s"\ncamera = "c"\nsped = 3', "sped"),
        ('site = "p"\nstation = "s"\ncamera = "c"\n[broker]\nprot = 3', "prot"),
        ('site = "p"\nstation = "s"', "camera"),
        ('site = "a/b"\nstation = "s"\ncamera = "c"', "site"),
        ('site = "p"\nstation = "s"\ncamera = "c"\n[audit]\nfloor = 0', "floor"),
        ("site = ", "device.toml"),
    ],
)
def test_a_config_that_cannot_be_used_is_refused_and_the_key_named(tmp_path, text, word):
    path = tmp_path / "device.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=word):
        device_config.load(path)


def test_a_config_comes_back_as_it_was_written_with_absolute_paths(tmp_path):
    config = device_config.DeviceConfig(site="p", station="station.toml", camera="twin:", data_dir="data")
    assert device_config.parse(device_config.dump(config)) == config
    (tmp_path / "device.toml").write_bytes(device_config.dump(config))
    loaded = device_config.load(tmp_path / "device.toml")
    assert loaded.station == str(tmp_path / "station.toml") and loaded.outbox_path == tmp_path / "data" / "outbox.db"


def test_missing_files_and_secrets_are_named(tmp_path, monkeypatch):
    monkeypatch.delenv("NO_SUCH_SECRET", raising=False)
    with pytest.raises(ConfigError, match="NO_SUCH_SECRET"):
        device_config.secret("NO_SUCH_SECRET")
    with pytest.raises(ConfigError, match=r"none\.toml"):
        device_config.load(tmp_path / "none.toml")
    device, _ = make_configs(tmp_path, 1)
    tls = msgspec.structs.replace(device.broker, ca=str(tmp_path / "no-ca.pem"))
    with pytest.raises(ConfigError, match=r"broker\.ca"):
        uplink.run(msgspec.structs.replace(device, broker=tls), lambda: True)


def test_the_processes_beside_it_can_read_how_it_is_doing_and_a_full_disk_does_not_end_it(tmp_path, running, caplog):
    with EmbeddedBroker(0, tmp_path / "broker") as broker:
        device, _ = make_configs(tmp_path, broker.port)
        device = msgspec.structs.replace(device, run_dir=str(tmp_path / "run"))
        outbox = Outbox.open(device.outbox_path, device.spool_path)
        put(outbox, 1)
        (tmp_path / "run").write_text("no folder")
        running(device)
        until(lambda: "uplink.json" in caplog.text)
        (tmp_path / "run").unlink()
        until(lambda: (told := state.read_uplink(device.uplink_path)) is not None and told.connected)
        told = state.read_uplink(device.uplink_path)
        assert told.software.waiting_cases == 1 and told.process.resident_mb > 1 and told.receipt_at is None
        outbox.close()


def test_without_a_profile_nothing_is_sent_until_one_names_the_station_and_another_name_ends_the_uplink(
    tmp_path, monkeypatch
):
    systemd = Supervisor(str(tmp_path / "notify"))
    with EmbeddedBroker(0, tmp_path / "broker") as broker:
        # From here on: a broker tells systemd of itself too.
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "30000000")
        device, _ = make_configs(tmp_path, broker.port)
        path = Path(device.station)
        there = path.read_bytes()
        path.unlink()
        thread = threading.Thread(target=uplink.run, args=(device, lambda: False))
        thread.start()
        heard: list[str] = []
        until(lambda: heard.extend(systemd.heard()) or "WATCHDOG=1" in heard)
        assert heard[0].startswith("READY=1\nSTATUS=station profile") and not device.uplink_path.exists()
        path.write_bytes(there)
        until(lambda: (told := state.read_uplink(device.uplink_path)) is not None and told.connected)
        until(lambda: heard.extend(systemd.heard()) or "STATUS=connected" in heard)
        path.write_bytes(station.dump(msgspec.structs.replace(station.parse(there), station="TANK9")))
        thread.join(20)
    assert not thread.is_alive()
    assert systemd.heard()[-1] == "STOPPING=1"
    systemd.socket.close()


def received(link, within_s=20.0):
    """What comes in next of a message; None where nothing does."""
    deadline_s = time.monotonic() + within_s
    while time.monotonic() < deadline_s:
        for event in link.receive(0.05):
            if isinstance(event, Received):
                return event
    return None


def test_an_order_that_comes_again_is_acknowledged_before_anybody_deals_with_it():
    """However late it comes: one that ends the process must not find its acknowledgement still waiting to be sent."""
    heard: list[bytes] = []

    def slow_broker(listener: socket.socket) -> None:
        """Gives the order once the connection has come to rest, which a broker of ours seldom lets it."""
        peer = listener.accept()[0]
        with peer:
            peer.settimeout(5)
            peer.recv(4096)
            peer.sendall(b"\x20\x02\x00\x00")
            wanted = peer.recv(4096)
            peer.sendall(b"\x90\x03" + wanted[2:4] + b"\x01")
            time.sleep(0.3)
            peer.sendall(b"\x3a\x0a\x00\x01t\x00\x07order")
            heard.append(peer.recv(4096))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        broker = threading.Thread(target=slow_broker, args=(listener,))
        broker.start()
        config = device_config.BrokerConfig(port=listener.getsockname()[1])
        link = Link(config, "device", subscriptions=("t",), will=lambda: Publish("w", b""))
        assert received(link, 5.0) == Received("t", b"order")
        broker.join()
    assert heard == [b"\x40\x02\x00\x07"]


def test_what_was_given_out_and_not_dealt_with_comes_again_once(tmp_path):
    """A process that dies while it carries out an order is given it again, and one that dies of it is not for ever."""
    with EmbeddedBroker(0, tmp_path) as broker:
        if broker.name != "mosquitto":
            pytest.skip("amqtt gives nothing a second time")
        config = device_config.BrokerConfig(port=broker.port)

        def connect():
            return Link(config, "device", subscriptions=("t",), will=lambda: Publish("w", b""))

        links, cloud = [connect()], Cloud(broker.port)
        until(lambda: Connected() in links[0].receive(0.05))
        links[0].receive(0.2)
        cloud.client.publish("t", b"order", qos=1)
        assert received(links[0]) == Received("t", b"order")
        links.pop()
        links.append(connect())
        assert received(links[0]) == Received("t", b"order")
        # A broker that sees the next connection before the last one's word gives the order once more, as it may: what
        # it acknowledges to somebody else it has read after that word.
        cloud.client.publish("elsewhere", b"", qos=1).wait_for_publish(20)
        links.pop()
        assert received(connect(), within_s=3.0) is None
        cloud.close()
