"""The signed repository in the cloud: what is offered, who may sign what, and what a kill leaves behind."""

import time
from pathlib import Path

import pytest
from tuf.api.metadata import Metadata

import tankwatch
from cloud_sync import config as cloud_config
from cloud_sync import db, registry, signing
from cloud_sync.config import CloudConfig
from cloud_sync.signed_state import EVERY, Books
from edge_agent import durable
from edge_agent.bundle import open_bundle
from edge_agent.errors import ConfigError
from edge_agent.inspection import shipped_bundle

NOW = time.time()
A = "a" * 64
PLACE = ("hall", "TANK1")


@pytest.fixture
def config(tmp_path: Path) -> CloudConfig:
    made = CloudConfig(data_dir=str(tmp_path / "cloud"))
    assert signing.begin(made, NOW)
    return made


def versions(config: CloudConfig) -> dict[str, int]:
    books = Books.load(config)
    return {role: (books.root if role == "root" else books.parts[role]).signed.version for role in EVERY}


def is_sound(config: CloudConfig) -> bool:
    """Every part is signed as its delegator asks, and named by the one above."""
    books = Books.load(config)
    for role in ("targets", "snapshot", "timestamp", "bundles", "stations"):
        part = books.parts[role]
        books._delegator(role).verify_delegate(role, part.signed_bytes, part.signatures)
    return True


def test_keys_are_readable_by_their_owner_alone_and_root_needs_two_of_three(config):
    keys = list((config.folder / "update-keys").rglob("*.pem"))
    assert len(keys) == 3 + 5 and {path.stat().st_mode & 0o777 for path in keys} == {0o600}
    assert (config.folder / "update-keys").stat().st_mode & 0o777 == 0o700
    assert Books.load(config).threshold("root")[0] == 2
    assert not signing.begin(config, NOW)


def test_the_same_offer_twice_is_one(config):
    assert signing.put_bundle(config, A, b"bytes", NOW)
    before = versions(config)
    assert not signing.put_bundle(config, A, b"bytes", NOW)
    assert versions(config) == before and before["bundles"] == 2 and before["stations"] == 1


def test_two_runs_offer_the_same_targets(tmp_path):
    offered = []
    for name in ("one", "other"):
        made = CloudConfig(data_dir=str(tmp_path / name))
        signing.begin(made, NOW)
        signing.put_station_file(made, PLACE, "mode.json", b"{}", NOW)
        signing.put_bundle(made, A, b"bytes", NOW)
        offered.append({path: info.to_dict() for path, info in Books.load(made).targets().items()})
    assert offered[0] == offered[1] and len(offered[0]) == 2


@pytest.mark.parametrize("name", ["../mode.json", "mode.json/..", "a/b.json", ".hidden", "mode.json\n", ""], ids=repr)
def test_no_name_leads_out_of_a_stations_folder(config, name):
    with pytest.raises(ConfigError, match="cannot name a station's file"):
        signing.put_station_file(config, PLACE, name, b"", NOW)


def test_each_role_has_a_key_of_its_own(config):
    books = Books.load(config)
    keys = [set(books.threshold(role)[1]) for role in EVERY]
    assert len(set.union(*keys)) == sum(map(len, keys)) == 8


@pytest.mark.parametrize("step", range(1, 8))
def test_a_kill_at_any_write_leaves_a_whole_state_and_the_next_change_goes_through(config, step, monkeypatch):
    writes = 0

    def write(path: Path, data: bytes) -> None:
        nonlocal writes
        writes += 1
        if writes == step:
            raise KeyboardInterrupt
        durable_write(path, data)

    durable_write = durable.write
    monkeypatch.setattr(durable, "write", write)
    try:
        signing.put(config, {f"bundles/{A}.bundle": b"bytes", "stations/hall/TANK1/mode.json": b"{}"}, NOW)
    except KeyboardInterrupt:
        assert not Books.load(config).targets()
    monkeypatch.undo()
    assert is_sound(config)
    signing.put(config, {f"bundles/{A}.bundle": b"bytes", "stations/hall/TANK1/mode.json": b"{}"}, NOW)
    assert is_sound(config) and len(Books.load(config).targets()) == 2


@pytest.mark.parametrize("step", range(1, 16, 2))
def test_a_beginning_that_was_killed_is_completed(tmp_path, step, monkeypatch):
    made, writes = CloudConfig(data_dir=str(tmp_path / "cloud")), 0

    def write(path: Path, data: bytes) -> None:
        nonlocal writes
        writes += 1
        if writes == step:
            raise KeyboardInterrupt
        durable_write(path, data)

    durable_write = durable.write
    monkeypatch.setattr(durable, "write", write)
    try:
        signing.begin(made, NOW)
    except KeyboardInterrupt:
        monkeypatch.undo()
        assert signing.begin(made, NOW)
    assert is_sound(made) and len(list((made.folder / "update-keys").rglob("*.pem"))) == 8


