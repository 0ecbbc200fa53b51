"""Disks that take nothing, and files of the broker that are not there: one line with fact and cure, and no crash."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tankwatch
from benchmarks import clock_station
from edge_agent.alarm_keeper import AlarmKeeper
from edge_agent.config import BrokerConfig, UpdatesConfig
from tests.fakes_tape import write_device
from tests.test_uplink_tls import openssl

ROOT = Path(tankwatch.__file__).parent
NO_MOUNTS = ("permission denied", "not permitted", "must be superuser")
BROUGHT_UP = """
import contextlib, io, json, subprocess, sys
import tankwatch
folder, found = sys.argv[1], {}
data = f"{folder}/data"
MOUNTS = {
    "read-only": [["mount", "--bind", data, data], ["mount", "-o", "remount,ro,bind", data]],
    "full": [["mount", "-t", "tmpfs", "-o", "size=8k", "none", data], ["cp", "/etc/hostname", f"{data}/ballast"],
             ["sh", "-c", f"cat /dev/zero > {data}/ballast 2>/dev/null; true"]],
}
for disk, commands in MOUNTS.items():
    for command in commands:
        subprocess.run(command, check=True)
    for program in ("inspect", "uplink", "update"):
        said = io.StringIO()
        with contextlib.redirect_stderr(said):
            status = tankwatch.main(["agent", program, "--config", f"{folder}/device.toml"])
        found[f"{disk} {program}"] = status, said.getvalue().splitlines()
    subprocess.run(["umount", data], check=True)
print(json.dumps(found))
"""
READ_ONLY_UNDER_WAY = """
import subprocess, sys
from pathlib import Path
from benchmarks.made_cases import make_case
from edge_agent.outbox import Outbox, PendingCases
from edge_agent.pin import write_private
from edge_agent.errors import StoreError
folder = Path(sys.argv[1])
spool = folder / "data"
subprocess.run(["mount", "--bind", spool, spool], check=True)
box = Outbox.open(folder / "outbox.db", spool)
pending = PendingCases(box)
assert len(pending.put(make_case(1))) == 1
subprocess.run(["mount", "-o", "remount,ro,bind", spool], check=True)
assert pending.put(make_case(2)) == [] and len(pending) == 1
print(pending.fault)
try:
    write_private(spool / "key", b"k")
except StoreError as error:
    print(error)
subprocess.run(["mount", "-o", "remount,rw,bind", spool], check=True)
assert [case.sequence for case in pending.retry()] == [2] and pending.fault is None
"""


def in_a_namespace(script: str, folder: Path) -> str:
    """Its stdout; there it may mount what it likes."""
    if not shutil.which("unshare"):
        pytest.skip("mounting needs unshare")
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    done = subprocess.run(
        ["unshare", *user, "--mount", sys.executable, "-c", script, folder],
        capture_output=True, text=True, timeout=120, env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    if any(words in done.stderr.lower() for words in NO_MOUNTS):
        pytest.skip("this machine lets nobody mount")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_disk_that_is_full_or_read_only_ends_a_start_in_one_line_with_its_cure(tmp_path):
    updates = UpdatesConfig(url="http://127.0.0.1:1/updates", root="root.json")
    write_device(tmp_path, "twin:seed=31,profile=demo,cases=1", updates=updates)
    (tmp_path / "data").mkdir()
    found = json.loads(in_a_namespace(BROUGHT_UP, tmp_path).splitlines()[-1])
    assert len(found) == 6
    for case, (status, lines) in found.items():
        assert status == 1 and lines[-1].startswith("tankwatch agent: "), case
        assert all(line.startswith("WARNING ") for line in lines[:-1]), case
    for program in ("inspect", "uplink"):
        assert "Read-only file system" in found[f"read-only {program}"][1][-1]
        assert "mount the disk for writing" in found[f"read-only {program}"][1][-1]
        assert "free space" in found[f"full {program}"][1][-1]


def test_a_disk_that_becomes_read_only_under_way_keeps_cases_waiting_and_says_so(tmp_path):
    (tmp_path / "data").mkdir()
    lines = in_a_namespace(READ_ONLY_UNDER_WAY, tmp_path).splitlines()
    assert len(lines) == 2
    for line in lines:
        assert "cannot be written (Read-only file system" in line and "mount the disk for writing" in line


@pytest.mark.parametrize("missing", ["ca", "cert", "key"])
def test_a_missing_file_of_the_broker_ends_the_uplink_in_one_line_that_names_it(tmp_path, capsys, missing):
    files = {}
    for name in ("ca", "cert", "key"):
        (tmp_path / f"{name}.pem").write_text("nothing that TLS could use")
        files[name] = f"{name}.pem"
    (tmp_path / f"{missing}.pem").unlink()
    device = write_device(tmp_path, broker=BrokerConfig(**files))
    assert tankwatch.main(["agent", "uplink", "--config", str(device)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"tankwatch agent: broker.{missing} {tmp_path / missing}.pem cannot be read (No such file")


def test_files_of_the_broker_that_are_none_end_the_uplink_in_one_line(tmp_path, capsys):
    (tmp_path / "ca.pem").write_text("nothing that TLS could use")
    device = write_device(tmp_path, broker=BrokerConfig(ca="ca.pem"))
    assert tankwatch.main(["agent", "uplink", "--config", str(device)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "TLS files of the broker cannot be used" in line


def test_a_supervisor_waits_before_it_starts_again_what_ended_at_once():
    for unit in (ROOT / "systemd").glob("tankwatch-*.service"):
        text = unit.read_text()
        if "Restart=" in text and "Restart=no" not in text:
            assert "RestartSec=" in text, unit.name


def test_an_alarm_setting_that_is_none_is_an_alarm_and_the_settings_before_it_hold(tmp_path):
    keeper = AlarmKeeper("inspect", tmp_path / "alarms", tmp_path / "alarms.toml")
    assert keeper.look([]).active == ()
    (tmp_path / "alarms.toml").write_text("colour = 1\n")
    (alarm,) = keeper.look([]).active
    assert alarm.id == "alarm-settings" and "`colour`" in alarm.text and "alarms.toml" in alarm.text


@pytest.mark.skipif(not (shutil.which("openssl") and clock_station.library()), reason="needs openssl and libfaketime")
def test_a_device_whose_clock_is_at_1970_is_told_to_look_at_it_where_no_certificate_can_be_trusted(tmp_path):
    for name in ("ca",):
        new = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
        openssl(
            tmp_path, *new, "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", f"{name}.key", "-out", f"{name}.pem"
        )
    server = subprocess.Popen(
        ["openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", "ca.pem", "-key", "ca.key"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.PIPE, text=True,
    )  # fmt: skip
    port = int(next(line for line in server.stdout if line.startswith("ACCEPT")).rsplit(":", 1)[1])
    device = write_device(tmp_path, broker=BrokerConfig(port=port, ca="ca.pem"))
    off_s = -int(time.time()) + 3600
    faked = {
        "LD_PRELOAD": str(clock_station.library()), "FAKETIME": f"{off_s:+d}", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }  # fmt: skip
    uplink = subprocess.Popen(
        [sys.executable, ROOT / "tankwatch.py", "agent", "uplink", "--config", device],
        stdout=subprocess.PIPE, text=True, env=os.environ | faked,
    )  # fmt: skip
    line = uplink.stdout.readline()
    uplink.terminate()
    server.kill()
    assert "is not trusted" in line and "not yet valid" in line and "this device's clock is right" in line
    assert line.startswith("1970-01-01") and uplink.wait(20) == 0
    server.wait()
