"""A station that has as much here as it may: its clips wait at the station, its cases come in, others feel nothing."""

from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa
from cloud_fakes import TOPICS, a_case, a_clip, case_message, clip_messages
from cloud_kinds import NewCloud, opened

from cloud_sync import config as cloud_config
from cloud_sync import db, fleet, retention
from cloud_sync.config import RetentionConfig
from cloud_sync.dead_letters import Message
from cloud_sync.fleet_figures import clip_figures, figures
from cloud_sync.intake import Handled, Intake
from cloud_sync.tables import cases, clips, dead_letters
from edge_agent import deliveries, wire
from edge_agent.messages import PART_BYTES, ClipManifest, Receipt
from edge_agent.outbox import Outbox
from edge_agent.records import Sampled

NOW = 1_800_000_000.0
DAY_S = 86_400.0


class Cloud:
    """One whose stations may each have `clips_each` clips here."""

    def __init__(self, folder: Path, config: cloud_config.CloudConfig, clips_each: float) -> None:
        self.folder, self.config = folder, config
        self.engine, self.store = opened(config)
        size = self.filmed(99)[1].stat().st_size
        self.intake = Intake(
            self.engine, self.store, max_clip_bytes=10_000_000, station_clip_bytes=int(size * clips_each)
        )

    def filmed(self, number: int, station: str = "TANK1") -> tuple[list[Message], Path]:
        """All that a station says of one unit, and its clip."""
        path = self.folder / f"{station}-{number}.twclip"
        path.unlink(missing_ok=True)
        about = {"station": station, "case_id": f"{station}-a1b2c3-{number:06d}"}
        ref = a_clip(path, frames=3, case_id=about["case_id"], size=(64, 240))
        agreed = {"verdict": "ok", "decision": "ok", "sampled": Sampled("none", 0.02)}
        case = a_case(number, clip=ref, **agreed, **about)
        sent = clip_messages(path, case.case_id)
        return [case_message(case), *(_from(station, message) for message in sent)], path

    def sends(self, number: int, station: str = "TANK1", at: float = NOW) -> Handled:
        return self.intake.handle(self.filmed(number, station)[0], at)

    def count(self, what: sa.Select) -> int:
        with self.engine.connect() as connection:
            return connection.scalar(what) or 0

    def stored(self) -> int:
        return self.count(sa.select(sa.func.count()).where(clips.c.state == "stored"))


def _from(station: str, message: Message) -> Message:
    return Message(message.topic.replace("/TANK1/", f"/{station}/"), message.payload)


