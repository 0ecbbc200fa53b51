"""What a release says when an upgrade asks it: can it run here, does it, and tables as they were before."""

import json
import os
import sqlite3
import time

import pytest
import sqlalchemy as sa

from cloud_sync import db
from cloud_sync import release_check as cloud
from cloud_sync.config import CloudConfig, WebConfig, dump
from edge_agent import config as device_config
from edge_agent import release_check as edge
from edge_agent.config import DeviceConfig
from edge_agent.errors import LinkError, StationError, StoreError, TankwatchError


@pytest.fixture
def cloud_toml(tmp_path):
    """A cloud with a database and one station in it."""
    config = CloudConfig(data_dir=str(tmp_path), web=WebConfig(port=1))
    engine = db.open_database(config)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE mine (word TEXT)"))
        connection.execute(sa.text("INSERT INTO mine VALUES ('kept')"))
    engine.dispose()
    (tmp_path / "cloud.toml").write_bytes(dump(config))
    return tmp_path / "cloud.toml"


def test_cloud_says_the_revision_of_its_tables_and_leaves_them(cloud_toml, capsys):
    assert cloud.release(["check", "--config", str(cloud_toml)]) == 0
    assert json.loads(capsys.readouterr().out) == {"database": db.revision(url_of(cloud_toml))}


def test_cloud_without_a_database_can_begin(tmp_path):
    assert cloud.check(CloudConfig(data_dir=str(tmp_path / "none"))) is None
    assert not (tmp_path / "none").exists()


def test_database_of_a_later_program_is_refused_before_the_switch(cloud_toml):
    with sqlite3.connect(cloud_toml.parent / "cloud.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match="newer program"):
        cloud.release(["check", "--config", str(cloud_toml)])


def test_tables_go_back_and_rows_stay_and_the_way_forward_keeps_a_copy(cloud_toml):
    newest = db.revision(url_of(cloud_toml))
    assert cloud.release(["back", "0008", "--config", str(cloud_toml)]) == 0
    assert db.revision(url_of(cloud_toml)) == "0008"
    db.open_url(url_of(cloud_toml)).dispose()
    assert db.revision(url_of(cloud_toml)) == newest
    assert (cloud_toml.parent / "cloud.db.before-upgrade-of-0008").exists()
    with sqlite3.connect(cloud_toml.parent / "cloud.db") as connection:
        assert connection.execute("SELECT word FROM mine").fetchall() == [("kept",)]


def test_pages_that_do_not_answer_are_said(cloud_toml):
    with pytest.raises(LinkError, match="journalctl"):
        cloud.release(["alive", "--config", str(cloud_toml)])


def url_of(cloud_toml):
    return f"sqlite:///{cloud_toml.parent / 'cloud.db'}"


def device_toml(folder, **fields):
    device = DeviceConfig(site="plant-1", station="station.toml", camera="twin:", data_dir=str(folder), **fields)
    (folder / "device.toml").write_bytes(device_config.dump(device))
    return str(folder / "device.toml")


def test_edge_without_a_profile_can_run(tmp_path, capsys):
    assert edge.release(["check", "--config", device_toml(tmp_path)]) == 0
    assert capsys.readouterr().out == "{}\n"
    assert edge.release(["check", "--config", str(tmp_path / "none.toml")]) == 0


def test_edge_refuses_a_profile_and_a_configuration_that_it_cannot_read(tmp_path, monkeypatch):
    monkeypatch.setattr(edge, "verify", lambda _bundle: None)
    (tmp_path / "station.toml").write_text("nonsense")
    with pytest.raises(StationError):
        edge.release(["check", "--config", device_toml(tmp_path)])
    (tmp_path / "device.toml").write_text("colour = 1\n")
    with pytest.raises(TankwatchError, match=r"device\.toml"):
        edge.release(["check", "--config", str(tmp_path / "device.toml")])


def test_inspection_that_says_nothing_of_itself_is_not_alive(tmp_path):
    config = device_toml(tmp_path)
    with pytest.raises(StoreError, match="said nothing"):
        edge.release(["alive", "--config", config])
    (tmp_path / "state.json").touch()
    assert edge.release(["alive", "--config", config]) == 0
    long_ago = time.time() - 60
    os.utime(tmp_path / "state.json", (long_ago, long_ago))
    with pytest.raises(StoreError, match="limit 10 s"):
        edge.release(["alive", "--config", config])
