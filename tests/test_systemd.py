"""The units as systemd itself reads them, and the commands that they start."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import tankwatch

ROOT = Path(__file__).resolve().parent.parent
UNITS = sorted((ROOT / "systemd").glob("*.service"))
TIMERS = sorted((ROOT / "systemd").glob("*.timer"))
MOST_EXPOSED = "16"
"""In tenths, of 100; a service without hardening has 96."""

needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is absent")


@needs_systemd
@pytest.mark.parametrize("unit", [*UNITS, *TIMERS], ids=lambda unit: unit.name)
def test_systemd_finds_no_fault_in_the_unit(unit, tmp_path):
    here = tmp_path / unit.name
    started = unit.with_suffix(".service")
    (tmp_path / started.name).write_text(
        started.read_text().replace("/opt/tankwatch/current/tankwatch", str(ROOT / "tankwatch"))
    )
    here.write_text(unit.read_text().replace("/opt/tankwatch/current/tankwatch", str(ROOT / "tankwatch")))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", here], capture_output=True, text=True)
    assert (done.returncode, [line for line in done.stderr.splitlines() if unit.name in line]) == (0, [])


@needs_systemd
@pytest.mark.parametrize("timer", TIMERS, ids=lambda timer: timer.stem)
def test_a_timer_starts_a_unit_of_ours_at_a_time_that_systemd_understands(timer):
    assert timer.with_suffix(".service") in UNITS
    (moment,) = re.findall(r"^OnCalendar=(.*)$", timer.read_text(), re.M)
    assert subprocess.run(["systemd-analyze", "calendar", moment], capture_output=True).returncode == 0


@needs_systemd
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_unit_gives_up_what_it_does_not_need(unit):
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={MOST_EXPOSED}", "--no-pager", unit]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-200:] + done.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_unit_starts_a_command_that_exists(unit):
    started = re.search(
        r"^ExecStart=/opt/tankwatch/current/tankwatch (\w+) (\w+)(?: \w+)? --config /etc/tankwatch/",
        unit.read_text(),
        re.M,
    )
    assert started is not None
    command, part = started.groups()
    assert command in tankwatch.COMMANDS
    assert f'"{part}":' in (ROOT / "tankwatch.py").read_text()


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_processes_of_one_user_leave_each_other_the_folder_in_memory(unit):
    lines = unit.read_text().splitlines()
    assert ("RuntimeDirectory=tankwatch" in lines) == ("RuntimeDirectoryPreserve=yes" in lines)


@pytest.mark.parametrize("name", ["tankwatch-cloud-web", "tankwatch-cloud-ingest"])
def test_a_decoder_that_takes_too_much_memory_does_not_end_the_unit(name):
    lines = (ROOT / "systemd" / f"{name}.service").read_text().splitlines()
    assert "OOMPolicy=continue" in lines and any(line.startswith("MemoryMax=") for line in lines)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_a_unit_that_has_to_say_it_is_ready_is_watched(unit):
    text = unit.read_text()
    assert ("\nType=notify\n" in text) == ("\nWatchdogSec=" in text)