def announced(cloud: Cloud, *, bytes: int, sha256: str | None = None) -> Message:
    """A manifest of TANK1 of one clip and of so many bytes."""
    sha256 = sha256 or "a" * 64
    manifest = ClipManifest(
        sha256=sha256, bytes=bytes, parts=-(-bytes // PART_BYTES), part_bytes=PART_BYTES, case_id="TANK1-a1b2c3-000001"
    )
    return Message(TOPICS.clip_manifest(sha256), wire.encode(manifest))


def refused(cloud: Cloud, messages: list[Message]) -> list[str]:
    """The reasons why some of them are not taken."""
    with cloud.engine.begin() as connection:
        connection.execute(sa.delete(dead_letters))
    cloud.intake.handle(messages, NOW)
    with cloud.engine.connect() as connection:
        return list(connection.scalars(sa.select(dead_letters.c.reason)))


def receipts(handled: Handled) -> dict[str, Receipt]:
    return {message.topic.split("/")[3]: wire.decode(message.payload, Receipt) for message in handled.receipts}


@pytest.fixture
def cloud(tmp_path: Path, new_cloud: NewCloud):
    cloud = Cloud(tmp_path, new_cloud(tmp_path / "cloud"), 2.5)
    yield cloud
    cloud.engine.dispose()


def test_over_its_quota_a_stations_clips_are_refused_its_cases_come_in_and_others_feel_nothing(cloud: Cloud):
    for number in (1, 2):
        assert receipts(cloud.sends(number))["TANK1"].clips
    refused = receipts(cloud.sends(3))["TANK1"]
    assert (refused.clips, refused.parts, len(refused.refused), len(refused.cases)) == ((), (), 1, 1)
    assert receipts(cloud.sends(1, "TANK2"))["TANK2"].clips
    assert cloud.stored() == 3 and cloud.count(sa.select(sa.func.count()).select_from(cases)) == 4
    with cloud.engine.connect() as connection:
        (letter,) = connection.execute(sa.select(dead_letters))
        words = fleet.over_quota(connection, NOW + 3600)
        assert fleet.over_quota(connection, NOW + fleet.REFUSED_S + 1) == {}
        (first, second) = fleet.now(connection, NOW)
        told, sizes = figures(connection, NOW), clip_figures(connection).station_bytes
    assert letter.reason.startswith(
        "clip quota of station TANK1 is used up (it has 0.00 GB here, limit 0.00 GB): raise"
    )
    assert words == {("plant", "TANK1"): letter.reason} == told.over_quota
    assert (first.quota_words, second.quota_words) == (letter.reason, "") and first.wants_somebody
    assert 1.9 < sizes["plant", "TANK1"] / sizes["plant", "TANK2"] < 2.1


def test_clips_that_are_announced_together_do_not_slip_in_beside_one_another(cloud: Cloud):
    messages = [message for number in (1, 2, 3) for message in cloud.filmed(number)[0]]
    handled = receipts(cloud.intake.handle(messages, NOW))["TANK1"]
    assert (len(handled.clips), len(handled.refused), len(handled.cases)) == (2, 1, 3)


def test_a_clip_that_is_on_its_way_when_the_quota_is_reached_comes_to_its_end(cloud: Cloud):
    messages, _ = cloud.filmed(1)
    cloud.intake.handle(messages[:2], NOW)
    cloud.sends(2)
    assert receipts(cloud.sends(3))["TANK1"].refused
    assert len(receipts(cloud.intake.handle(messages[1:], NOW))["TANK1"].clips) == 1


def test_a_clip_that_was_announced_as_a_small_one_is_not_taken_as_a_large_one(cloud: Cloud):
    small, large = announced(cloud, bytes=1), announced(cloud, bytes=9_000_000)
    assert refused(cloud, [small]) == [] and cloud.count(sa.select(clips.c.bytes)) == 1
    for together in ([large], [small, large]):
        (reason,) = refused(cloud, together)
        assert reason.startswith("clip quota of station TANK1 is used up")
        assert cloud.count(sa.select(clips.c.bytes)) == 1


def test_of_a_clip_that_is_announced_larger_only_the_difference_counts(cloud: Cloud):
    size = cloud.filmed(99)[1].stat().st_size
    cloud.sends(1)
    first = announced(cloud, bytes=size)
    assert refused(cloud, [first]) == []
    fitting, beyond = (announced(cloud, bytes=int(size * share)) for share in (1.4, 1.6))
    assert refused(cloud, [fitting, first, fitting]) == []
    assert len(refused(cloud, [beyond])) == len(refused(cloud, [first, beyond])) == 1


def test_a_clip_stays_with_the_station_that_announced_it_and_another_may_only_go_on_with_it(cloud: Cloud):
    messages, _ = cloud.filmed(1)
    cloud.intake.handle(messages[:2], NOW)
    theirs = [_from("TANK2", message) for message in messages[1:]]
    larger = _from("TANK2", announced(cloud, bytes=5_000, sha256=wire.parse_topic(messages[1].topic).id))
    (reason,) = refused(cloud, [larger])
    assert cloud.count(sa.select(clips.c.bytes)) > 5_000 and "as station TANK1 announced it" in reason
    assert len(receipts(cloud.intake.handle(theirs, NOW))["TANK2"].clips) == 1
    assert cloud.count(sa.select(sa.func.count()).where(clips.c.station == "TANK1", clips.c.state == "stored")) == 1


def test_a_refused_clip_comes_in_once_others_have_had_their_time(cloud: Cloud):
    cloud.sends(1, at=NOW - 20 * DAY_S)
    cloud.sends(2)
    assert receipts(cloud.sends(3))["TANK1"].refused
    assert len(retention.run(cloud.engine, cloud.store, RetentionConfig(agreement_days=10), NOW)) == 1
    assert receipts(cloud.sends(3))["TANK1"].clips and cloud.stored() == 2


def test_no_quota_is_set_unless_somebody_sets_one(tmp_path: Path):
    config = cloud_config.CloudConfig(data_dir=str(tmp_path))
    assert config.max_clip_gb_per_station is None
    some = msgspec.structs.replace(config, max_clip_gb_per_station=0.5)
    (tmp_path / "cloud.toml").write_bytes(cloud_config.dump(some))
    assert cloud_config.load(tmp_path / "cloud.toml").max_clip_gb_per_station == 0.5


def test_the_list_of_stations_says_whose_clips_are_refused(site):
    case_id = site.case(1)
    assert "clips refused" not in site.browser("quinn").text("/stations")
    with site.engine.begin() as connection:
        station = connection.scalar(sa.select(cases.c.station).where(cases.c.case_id == case_id))
        letter = {"topic": f"tankwatch/v1/plant/{station}/clip/x/manifest", "sha256": "x", "bytes": 1, "payload": b"x"}
        times = {"count": 1, "first_at": db.now(), "last_at": db.now(), "reason": "clip quota of station X is used up"}
        connection.execute(sa.insert(dead_letters).values(letter | times))
    assert "clip quota of station X is used up" in site.browser("quinn").text("/stations")


def test_a_station_whose_clip_is_refused_sends_none_of_its_parts_and_offers_it_again_later(tmp_path: Path):
    case, path = a_case(1), tmp_path / "one.twclip.tmp"
    box = Outbox.open(tmp_path / "outbox.db", tmp_path / "spool")
    box.put(msgspec.structs.replace(case, clip=a_clip(path, frames=3, case_id=case.case_id, size=(64, 240))), path)
    box.receipted(cases=[(one.case_id, one.sha256) for one in box.waiting_cases(1)])
    (clip,) = box.waiting_clips(1)
    station = deliveries.Deliveries(box, wire.Topics("plant", "TANK1"))
    offers = []
    for second in range(200):
        for message in station.next(float(second), 10):
            offers.append((second, wire.parse_topic(message.topic).kind))
            station.receipt(Receipt(refused=(clip.sha256,)))
    assert offers == [(second, "clip_manifest") for second in (0, 10, 30, 70, 150)]
    assert box.backlog().clips == 1
    box.close()
