"""The ingest process and a real broker: receipts come back, and neither the broker's absence nor bad input ends it."""

import queue
import threading
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
import sqlalchemy as sa
from cloud_fakes import TOPICS, a_case, a_clip, case_message, clip_messages
from fakes_disk import full_disk
from test_rollouts import an_alarm, metrics

from cloud_sync import db, ingest, intake_fault
from cloud_sync.broker import EmbeddedBroker
from cloud_sync.config import BrokerConfig, CloudConfig
from cloud_sync.dead_letters import Message
from cloud_sync.folder_store import FolderStore
from cloud_sync.intake import Intake
from cloud_sync.intake_fault import IntakeFault
from cloud_sync.tables import cases, dead_letters, device_alarms, device_health
from edge_agent import wire
from edge_agent.errors import ConfigError, LinkError
from edge_agent.messages import Receipt

WAIT_S = 20


class Station:
    """A station's connection: sends messages, collects receipts."""

    def __init__(self, port: int) -> None:
        self.receipts: queue.Queue[Receipt] = queue.Queue()
        ready = threading.Event()
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="station")
        self.client.on_connect = lambda client, *_: client.subscribe(TOPICS.receipt, 1)
        self.client.on_subscribe = lambda *_: ready.set()
        self.client.on_message = lambda _c, _d, message: self.receipts.put(wire.decode(message.payload, Receipt))
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert ready.wait(WAIT_S)

    def send(self, *messages: Message) -> None:
        for message in messages:
            self.client.publish(message.topic, message.payload, qos=1)

    def held(self, wanted: set[str]) -> bool:
        """Waits until receipts have named all of `wanted`; what takes too long raises queue.Empty."""
        while wanted:
            receipt = self.receipts.get(timeout=WAIT_S)
            wanted = wanted - {case_id for case_id, _ in receipt.cases} - set(receipt.clips)
        return True

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(0, tmp_path / "broker") as broker:
        yield broker


@pytest.fixture
def config(tmp_path: Path, broker: EmbeddedBroker) -> CloudConfig:
    return CloudConfig(data_dir=str(tmp_path / "cloud"), broker=BrokerConfig(port=broker.port))


@pytest.fixture
def running(config: CloudConfig, monkeypatch) -> Iterator[threading.Event]:
    """`cloud ingest` in a thread; ends with the test."""
    monkeypatch.setattr(ingest, "BACK_OFF_S", (0.05, 0.2))
    stop = threading.Event()
    thread = threading.Thread(target=ingest.run, args=(config, stop))
    thread.start()
    yield stop
    stop.set()
    thread.join(WAIT_S)
    assert not thread.is_alive()


def _wait_for_subscription(broker: EmbeddedBroker, station: Station) -> None:
    """Messages said before the first subscription are nobody's: say a status until ingest answers a case."""
    while True:
        station.send(case_message(a_case(1)))
        try:
            station.receipts.get(timeout=0.3)
            return
        except queue.Empty:
            continue


def test_cases_and_clips_are_receipted_over_the_broker(config, broker, running, tmp_path: Path) -> None:
    station = Station(broker.port)
    _wait_for_subscription(broker, station)
    ref = a_clip(tmp_path / "one.twclip", frames=5)
    station.send(*(case_message(a_case(number)) for number in range(1, 101)))
    station.send(*clip_messages(tmp_path / "one.twclip", a_case(1).case_id))
    assert station.held({a_case(number).case_id for number in range(1, 101)} | {ref.sha256})
    assert FolderStore(config.folder).holds(ref.sha256)
    station.close()


@pytest.mark.parametrize(("many", "rests"), [(1, True), (ingest.MANY, False)])
def test_ingest_rests_between_two_commits_but_not_while_a_backlog_waits(config, monkeypatch, many, rests) -> None:
    monkeypatch.setattr(ingest, "REST_S", 0.5)
    intake = Intake(db.open_database(config), FolderStore(config.folder), max_clip_bytes=1_000_000)
    listener = ingest.Listener(config, intake)
    listener._waiting = [(number, 1, case_message(a_case(number))) for number in range(1, many + 1)]
    rested_s = listener._committed_at_s = 1e9
    monkeypatch.setattr(ingest.time, "monotonic", lambda: next(clock))
    clock = iter((rested_s, rested_s + 0.1, rested_s + 0.6))
    listener._gather()
    assert (next(clock, None) is None) is rests


def test_metrics_and_alarms_are_heard_and_an_ended_alarm_is_gone(config, broker, running) -> None:
    station = Station(broker.port)
    _wait_for_subscription(broker, station)
    alarm = Message(TOPICS.alarm("picture"), wire.encode(an_alarm()))
    station.send(Message(TOPICS.metrics, metrics()), alarm, Message(TOPICS.alarm("old"), b""), case_message(a_case(2)))
    assert station.held({a_case(2).case_id})
    with db.open_database(config).connect() as connection:
        assert connection.scalars(sa.select(device_alarms.c.id)).all() == ["picture"]
        assert connection.scalar(sa.select(sa.func.count()).select_from(device_health)) == 1
    station.send(Message(TOPICS.alarm("picture"), b""), case_message(a_case(3)))
    assert station.held({a_case(3).case_id})
    with db.open_database(config).connect() as connection:
        assert connection.scalars(sa.select(device_alarms.c.id)).all() == []
    station.close()


def test_bad_messages_do_not_stop_the_good_ones(config, broker, running) -> None:
    station = Station(broker.port)
    _wait_for_subscription(broker, station)
    station.send(Message(TOPICS.case, b"\x00\xff"), Message(TOPICS.case, b"x" * 250_000), case_message(a_case(2)))
    assert station.held({a_case(2).case_id})
    with db.open_database(config).connect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(dead_letters)) == 2
    station.close()


