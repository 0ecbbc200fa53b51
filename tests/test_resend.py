"""What a cloud lost is asked for again: the station's own outbox, uplink and Mosquitto, and every way it can fail."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import paho.mqtt.publish as publish
import pytest
import sqlalchemy as sa
from cloud_fakes import STATION, a_case, a_clip, case_message, clip_messages

from benchmarks.installation import make_configs
from benchmarks.made_cases import make_case, write_clip
from cloud_sync import config as cloud_config
from cloud_sync import db, ingest, resend
from cloud_sync.broker import EmbeddedBroker
from cloud_sync.config import BrokerConfig, CloudConfig
from cloud_sync.folder_store import FolderStore
from cloud_sync.intake import Intake
from cloud_sync.ordering import Answer
from cloud_sync.tables import audit, cases, clips, looks, stations
from edge_agent import uplink, wire
from edge_agent.errors import ConfigError, LinkError
from edge_agent.messages import Reply, Status
from edge_agent.outbox import Outbox

WAIT_S = 20.0
ORDER = resend.order(datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 29, tzinfo=UTC))


class Plant:
    """A broker, a device with its uplink, and a cloud's ingest; each can be stopped."""

    def __init__(self, folder: Path, port: int) -> None:
        self.device, self.cloud = make_configs(folder, port)
        (folder / "cloud.toml").write_bytes(cloud_config.dump(self.cloud))
        self.outbox = Outbox.open(self.device.outbox_path, self.device.spool_path)
        self._config = str(folder / "cloud.toml")
        self._running: dict[str, tuple[threading.Event, threading.Thread]] = {}

    def put(self, *numbers: int) -> None:
        for number in numbers:
            case, draft = make_case(number), None
            if case.sampled.reason != "none":
                draft = self.outbox.spool.draft(case.case_id)
                case = msgspec.structs.replace(case, clip=write_clip(draft, case))
            self.outbox.put(case, draft)

    def start(self, name: str) -> None:
        stop = threading.Event()
        run = {"uplink": lambda: uplink.run(self.device, stop.is_set), "ingest": lambda: ingest.run(self.cloud, stop)}
        thread = threading.Thread(target=run[name])
        thread.start()
        self._running[name] = stop, thread

    def start_ingest(self) -> None:
        """Returns once it listens: it has heard a status that the broker keeps."""
        kept = wire.encode(Status(status="online", software="1", since="2026-11-20T00:00:00Z"))
        topic = wire.Topics("plant", "PROBE").status
        publish.single(topic, kept, qos=1, retain=True, port=self.cloud.broker.port)
        self.start("ingest")
        self.wait_for(1, lambda: self.count(sa.select(stations).where(stations.c.station == "PROBE")))

    def stop(self, name: str) -> None:
        stop, thread = self._running.pop(name)
        stop.set()
        thread.join(WAIT_S)

    def resend(self, *words: str) -> int:
        return resend.resend([STATION, "--config", self._config, *words])

    def count(self, query: sa.Select) -> int:
        engine = db.open_database(self.cloud)
        with engine.connect() as connection:
            found = connection.scalar(sa.select(sa.func.count()).select_from(query.subquery()))
        engine.dispose()
        return found or 0

    def held(self) -> tuple[int, int]:
        """Cases and whole clips in the cloud."""
        return self.count(sa.select(cases)), self.count(sa.select(clips).where(clips.c.state == "stored"))

    def wait_for(self, wanted: object, seen: Callable[[], object] | None = None) -> None:
        pause, look = threading.Event(), seen or self.held
        for _ in range(int(WAIT_S / 0.05)):
            if look() == wanted:
                return
            pause.wait(0.05)
        assert look() == wanted

    def forget(self, number: int) -> None:
        """The cloud loses a case and its clip, as a restore of yesterday's backup would."""
        engine = db.open_database(self.cloud)
        sha256 = None
        with engine.begin() as connection:
            mine = cases.c.case_id == make_case(number).case_id
            sha256 = connection.scalar(sa.select(cases.c.clip_sha256).where(mine))
            connection.execute(sa.delete(looks).where(looks.c.case_id == make_case(number).case_id))
            connection.execute(sa.delete(cases).where(mine))
            connection.execute(sa.delete(clips).where(clips.c.sha256 == sha256))
        engine.dispose()
        if sha256:
            FolderStore(self.cloud.folder).remove(sha256)

    def close(self) -> None:
        for name in list(self._running):
            self.stop(name)
        self.outbox.close()


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    with EmbeddedBroker(0, tmp_path / "broker") as broker:
        plant = Plant(tmp_path, broker.port)
        yield plant
        plant.close()


