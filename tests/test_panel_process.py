"""`agent panel` as a process: killed at any time, it is there again at once, and goes when it is told to."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from panel_site import PIN, a_device, free_port

from edge_agent import config, panel
from edge_agent.pin import Pin
from tests.test_notify import Supervisor

ROOT = Path(__file__).parent.parent
START_S = 60.0


def started(device: config.DeviceConfig, path: Path) -> subprocess.Popen:
    command = [sys.executable, str(ROOT / "tankwatch.py"), "agent", "panel", "--config", str(path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said = process.stderr.readline()
    assert said == f"screen: http://127.0.0.1:{device.panel.port}/\n", said + process.stderr.read()
    return process


def opened(device: config.DeviceConfig, path: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", device.panel.port, timeout=START_S)
    connection.request("GET", path)
    return connection.getresponse()


@pytest.fixture
def station(tmp_path: Path) -> tuple[config.DeviceConfig, Path]:
    device = a_device(tmp_path, port=free_port())
    path = tmp_path / "device.toml"
    path.write_bytes(config.dump(device))
    return device, path


def test_a_panel_that_is_told_to_end_goes_though_a_screen_is_open(station) -> None:
    panel = started(*station)
    screen = opened(station[0], "/state")
    assert screen.readline().startswith(b"retry")
    began_s = time.monotonic()
    os.kill(panel.pid, signal.SIGTERM)
    assert panel.wait(START_S) == 0
    assert time.monotonic() - began_s < 5


def test_a_panel_says_to_systemd_that_it_answers_and_is_silent_when_it_does_not(station, tmp_path, monkeypatch) -> None:
    systemd = Supervisor(str(tmp_path / "notify"))
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", "800000")
    running = started(*station)
    try:
        heard: list[str] = []
        until_s = time.monotonic() + START_S
        while "WATCHDOG=1" not in heard:
            assert time.monotonic() < until_s
            heard += systemd.heard()
        assert heard[0] == "READY=1"
        assert panel.answers("127.0.0.1", station[0].panel.port)
    finally:
        running.kill()
        running.wait()
        systemd.socket.close()
    monkeypatch.setattr(panel, "ANSWER_S", 0.1)
    with socket.socket() as stuck:
        stuck.bind(("127.0.0.1", 0))
        stuck.listen()
        assert not panel.answers("127.0.0.1", stuck.getsockname()[1])


@pytest.mark.full
def test_a_panel_that_was_killed_is_there_again_at_once_and_knows_the_pin(station) -> None:
    device, _ = station
    device.folder.mkdir()
    Pin(device.folder).set(PIN)
    first = started(*station)
    screen = opened(device, "/state")
    assert screen.readline().startswith(b"retry")
    first.kill()
    first.wait(START_S)
    second = started(*station)
    assert opened(device, "/").status == 200
    assert opened(device, "/setup/").headers["Location"].startswith("/pin")
    second.terminate()
    second.wait(START_S)


@pytest.mark.parametrize("line", ['language = "xx"', 'timezone = "Mars/Olympus"', 'shifts = ["25:00"]', "wrong = 1"])
def test_a_device_file_that_cannot_be_used_is_said_in_one_line(tmp_path: Path, line: str, capsys) -> None:
    import tankwatch

    text = config.dump(a_device(tmp_path)).decode().replace("[panel]\n", f"[panel]\n{line}\n")
    kept = [one for one in text.splitlines() if one == line or one.split(" =")[0] != line.split(" =")[0]]
    (tmp_path / "device.toml").write_text("\n".join(kept))
    assert tankwatch.main(["agent", "panel", "--config", str(tmp_path / "device.toml")]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "Traceback" not in said
