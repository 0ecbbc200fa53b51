"""What goes wrong at a station must not become a word on a unit: lamps, clocks, gaps, hands and failing challengers."""

import random
from dataclasses import replace

import numpy as np
import pytest

from calibration.lamplight import LampPainter
from calibration.scene import Hand, draw_scene, draw_station
from calibration.twin import Twin, profile_of
from edge_agent import case as open_case
from edge_agent.bundle import open_bundle
from edge_agent.case import Identity
from edge_agent.errors import StationError
from edge_agent.inspection import make_inspector, shipped_bundle
from edge_agent.pipeline import Sampling
from edge_agent.records import Frame

LOOK = draw_station(31, "demo")
PROFILE = profile_of(LOOK)
UNMOVED = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


@pytest.fixture(scope="module")
def bundle():
    return open_bundle(shipped_bundle())


@pytest.fixture(scope="module")
def immersion():
    """Frames of one tight unit that nobody decides on, and the truth."""
    scene = replace(draw_scene(3, LOOK, "demo"), hands=(), leaky=False, leaks=(), hold_s=7.5, decision="none")
    twin = Twin(LOOK, [scene], fps=15.0, seed=4, colour=True)
    return [frame for frame, _ in twin.frames()], twin.cases[0]


def inspect(bundle, frames, *, profile=PROFILE, **options):
    identity, sampling = Identity("plant", "TANK1", "boot"), Sampling(0.02, random.Random(1).random)
    inspector = make_inspector(frames[0], identity, profile, bundle, sampling=sampling, **options)
    return [case for frame in frames for case in inspector.step(frame)] + inspector.finish()


def with_lamp(frames, from_s, until_s):
    painter, painted = LampPainter(LOOK), []
    for frame in frames:
        image = frame.image.copy()
        painter.paint(image, UNMOVED, ("ok",) if from_s <= frame.monotonic_s < until_s else (), frame.monotonic_s)
        painted.append(replace(frame, image=image))
    return painted


def test_a_lamp_that_is_stuck_decides_no_unit_not_even_after_a_gap(bundle, immersion):
    frames, truth = immersion
    gap_s = truth.settled_s + 6
    seen = [frame for frame in with_lamp(frames, 0, 99) if not gap_s < frame.monotonic_s < gap_s + 0.6]
    cases = inspect(bundle, seen)
    assert [case.decision for case in cases if case.frames > 1] == ["none"]
    assert [case.verdict for case in cases if case.frames == 1] == ["not_tested"]


def test_frames_that_come_twice_or_late_change_nothing(bundle, immersion):
    frames, truth = immersion
    decided_s = truth.settled_s + 6
    lit = with_lamp(frames, decided_s, decided_s + 1)
    doubled = [same for at, frame in enumerate(lit) for same in (frame, frame, lit[max(0, at - 3)])]
    once, again = inspect(bundle, lit), inspect(bundle, doubled)
    assert again == once
    assert [case.decision for case in once] == ["ok"]


def test_a_clock_that_is_set_back_is_an_error_and_not_a_dead_station(bundle, immersion):
    frames, _ = immersion
    with pytest.raises(StationError, match="went back by"):
        inspect(bundle, [frames[-1], frames[3]])


def test_a_unit_seen_in_frames_too_far_apart_is_not_tested(bundle, immersion):
    frames, _ = immersion
    cases = inspect(bundle, frames[::3])
    assert [case.verdict for case in cases] == ["not_tested"]
    assert "composites could be made" in cases[0].reason


def test_a_hand_that_reaches_into_the_empty_tank_is_no_case(bundle):
    scene = replace(draw_scene(3, LOOK, "demo"), unit=None, leaky=False, leaks=(), trapped_bubbles=0, decision="none")
    scene = replace(scene, hands=(Hand(1.0, 3.0, 1, 0.5),), hold_s=3.0)
    assert inspect(bundle, [frame for frame, _ in Twin(LOOK, [scene], fps=15.0, seed=4).frames()]) == []


def test_a_challenger_that_fails_stops_nobody(bundle, immersion):
    frames, _ = immersion
    broken = replace(bundle, nets=bundle.nets | {"detector": bundle.nets["water"]})
    alone, beside = inspect(bundle, frames[:180]), inspect(bundle, frames[:180], challenger=broken)
    assert (beside[0].verdict, beside[0].score) == (alone[0].verdict, alone[0].score)
    assert beside[0].challenger is not None
    assert beside[0].challenger.verdict == "not_tested"
    assert "net" in beside[0].challenger.reason


def test_a_unit_left_in_the_tank_is_not_watched_for_ever(bundle, immersion, monkeypatch):
    monkeypatch.setattr(open_case, "LONGEST_WATCH_S", 4.0)
    (case,) = inspect(bundle, immersion[0])
    assert case.usable_s <= 4.0
    assert case.composites <= 40


def test_a_recording_that_is_frozen_from_its_first_picture_is_not_tested(bundle):
    image = np.random.default_rng(1).integers(30, 220, (240, 320), np.uint8)
    frames = [Frame(image, number, number / 25, number / 25) for number in range(35)]
    (case,) = inspect(bundle, frames, profile=None, single=True)
    assert case.verdict == "not_tested"
    assert case.usable_s <= 0.05
    assert "frozen" in case.reason


@pytest.mark.parametrize("size", [(333, 217), (32, 32), (64, 700)])
def test_three_frames_of_any_size_are_scored_and_never_ok_before_the_water_settles(bundle, size):
    rng = np.random.default_rng(2)
    frames = [Frame(rng.integers(30, 220, size[::-1], np.uint8), n, n / 5, n / 5) for n in range(3)]
    (case,) = inspect(bundle, frames, profile=None, single=True)
    assert case.score is not None
    assert case.verdict != "ok"