def test_a_station_sends_what_the_cloud_has_lost_and_nothing_is_there_twice(plant, capsys) -> None:
    plant.put(*range(1, 10))
    plant.start_ingest()
    plant.start("uplink")
    plant.wait_for((9, 3))
    for number in (6, 8, 9):
        plant.forget(number)
    assert plant.held() == (6, 1)
    assert plant.resend("--since", "2026-11-20T00:00:05Z") == 0
    assert "plant/TANK1: 5 cases wait again with their clips, since 2026-11-20T00:00:05Z" in capsys.readouterr().err
    plant.wait_for((9, 3))
    ordered = sa.select(audit).where(
        audit.c.did == "resend_ordered", audit.c.about == "plant/TANK1 since 2026-11-20T00:00:05Z"
    )
    assert plant.count(ordered) == 1


def test_an_order_waits_at_the_broker_for_a_station_that_is_away(plant) -> None:
    plant.put(1, 2, 3)
    plant.start_ingest()
    plant.start("uplink")
    plant.wait_for((3, 1))
    plant.stop("uplink")
    plant.forget(3)
    with pytest.raises(LinkError, match=r"is offline since .*: the order waits at the broker .* back before"):
        plant.resend("--since", "2026-11-20", "--wait", "0.5")
    plant.start("uplink")
    plant.wait_for((3, 1))


def test_an_unknown_station_an_absent_broker_and_a_bad_time_are_one_clear_line(plant) -> None:
    with pytest.raises(ConfigError, match="not known here, known are none: check the name, or give its --site"):
        plant.resend()
    with pytest.raises(LinkError, match="plant/TANK1 has never said anything at this broker"):
        plant.resend("--site", "plant", "--wait", "0.3")
    with pytest.raises(ConfigError, match="names no station"):
        plant.resend("--site", "no/site+")
    with pytest.raises(ConfigError, match="no ISO 8601 time"):
        plant.resend("--site", "plant", "--since", "yesterday")
    with pytest.raises(LinkError, match=r"broker 127.0.0.1:1 is not there"):
        resend.ordering.give(BrokerConfig(port=1), resend._topics("plant", "TANK1"), ORDER, 1.0)


def test_what_a_station_answers_is_said_or_is_the_fault() -> None:
    online = Status(status="online", software="1", since="2026-11-28T00:00:00Z")
    done = Answer(Reply(id="1", done=True, text="7 cases wait again with their clips"), online)
    assert (
        resend.said(done, "plant/TANK1", ORDER, 30) == "7 cases wait again with their clips, since 2026-11-20T00:00:00Z"
    )
    late = Answer(Reply(id="1", done=False, text="expired at 2026-11-30T00:00:00Z: send it again"), online)
    with pytest.raises(LinkError, match="does not obey: expired at"):
        resend.said(late, "plant/TANK1", ORDER, 30)
    with pytest.raises(LinkError, match="is online and has not answered within 30 s"):
        resend.said(Answer(None, online), "plant/TANK1", ORDER, 30)


def test_a_password_that_is_wrong_is_one_clear_line(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("TANKWATCH_TEST_PASSWORD", "wrong")
    with EmbeddedBroker(0, tmp_path / "broker", {"cloud": "right"}) as broker:
        settings = BrokerConfig(port=broker.port, username="cloud", password_env="TANKWATCH_TEST_PASSWORD")
        with pytest.raises(LinkError, match="refuses us .*: check username"):
            resend.ordering.give(settings, resend._topics("plant", "TANK1"), ORDER, 5.0)


def test_without_a_time_a_station_is_asked_for_what_the_database_lacks(tmp_path: Path) -> None:
    config = CloudConfig(data_dir=str(tmp_path / "cloud"))
    engine = db.open_database(config)
    intake = Intake(engine, FolderStore(config.folder), max_clip_bytes=10_000_000)
    now = datetime(2026, 11, 21, tzinfo=UTC).timestamp()

    def since() -> str:
        with engine.connect() as connection:
            return (resend.missing_since(connection, "plant", STATION, now) + resend.MARGIN).strftime("%d %H:%M:%S")

    assert since() == "22 00:00:00", "nothing is held: all that a device keeps"
    intake.handle([case_message(a_case(number)) for number in (1, 2, 3, 7, 8)], now)
    assert since() == "20 14:03:09", "numbers 4 to 6 are missing: since the end of number 3"
    intake.handle([case_message(a_case(number)) for number in (4, 5, 6)], now)
    assert since() == "20 14:08:09", "nothing is known to be missing: since the last"
    ref = a_clip(tmp_path / "one.twclip", frames=3)
    intake.handle([case_message(a_case(9, clip=ref)), case_message(a_case(10))], now)
    assert since() == "20 14:09:09", "its clip has not come"
    intake.handle(clip_messages(tmp_path / "one.twclip", a_case(9).case_id), now)
    assert since() == "20 14:10:09"
    engine.dispose()


def test_a_station_of_two_sites_needs_its_site_named(tmp_path: Path) -> None:
    engine = db.open_database(CloudConfig(data_dir=str(tmp_path / "cloud")))
    with engine.begin() as connection:
        connection.execute(sa.insert(stations), [{"site": site, "station": "TANK1", "seen_at": 1.0} for site in "ab"])
        with pytest.raises(ConfigError, match="is at a, b: name one with --site"):
            resend._site_of(connection, "TANK1")
    engine.dispose()
