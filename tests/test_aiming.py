"""Aiming help on pictures of the twin, each with one thing wrong: it is named, with its limit and its cure."""

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np
import pytest
from fakes_camera import frame, moved, paint, reference_corners, square

from calibration import aiming
from calibration.aiming import Aiming
from calibration.scene import draw_station
from calibration.twin import Twin, draw_scenes
from calibration.twin_spec import read_spec
from edge_agent.records import Corner, Frame


@cache
def twin_pictures(fault: str = "") -> tuple[Frame, ...]:
    """Two successive pictures of one simulated station, half a second after its start."""
    look = draw_station(1, "demo", (640, 480), "TANK1")
    faults = read_spec(f"twin:fault={fault}").faults if fault else ()
    frames = (taken for taken, _ in Twin(look, draw_scenes(1, look, "demo", 1), impairments=faults).frames())
    taken = [next(frames) for _ in range(10)]
    return tuple(taken[-2:])


def aimed(fault: str = "", change: Callable[[np.ndarray], np.ndarray] | None = None, **about) -> Aiming:
    frames = twin_pictures(fault)
    if change:
        frames = tuple(frame(change(one.image), one.sequence) for one in frames)
    return aiming.measure(frames, "TANK1", **about)


def moved_by(columns: float, rows: float = 0) -> Callable[[np.ndarray], np.ndarray]:
    return lambda image: cv2.warpAffine(image, np.float32([[1, 0, columns], [0, 1, rows]]), image.shape[1::-1])


def with_sheet(station: str, corner: Corner) -> Callable[[np.ndarray], np.ndarray]:
    """A second sheet lies in the middle of the picture."""

    def lay(image: np.ndarray) -> np.ndarray:
        image = image.copy()
        sheet = paint({corner: square(250, 200)}, station)
        image[180:310, 230:360] = sheet[180:310, 230:360, None]
        return image

    return lay


def test_a_well_aimed_camera_has_four_markers_and_nothing_to_mend() -> None:
    seen = aimed()
    assert [corner.corner for corner in seen.corners if corner.seen] == ["TL", "TR", "BR", "BL"]
    assert (seen.faults, seen.advice, seen.ready) == ((), (), True)
    assert all(4 < corner.module_px < 8 and corner.edge_modules < 0.75 for corner in seen.corners)
    assert seen.frame_size_px == (640, 480) and len(seen.tank_px) == 4
    assert 60 < seen.light_level < 200 and seen.noise_levels < 3 and seen.shake_px < 0.5


@pytest.mark.parametrize(("number", "corner"), [(0, "TL"), (1, "TR"), (2, "BR"), (3, "BL")])
def test_a_covered_marker_is_named_alone(number: int, corner: str) -> None:
    seen = aimed(f"covered@0:{number}")
    assert [one.corner for one in seen.corners if not one.seen] == [corner]
    assert seen.faults == (
        f"marker {corner} is not seen: bring it into the picture, uncover it, and see to size, focus and light",
    )


def test_a_marker_outside_the_picture_tells_where_to_turn_the_camera() -> None:
    seen = aiming.measure([frame(paint(moved(reference_corners(), (0, -16), degrees=6)))], "TANK1")
    assert seen.faults == ("marker TL lies above the picture: turn the camera there, or move it back",)


def test_a_mirrored_picture_is_called_so_and_nothing_else() -> None:
    assert aimed(change=lambda image: image[:, ::-1].copy()).faults == (
        "the picture is mirrored: switch the camera's mirroring off, or look at the tank without a mirror",
    )


def test_the_reflection_of_a_marker_in_the_glass_is_no_second_sheet() -> None:
    def reflected(image: np.ndarray) -> np.ndarray:
        image = image.copy()
        image[180:310, 230:360] = paint({"TL": square(250, 200)})[180:310, 230:360, None][:, ::-1]
        return image

    assert aimed(change=reflected).faults == ()


def test_the_markers_of_another_station_are_named() -> None:
    seen = aiming.measure(twin_pictures(), "TANK2")
    assert seen.faults == ("these are the markers of TANK1, not of TANK2: take this station's sheet, or name it TANK1",)


def test_two_sheets_in_view_are_told() -> None:
    seen = aimed(change=with_sheet("TANK1", "TL"))
    assert seen.faults[0].startswith("TANK1:TL can be seen twice, once is allowed")


def test_another_stations_sheet_beside_the_own_one_is_no_fault() -> None:
    assert aimed(change=with_sheet("TANK2", "TL")).faults == ()


def test_markers_on_the_wrong_corners_are_told() -> None:
    places = reference_corners()
    swapped = paint({"TL": places["TR"], "TR": places["TL"], "BR": places["BR"], "BL": places["BL"]})
    seen = aiming.measure([frame(swapped)], "TANK1")
    assert seen.faults[0].startswith("the markers TL, TR, BR, BL of TANK1 hang in each other's places")


def test_a_camera_that_is_too_far_away_tells_the_size_that_is_needed() -> None:
    def farther(image: np.ndarray) -> np.ndarray:
        small = cv2.resize(image, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA)
        return cv2.copyMakeBorder(small, 0, 480 - len(small), 0, 640 - small.shape[1], cv2.BORDER_REPLICATE)

    words = aimed(change=farther).faults
    assert len(words) == 4 and all("px a module, limit 4 px: bring the camera nearer" in one for one in words)


def test_a_camera_out_of_focus_is_told_to_focus() -> None:
    words = aimed(change=lambda image: cv2.GaussianBlur(image, (0, 0), 2.0)).faults
    assert words and all("is blurred" in one or "is not seen" in one for one in words)


@pytest.mark.parametrize(("way", "shape"), [("sideways", (1, 6)), ("up and down", (6, 1))])
def test_a_picture_that_moves_while_the_shutter_is_open_is_told_from_one_out_of_focus(
    way: str, shape: tuple[int, int]
) -> None:
    kernel = np.full(shape, 1 / 6, np.float32)
    words = aimed(change=lambda image: cv2.filter2D(image, -1, kernel)).faults
    assert words and all(f"is smeared {way}" in one for one in words)


@pytest.mark.parametrize(("fault", "said"), [("black@0", "the picture is black"), ("white@0", "the picture is white")])
def test_a_black_or_white_picture_is_told_before_the_markers(fault: str, said: str) -> None:
    assert aimed(fault).faults[0].startswith(said)


def test_too_little_and_too_much_light_are_told() -> None:
    assert "the tank is dark" in aimed(change=lambda image: (image * 0.2).astype(np.uint8)).advice[0]
    bright = aimed(change=lambda image: np.clip(image.astype(np.float32) * 1.7, 0, 255).astype(np.uint8))
    assert any("too bright" in words or "of the tank is white" in words for words in bright.advice)


def test_a_noisy_picture_is_told() -> None:
    rng = np.random.default_rng(1)

    def noisy(image: np.ndarray) -> np.ndarray:
        return np.clip(image + rng.normal(0, 9, image.shape), 0, 255).astype(np.uint8)

    assert any("the picture is noisy" in words for words in aimed(change=noisy).advice)


def test_a_camera_that_shakes_is_told_to_be_fastened() -> None:
    first, second = twin_pictures()
    shaken = frame(moved_by(0, 3)(second.image), second.sequence)
    assert any("the camera shakes by 3" in words for words in aiming.measure([first, shaken], "TANK1").advice)


def test_a_network_camera_is_warned_of_its_codec() -> None:
    assert aimed(network=True).advice == (aiming.CODEC_WORDS,)
