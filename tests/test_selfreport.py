"""What the agent says of itself, from counts, the camera's health and the disk's."""

from dataclasses import dataclass, field

import msgspec
import numpy as np
import pytest

from benchmarks.made_cases import make_case
from edge_agent.alarm_catalogue import shipped
from edge_agent.alarms import Book, Moment, board, step
from edge_agent.capture import CaptureHealth
from edge_agent.decision import Signal
from edge_agent.errors import StoreError
from edge_agent.eyes import Sight
from edge_agent.messages import Alarm
from edge_agent.records import BundleRef, CameraFault, ClipRef, Frame, Framing, TankView, WaterSummary
from edge_agent.selfreport import FIRST_PICTURE_S, SILENT_S, SelfReport
from edge_agent.water_trend import WaterWatch
from tests.fakes_camera import Clock


@dataclass
class HealthyCamera:
    """A live camera whose health a test sets."""

    live = True
    frame_count = None
    status: str = "ok"
    words: str = ""
    fault: CameraFault | None = None

    age_s: float | None = 0.0

    def health(self) -> CaptureHealth:
        return CaptureHealth(self.status, self.words, self.age_s, 20.0, 2, 0, 0, self.fault)


class Unjudged:
    """A live camera that says nothing of itself, such as the twin."""

    live = True
    frame_count = None


@dataclass
class Waiting:
    """Stands for PendingCases: what the disk has refused."""

    fault: StoreError | None = None
    lost: int = 0
    cases: list = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.cases)


def sight(*, fault: str = "", framing: Framing | None = None, lamps: str = "") -> Sight:
    frame = Frame(np.zeros((4, 4), np.uint8), 0, 0.0, 0.0)
    view = TankView(np.zeros((4, 4), np.uint8), 0, 0.0, np.eye(3))
    thumb = np.full((24, 32), 90.0, np.float32)
    signal = Signal("none", words=lamps)
    return Sight(frame, framing or Framing("ok", np.eye(3), 4, 0.4), view, thumb, fault, signal, clarity=0.9)


def report_on(camera=None, pending=None, clock=None) -> SelfReport:
    return SelfReport(
        "boot", "shadow", camera or HealthyCamera(), Waiting() if pending is None else pending, clock or Clock()
    )


def raised(report: SelfReport) -> tuple[Alarm, ...]:
    """What the life cycle makes of these conditions once they have lasted for a minute."""
    book, rules = Book(), shipped().rules("inspect")
    for at_s in (0.0, 60.0):
        book, _ = step(book, rules, conditions=report.conditions(), orders=(), now=Moment(at_s, at_s))
    return board(book, rules).active


def alarms(report: SelfReport) -> dict[str, str]:
    return {alarm.id: alarm.text for alarm in raised(report)}


def test_frames_and_cases_are_counted():
    report = report_on()
    report.stepped(sight(), 0.004)
    report.stepped(sight(), 0.002)
    report.said(make_case(1, seed=1))
    told = report.state()
    assert (told.input.frames, told.input.dropped, told.input.camera, told.input.framing) == (2, 2, "ok", "ok")
    assert (told.input.clarity, told.input.brightness, told.output.step_ms) == (0.9, 90.0, 3.0)
    assert sum(msgspec.structs.astuple(told.output.verdicts)) == told.output.cases == 1
    assert raised(report) == ()


def test_a_live_camera_that_says_nothing_of_itself_has_stalled_when_no_frame_comes():
    clock = Clock()
    report = report_on(Unjudged(), clock=clock)
    report.stepped(sight(), 0.001)
    clock.turn(SILENT_S + 0.1)
    assert report.state().input.camera == "stalled"
    assert "cable" in alarms(report)["camera"]
    report.stepped(sight(), 0.001)
    assert (report.state().input.camera, alarms(report)) == ("ok", {})


def test_frames_that_passed_over_a_calm_tank_are_counted_so_that_those_lost_are_a_share_of_all():
    report = report_on()
    report.stepped(sight(), 0.001)
    report.passed()
    report.passed()
    told = report.state().input
    assert told.picture.frames.passed == 2 and sum(msgspec.structs.astuple(told.picture.frames)) == told.frames == 3


def test_a_frame_loop_that_is_busy_is_no_camera_that_is_silent():
    clock = Clock()
    report = report_on(clock=clock)
    report.stepped(sight(), 0.001)
    clock.turn(10 * SILENT_S)
    assert (report.state().input.camera, alarms(report)) == ("ok", {})


@pytest.mark.parametrize("camera", [HealthyCamera("waiting", "none yet: check its cable", age_s=None), Unjudged()])
def test_at_the_start_a_camera_has_the_time_to_connect_before_it_is_an_alarm(camera):
    clock = Clock()
    report = report_on(camera, clock=clock)
    clock.turn(FIRST_PICTURE_S - 0.1)
    assert (report.state().input.camera, alarms(report)) == ("unknown", {})
    clock.turn(0.2)
    assert report.state().input.camera in ("lost", "stalled") and "cable" in alarms(report)["camera"]


