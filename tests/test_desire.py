"""What the cloud asks of a device: kept with a counter that only rises, sent over a real broker, taken once."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from benchmarks.installation import make_configs
from benchmarks.made_cases import SITE, STATION
from cloud_sync import db, desire, ingest
from cloud_sync.broker import EmbeddedBroker
from cloud_sync.config import CloudConfig
from cloud_sync.tables import audit, desired
from edge_agent import state, uplink, wire
from edge_agent.messages import Desired, SamplingWish
from edge_agent.records import BundleRef

NOW = 1_795_000_000.0
PLACE = (SITE, STATION)
WAIT_S = 20


def wish(name: str = "murk", **limits) -> SamplingWish:
    return SamplingWish(**({"id": name, "probability": 0.4, "until": desire.until(NOW, 7)} | limits))


@pytest.fixture
def config(tmp_path: Path) -> CloudConfig:
    return CloudConfig(data_dir=str(tmp_path / "cloud"))


def ordered(engine, wanted: SamplingWish, now: float = NOW) -> Desired:
    with engine.begin() as connection:
        desire.order(connection, [PLACE], wanted, who="quinn", now=now)
    return kept(engine)


def kept(engine) -> Desired:
    with engine.connect() as connection:
        return wire.decode(connection.scalar(sa.select(desired.c.payload)), Desired)


def test_a_counter_rises_with_each_order_and_the_same_order_twice_is_one(config: CloudConfig) -> None:
    engine = db.open_database(config)
    first = ordered(engine, wish())
    assert first.counter >= NOW // 60, "it rises even after a backup was restored"
    assert ordered(engine, wish()) == first
    second = ordered(engine, wish("dusk", light_below=60.0))
    assert (second.counter, [one.id for one in second.sampling]) == (first.counter + 1, ["murk", "dusk"])
    assert [one.probability for one in ordered(engine, wish(probability=0.9)).sampling] == [0.4, 0.9]
    with engine.connect() as connection:
        lines = connection.execute(sa.select(audit.c.who, audit.c.did)).all()
    assert {tuple(line) for line in lines} == {("quinn", "sampling_ordered")}


def test_what_has_ended_or_was_taken_back_is_asked_no_more(config: CloudConfig) -> None:
    engine = db.open_database(config)
    ordered(engine, wish("old"))
    later = NOW + 8 * 86_400
    assert [one.id for one in ordered(engine, wish("new", until=desire.until(later, 1)), later).sampling] == ["new"]
    with engine.begin() as connection:
        desire.withdraw(connection, PLACE, "new", who="quinn", now=later)
        assert desire.wishes(connection, later) == []
    assert kept(engine).sampling == ()


def test_an_order_leaves_what_else_is_desired_alone(config: CloudConfig) -> None:
    engine = db.open_database(config)
    ordered(engine, wish())
    with engine.begin() as connection:
        payload = wire.encode(msgspec.structs.replace(kept(engine), mode="shadow", audit_probability=0.1))
        connection.execute(sa.update(desired).values(payload=payload))
    after = ordered(engine, wish("dusk"))
    assert (after.mode, after.audit_probability, len(after.sampling)) == ("shadow", 0.1, 2)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(0, tmp_path / "broker") as broker:
        yield broker


def until(condition) -> None:
    for _ in range(WAIT_S * 100):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it did not happen in time")


@contextmanager
def running(*works) -> Iterator[None]:
    """Each in a thread of its own, stopped at the end."""
    stop = threading.Event()
    threads = [threading.Thread(target=work, args=(stop,)) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(WAIT_S)


def test_a_device_takes_an_order_over_the_broker_once_whoever_restarts(tmp_path: Path, broker, caplog) -> None:
    caplog.set_level("INFO")
    device, config = make_configs(tmp_path, broker.port)
    engine = db.open_database(config)
    both = (lambda stop: ingest.run(config, stop)), (lambda stop: uplink.run(device, stop.is_set))
    with running(*both):
        first = ordered(engine, wish("murk", clarity_below=0.6))
        until(lambda: state.desired(device.desired_path) == first)
        second = ordered(engine, wish("dusk", light_below=60.0))
        until(lambda: state.desired(device.desired_path) == second)
        until(lambda: _all_sent(engine))
    with running(*both):
        third = ordered(engine, wish("more"))
        until(lambda: state.desired(device.desired_path) == third)
    taken = [record.getMessage() for record in caplog.records if record.getMessage().startswith("desired counter=")]
    assert len(taken) == 3, "sent again at each connection, taken once"


def _all_sent(engine) -> bool:
    with engine.connect() as connection:
        return not desire.due(connection)


def test_a_device_is_asked_for_a_bundle_and_for_less_automation_beside_its_wishes(config: CloudConfig) -> None:
    engine = db.open_database(config)
    ordered(engine, wish())
    other = BundleRef(version=4, sha256="a" * 64)
    with engine.begin() as connection:
        assert desire.want(connection, PLACE, who="ada", reason="rollout 1", now=NOW, challenger=other)
        assert not desire.want(connection, PLACE, who="ada", reason="again", now=NOW, challenger=other)
        assert desire.want(connection, PLACE, who="ada", reason="missed rabbit", now=NOW, mode="shadow")
        now = desire.wanted(connection, PLACE)
    assert (now.challenger, now.mode, now.bundle, len(now.sampling)) == (other, "shadow", None, 1)
    with engine.connect() as connection:
        lines = connection.scalars(sa.select(audit.c.about).where(audit.c.did == "device_asked")).all()
    assert lines == [
        f"{SITE}/{STATION} challenger 4 {'a' * 12}: rollout 1",
        f"{SITE}/{STATION} mode shadow: missed rabbit",
    ]
