"""The agent before a station is set up, and while its profile changes under way."""

import threading
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from test_agent import cases_of, state_of, wait_for
from test_notify import Supervisor

from edge_agent import agent, config, profile_check, station
from edge_agent.capture import LiveCapture
from edge_agent.errors import StationError
from edge_agent.live import PublishedCamera
from tests.fakes_camera import retaken
from tests.fakes_tape import FPS, PROFILE, TapeCamera, TapeClock, tape, write_device

CHANGED = msgspec.structs.replace(PROFILE, required_hold_s=4.0)
EMPTY_FRAMES = 10
"""Of the tape's first ones: the tank is empty in them."""


class Line:
    """A live camera: the tape's empty tank, and on `dip` its whole immersion; it plays as fast as frames are taken."""

    def __init__(self) -> None:
        tape()  # made before it is played: it takes longer than a camera may to connect
        self.clock, self.gone, self.dip = TapeClock(), threading.Event(), threading.Event()
        self.at: dict[int, threading.Event] = {}
        """Waited for before that frame of an immersion."""
        self.reached: dict[int, threading.Event] = {}
        self.step = 1
        """Of the picture's pixels each so many-th is given: the camera is set to another size."""
        self.capture = LiveCapture(self._connect, now=self.clock)

    def _connect(self):
        number = 0
        empty = list(tape().frames(last=EMPTY_FRAMES))
        while not self.gone.is_set():
            whole = self.dip.is_set()
            self.dip.clear()
            for frame in tape().frames() if whole else empty:
                if whole and frame.sequence in self.at:
                    self.reached[frame.sequence].set()
                    self.at[frame.sequence].wait(20)
                while len(self.capture._waiting) > 1 and not self.gone.is_set():
                    self.gone.wait(0.001)
                if self.gone.is_set():
                    return
                self.clock.now_s += 1 / FPS
                image = retaken(frame.image, number)[:: self.step, :: self.step]
                yield frame.__class__(image, number, self.clock(), frame.taken_at)
                number += 1

    def stop_before(self, number: int) -> None:
        self.at[number], self.reached[number] = threading.Event(), threading.Event()


@contextmanager
def running(device: Path, line: Line):
    stop, failed = threading.Event(), []

    def inspect() -> None:
        try:
            agent.inspect_device(config.load(device), stop.is_set, openers={"tape:": lambda _: line.capture})
        except Exception as error:  # noqa: BLE001 - shown by the test that waits for it
            failed.append(error)

    thread = threading.Thread(target=inspect)
    thread.start()
    try:
        yield failed
    finally:
        stop.set()
        line.gone.set()
        thread.join(20)
        assert not thread.is_alive()


def put(folder: Path, profile) -> str:
    """As commissioning does: the file is replaced whole."""
    data = station.dump(profile)
    (folder / "new.toml").write_bytes(data)
    (folder / "new.toml").replace(folder / "station.toml")
    return station.load(folder / "station.toml")[1]


def noticed(folder: Path) -> None:
    """The agent has looked at its files twice since."""
    for _ in range(2):
        before = state_of(folder).at
        wait_for(lambda before=before: state_of(folder).at != before)


def told(folder: Path, alarm: str | None = None, **fields):
    """The state once it says so."""

    def holds():
        now = state_of(folder)
        alarms = {one.id: one for one in now.alarms} if now else {}
        well = now and all(getattr(now, name) == value for name, value in fields.items())
        return well and (alarm is None or alarm in alarms) and (now, alarms)

    return wait_for(holds)


def test_a_station_without_a_profile_is_shown_and_not_inspected_until_one_appears(tmp_path, monkeypatch):
    systemd = Supervisor(str(tmp_path / "notify"))
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    device, line = write_device(tmp_path), Line()
    (tmp_path / "station.toml").unlink()
    with running(device, line):
        wait_for(lambda: (found := state_of(tmp_path)) and [one.id for one in found.alarms] == ["setup"])
        now, alarms = told(tmp_path, "setup", mode="human_only", profile_sha256=None)
        assert (alarms["setup"].cause, alarms["setup"].consequence) == (
            "the station has not been set up",
            "nothing is inspected",
        )
        assert "calibrate fit" in alarms["setup"].action
        assert (now.watched, now.aim) == (None, None)
        seen = next(PublishedCamera(config.load(device).live_path).frames())
        assert (seen.image.shape[1], seen.image.shape[0]) == PROFILE.frame_size_px
        before = state_of(tmp_path).input.frames
        line.dip.set()
        wait_for(lambda: state_of(tmp_path).input.frames > before + len(tape().pictures) + 40)
        assert cases_of(tmp_path) == []
        sha256 = put(tmp_path, PROFILE)
        now, alarms = told(tmp_path, mode="shadow", profile_sha256=sha256)
        assert "setup" not in {alarm.id for alarm in now.alarms}
        line.dip.set()
        (case,) = wait_for(lambda: cases_of(tmp_path))
        assert (case.profile_sha256, case.mode, case.decision) == (sha256, "shadow", tape().truth.decision)
    heard = systemd.heard()
    assert heard[0].startswith(("READY=1\nSTATUS=the station has not been set up", "STATUS="))
    assert sum(words.startswith("READY=1") for words in heard) == 1
    assert heard[-1] == "STOPPING=1" or heard[-2] == "STOPPING=1"
    systemd.socket.close()


