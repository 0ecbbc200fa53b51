"""Immersions that are not as the line means them, in the twin: which cases come of them is said in docs/agent.md."""

import random
from dataclasses import replace

import msgspec
import pytest
from in_full import in_full

from calibration.faults import Impairment
from calibration.scene import draw_scene, draw_station
from calibration.twin import Twin, profile_of
from edge_agent.bundle import open_bundle
from edge_agent.case import Identity
from edge_agent.inspection import make_inspector, shipped_bundle
from edge_agent.pipeline import Sampling

LOOK = draw_station(31, "demo")
PROFILE = profile_of(LOOK)


@pytest.fixture(scope="module")
def bundle():
    return open_bundle(shipped_bundle())


def scene(seed=3, **changes):
    return replace(draw_scene(seed, LOOK, "demo"), **({"hands": (), "hold_s": 3.0, "gap_s": 2.0} | changes))


def inspect(bundle, scenes, *, profile=PROFILE, from_s=0.0, impairments=()):
    """Cases, with their times in the twin's, and the truths."""
    twin = Twin(LOOK, scenes, fps=15.0, seed=4, colour=True, impairments=impairments)
    frames = [frame for frame, _ in twin.frames() if frame.monotonic_s >= from_s]
    sampling = Sampling(0.02, random.Random(1).random)
    inspector = make_inspector(frames[0], Identity("plant", "TANK1", "boot"), profile, bundle, sampling=sampling)
    cases = [case for frame in frames for case in inspector.step(frame)] + inspector.finish()
    began_s = frames[0].monotonic_s
    moved = [msgspec.structs.replace(c, started_s=c.started_s + began_s, ended_s=c.ended_s + began_s) for c in cases]
    return moved, twin.cases


@pytest.mark.parametrize("shift_px", [in_full(5.0), 8.0])
def test_a_knock_over_the_empty_tank_is_no_case(bundle, shift_px):
    empty = scene(unit=None, leaky=False, leaks=(), trapped_bubbles=0, decision="none", hold_s=1.5)
    assert inspect(bundle, [empty], impairments=(Impairment("shift", 2.0, shift_px),))[0] == []


def test_a_unit_dipped_twice_before_its_lamp_is_two_cases_and_the_second_has_the_lamp(bundle):
    cases, truths = inspect(bundle, [scene(decision="none"), scene(decision="leak")])
    assert [case.decision for case in cases] == ["none", "leak"]
    assert cases[0].outcome in ("undecided", "not_tested")
    for case, truth in zip(cases, truths, strict=True):
        assert abs(case.started_s - truth.entered_s) <= 0.3


def test_a_unit_left_in_after_its_lamp_is_one_case(bundle):
    cases, truths = inspect(bundle, [scene(decision="ok", lamp_delay_s=4.0), scene(decision="ok")])
    assert [case.decision for case in cases] == ["ok", "ok"]
    assert abs(cases[0].ended_s - truths[0].decided_s) <= 0.3
    assert abs(cases[1].started_s - truths[1].entered_s) <= 0.3


def test_a_start_with_a_unit_in_costs_that_unit_only_though_no_profile_knows_the_empty_tank(bundle):
    scenes = [scene(decision="none"), scene(4, decision="ok")]
    truth = inspect(bundle, scenes[:1])[1][0]
    unaware = msgspec.structs.replace(PROFILE, empty_view=None)
    cases, truths = inspect(bundle, scenes, profile=unaware, from_s=truth.settled_s + 1.0)
    (case,) = cases
    assert abs(case.started_s - truths[1].entered_s) <= 0.3
    assert case.decision == "ok"
