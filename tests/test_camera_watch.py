"""Camera faults, found from what each picture brings or that none comes: in time, in words, without false alarms."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from edge_agent.agent import REPORT_EVERY_S
from edge_agent.camera_watch import ADOPT_S, CameraWatch
from edge_agent.records import Frame
from tests.fakes_camera import frame

FPS = 20.0
FROM_S, UNTIL_S, END_S = 5.0, 10.0, 16.0
FOUND_S, RESUMED_S = 2.0, 5.0
RNG = np.random.default_rng(7)
SCENE = RNG.integers(60, 180, (96, 128)).astype(np.float32)

Coming = tuple[float, Frame]
"""When a frame comes, and the frame."""


def healthy(seconds: float = END_S, fps: float = FPS) -> list[Coming]:
    """A still scene with a sensor's noise; each picture comes 10 ms after it was taken."""
    return [
        (number / fps + 0.01, frame(_noisy(SCENE, 2.0), number, number / fps)) for number in range(int(seconds * fps))
    ]


def _noisy(picture: np.ndarray, sigma: float) -> np.ndarray:
    return np.clip(picture + RNG.normal(0, sigma, picture.shape), 0, 255).astype(np.uint8)


def _each(change) -> Iterator[Coming]:
    """Healthy ones, those of the fault changed: `change(number, came_s, frame, all)` gives what comes instead."""
    frames = healthy()
    for number, (came_s, one) in enumerate(frames):
        yield from change(number, came_s, one, frames) if FROM_S <= came_s < UNTIL_S else [(came_s, one)]


def _picture(image_of):
    return lambda number, came_s, one, frames: [(came_s, replace(one, image=image_of(one.image)))]


def _frozen(number, came_s, one, frames):
    return [(came_s, replace(one, image=frames[int(FROM_S * FPS) - 1][1].image))]


def _stale(number, came_s, one, frames):
    return [(came_s, replace(one, image=frames[number - 45][1].image))]


def _lagging(number, came_s, one, frames):
    return [(came_s, replace(one, monotonic_s=one.monotonic_s - 0.9 * (came_s - FROM_S)))]


def _jumped(number, came_s, one, frames):
    return [(came_s, replace(one, monotonic_s=one.monotonic_s + 3.0 * (number % 2)))] if number % 3 else []


def _doubled(number, came_s, one, frames):
    return [(came_s, replace(one, image=frames[number - number % 2][1].image))]


def _swapped(number, came_s, one, frames):
    other = number + 1 if number % 2 == 0 else number - 1
    return [(came_s, frames[other][1])]


FAULTS = {
    "silent": lambda number, came_s, one, frames: [],
    "half_rate": lambda number, came_s, one, frames: [(came_s, one)] if number % 2 else [],
    "frozen": _frozen,
    "stale": _stale,
    "lagging": _lagging,
    "time_jump": _jumped,
    "duplicated": _doubled,
    "reordered": _swapped,
    "black": _picture(lambda image: _noisy(np.full_like(SCENE, 1), 1.0)),
    "white": _picture(lambda image: np.full_like(image, 255)),
    "noise": _picture(lambda image: _noisy(image.astype(np.float32), 40.0)),
    "resolution": _picture(lambda image: image[::2, ::2]),
}


def watched(coming: Iterable[Coming], watch: CameraWatch | None = None) -> list[tuple[float, str, bool]]:
    """Each 10 ms: when, which kind is told, and whether the last picture may be looked at."""
    watch, told, waiting = watch or CameraWatch(), [], list(coming)
    usable = False
    for tick in range(int(END_S * 100)):
        now_s = tick / 100
        while waiting and waiting[0][0] <= now_s:
            came_s, one = waiting.pop(0)
            seen = watch.see(one, came_s)
            usable = seen is not None and not seen.faults
        fault = watch.fault(now_s)
        told.append((now_s, fault.kind if fault else "", usable))
    return told


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_in_time_and_over_soon_after_it_has_ended(name):
    told = watched(_each(FAULTS[name]))
    kind = "stale" if name == "lagging" else name
    assert [k for at_s, k, _ in told if k and not FROM_S <= at_s < UNTIL_S + RESUMED_S] == []
    found_s = next(at_s for at_s, k, _ in told if k == kind) - FROM_S
    assert found_s + REPORT_EVERY_S <= FOUND_S, "the state follows by so much more"
    assert not any(usable for at_s, k, usable in told if k and at_s < UNTIL_S and k != "silent")
    assert all(usable for at_s, _, usable in told if UNTIL_S + RESUMED_S <= at_s < END_S - 0.1)


