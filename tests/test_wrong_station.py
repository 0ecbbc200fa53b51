"""A camera that looks at the wrong tank, through a mirror, or in another size: words on the screen, and no crash."""

import random

import msgspec
import numpy as np
import pytest

from calibration import fitting
from edge_agent import station
from edge_agent.bundle import open_bundle
from edge_agent.case import Identity
from edge_agent.errors import StationError
from edge_agent.inspection import inspect_recording, make_inspector, shipped_bundle
from edge_agent.pipeline import Sampling
from tests.fakes_camera import frame, noisy, paint, profile, reference_corners

RNG = np.random.default_rng(5)


@pytest.fixture(scope="module")
def bundle():
    return open_bundle(shipped_bundle())


def shown(picture: np.ndarray, count: int = 20) -> list:
    return [frame(np.ascontiguousarray(noisy(picture, RNG)), number) for number in range(count)]


def last_sight(bundle, frames):
    identity, sampling = Identity("plant", "TANK1", "boot"), Sampling(0.02, random.Random(1).random)
    inspector = make_inspector(frames[0], identity, profile(), bundle, sampling=sampling)
    assert [case for one in frames for case in inspector.step(one)] == []
    return inspector.sight


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (paint(reference_corners(), "TANK2"), "the markers in the picture are those of TANK2, not of TANK1"),
        (np.fliplr(paint(reference_corners())), "the picture is mirrored"),
    ],
    ids=["another station", "mirrored"],
)
def test_a_running_station_says_whose_tank_it_sees_and_that_it_sees_it_mirrored(bundle, picture, words):
    sight = last_sight(bundle, shown(picture))
    assert not sight.usable
    assert words in sight.framing.words


def test_a_profile_of_another_resolution_is_a_fault_in_words_and_no_crash(bundle):
    sight = last_sight(bundle, shown(paint(reference_corners())[::2, ::2]))
    assert sight.fault_kind == "resolution"
    assert sight.fault.startswith("the picture is 320x240, 640x480 is expected: ")
    assert "calibrate fit" in sight.fault


def test_a_recording_of_another_size_than_the_profiles_is_refused(bundle):
    class Tape:
        live, frame_count = False, None

        def frames(self):
            return iter(shown(paint(reference_corners())[::2, ::2], 3))

    with pytest.raises(StationError, match="the picture is 320x240, the profile is for 640x480"):
        list(inspect_recording(Tape(), bundle, profile=profile()))


def test_a_mirrored_picture_is_refused_at_set_up():
    with pytest.raises(StationError, match="the picture is mirrored"):
        fitting.fit(shown(np.fliplr(paint(reference_corners())), 5), "TANK1")


def test_a_profile_with_a_lamp_outside_the_picture_is_refused():
    lamp = station.Lamp("ok", (630, 10, 40, 40))
    with pytest.raises(StationError, match="lamp ok at .* is not in the picture of 640x480"):
        station.parse(station.dump(msgspec.structs.replace(profile(), lamps=(lamp,))))
