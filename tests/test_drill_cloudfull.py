"""The drill of a cloud without room: what it counts, that it can fail, and its scenes in the full suite."""

import hashlib
from pathlib import Path

import pytest
import sqlalchemy as sa

from benchmarks import cloud_filling, drill_cloudfull, small_disk
from benchmarks.bucket_server import BucketServer
from benchmarks.cloud_filling import Plant
from benchmarks.installation import make_configs
from benchmarks.programs import Programs
from cloud_sync import db, intake_fault
from cloud_sync.config import BucketConfig, CloudConfig
from cloud_sync.intake_fault import IntakeFault
from cloud_sync.store import open_store
from edge_agent.errors import StoreError
from edge_agent.outbox import Outbox

CLEAN = {"lost": 0, "gaps": 0, "duplicated": 0, "changed": 0, "queue_lost": 0, "queue_extra": 0, "clips_lost": 0}
ROOM = CLEAN | {"waited": 9, "unfounded": 0, "readyz": ["w"], "store_up": 0.0, "ready_again": 1}
LIMITED = CLEAN | {"waited": 3, "over_limit": 0, "others_refused": 0, "words": "w"}
GOOD = {"disk": ROOM, "bucket_full": ROOM, "bucket_away": ROOM, "quota": LIMITED}


@pytest.mark.parametrize("scene", ["disk", "bucket_full", "bucket_away"])
@pytest.mark.parametrize(
    "changed", [{"lost": 1}, {"clips_lost": 1}, {"waited": 0}, {"unfounded": 1}, {"readyz": []}, {"store_up": 1.0}]
)
def test_a_cloud_that_did_not_keep_a_promise_is_not_good(scene, changed):
    assert drill_cloudfull.is_good(GOOD) and drill_cloudfull.is_good(GOOD | {"disk": None})
    assert not drill_cloudfull.is_good(GOOD | {scene: ROOM | changed})


@pytest.mark.parametrize(
    "changed", [{"waited": 0}, {"over_limit": 1}, {"others_refused": 1}, {"words": ""}, {"lost": 1}]
)
def test_a_quota_that_is_none_or_touches_others_is_not_good(changed):
    assert not drill_cloudfull.is_good(GOOD | {"quota": LIMITED | changed})


def test_a_receipt_for_what_the_database_does_not_hold_is_counted(tmp_path: Path):
    device, cloud = make_configs(tmp_path, 1883)
    box = Outbox.open(device.outbox_path, device.spool_path)
    plant = Plant(Programs(tmp_path), tmp_path, cloud, {"TANK1": device}, {"TANK1": box}, seed=1)
    engine = db.open_database(cloud)
    plant.say(4)
    assert (plant.unfounded(engine), plant.waiting(), plant.compared(engine)["lost"]) == (0, 5, 4)
    box.receipted(cases=[(one.case_id, one.sha256) for one in box.waiting_cases(2)])
    assert plant.unfounded(engine) == 2
    engine.dispose()
    box.close()


def test_the_bucket_of_the_drill_keeps_clips_and_refuses_them_when_it_is_told_to(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("DRILL_KEY", "x")
    monkeypatch.setattr("cloud_sync.bucket_store.RETRIES", 0)
    with BucketServer() as server:
        settings = BucketConfig(endpoint=server.endpoint, key_id_env="DRILL_KEY", secret_env="DRILL_KEY")
        store = open_store(CloudConfig(data_dir=str(tmp_path), store="s3://clips/one", s3=settings))
        first, second = (hashlib.sha256(data).hexdigest() for data in (b"one", b"two"))
        store.parts.write(first, 0, b"one")
        assert store.finish(first) and dict(store.held()) == {first: 3} and store.fault() is None
        server.mood = "full"
        store.parts.write(second, 0, b"two")
        with pytest.raises(StoreError, match="507 Insufficient Storage"):
            store.finish(second)
        assert store.holds(first) and server.refused > 0
        server.mood = "away"
        with pytest.raises(StoreError, match="503"):
            store.holds(second)
        server.mood = "well"
        assert store.finish(second)


def test_what_ingest_finds_out_is_known_to_the_pages_until_it_is_over_or_old(tmp_path: Path):
    fault, other = IntakeFault(tmp_path, "ingest-1"), IntakeFault(tmp_path, "ingest/2")
    assert intake_fault.words(tmp_path, db.now()) is None
    fault.holds(StoreError("s3://secret/place is full"))
    assert intake_fault.words(tmp_path, db.now()) == "ingest takes nothing in: clip store refuses"
    other.holds(RuntimeError("the database"))
    assert intake_fault.words(tmp_path, db.now()) == "ingest takes nothing in: clip store and database refuses"
    assert intake_fault.words(tmp_path, db.now() + intake_fault.FRESH_S + 1) is None
    fault.ends()
    IntakeFault(tmp_path, "ingest/2")
    assert list(tmp_path.iterdir()) == [], "a new start knows nothing of before"


def test_the_address_for_watchdogs_says_what_ingest_has_found_out(site):
    assert site.stranger().get("/readyz").status_code == 200
    IntakeFault(site.config.folder, "one").holds(StoreError("s3://secret/place is full"))
    answer = site.stranger().get("/readyz")
    assert (answer.status_code, answer.get_json()["faults"]) == (503, ["ingest takes nothing in: clip store refuses"])


def test_a_token_reads_the_metrics_although_the_database_takes_nothing(site, monkeypatch):
    header = site.token("viewer")
    monkeypatch.setattr("cloud_sync.tokens.used", _full)
    assert site.app.test_client().get("/metrics", headers=header).status_code == 200


def _full(*_):
    raise sa.exc.OperationalError("UPDATE tokens", {}, OSError("database or disk is full"))


@pytest.mark.full
@pytest.mark.parametrize("mood", ["full", "away"])
def test_while_the_bucket_takes_nothing_receipts_stop_and_everything_comes_afterwards(tmp_path: Path, mood):
    found = cloud_filling.bucket(tmp_path / "drill", 6, 2, mood)
    assert drill_cloudfull.is_good(GOOD | {f"bucket_{mood}": found}), found
    assert found["cases"] == 18 and found["refused"] > 0


@pytest.mark.full
def test_while_the_clouds_disk_is_full_receipts_stop_and_everything_comes_afterwards(tmp_path: Path):
    found = small_disk.on_small_disk("benchmarks.cloud_filling", tmp_path, drill_cloudfull.MB, {"count": 6, "seed": 2})
    if found is None:
        pytest.skip(small_disk.NOBODY_MOUNTS)
    assert drill_cloudfull.is_good(GOOD | {"disk": found}), found
    assert found["readyz"][0].startswith("data folder: ")


@pytest.mark.full
def test_a_station_over_its_quota_keeps_its_clips_until_the_limit_is_raised(tmp_path: Path):
    found = cloud_filling.quota(tmp_path / "drill", 6, 2)
    assert drill_cloudfull.is_good(GOOD | {"quota": found}), found
