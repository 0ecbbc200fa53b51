"""The signed repository as `cloud web` serves it: with ranges, for whoever holds a token, and nothing beside it."""

import time

import msgspec
import pytest
from serving import server_of, serving

from benchmarks import update_lab
from benchmarks.update_lab import SITE, STATION
from cloud_sync import signing
from cloud_sync.config import UpdatesConfig
from cloud_sync.web import create_app
from edge_agent.offered import station_target
from edge_agent.repository import Refused, Repository

MODE = b'{"mode":"assist"}'


@pytest.fixture
def offered(site) -> str:
    """Path of a target on the server."""
    signing.begin(site.config, time.time())
    signing.put_station_file(site.config, (SITE, STATION), "mode.json", MODE, time.time())
    (path,) = (site.config.updates_path / "targets").rglob("*.mode.json")
    return f"/updates/{path.relative_to(site.config.updates_path)}"


def test_metadata_are_public_and_only_the_newest_is_asked_for_again(site, offered):
    answer = site.stranger().get("/updates/metadata/timestamp.json")
    assert answer.status_code == 200 and answer.headers["Cache-Control"] == "no-cache" and answer.headers["ETag"]
    assert "max-age" in site.stranger().get("/updates/metadata/1.root.json").headers["Cache-Control"]
    assert site.stranger().get("/updates/metadata/9.root.json").status_code == 404


def test_files_are_for_whoever_holds_a_token(site, offered):
    assert site.stranger().get(offered).status_code == 401
    assert site.stranger().get(offered, headers={"Authorization": "Bearer tw_wrong"}).status_code == 401
    answer = site.stranger().get(offered, headers=site.token("viewer"))
    assert (answer.status_code, answer.data) == (200, MODE)


def test_a_part_of_a_file_is_given_for_a_range(site, offered):
    answer = site.stranger().get(offered, headers=site.token("viewer") | {"Range": "bytes=5-"})
    assert (answer.status_code, answer.data) == (206, MODE[5:])


def test_files_may_be_open_where_the_config_says_so(site, offered):
    app = create_app(msgspec.structs.replace(site.config, updates=UpdatesConfig(open=True)))
    assert app.test_client().get(offered).data == MODE


OUTSIDE = (
    "metadata/../cloud.db",
    "metadata/..%2f..%2fcloud.db",
    "metadata/lock",
    "targets/../lock",
    "targets/../../update-keys/root/x.pem",
    "targets/stations/../../../cloud.db",
    "targets/stations/hall/TANK1/mode.json",
    "targets/%2e%2e/%2e%2e/cloud.db",
    "lock",
)


def test_nothing_beside_the_repository_is_served(site, offered):
    headers = site.token("admin")
    assert {site.stranger().get(f"/updates/{path}", headers=headers).status_code for path in OUTSIDE} == {404}


def test_a_device_fetches_from_the_real_server(site, offered, tmp_path, monkeypatch):
    with serving(server_of(site.app)) as address:
        url = f"{address}/updates"
        root = site.config.updates_path / "metadata" / "1.root.json"
        monkeypatch.setenv("UPDATES_TOKEN", site.token("viewer")["Authorization"].split()[1])
        wanted = station_target(SITE, STATION, "mode.json")
        for token_env in (None, "UPDATES_TOKEN"):
            device = update_lab.device_of(tmp_path / "device", url, root, patience_s=10.0, token_env=token_env)
            repository = Repository(device.updates, tmp_path / "device" / "updates")
            info = repository.look([wanted])[wanted]
            if token_env is None:
                with pytest.raises(Refused, match="status 401"):
                    repository.fetch(info, tmp_path / "mode.json", 1000)
        repository.fetch(info, tmp_path / "mode.json", 1000)
        assert (tmp_path / "mode.json").read_bytes() == MODE