@pytest.mark.parametrize("role", EVERY)
def test_exchanged_keys_sign_and_the_old_ones_are_gone(config, role):
    signing.put_bundle(config, A, b"bytes", NOW)
    before = set(Books.load(config).threshold(role)[1])
    signing.rotate(config, role, NOW)
    books = Books.load(config)
    assert not before & set(books.threshold(role)[1]) and is_sound(config)
    assert set(books.keys.signers(role)) == set(books.threshold(role)[1])
    assert books.target(f"bundles/{A}.bundle")


def test_an_exchange_that_was_killed_after_the_root_is_completed_by_a_refresh(config, monkeypatch):
    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Books, "publish", kill)
    with pytest.raises(KeyboardInterrupt):
        signing.rotate(config, "snapshot", NOW)
    monkeypatch.undo()
    assert signing.refresh(config, NOW) == [] and is_sound(config)


def test_root_cannot_be_exchanged_without_enough_of_its_keys(config):
    folder = config.folder / "update-keys" / "root"
    for path in sorted(folder.glob("*.pem"))[:2]:
        path.unlink()
    with pytest.raises(ConfigError, match="too few root keys lie in .*: bring the others"):
        signing.rotate(config, "root", NOW)
    assert versions(config)["root"] == 1 and is_sound(config)


def test_a_refresh_signs_again_what_ends_and_needs_no_root_key(config):
    for path in (config.folder / "update-keys" / "root").glob("*.pem"):
        path.unlink()
    day = 86_400
    assert signing.refresh(config, NOW + day) == []
    assert versions(config) == {"root": 1, "targets": 1, "bundles": 1, "stations": 1, "snapshot": 1, "timestamp": 2}
    assert signing.refresh(config, NOW + 10 * day) == []
    assert versions(config)["snapshot"] == 2
    assert signing.refresh(config, NOW + 130 * day) == []
    assert versions(config)["bundles"] == 2 and is_sound(config)


def test_what_no_refresh_can_mend_is_said(config):
    next((config.folder / "update-keys").glob("bundles-*.pem")).unlink()
    (words,) = signing.refresh(config, NOW + 150 * 86_400)
    assert "bundles ends on" in words and "cloud updates rotate bundles" in words
    assert any("root ends in" in one for one in signing.refresh(config, NOW + 700 * 86_400))


def test_files_that_no_snapshot_names_any_more_go_after_its_life(config):
    for data in (b"1", b"2"):
        signing.put_station_file(config, PLACE, "mode.json", data, NOW)
    targets = config.updates_path / "targets"
    signing.refresh(config, time.time() + 60)
    assert len(list(targets.rglob("*.json"))) == 2
    signing.refresh(config, time.time() + 20 * 86_400)
    assert len(list(targets.rglob("*.json"))) == 1 and is_sound(config)


def test_without_a_repository_the_cure_is_said(tmp_path):
    with pytest.raises(ConfigError, match="make it with 'cloud updates init'"):
        signing.put_bundle(CloudConfig(data_dir=str(tmp_path)), A, b"", NOW)


def test_a_bundle_is_published_by_one_command_and_known_to_the_registry(tmp_path, capsys):
    (tmp_path / "cloud.toml").write_bytes(cloud_config.dump(CloudConfig(data_dir="cloud")))
    config_file = ["--config", str(tmp_path / "cloud.toml")]
    file = shipped_bundle()
    assert tankwatch.main(["bundle", "publish", str(file), *config_file]) == 1
    assert "cloud updates init" in capsys.readouterr().err
    assert tankwatch.main(["cloud", "updates", "init", *config_file]) == 0
    for _ in range(2):
        assert tankwatch.main(["bundle", "publish", str(file), *config_file]) == 0
    config, sha256 = cloud_config.load(tmp_path / "cloud.toml"), open_bundle(file).sha256
    engine = db.open_database(config)
    with engine.connect() as connection:
        assert [one.sha256 for one in registry.all_bundles(connection)] == [sha256]
    engine.dispose()
    capsys.readouterr()
    assert tankwatch.main(["cloud", "updates", "show", *config_file]) == 0
    shown = capsys.readouterr().out
    assert f"bundles/{sha256}.bundle" in shown and "2 of 3 sign, 3 here" in shown
    assert tankwatch.main(["cloud", "updates", "rotate", "timestamp", *config_file]) == 0
    assert tankwatch.main(["cloud", "updates", "refresh", *config_file]) == 0
    assert Metadata.from_file(str(config.updates_path / "metadata" / "2.root.json")).signed.version == 2
