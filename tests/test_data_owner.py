"""What root does by hand on an installed station is done as its services' user, so that they can go on with it."""

import os
import pwd
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
import pytest

from edge_agent.bundle import open_bundle, write_bundle
from edge_agent.inspection import shipped_bundle

ROOT = Path(__file__).resolve().parent.parent
CALL = """import ctypes, os, sys
libc, setuid = ctypes.CDLL(None), os.setuid
libc.prctl(8, 1, 0, 0, 0)
def with_eyes_open(uid):
    setuid(uid)
    libc.capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)(4, 4, 0, 0, 0, 0))
os.setuid = with_eyes_open
sys.path.insert(0, sys.argv[1])
from edge_agent import data_owner
data_owner.USERS = (sys.argv[2],)
import tankwatch
sys.exit(tankwatch.main(sys.argv[3:]))
"""
"""Interpreter and checkout may lie where only root may look: who becomes the service goes on reading, and only that
(PR_SET_KEEPCAPS, CAP_DAC_READ_SEARCH). On an installed machine both are there for all to read."""
SERVICE = pwd.getpwnam("nobody")

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="to become another user is root's matter")


@pytest.fixture
def station():
    """Configuration of root, and data of the service's user; pytest's own folders are root's alone."""
    with tempfile.TemporaryDirectory() as name:
        folder, data = Path(name), Path(name) / "data"
        folder.chmod(0o755)
        data.mkdir()
        os.chown(data, SERVICE.pw_uid, SERVICE.pw_gid)
        keys = {"site": "plant", "station": "data/station.toml", "camera": "twin:", "alarms": "data/alarms.toml"}
        lines = [f'{name} = "{value}"\n' for name, value in (keys | {"data_dir": "data"}).items()]
        (folder / "device.toml").write_text("".join(lines))
        yield folder


def call(folder, *argv, user=SERVICE.pw_name):
    command = [sys.executable, "-c", CALL, str(ROOT), user, *argv, "--config", str(folder / "device.toml")]
    person = os.environ | {"SUDO_USER": "erna", "USER": "root", "LOGNAME": "root"}
    return subprocess.run(command, capture_output=True, text=True, cwd="/", timeout=120, env=person)


def owners(folder):
    return {path.stat().st_uid for path in (folder / "data").rglob("*")}


@pytest.mark.parametrize(
    "argv",
    [
        ("calibrate", "history"),
        ("agent", "alarms", "set", "drift", "priority", "low", "--reason", "a trial"),
        ("agent", "alarms", "shelve", "drift", "--minutes", "30", "--reason", "known"),
    ],
    ids=lambda argv: " ".join(argv[:3]),
)
def test_what_root_writes_by_hand_belongs_to_the_service(station, argv):
    done = call(station, *argv)
    assert done.returncode == 0, done.stderr
    assert owners(station) == {SERVICE.pw_uid}


def test_a_bundle_that_root_puts_in_its_place_can_be_followed_by_another(station):
    shipped = open_bundle(shipped_bundle())
    other, path = msgspec.structs.replace(shipped.manifest, version=7), station / "other.bundle"
    write_bundle(path, other, shipped.nets, shipped.features, golden=shipped.golden)
    done = call(station, "bundle", "use", str(path))
    assert done.returncode == 0, done.stderr
    assert (station / "data/bundles/lock").exists() and owners(station) == {SERVICE.pw_uid}


def test_the_record_names_the_person_behind_sudo(station):
    call(station, "agent", "alarms", "set", "drift", "priority", "low", "--reason", "a trial")
    assert "erna (command line)" in call(station, "agent", "alarms", "history", "--changes").stdout


def test_data_of_somebody_who_is_no_service_are_worked_on_by_root(station):
    assert call(station, "calibrate", "history", user="tankwatch").returncode == 0
    assert owners(station) == {0}


def test_secrets_that_only_root_may_read_are_at_hand(station):
    (station / "who.env").write_text("TANKWATCH_TEST=secret\n")
    (station / "who.env").chmod(0o600)
    words = (
        "import os, sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path; from edge_agent import data_owner;"
        "data_owner.USERS = ('nobody',); folder = Path(sys.argv[2]);"
        "data_owner.become(folder / 'device.toml', folder / 'who.env');"
        "print(os.getuid(), os.environ['TANKWATCH_TEST'])"
    )
    done = subprocess.run([sys.executable, "-c", words, str(ROOT), str(station)], capture_output=True, text=True)
    assert done.stdout == f"{SERVICE.pw_uid} secret\n", done.stderr


def test_a_config_that_cannot_be_used_is_left_to_the_command(station):
    (station / "device.toml").write_text("site = \n")
    done = call(station, "calibrate", "history")
    assert done.returncode == 1 and "not usable" in done.stderr and "Traceback" not in done.stderr