def test_a_profile_that_changes_holds_from_the_next_unit_on_and_the_open_case_loses_no_frame(tmp_path):
    device, line = write_device(tmp_path), Line()
    middle = int((tape().truth.settled_s + 2) * FPS)
    line.stop_before(middle)
    first = station.load(tmp_path / "station.toml")[1]
    with running(device, line):
        told(tmp_path, mode="shadow", profile_sha256=first)
        line.dip.set()
        assert line.reached[middle].wait(20)
        second = put(tmp_path, CHANGED)
        noticed(tmp_path)
        line.at[middle].set()
        (case,) = wait_for(lambda: cases_of(tmp_path))
        assert (case.profile_sha256, case.dropped) == (first, 0)
        assert case.usable_s > 5.0, "the unit was watched to its end under the profile that it came in with"
        now, _ = told(tmp_path, mode="shadow", profile_sha256=second)
        assert now.watched.required_s == CHANGED.required_hold_s
        line.dip.set()
        _, after = wait_for(lambda: len(cases_of(tmp_path)) == 2 and cases_of(tmp_path))
    assert (after.profile_sha256, after.decision) == (second, tape().truth.decision)
    assert after.case_id != case.case_id and after.started_s > case.ended_s
    assert wait_for(lambda: profile_check.checked(tmp_path / "data" / "profiles")) == second
    assert not config.load(device).live_path.exists(), "nobody has looked"


def test_a_profile_that_cannot_be_used_changes_nothing_but_raises_an_alarm(tmp_path):
    device, line = write_device(tmp_path), Line()
    first = station.load(tmp_path / "station.toml")[1]
    with running(device, line):
        told(tmp_path, mode="shadow", profile_sha256=first)
        (tmp_path / "station.toml").write_text("station = 'TANK1'\n")
        now, alarms = told(tmp_path, "setup", profile_sha256=first)
        assert (now.mode, alarms["setup"].consequence) == (
            "shadow",
            "the station is inspected by the profile from before",
        )
        put(tmp_path, msgspec.structs.replace(PROFILE, frame_size_px=(1280, 960)))
        wait_for(lambda: "for 1280x960" in told(tmp_path, "setup")[1]["setup"].text)
        (tmp_path / "station.toml").unlink()
        wait_for(lambda: "is gone" in told(tmp_path, "setup")[1]["setup"].text)
        put(tmp_path, PROFILE)
        wait_for(lambda: not state_of(tmp_path).alarms)
        assert state_of(tmp_path).profile_sha256 == first


@pytest.mark.full
def test_a_profile_whose_markers_are_not_where_it_says_leaves_the_human_alone(tmp_path):
    device, line = write_device(tmp_path), Line()
    beside = [
        msgspec.structs.replace(one, corners_px=tuple((x + 9, y) for x, y in one.corners_px)) for one in PROFILE.markers
    ]
    tank = tuple((x + 9, y) for x, y in PROFILE.tank_px)
    sha256 = put(tmp_path, msgspec.structs.replace(PROFILE, markers=tuple(beside), tank_px=tank))
    with running(device, line):
        now, alarms = told(tmp_path, "framing", profile_sha256=sha256, mode="human_only")
        assert "not yet seen in place" in now.mode_words and "mode" not in alarms
        frames = now.input.frames
        wait_for(lambda: state_of(tmp_path).input.frames > frames + 60)
        assert state_of(tmp_path).mode == "human_only"
        assert profile_check.checked(tmp_path / "data" / "profiles") is None
        put(tmp_path, PROFILE)
        told(tmp_path, mode="shadow")


@pytest.mark.full
def test_a_profile_of_another_size_holds_once_the_camera_is_set_to_it(tmp_path):
    device, line = write_device(tmp_path), Line()
    sha256 = station.load(tmp_path / "station.toml")[1]
    line.step = 2
    with running(device, line):
        _, alarms = told(tmp_path, "setup", mode="human_only", profile_sha256=None)
        assert "the picture is 320x240, the station profile is for 640x480" in alarms["setup"].text
        line.step = 1
        told(tmp_path, mode="shadow", profile_sha256=sha256)
        wait_for(lambda: not state_of(tmp_path).alarms)


@pytest.mark.parametrize("kind", ["missing", "another size"])
def test_a_recording_waits_for_nobody(tmp_path, kind):
    device = write_device(tmp_path)
    (tmp_path / "station.toml").unlink()
    if kind == "another size":
        put(tmp_path, msgspec.structs.replace(PROFILE, frame_size_px=(1280, 960)))
    words = "station.toml cannot be read" if kind == "missing" else "the station profile is for 1280x960"
    with pytest.raises(StationError, match=words):
        agent.inspect_device(config.load(device), lambda: False, openers={"tape:": lambda _: TapeCamera()})
