"""A network camera as a user meets it: a real RTSP server with H.264, its bad days, and the commands that read it."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest

from calibration import fitting, profile
from edge_agent import config, state, station
from edge_agent.camera import open_camera
from edge_agent.capture import LiveCapture
from edge_agent.errors import StationError
from edge_agent.records import Case
from edge_agent.wire import decode
from tests.fakes_rtsp import PASSWORD, USER, is_installed, rtsp_camera, write_clip
from tests.fakes_tape import FPS, PROFILE, write_device

pytestmark = pytest.mark.skipif(not is_installed(), reason="GStreamer's RTSP server is not installed")
ROOT = Path(__file__).resolve().parent.parent
PATIENCE_S = 40.0


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rtsp") / "tank.mp4"
    write_clip(path)
    return path


def wait_for(what, within_s: float = PATIENCE_S):
    until = time.monotonic() + within_s
    while not (found := what()):
        assert time.monotonic() < until, "it has not come in time"
        time.sleep(0.02)
    return found


def test_pictures_carry_the_times_at_which_they_were_taken_though_the_first_come_all_at_once(clip: Path) -> None:
    with rtsp_camera(clip) as server:
        camera = open_camera(server.address)
        times_s, sequences = [], []
        for frame in camera.frames():
            times_s.append(frame.monotonic_s)
            sequences.append(frame.sequence)
            if len(times_s) == 30:
                camera.close()
    steps_s = np.diff(times_s) / np.diff(sequences)
    assert np.abs(steps_s - 1 / FPS).max() < 0.02
    assert isinstance(camera, LiveCapture) and camera.health().fps == pytest.approx(FPS, rel=0.1)


def test_a_camera_that_is_gone_is_noticed_within_two_seconds_and_read_again_when_it_is_back(clip: Path) -> None:
    with rtsp_camera(clip) as server:
        camera = open_camera(server.address, patience_s=None)
        assert isinstance(camera, LiveCapture)
        frames = camera.frames()
        before = [next(frames) for _ in range(10)][-1]
        server.kill()
        wait_for(lambda: camera.next(0.01) is None and camera.health().status != "ok", within_s=2.0)
        wait_for(lambda: len(camera.notes) == 2)
        server.start()
        after = next(frames)
        camera.close()
    assert after.sequence > before.sequence and after.monotonic_s > before.monotonic_s
    assert "has stopped giving pictures: check power and cable; next attempt in 0.5 s" in camera.notes[0]
    assert (
        "does not answer (Connection refused): check power, cable and address; next attempt in 1 s" in camera.notes[1]
    )


@pytest.mark.parametrize(
    ("account", "path", "words"),
    [
        ("", "/tank", "it wants a user and a password: give rtsp://user:password@127.0.0.1"),
        (f"{USER}:wrong@", "/tank", "it refuses this user, this password or /tank"),
        ("", "/nowhere", "it has no stream /nowhere: see its manual for the path"),
    ],
)
def test_a_wrong_password_or_path_is_said_in_one_line(clip: Path, account: str, path: str, words: str) -> None:
    heard: list[str] = []
    with rtsp_camera(clip, USER, PASSWORD) as server, pytest.raises(StationError) as error:
        camera = open_camera(f"rtsp://{account}127.0.0.1:{server.port}{path}", patience_s=1.0, say=heard.append)
        list(camera.frames())
    assert words in str(error.value) and "\n" not in str(error.value)
    assert len(heard) == 1 and words in heard[0] and "wrong" not in heard[0]


@pytest.mark.full
def test_doctor_sees_a_camera_behind_a_password_and_ends_cleanly(clip: Path) -> None:
    with rtsp_camera(clip, USER, PASSWORD) as server:
        source = f"rtsp://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{server.port}/tank"
        command = [sys.executable, str(ROOT / "tankwatch.py"), "doctor", "--source", source]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    seen = next(line for line in done.stdout.splitlines() if " camera " in line)
    assert seen.split()[:2] == ["ok", "camera"] and "gives 640x480 pictures" in seen
    assert done.returncode == 0 and quote(PASSWORD, safe="") not in done.stdout + done.stderr


@pytest.mark.full
def test_a_profile_is_made_from_a_stream_with_a_warning_of_its_codec(clip: Path, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(fitting, "LONGEST_S", 1.5)
    out = tmp_path / "station.toml"
    with rtsp_camera(clip) as server:
        assert profile.calibrate(["fit", server.address, "--station", PROFILE.station, "--out", str(out)]) == 0
    made, _ = station.load(out)
    assert np.abs(np.array(made.tank_px) - np.array(PROFILE.tank_px)).max() < 1.0
    assert made.camera.fps == pytest.approx(FPS, rel=0.1)
    assert "a network camera's codec hides small bubbles: set its highest quality" in capsys.readouterr().err


@pytest.mark.full
def test_the_agent_makes_a_case_of_a_stream_and_says_when_it_is_gone(clip: Path, tmp_path: Path) -> None:
    with rtsp_camera(clip) as server:
        device = write_device(tmp_path, server.address, audit=config.AuditConfig(floor=1.0))
        command = [sys.executable, str(ROOT / "tankwatch.py"), "agent", "inspect", "--config", str(device)]
        agent = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert agent.stdout is not None
        line = agent.stdout.readline()
        server.kill()
        wait_for(lambda: _camera_word(tmp_path) in ("lost", "stalled"), within_s=2.5)
        agent.send_signal(signal.SIGTERM)
        _, said = agent.communicate(timeout=PATIENCE_S)
    (case,) = [decode(path.read_bytes(), Case) for path in (tmp_path / "data" / "spool").glob("*.json")]
    assert line.startswith(f"case={case.case_id} sequence=1 verdict=leak ")
    assert (case.decision, case.outcome, case.framing.status, case.dropped) == ("leak", "agree", "ok", 0)
    assert case.usable_s > 6 and case.frames / (case.ended_s - case.started_s) == pytest.approx(FPS, rel=0.1)
    assert agent.returncode == 0 and "Traceback" not in said


def _camera_word(folder: Path) -> str:
    seen = state.read(folder / "data" / "state.json")
    return seen.input.camera if seen else "unknown"
