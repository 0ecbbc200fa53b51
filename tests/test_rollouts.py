"""Rollouts on a real database: what devices say goes in by `intake`, what they are wished comes out of `desired`."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa
from cloud_fakes import a_case, case_message
from cloud_kinds import NewCloud, opened

from benchmarks import made_fleet
from benchmarks.made_fleet import NEW, OLD
from cloud_sync import config as cloud_config
from cloud_sync import db, desire, fleet_reports, registry, rollout, rollouts
from cloud_sync.config import CloudConfig
from cloud_sync.dead_letters import Message
from cloud_sync.intake import Intake
from cloud_sync.rollout_plan import Plan
from cloud_sync.tables import audit, bundles, desired, device_alarms, device_health, rollout_events
from edge_agent import wire
from edge_agent.errors import ConfigError
from edge_agent.messages import Alarm, Metrics, OutputMetrics, SoftwareMetrics, Status, UpdateReport
from edge_agent.records import BundleRef
from tankwatch import main

NOW = 1_795_000_000.0
HOUR = 3600.0
PLAN = Plan(soak_h=1.0, least_cases=5, late_h=2.0)
SINCE = "2026-11-20T14:00:00Z"


class Plant:
    """A cloud and the devices of one site, which say what they run over `intake`."""

    def __init__(self, config: CloudConfig, count: int) -> None:
        self.config = config
        self.engine, store = opened(config)
        self.intake = Intake(self.engine, store, max_clip_bytes=1_000_000)
        self.now, self.sequence = NOW, 0
        self.places = [("plant", f"TANK{number}") for number in range(1, count + 1)]
        with self.engine.begin() as connection:
            made_fleet.add_bundles(connection)
        for place in self.places:
            self.say(place, OLD)
            self.work(place, OLD, 20)

    def say(self, place, bundle: BundleRef, *, mode: str = "shadow", update: UpdateReport | None = None) -> None:
        """Status and metrics."""
        topics = wire.Topics(*place)
        about = {"status": "online", "software": "1.0", "since": SINCE}
        status = Status(**about, mode=mode, bundle=bundle, update=update)
        self.handle(Message(topics.status, wire.encode(status)), Message(topics.metrics, metrics()))

    def work(self, place, bundle: BundleRef, count: int, **about) -> None:
        about = {"verdict": "ok", "decision": "ok", "station": place[1], "bundle": bundle} | about
        numbers = range(self.sequence + 1, self.sequence + count + 1)
        self.sequence += count
        self.handle(*(case_message(a_case(one, case_id=f"{place[1]}-{one:06d}", **about)) for one in numbers))

    def handle(self, *messages: Message) -> None:
        self.intake.handle(messages, self.now)

    def begin(self, places=None, bundle: BundleRef = NEW, plan: Plan = PLAN) -> int:
        with self.engine.begin() as connection:
            about = {"plan": plan, "who": "quinn", "reason": "it is better", "now": self.now}
            return rollouts.begin(connection, bundle.sha256, places or self.places, **about)

    def look(self, later_h: float = 0.0, **more) -> list[str]:
        self.now += later_h * HOUR
        return [event.kind for _, event in rollouts.step(self.engine, self.now, **more)]

    def obey(self) -> None:
        """Each device runs what it is wished and works a little."""
        for place, bundle in self.wished().items():
            self.say(place, bundle)
            self.work(place, bundle, 6)

    def wished(self) -> dict:
        with self.engine.connect() as connection:
            return {place: one.bundle for place, one in desire.all_wanted(connection).items() if one.bundle}

    def kept(self, number: int = 1) -> rollouts.Kept:
        with self.engine.connect() as connection:
            found = rollouts.find(connection, number)
        assert found is not None
        return found

    def act(self, verb: str, number: int = 1) -> None:
        with self.engine.begin() as connection:
            rollouts.act(connection, number, verb, who="quinn", reason="because", now=self.now)

    def states(self) -> dict[int, str]:
        with self.engine.connect() as connection:
            return {one.version: one.state for one in registry.all_bundles(connection)}

    def to_the_end(self) -> None:
        for _ in range(12):
            self.look(0.6)
            self.obey()


def metrics(**output) -> bytes:
    software = SoftwareMetrics(version="1", uptime_s=9.0, disk_free_mb=9.0, waiting_cases=0, waiting_clips=0)
    about = OutputMetrics(**({"verdict_ms": 100.0} | output))
    return wire.encode(Metrics(at=SINCE, boot_id="boot-1", software=software, output=about))


def an_alarm(name: str = "picture", priority: str = "high") -> Alarm:
    words = {"text": "dark", "since": SINCE, "cause": "dark", "consequence": "not tested", "action": "light"}
    return Alarm(id=name, priority=priority, **words)


@pytest.fixture
def plant(tmp_path: Path, new_cloud: NewCloud) -> Iterator[Plant]:
    plant = Plant(new_cloud(tmp_path / "cloud"), 5)
    yield plant
    plant.engine.dispose()


def test_a_bundle_that_works_becomes_champion_on_every_device_and_the_former_one_is_retired(plant: Plant) -> None:
    plant.begin()
    plant.to_the_end()
    assert plant.kept().rollout.state == "done"
    assert set(plant.wished().values()) == {NEW} and len(plant.wished()) == 5
    assert plant.states() == {NEW.version: "champion", OLD.version: "retired"}
    with plant.engine.connect() as connection:
        kinds = [row.kind for row in rollouts.events(connection, 1)]
        lines = connection.scalars(sa.select(audit.c.did)).all()
    assert kinds.count("took") == 5 and kinds[0] == "done" and kinds[-1] == "begun"
    assert lines.count("device_asked") == 5 and "rollout_begun" in lines


def test_a_bundle_that_goes_back_at_some_stations_is_not_retired_where_others_still_run_it(plant: Plant) -> None:
    at_home, elsewhere = plant.places[:2], plant.places[2:]
    plant.begin(at_home)
    plant.to_the_end()
    plant.begin(elsewhere)
    plant.look(0.1)
    plant.act("back", 2)
    assert plant.states()[NEW.version] == "champion", "two stations are wished nothing else"
    plant.act("back", 1)
    assert plant.states() == {NEW.version: "retired", OLD.version: "champion"}


def test_a_finished_rollout_is_undone_with_one_step_and_the_former_champion_speaks_again(plant: Plant) -> None:
    plant.begin()
    plant.to_the_end()
    plant.act("back")
    assert set(plant.wished().values()) == {OLD}, "with the same commit"
    assert plant.states() == {NEW.version: "retired", OLD.version: "champion"}
    plant.obey()
    plant.look(0.1)
    assert plant.kept().rollout.state == "rolled_back"


def test_a_bundle_that_is_always_uncertain_is_taken_back_from_the_one_device_that_has_it(plant: Plant) -> None:
    plant.begin()
    plant.look()
    (first,) = plant.wished()
    plant.say(first, NEW)
    plant.look(0.1)
    plant.work(first, NEW, 25, verdict="uncertain")
    assert "breached" in plant.look(0.1)
    assert plant.wished() == {first: OLD}
    assert plant.states()[NEW.version] == "retired"
    plant.say(first, OLD)
    assert plant.look(0.1) == ["rolled_back"]


def test_a_high_alarm_right_after_the_switch_takes_the_bundle_back(plant: Plant) -> None:
    plant.begin()
    plant.look()
    (first,) = plant.wished()
    plant.say(first, NEW)
    plant.handle(Message(wire.Topics(*first).alarm("picture"), wire.encode(an_alarm())))
    assert plant.look(0.01)[-2:] == ["breached", "rolling_back"]


def test_looks_without_news_write_nothing_and_a_wish_that_somebody_changed_is_made_again(plant: Plant) -> None:
    plant.begin()
    plant.look()
    revision = plant.kept().revision
    assert plant.look() == [] and plant.kept().revision == revision
    (first,) = plant.wished()
    with plant.engine.begin() as connection:
        desire.want(connection, first, who="ada", reason="by hand", now=plant.now, bundle=OLD)
    plant.look()
    assert plant.wished()[first] == NEW


def test_a_newer_rollout_of_the_same_places_waits_for_the_older_one(plant: Plant) -> None:
    plant.begin(plant.places[:3])
    plant.begin(plant.places[2:], bundle=OLD)
    plant.begin(plant.places[3:4], bundle=OLD)
    plant.look()
    assert [plant.kept(number).rollout.state for number in (1, 2, 3)] == ["rolling", "planned", "planned"]
    plant.act("abort", 1)
    plant.act("abort", 2)
    plant.look()
    assert plant.kept(3).rollout.state == "soaking", "the device runs that bundle already"


def test_an_older_rollout_cannot_be_undone_below_a_newer_one(plant: Plant) -> None:
    plant.begin()
    plant.to_the_end()
    plant.begin(plant.places[:1], bundle=OLD)
    plant.look()
    with pytest.raises(ConfigError, match="rollout 2 has touched the same stations since"):
        plant.act("back", 1)


def test_a_device_above_shadow_waits_for_its_certificate_and_others_do_not(plant: Plant) -> None:
    held = plant.places[1]
    plant.say(held, OLD, mode="partial")
    plant.begin()
    for _ in range(12):
        plant.look(0.6)
        plant.obey()
    kept = plant.kept()
    assert kept.rollout.state == "done" and held not in plant.wished()
    (words,) = (seat.held for seat in kept.rollout.seats if seat.held)
    assert words == fleet_reports.nobody_may(None, held, NEW)
    assert plant.states()[OLD.version] == "champion", "somebody still runs it"
    plant.begin([held])
    plant.look(may_switch=lambda connection, place, bundle: "")
    assert plant.wished()[held] == NEW


def test_the_cloud_may_be_restarted_between_any_two_steps(plant: Plant) -> None:
    plant.begin()
    for _ in range(12):
        plant.look(0.6)
        plant.engine.dispose()
        plant.engine = db.open_database(plant.config)
        plant.obey()
    assert plant.kept().rollout.state == "done"


def test_several_processes_that_look_at_once_do_each_step_once(plant: Plant) -> None:
    plant.begin()
    start = threading.Barrier(4)

    def look(_: int) -> list:
        start.wait()
        return rollouts.step(plant.engine, plant.now)

    for _ in range(6):
        plant.now += 0.6 * HOUR
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(look, range(4)))
        plant.obey()
    with plant.engine.connect() as connection:
        table = rollout_events
        asked = connection.execute(sa.select(table.c.station).where(table.c.kind == "asked")).scalars().all()
    assert len(asked) == len(set(asked)) >= 2
    assert len([bundle for bundle in plant.wished().values() if bundle == NEW]) <= plant.kept().rollout.sizes[-1]


def test_what_never_was_or_has_no_reason_is_refused(plant: Plant) -> None:
    with pytest.raises(ConfigError, match="there is no rollout 7"):
        plant.act("halt", 7)
    with pytest.raises(ConfigError, match="there is no bundle 999999999999"):
        plant.begin(bundle=BundleRef(9, "9" * 64))
    plant.begin()
    with pytest.raises(ConfigError, match="say why"), plant.engine.begin() as connection:
        rollouts.act(connection, 1, "back", who="quinn", reason=" ", now=NOW)
    with pytest.raises(ConfigError, match="the rollout is planned and cannot be halted"):
        plant.act("halt")


class OneLook(threading.Event):
    """A stop that comes as soon as the loop rests."""

    def wait(self, timeout: float | None = None) -> bool:
        self.set()
        return True


def test_the_process_waits_for_a_database_that_is_away_and_ends_when_told(plant: Plant, caplog) -> None:
    plant.begin()

    def away(_now: float) -> None:
        raise sa.exc.OperationalError("select", {}, Exception("server is away"))

    rollout.run(away, OneLook())
    assert "the database is not to be had now" in caplog.text and plant.wished() == {}
    rollout.run(lambda now: rollouts.step(plant.engine, now), OneLook())
    assert len(plant.wished()) == 1


def test_a_general_bundle_leaves_those_alone_that_have_one_of_their_own(plant: Plant) -> None:
    with plant.engine.begin() as connection:
        own = {"version": 8, "sha256": "8" * 64, "name": "made", "scope": "station/plant/TANK2", "manifest": b"{}"}
        connection.execute(sa.insert(bundles).values(own | {"state": "champion", "added_by": "ada", "added_at": 1.0}))
    plant.say(("plant", "TANK2"), BundleRef(8, "8" * 64))
    with plant.engine.connect() as connection:
        general, own_one = registry.find(connection, NEW.sha256), registry.find(connection, "8" * 64)
        assert general is not None and own_one is not None
        assert ("plant", "TANK2") not in rollouts.places_for(connection, general)
        assert len(rollouts.places_for(connection, general)) == 4
        assert rollouts.places_for(connection, own_one) == [("plant", "TANK2")]


def test_alarms_are_held_while_they_last_and_metrics_are_the_latest(plant: Plant) -> None:
    topics = wire.Topics(*plant.places[0])
    alarm = Message(topics.alarm("picture"), wire.encode(an_alarm()))
    plant.handle(alarm, Message(topics.alarm("water"), wire.encode(an_alarm("water", "low"))))
    plant.now += 60
    plant.handle(alarm, Message(topics.metrics, b"{"), Message(topics.metrics, metrics(verdict_ms=250.0)))
    with plant.engine.connect() as connection:
        rows = connection.execute(sa.select(device_alarms)).all()
        assert {row.id: row.first_at for row in rows} == {"picture": NOW, "water": NOW}
        here = (device_health.c.site, device_health.c.station)
        row = connection.execute(sa.select(device_health).where(sa.tuple_(*here) == plant.places[0])).one()
    assert row.at == plant.now and json.loads(row.metrics)["output"]["verdict_ms"] == 250.0
    plant.handle(Message(topics.alarm("picture"), b""), Message(topics.alarm("never"), b""))
    plant.handle(Message(topics.alarm("water"), wire.encode(an_alarm("lamps"))))
    with plant.engine.connect() as connection:
        assert connection.scalars(sa.select(device_alarms.c.id)).all() == ["water"]


def test_a_fleet_is_wished_its_bundles_as_one_device_would_be(plant: Plant) -> None:
    first, second, *_ = plant.places
    with plant.engine.begin() as connection:
        desire.want(connection, first, who="ada", reason="by hand", now=NOW, mode="shadow")
        assert desire.want_bundles(connection, {first: NEW, second: OLD}, who="a", reason="b", now=NOW) == 2
        assert desire.want_bundles(connection, {first: NEW, second: OLD}, who="a", reason="b", now=NOW) == 0
        one, other = desire.wanted(connection, first), desire.wanted(connection, second)
        rows = connection.execute(sa.select(desired.c.counter, desired.c.sent_at)).all()
    assert (one.mode, one.bundle, other.bundle) == ("shadow", NEW, OLD)
    assert sorted(row.counter for row in rows) == sorted((one.counter, other.counter))
    assert {row.sent_at for row in rows} == {None}


def test_a_person_works_with_rollouts_from_the_command_line(tmp_path: Path, capsys) -> None:
    plant = Plant(CloudConfig(data_dir=str(tmp_path / "cloud")), 3)
    file = tmp_path / "cloud.toml"
    file.write_bytes(cloud_config.dump(plant.config))

    def say(*words: str) -> tuple[int, str]:
        status = main(["cloud", "rollout", *words, "--config", str(file)])
        told = capsys.readouterr()
        return status, told.out + told.err

    assert say("begin", "eeee", "--reason", "it is better")[0] == 0
    status, words = say("begin", "f", "--reason", "x")
    assert status == 1 and words.startswith("tankwatch cloud: no bundle begins with 'f'")
    assert say("--once")[0] == 0
    assert len(plant.wished()) == 1
    assert say("halt", "1", "--reason", "lunch") == (0, "rollout 1 is halted\n")
    assert say("resume", "1", "--reason", "after lunch") == (0, "rollout 1 is rolling\n")
    assert say("back", "1", "--reason", "no") == (0, "rollout 1 is rolling back\n")
    assert set(plant.wished().values()) == {OLD}
    status, words = say("list", "--json")
    (row,) = map(msgspec.json.decode, words.splitlines())
    assert (status, row["state"], row["devices"]) == (0, "rolling_back", 3)
    status, words = say("halt", "1", "--reason", "late")
    assert status == 1 and "the rollout is rolling_back and cannot be halted" in words
    assert say("begin", "eeee", "--reason", "x", "--place", "plant/NONE")[0] == 1
    plant.engine.dispose()
