"""What has changed from one profile to another: in words with figures, and silent about what has not."""

import msgspec
import numpy as np
from fakes_camera import moved, profile, reference_corners

from calibration import profile_difference
from edge_agent.records import CORNERS
from edge_agent.station import CameraSettings, Lamp, MarkerReference, StationProfile


def placed(shift_px: tuple[float, float] = (0, 0), degrees: float = 0.0, **about) -> StationProfile:
    corners = moved(reference_corners(), shift_px, degrees)
    outer = tuple(tuple(map(float, corners[corner][index])) for index, corner in enumerate(CORNERS))
    markers = tuple(MarkerReference(corner, tuple(map(tuple, corners[corner].tolist()))) for corner in CORNERS)
    return msgspec.structs.replace(profile(), tank_px=outer, markers=markers, **about)


def words(before: StationProfile, now: StationProfile) -> tuple[str, ...]:
    return profile_difference.between(before, now).words


def test_a_profile_is_no_different_from_itself_nor_from_a_second_fit() -> None:
    assert words(placed(), placed()) == ()
    assert words(placed(), placed((0.05, 0.02))) == ()


def test_a_camera_that_moved_is_told_in_px_mm_and_degrees() -> None:
    found = profile_difference.between(placed(), placed((3, -4)))
    assert {corner.shift_px for corner in found.corners} == {5.0}
    assert np.isclose(found.corners[0].shift_mm or 0, 5 / 1.5, rtol=0.03)
    assert found.words[0].startswith("the tank's corner ") and "has moved by 5.0 px (3.3 mm)" in found.words[0]
    turned = profile_difference.between(placed(), placed(degrees=1))
    assert turned.rotation_deg == 1.0 and "turned by +1.00 degrees" in turned.words[0]


def test_lamps_light_and_requirements_are_told_each_in_a_sentence() -> None:
    before = placed(lamps=(Lamp("ok", (600, 10, 20, 20)),), camera=CameraSettings(brightness=120.0))
    lamps = (Lamp("ok", (606, 18, 20, 24)), Lamp("leak", (600, 60, 20, 20)))
    now = placed(lamps=lamps, camera=CameraSettings(brightness=101.0), required_hold_s=7.0, px_per_mm=None)
    assert words(before, now) == (
        "the scale is no longer known",
        "the lamp ok is marked 12 px from where it was, and has 20x24 px instead of 20x20",
        "the lamp leak is marked now",
        "the empty tank is darker: 101 of 255, it was 120",
        "a unit must be watched for 7 s, it was 5 s",
    )


def test_profiles_of_other_stations_or_resolutions_are_not_laid_on_each_other() -> None:
    other = placed(station="TANK2", frame_size_px=(1280, 960))
    found = profile_difference.between(placed(), other)
    assert found.corners == () and found.words == (
        "the station was TANK1 and is TANK2",
        "the camera's picture was 640x480 and is 1280x960: places in it cannot be compared",
    )