@pytest.mark.parametrize("fps", [5.0, 15.0, 30.0, 60.0])
def test_a_healthy_camera_of_any_rate_is_never_blamed(fps):
    assert {kind for at_s, kind, _ in watched(healthy(fps=fps)) if kind} == set()


def test_a_picture_that_comes_twice_now_and_then_is_left_out_and_no_fault():
    frames = healthy()
    twice = [(came_s, replace(one, image=frames[n - 1][1].image if n % 10 == 9 else one.image))
             for n, (came_s, one) in enumerate(frames)]  # fmt: skip
    watch = CameraWatch()
    assert {kind for _, kind, _ in watched(twice, watch) if kind} == set()
    assert watch.left_out["again"] == len(frames) // 10


@pytest.mark.parametrize("gain", [0.6, 1.6])
def test_an_exposure_that_drifts_is_told_within_a_minute(gain):
    watch, found_s = CameraWatch(), None
    for number in range(60 * 4):
        now_s = number / 4
        share = 1 + (gain - 1) * min(1.0, max(0.0, now_s - 5) / 40)
        watch.see(frame(_noisy(SCENE * share, 2.0), number, now_s), now_s)
        fault = watch.fault(now_s)
        if fault:
            found_s = found_s or now_s - 5
            assert fault.kind == "exposure" and "limit 25 %" in fault.words
    assert found_s is not None and found_s <= 60


def test_a_camera_whose_clock_was_set_for_good_is_believed_again_and_its_times_go_on():
    watch, seen = CameraWatch(), []
    for came_s, one in healthy():
        ahead = replace(one, monotonic_s=one.monotonic_s + (3600 if came_s > 5 else 0))
        seen.append((came_s, watch.see(ahead, came_s)))
    assert not any(one for came_s, one in seen if 5 < came_s < 5.9)
    assert all(one and not one.faults for came_s, one in seen if came_s > 6.2)
    times = [one.monotonic_s for _, one in seen if one]
    assert times == sorted(times) and times[-1] < END_S + 1


def test_a_camera_that_was_set_to_another_size_for_good_is_believed_again():
    watch, told = CameraWatch(), []
    for number in range(int((ADOPT_S + 6) * 4)):
        image = _noisy(SCENE if number < 4 else SCENE[::2, ::2], 2.0)
        seen = watch.see(frame(image, number, number / 4), number / 4)
        told.append((number / 4, seen.faults[0].kind if seen.faults else ""))
    assert {kind for at_s, kind in told if 1 <= at_s <= 1 + ADOPT_S} == {"resolution"}
    assert {kind for at_s, kind in told if at_s < 1 or at_s > 2 + ADOPT_S} == {""}


def test_a_recording_of_unknown_make_is_taken_as_it_is_but_for_black_white_and_frozen_pictures():
    for name in ("half_rate", "noise"):
        assert {kind for _, kind, _ in watched(_each(FAULTS[name]), CameraWatch(of_station=False)) if kind} == set()
    for name in ("black", "white", "frozen"):
        told = watched(_each(FAULTS[name]), CameraWatch(of_station=False))
        assert {kind for _, kind, _ in told if kind} == {name}


@pytest.mark.parametrize("name", FAULTS)
def test_words_state_fact_limit_and_cure(name):
    watch = CameraWatch()
    for came_s, one in _each(FAULTS[name]):
        fault = watch.fault(came_s - 0.005)
        if fault:
            break
        watch.see(one, came_s)
    words = fault.words
    assert ": " in words and ("limit" in words or "expected" in words)