def test_ingest_comes_back_after_the_broker_was_killed(config, broker, running) -> None:
    station = Station(broker.port)
    _wait_for_subscription(broker, station)
    station.close()
    broker.kill()
    broker.start()
    station = Station(broker.port)
    _wait_for_subscription(broker, station)
    station.send(case_message(a_case(9)))
    assert station.held({a_case(9).case_id})
    station.close()


def test_a_bug_in_one_message_sets_that_one_aside_and_takes_the_others(config, monkeypatch) -> None:
    intake = Intake(db.open_database(config), FolderStore(config.folder), max_clip_bytes=1_000_000)
    handle = intake.handle

    def buggy(batch, now):
        if any(b"000003" in message.payload for message in batch):
            raise ZeroDivisionError("a bug")
        return handle(batch, now)

    monkeypatch.setattr(intake, "handle", buggy)
    listener = ingest.Listener(config, intake)
    listener._handle([case_message(a_case(number)) for number in range(1, 6)])
    with db.open_database(config).connect() as connection:
        assert sorted(connection.scalars(sa.select(cases.c.sequence))) == [1, 2, 4, 5]
        assert connection.scalars(sa.select(dead_letters.c.reason)).all() == ["our fault: ZeroDivisionError: a bug"]


def test_while_the_disk_takes_nothing_it_says_so_and_no_longer(config) -> None:
    intake = Intake(db.open_database(config), FolderStore(config.folder), max_clip_bytes=1_000_000)
    listener = ingest.Listener(config, intake, fault=IntakeFault(config.folder, "one"))
    listener._waiting = [(1, 1, case_message(a_case(1)))]
    with full_disk():
        assert not listener._step()
    assert intake_fault.words(config.folder, db.now()) == "ingest takes nothing in: database refuses"
    listener._waiting = [(1, 1, case_message(a_case(1)))]
    assert listener._step() and intake_fault.words(config.folder, db.now()) is None


def test_a_password_that_is_not_in_the_environment_is_one_clear_line(config) -> None:
    config = CloudConfig(
        data_dir=config.data_dir, broker=BrokerConfig(username="cloud", password_env="TANKWATCH_NO_SUCH")
    )
    with pytest.raises(ConfigError, match="TANKWATCH_NO_SUCH is not set"):
        ingest.run(config, threading.Event())


def test_a_certificate_file_that_is_none_is_one_clear_line(config, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nonsense")
    for name in ("ca.pem", "missing.pem"):
        broken = CloudConfig(data_dir=config.data_dir, broker=BrokerConfig(ca=str(tmp_path / name)))
        with pytest.raises(LinkError, match="check ca, cert and key"):
            ingest.run(broken, threading.Event())


def test_a_refused_password_is_said_and_tried_again(tmp_path: Path, monkeypatch, caplog) -> None:
    monkeypatch.setenv("TANKWATCH_TEST_PASSWORD", "wrong")
    monkeypatch.setattr(ingest, "BACK_OFF_S", (0.02, 0.1))
    stop = threading.Event()
    with EmbeddedBroker(0, tmp_path / "broker", {"cloud": "right"}) as broker:
        settings = BrokerConfig(port=broker.port, username="cloud", password_env="TANKWATCH_TEST_PASSWORD")
        refused = threading.Event()
        monkeypatch.setattr(ingest.log, "error", lambda *_: refused.set())
        arguments = (CloudConfig(data_dir=str(tmp_path / "cloud"), broker=settings), stop)
        thread = threading.Thread(target=ingest.run, args=arguments)
        thread.start()
        assert refused.wait(WAIT_S)
        stop.set()
        thread.join(WAIT_S)
    assert not thread.is_alive()


def test_two_processes_share_the_cases_out_and_nothing_is_held_twice(config, broker, monkeypatch, tmp_path) -> None:
    if broker.name != "mosquitto":
        pytest.skip("amqtt shares nothing out")
    handled: dict[str, int] = {}
    handle = Intake.handle

    def counted(self, batch, now):
        name = threading.current_thread().name
        handled[name] = handled.get(name, 0) + sum(message.topic.endswith("/case") for message in batch)
        return handle(self, batch, now)

    monkeypatch.setattr(Intake, "handle", counted)
    stop, threads = threading.Event(), []
    for name in ("one", "two"):
        settings = BrokerConfig(port=broker.port, client_id=name, share="ingest")
        shared = CloudConfig(data_dir=config.data_dir, broker=settings)
        threads.append(threading.Thread(target=ingest.run, args=(shared, stop), name=name))
        threads[-1].start()
    station = Station(broker.port)
    _wait_for_subscription(broker, station)
    ref = a_clip(tmp_path / "one.twclip", frames=5)
    while handled.keys() != {"one", "two"}:
        station.send(case_message(a_case(1)))
        station.receipts.get(timeout=WAIT_S)
    station.send(*(case_message(a_case(number)) for number in range(1, 101)))
    station.send(*clip_messages(tmp_path / "one.twclip", a_case(1).case_id, part_bytes=2000))
    assert station.held({a_case(number).case_id for number in range(1, 101)} | {ref.sha256})
    stop.set()
    for thread in threads:
        thread.join(WAIT_S)
    with db.open_database(config).connect() as connection:
        assert sorted(connection.scalars(sa.select(cases.c.sequence))) == list(range(1, 101))
    assert min(handled.values()) > 20
    station.close()