def test_a_camera_that_cannot_be_opened_is_an_alarm_at_once():
    refused = CameraFault("unplugged", "camera cannot be opened: plug it in")
    report = report_on(HealthyCamera("waiting", refused.words, refused, age_s=None))
    assert report.state().input.camera == "lost" and "plug it in" in alarms(report)["camera"]


def test_the_capture_threads_own_words_come_first():
    report = report_on(HealthyCamera("waiting", "camera rtsp://tank cannot be opened: check power"))
    told = report.state()
    assert told.input.camera == "lost"
    (alarm,) = raised(report)
    assert alarm.text == "camera rtsp://tank cannot be opened: check power"
    assert (alarm.cause, alarm.action) == ("camera rtsp://tank cannot be opened", "check power")


def test_each_trouble_has_its_alarm_and_ends_with_it():
    pending = Waiting(StoreError("disk cannot be written (full): free space"), lost=2)
    report = report_on(pending=pending)
    framing = Framing("shifted", np.eye(3), 4, 9.0, words="the camera has moved 9.0 px: run 'calibrate check'")
    report.stepped(sight(fault="the picture is black (level 3): check the light", framing=framing), 0.001, remains=True)
    report.said(msgspec.structs.replace(make_case(1, seed=1), water=WaterSummary("murky", 0.2), clip=None))
    report.not_filmed("a case goes on without its clip: free space")
    assert {one.id for one in report.conditions()} >= {"picture", "framing", "water", "tank", "disk", "clips"}
    assert set(alarms(report)) == {"picture", "water", "tank", "disk", "clips"}, "a black picture shows no markers"
    assert "2 are lost" in next(alarm for alarm in raised(report) if alarm.id == "disk").consequence
    pending.fault = None
    report.stepped(sight(), 0.001)
    filmed = msgspec.structs.replace(make_case(2, seed=1), water=WaterSummary("clear", 0.9), clip=ClipRef("a" * 64, 5))
    report.said(filmed)
    assert alarms(report) == {}


def test_lamps_that_cannot_be_read_are_an_alarm_until_they_can():
    report = report_on()
    report.stepped(sight(lamps="the ok lamp cannot be read for 12 s (limit 10 s): clear the view of the lamps"), 0.001)
    (told,) = raised(report)
    assert (told.id, told.action) == ("lamps", "clear the view of the lamps")
    report.stepped(sight(), 0.001)
    assert alarms(report) == {}


def test_the_water_alarm_comes_hours_before_the_water_is_murky():
    clock = Clock()
    report = report_on(clock=clock)
    report.water = WaterWatch(0.3)
    report.stepped(sight(), 0.001)
    texts = []
    for number in range(160):
        clarity = float(np.exp(-0.1 - 0.25 * number / 30))
        case = make_case(number, seed=1, water=WaterSummary("murky" if clarity < 0.3 else "clear", clarity))
        report.said(case)
        told = [alarm for alarm in raised(report) if alarm.id == "water"]
        texts.append((told[0].priority, told[0].text) if told else None)
        clock.turn(120.0)
    assert texts[0] is None
    first = next(text for text in texts if text)
    assert first[0] == "low" and "h until it must be changed" in first[1]
    assert texts[-1] == ("medium", "the water is murky: change the water")
    assert report.state().input.water == "murky"


def test_the_time_from_a_cases_last_frame_to_its_record_is_told_as_its_95th_percentile():
    clock = Clock()
    report = report_on(clock=clock)
    for number in range(1, 21):
        case = make_case(number, seed=1)
        report.ended([case], clock())
        clock.turn(0.5 if number in (7, 8) else 0.02)
        report.said(case)
    assert 450 < report.state().output.verdict_ms < 550
    assert report_on().state().output.verdict_ms is None


def test_a_challenger_that_is_often_stopped_is_counted_and_raises_an_alarm():
    report = report_on()
    report.challenger = BundleRef(8, "8" * 64)
    for number in range(1, 11):
        if number > 7:
            report.cut()
        report.ended([make_case(number, seed=1)], 0.0)
    assert report.state().output.challenger_cut == 3
    assert "stopped in 3 of the last 10 cases" in alarms(report)["challenger"]
    for number in range(11, 14):
        report.ended([make_case(number, seed=1)], 0.0)
    for number in range(14, 21):
        report.ended([make_case(number, seed=1)], 0.0)
    assert "challenger" not in alarms(report)


def test_a_champion_in_trouble_is_an_alarm_with_cause_consequence_and_cure():
    report = report_on()
    report.bundle_words = "memory grew by 300 MB (limit 256 MB) since it speaks: use another bundle"
    (alarm,) = raised(report)
    assert (alarm.id, alarm.priority, alarm.action) == ("bundle", "high", "use another bundle")
    assert "not tested" in alarm.consequence
