"""A challenge part in the twin's tank: the device gives the case the serial that the line read, and marks it itself."""

from dataclasses import replace

import pytest

from calibration.scene import draw_scene, draw_station
from calibration.twin import Twin, profile_of
from edge_agent.bundle import open_bundle
from edge_agent.case import Identity
from edge_agent.inspection import make_inspector, shipped_bundle
from edge_agent.pipeline import Inspector, Sampling
from edge_agent.records import Sampled
from edge_agent.serials import KEPT_S

LOOK = draw_station(31, "demo")
FPS = 20.0


class Kept:
    """A clip that only says what became of it."""

    path = "clip"

    def __init__(self, ends: list[str]) -> None:
        self._ends = ends

    def frame(self, sight, *, since_settled_s) -> None: ...

    def finish(self, judge, verdict) -> None:
        self._ends.append("kept")

    def discard(self) -> None:
        self._ends.append("discarded")


@pytest.fixture(scope="module")
def tank():
    """Frames of three good units that the inspector passes, and when each is in the water."""
    scenes = [replace(draw_scene(3, LOOK, "demo"), hands=(), hold_s=2.0, gap_s=1.5, decision="ok") for _ in range(3)]
    twin = Twin(LOOK, scenes, fps=FPS, seed=4, colour=True)
    return [frame for frame, _ in twin.frames()], twin.cases


def inspector_of(frames, ends: list[str]) -> Inspector:
    # No audit is ever drawn: what is kept is kept as a challenge.
    sampling, who = Sampling(1e-9, lambda: 1.0), Identity("plant", "TANK1", "boot")
    bundle = open_bundle(shipped_bundle())
    return make_inspector(frames[0], who, profile_of(LOOK), bundle, sampling=sampling, open_clip=lambda _: Kept(ends))


def test_a_registered_serial_marks_its_case_and_keeps_its_clip_and_each_serial_is_given_once(tank) -> None:
    frames, truths = tank
    ends: list[str] = []
    inspector = inspector_of(frames, ends)
    inspector.ordered(1e-9, challenge_serials=("R-1", "G-1"))
    read = {
        frames[0].sequence: " G-1 ",
        round(FPS * truths[0].settled_s): "G-1",  # read again in the water
        round(FPS * truths[0].decided_s) + 6: "G-1",  # and once more after the lamp
        round(FPS * (truths[1].settled_s + 0.5)): "SN-2",  # read late
    }
    cases = []
    for frame in frames:
        if frame.sequence in read:
            inspector.named(read[frame.sequence])
        cases += inspector.step(frame)
    cases += inspector.finish()
    assert [case.serial for case in cases] == ["G-1", "SN-2", None]
    assert cases[0].sampled == Sampled("challenge", 1.0)
    assert ends[0] == "kept"
    assert "challenge" not in {case.sampled.reason for case in cases[1:]}


def test_a_serial_that_was_read_long_ago_is_nobodys(tank) -> None:
    frames, truths = tank
    entered_s = truths[0].entered_s
    late = [frame for frame in frames if entered_s - 1.0 < frame.monotonic_s < truths[0].decided_s + 1.0]
    early = replace(frames[0], monotonic_s=late[0].monotonic_s - KEPT_S, sequence=0)
    inspector = inspector_of(frames, [])
    inspector.step(early)
    inspector.named("R-1")
    cases = [case for frame in late for case in inspector.step(frame)] + inspector.finish()
    assert [case.serial for case in cases] == [None]
