"""The folder and the bucket keep clips alike; what they cannot keep they say."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from cloud_kinds import NewCloud

from cloud_sync import bucket_store
from cloud_sync import config as cloud_config
from cloud_sync.config import BucketConfig, CloudConfig
from cloud_sync.partial_clips import ClipLost
from cloud_sync.store import ClipStore, open_store
from edge_agent import durable
from edge_agent.errors import ConfigError, StoreError

DATA = b"a clip's bytes" * 1000
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def config(new_cloud: NewCloud, tmp_path: Path) -> CloudConfig:
    return new_cloud(tmp_path / "cloud")


@pytest.fixture
def store(config: CloudConfig) -> Iterator[ClipStore]:
    yield open_store(config)


def keep(store: ClipStore, data: bytes = DATA, sha256: str = SHA256) -> bool:
    """As it comes from a station: in two parts."""
    store.parts.write(sha256, 0, data[:5000])
    store.parts.write(sha256, 5000, data[5000:])
    store.parts.sync(sha256)
    return store.finish(sha256)


def test_a_clip_that_came_in_parts_is_there_for_every_process(store: ClipStore, config: CloudConfig, tmp_path) -> None:
    assert not store.holds(SHA256) and list(store.held()) == []
    assert keep(store)
    elsewhere = open_store(
        msgspec.structs.replace(config, data_dir=str(tmp_path / "elsewhere")) if config.store else config
    )
    for each in (store, elsewhere):
        assert each.holds(SHA256) and each.clip(SHA256).read_bytes() == DATA
        assert list(each.held()) == [(SHA256, len(DATA))]
    assert store.parts.size(SHA256) == 0


def test_a_part_that_is_written_again_leaves_nothing_behind_it(store: ClipStore) -> None:
    store.parts.write(SHA256, 0, DATA)
    store.parts.write(SHA256, 100, DATA[100:200])
    assert store.parts.size(SHA256) == 200


def test_other_bytes_than_the_hash_are_not_kept(store: ClipStore, tmp_path: Path) -> None:
    assert not keep(store, b"other" * 2000)
    (tmp_path / "file").write_bytes(b"other")
    assert not store.put(SHA256, tmp_path / "file")
    assert not store.holds(SHA256) and store.parts.size(SHA256) == 0
    (tmp_path / "file").write_bytes(DATA)
    assert store.put(SHA256, tmp_path / "file") and store.clip(SHA256).read_bytes() == DATA


def test_a_clip_that_is_not_there_is_lost_and_no_fault_of_the_store(store: ClipStore, tmp_path: Path) -> None:
    with pytest.raises(ClipLost, match="restore it from a backup or ask its station again"):
        store.clip(SHA256)
    with pytest.raises(ClipLost), open(tmp_path / "copy", "wb") as file:
        store.copy(SHA256, file)
    assert (store.video(SHA256), store.damage(SHA256), store.fault()) == (None, None, None)


def test_video_and_word_of_damage_stand_beside_the_clip_and_go_with_it(store: ClipStore, tmp_path: Path) -> None:
    keep(store)
    assert store.keep_video(SHA256, b"webm").read_bytes() == b"webm"
    store.keep_damage(SHA256, "breaks off")
    found = store.video(SHA256)
    assert found is not None and (found.read_bytes(), store.damage(SHA256)) == (b"webm", "breaks off")
    assert list(store.held()) == [(SHA256, len(DATA))]
    with open(tmp_path / "copy", "wb") as file:
        store.copy(SHA256, file)
    assert (tmp_path / "copy").read_bytes() == DATA
    for _ in range(2):
        store.remove(SHA256)
        assert (store.holds(SHA256), store.video(SHA256), store.damage(SHA256)) == (False, None, None)


def test_a_disk_that_is_full_is_a_fault_of_the_store(store: ClipStore, monkeypatch) -> None:
    assert store.fault() is None
    monkeypatch.setattr(durable, "RECORD_ROOM_BYTES", 1 << 60)
    assert (store.fault() or "").startswith("data folder: ") and (store.fault() or "").endswith(" MB are free")


@pytest.fixture
def bucket(s3, tmp_path: Path) -> CloudConfig:
    return CloudConfig(data_dir=str(tmp_path / "one"), store=s3.new_store(), s3=s3.settings)


def test_what_was_used_least_lately_leaves_the_cache_and_comes_back_from_the_bucket(bucket, tmp_path) -> None:
    small = msgspec.structs.replace(bucket, s3=msgspec.structs.replace(bucket.s3, cache_mb=1))
    store = open_store(small)
    made = [os.urandom(600_000) for _ in range(3)]
    names = [hashlib.sha256(data).hexdigest() for data in made]
    for age, (data, name) in enumerate(zip(made, names, strict=True)):
        keep(store, data, name)
        os.utime(store.clip(name), (1000 + age, 1000 + age))
    cached = {path.stem for path in (tmp_path / "one" / "cache").glob("??/*")}
    assert cached == {names[2]}, "the others went when the last one came"
    assert [store.clip(name).read_bytes() for name in names] == made
    assert len(list((tmp_path / "one" / "cache").glob("??/*"))) == 3, "what was used a moment ago stays"


def test_a_clip_that_is_damaged_in_the_bucket_is_refused_and_not_cached(bucket, tmp_path) -> None:
    store = open_store(bucket)
    keep(store)
    store._bucket.put(f"clips/{SHA256[:2]}/{SHA256}.twclip", b"rot")
    other = open_store(msgspec.structs.replace(bucket, data_dir=str(tmp_path / "other")))
    with pytest.raises(ClipLost, match="is damaged"):
        other.clip(SHA256)
    assert list((tmp_path / "other" / "cache").glob("??/*")) == []


def test_a_server_that_is_away_and_a_bucket_that_is_none_are_one_clear_line(bucket, s3, monkeypatch) -> None:
    monkeypatch.setattr(bucket_store, "RETRIES", 0)
    away = msgspec.structs.replace(bucket, s3=msgspec.structs.replace(s3.settings, endpoint="http://127.0.0.1:1"))
    none = msgspec.structs.replace(bucket, store="s3://nobody/x")
    store = open_store(away)
    for question in (lambda: store.holds(SHA256), lambda: list(store.held()), lambda: keep(store)):
        with pytest.raises(
            StoreError, match=r"s3://clips/cloud\d+ cannot be used .*: check store, \[s3\] and the server"
        ):
            question()
    assert store.fault() == "clip bucket"
    assert store.parts.size(SHA256) == len(DATA), "what could not be kept waits here"
    with pytest.raises(StoreError):
        list(open_store(none).held())
    assert open_store(none).fault() == "clip bucket"


@pytest.mark.parametrize("name", ["s3://", "gs://x/y", "/var/clips", "s3:///x"])
def test_a_store_that_is_none_is_refused_by_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="write s3://bucket/prefix"):
        open_store(CloudConfig(data_dir=str(tmp_path), store=name))


def test_a_key_that_is_not_in_the_environment_is_named(tmp_path: Path) -> None:
    settings = BucketConfig(key_id_env="TANKWATCH_NO_SUCH")
    with pytest.raises(ConfigError, match="TANKWATCH_NO_SUCH is not set"):
        open_store(CloudConfig(data_dir=str(tmp_path), store="s3://a/b", s3=settings))


def test_the_settings_come_back_from_their_file(bucket, tmp_path: Path) -> None:
    (tmp_path / "cloud.toml").write_bytes(cloud_config.dump(bucket))
    assert cloud_config.load(tmp_path / "cloud.toml") == bucket
