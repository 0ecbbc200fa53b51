"""What somebody orders with sudo stays the services' to change, and the record names the person."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from fakes_camera import profile

from edge_agent import config, live, profile_history, station, sudo
from edge_agent.bundle import open_bundle, write_bundle
from edge_agent.config import DeviceConfig
from edge_agent.inspection import shipped_bundle
from edge_agent.profile_history import Change, ProfilePlace

ROOT = Path(__file__).parent.parent
SERVICE = 61234
"""User and group of the services, as nobody else here is."""
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can call as root")


@pytest.fixture
def device() -> Iterator[DeviceConfig]:
    """In a folder that its services reach."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        data = folder / "data"
        data.mkdir()
        made = DeviceConfig(
            site="plant",
            station=str(data / "station.toml"),
            camera="/dev/video0",
            data_dir=str(data),
            alarms=str(data / "alarms.toml"),
        )
        (folder / "device.toml").write_bytes(config.dump(made))
        (data / "station.toml").write_bytes(station.dump(profile()))
        for path in (data, data / "station.toml"):
            os.chown(path, SERVICE, SERVICE)
        yield made


def called(device: DeviceConfig, *words: str) -> str:
    path = device.folder.parent / "device.toml"
    command = [sys.executable, str(ROOT / "tankwatch.py"), *words, "--config", str(path)]
    environment = os.environ | {"SUDO_USER": "erna", "USER": "root", "LOGNAME": "root", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=device.folder.parent)
    assert done.returncode == 0, done.stderr
    return done.stdout


def of_others(device: DeviceConfig) -> list[str]:
    return [str(path) for path in device.folder.rglob("*") if path.stat().st_uid != SERVICE]


@needs_root
def test_orders_and_settings_of_alarms_are_the_services_own_files(device: DeviceConfig) -> None:
    called(device, "agent", "alarms", "shelve", "water", "--minutes", "30", "--reason", "it is changed at noon")
    called(device, "agent", "alarms", "set", "framing", "off_delay_s", "30", "--reason", "a hand")
    called(device, "agent", "acknowledge")
    assert of_others(device) == []
    assert (device.alarms_path / "orders" / "water.shelved.json").exists()
    assert "erna (command line)" in called(device, "agent", "alarms", "history", "--changes")


@needs_root
def test_a_bundle_that_root_has_put_in_its_place_can_be_followed_by_another(device: DeviceConfig) -> None:
    """Files of root's in a folder of the services' can be replaced by them; the lock is opened, so it is theirs too."""
    shipped = open_bundle(shipped_bundle())
    other = msgspec.structs.replace(shipped.manifest, version=7)
    path = device.folder.parent / "other.bundle"
    write_bundle(path, other, shipped.nets, shipped.features, golden=shipped.golden)
    called(device, "bundle", "use", str(path))
    folders = [path for path in device.folder.rglob("*") if path.is_dir()]
    assert folders and {path.stat().st_uid for path in (*folders, device.folder / "bundles" / "lock")} == {SERVICE}


@needs_root
def test_a_profile_that_is_taken_back_is_the_services_own_and_recorded_as_the_persons(device: DeviceConfig) -> None:
    place = ProfilePlace(Path(device.station), device.profiles_path)
    first = profile_history.present(place)
    called(device, "calibrate", "history")
    profile_history.save(
        place,
        profile(px_per_mm=2.0),
        Change(who="emil", through="browser", reason="x"),
        expected=first,
        now=time.time(),
    )
    for path in (place.folder, *place.folder.iterdir(), place.station):
        os.chown(path, SERVICE, SERVICE)
    called(device, "calibrate", "undo")
    assert profile_history.present(place) == first and of_others(device) == []
    assert profile_history.trail(place).entries[-1].who == "erna"


@needs_root
def test_pictures_that_root_has_asked_for_can_still_be_asked_for_by_the_panel(device: DeviceConfig) -> None:
    words = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from pathlib import Path; from edge_agent import live, sudo; "
    )
    words += (
        f"folder = Path({str(device.folder)!r}); sudo.work_as_owner_of(folder); live.wish(folder / 'live', 'setup')"
    )
    subprocess.run([sys.executable, "-c", words], check=True, cwd=device.folder.parent)
    assert live._wish_path(device.folder / "live", "setup").exists() and of_others(device) == []


def test_what_the_caller_wants_to_have_is_the_callers_and_then_the_owner_works_on() -> None:
    before = os.geteuid(), os.getegid()
    with sudo.as_caller():
        assert (os.geteuid(), os.getegid()) == (os.getuid(), os.getgid())
    assert (os.geteuid(), os.getegid()) == before


def test_a_folder_that_is_not_there_changes_nobody(tmp_path: Path) -> None:
    sudo.work_as_owner_of(tmp_path / "none")
    assert os.geteuid() == os.getuid()
