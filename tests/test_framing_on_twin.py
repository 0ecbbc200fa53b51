"""The watch over markers on the twin's pictures: no alarm on a station that stands still, and none too late."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

import pytest

from calibration.faults import Impairment
from calibration.fitting import fit
from calibration.scene import StationLook, draw_station
from calibration.twin import Twin, draw_scenes, station_of
from edge_agent import codes
from edge_agent.codes import MarkerReader
from edge_agent.framing import FramingWatch
from edge_agent.records import Frame
from edge_agent.station import StationProfile

FPS = 20.0
UNMOVED_FRAMES = 20_000
STATIONS = 20
FAULTS = [
    ("shift", 3.0),
    ("shift", -3.0),
    ("rotate", 0.5),
    ("rotate", -0.5),
    *(("covered", float(n)) for n in range(4)),
]
"""What the product promises to report within a second."""


def filmed(look: StationLook, seed: int, *faults: Impairment) -> Iterator[Frame]:
    """Without hands before the glass: those do cover markers."""
    scenes = (replace(scene, hands=()) for scene in draw_scenes(seed, look, "reference", None))
    twin = Twin(look, scenes, fps=FPS, seed=seed, impairments=faults)
    return (frame for frame, _ in twin.frames())


def calibrated(seed: int) -> tuple[StationLook, StationProfile]:
    look = draw_station(seed, "reference", (640, 480), "TANK1")
    return look, fit(islice(filmed(look, seed), 40), "TANK1")[0]


def alarms(seed: int, frames: int) -> list[str]:
    look, profile = calibrated(seed)
    watch = FramingWatch(profile, MarkerReader(profile))
    return [found.words for frame in islice(filmed(look, seed), frames) if (found := watch.step(frame)).status != "ok"]


def reported_after_s(seed: int, name: str, amount: float) -> float:
    """From when on the watch says without a break that something is wrong; inf where it never does."""
    look, profile = calibrated(seed)
    watch, at_s = FramingWatch(profile, MarkerReader(profile)), 1.0 + 0.05 * (seed % 8)
    since_s = float("inf")
    for frame in islice(filmed(look, seed, Impairment(name, at_s, amount)), int((at_s + 1.5) * FPS)):
        well = watch.step(frame).status == "ok"
        since_s = float("inf") if well else min(since_s, frame.monotonic_s)
    return since_s - at_s


def test_a_station_that_stands_still_is_left_alone() -> None:
    assert alarms(1, 200) == []


@pytest.mark.parametrize("number", [111, 186])
def test_paper_that_is_dark_before_a_bright_tank_is_read_at_its_place(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = station_of(424243, number, "reference", (640, 480), "TANK1")
    shown = list(islice(filmed(look, number), 40))
    watch = MarkerReader(fit(shown, "TANK1")[0])
    monkeypatch.setattr(codes, "read", lambda *_: pytest.fail("the whole picture was searched"))
    assert [len(watch(frame.image)) for frame in shown[::8]] == [4] * 5


@pytest.mark.parametrize(("name", "amount"), [("shift", 3.0), ("rotate", -0.5), ("covered", 2.0)])
def test_what_moves_on_the_twin_is_reported_within_a_second(name: str, amount: float) -> None:
    assert 0 <= reported_after_s(2, name, amount) <= 1.0


@pytest.mark.full
@pytest.mark.parametrize("seed", range(500, 500 + STATIONS))
def test_no_alarm_in_20000_unmoved_frames_of_twenty_stations(seed: int) -> None:
    assert alarms(seed, UNMOVED_FRAMES // STATIONS) == []


@pytest.mark.full
@pytest.mark.parametrize("seed", range(500, 505))
def test_everything_promised_is_reported_within_a_second_at_five_stations(seed: int) -> None:
    late = {fault: after for fault in FAULTS if not 0 <= (after := reported_after_s(seed, *fault)) <= 1.0}
    assert late == {}
