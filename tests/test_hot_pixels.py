"""Faulty pixels of a camera are mended; what the scene shows is left as it is."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from calibration.scene import draw_scene, draw_station
from calibration.twin import Twin
from edge_agent import hot_pixels
from edge_agent.composite import without_colour
from edge_agent.hot_pixels import FADE_S, FORGET_ROUNDS, LOOK_EVERY_S, LOOKS, HotPixels

SIZE = 96, 128
STEP_S = LOOK_EVERY_S + 0.01
MENDED = LOOKS + int(FADE_S / STEP_S) + 2
"""Pictures, one a look, until a faulty pixel is known and mended."""
FAULTY = [(0, 0, 250), (40, 50, 240), (42, 51, 230), (60, 127, 3), (95, 64, 200)]


def a_picture(number: int, *, faulty=()) -> np.ndarray:
    """Noise around a slope, another one each time."""
    grey = 60 + np.arange(SIZE[1]) * 0.5 + np.random.default_rng(number).normal(0, 2, SIZE)
    grey = grey.astype(np.uint8)
    for row, column, level in faulty:
        grey[row, column] = level
    return grey


def each_another(grey: np.ndarray, count: int) -> list[np.ndarray]:
    """The same scene, and no picture like the one before: nothing is learnt of a frozen one."""
    pictures = [grey.copy() for _ in range(count)]
    for number, picture in enumerate(pictures):
        picture[0, :2] = 60 + number % 2
    return pictures


def shown(pixels: HotPixels, pictures, start: int = 0) -> np.ndarray:
    """What the last of the pictures looks like, one a look."""
    for number, grey in enumerate(pictures, start):
        last = pixels.mended(grey, number * STEP_S)
    return last


def test_hot_and_dead_pixels_show_what_is_around_them_and_nothing_else_changes():
    pictures = [a_picture(number, faulty=FAULTY) for number in range(MENDED)]
    mended = shown(HotPixels(), pictures)
    rows, columns, _ = np.transpose(FAULTY)
    assert np.abs(mended[rows, columns] - (60 + columns * 0.5)).max() < 8
    others = np.ones(SIZE, bool)
    others[rows, columns] = False
    assert np.array_equal(mended[others], pictures[-1][others])


def test_a_picture_is_not_copied_where_no_pixel_is_faulty_nor_changed_where_one_is():
    pixels = HotPixels()
    whole = [a_picture(number) for number in range(LOOKS + 1)]
    assert shown(pixels, whole) is whole[-1]
    faulty = [a_picture(number, faulty=FAULTY) for number in range(2 * MENDED)]
    shown(pixels, faulty, LOOKS + 1)
    assert faulty[-1][40, 50] == 240


def test_a_bubble_that_passes_and_one_that_sits_on_for_less_than_a_round_are_seen():
    pixels = HotPixels()
    for number in range(4 * LOOKS):
        grey = a_picture(number, faulty=[(90 - number, 30, 220)])
        if number % LOOKS < LOOKS - 1:
            grey[20, 100] = 220
        assert pixels.mended(grey, number * STEP_S)[90 - number, 30] == 220
    assert pixels.mended(grey, number * STEP_S) is grey


def test_what_a_camera_that_shakes_sees_of_a_dot_on_the_wall_is_left():
    rng, pixels = np.random.default_rng(1), HotPixels()
    for number in range(4 * MENDED):
        row, column = (50, 60) + rng.integers(-1, 2, 2)
        grey = a_picture(number, faulty=[(row, column, 220), (10, 10, 220)])
        mended = pixels.mended(grey, number * STEP_S)
        assert mended[row, column] == 220
    assert mended[10, 10] < 100


def test_a_fine_pattern_before_a_still_camera_is_left():
    grey = a_picture(0)
    grey[::3, ::3] = 200
    wide = np.tile(grey, (3, 3))
    assert (wide == 200).sum() > hot_pixels.MOST
    pictures = each_another(wide, 2 * MENDED)
    assert shown(HotPixels(), pictures) is pictures[-1]


def test_no_more_are_known_than_may_be_however_the_pattern_wanders():
    pixels, wide = HotPixels(), (288, 384)
    for number in range(12 * LOOKS):
        grey = np.full(wide, 60, np.uint8)
        grey[number // LOOKS :: 16, ::16] = 200
        grey[5, 5] += number % 3
        pixels.mended(grey, number * STEP_S)
    assert 0 < len(pixels._weight) <= hot_pixels.MOST


def test_markers_and_thin_lines_before_a_still_camera_are_left():
    grey = cv2.resize(
        (np.random.default_rng(2).random((24, 32)) > 0.5).astype(np.uint8) * 200,
        SIZE[::-1],
        None,
        0,
        0,
        cv2.INTER_NEAREST,
    )
    grey += np.random.default_rng(3).integers(0, hot_pixels.STANDS_OUT, SIZE, np.uint8)
    grey[:, 7] = 90
    cv2.line(grey, (10, 5), (120, 60), 255, 1)
    pictures = each_another(grey, 2 * MENDED)
    assert shown(HotPixels(), pictures) is pictures[-1]


def test_a_pixel_that_has_recovered_shows_itself_after_a_minute():
    pixels = HotPixels()
    shown(pixels, [a_picture(number, faulty=FAULTY) for number in range(MENDED)])
    rounds = FORGET_ROUNDS + 2
    recovered = [a_picture(number % 7) for number in range(rounds * LOOKS + MENDED)]
    assert shown(pixels, recovered, MENDED) is recovered[-1]
    assert 50 <= FORGET_ROUNDS * LOOKS * LOOK_EVERY_S <= 70


def test_one_that_an_arm_hides_for_seconds_does_not_blink():
    pixels = HotPixels()
    shown(pixels, [a_picture(number, faulty=FAULTY) for number in range(MENDED)])
    for number in range(MENDED, MENDED + 12 * LOOKS):
        faulty = [] if number % (4 * LOOKS) < 2 * LOOKS else [(40, 50, 240)]
        assert pixels.mended(a_picture(number, faulty=faulty), number * STEP_S)[40, 50] < 100


def test_a_faint_one_in_noise_is_learnt_once_and_kept():
    rng, pixels, levels = np.random.default_rng(5), HotPixels(), []
    for number in range(100 * LOOKS):
        level = int(60 + 25 + 22 + rng.normal(0, 3))
        levels.append(int(pixels.mended(a_picture(number % 50, faulty=[(40, 50, level)]), number * STEP_S)[40, 50]))
    first = next(number for number, level in enumerate(levels) if level < 95)
    assert first < 60 * LOOKS and max(levels[first + MENDED :]) < 98


def test_a_pixel_that_has_just_been_found_fades_and_does_not_flash():
    pixels = HotPixels()
    levels = []
    for number in range(90):
        grey = a_picture(number, faulty=[(40, 50, 240)])
        levels.append(int(pixels.mended(grey, number / 30)[40, 50]))
    assert levels[-1] < 100
    # A composite spans four frames of 30 a second.
    assert max(abs(levels[number] - levels[number - 4]) for number in range(4, 90)) <= 30


@pytest.mark.parametrize("frozen_from", range(36, 76, 4))
def test_a_frozen_picture_stays_as_it_is(frozen_from: int):
    pixels, shown_then = HotPixels(), []
    for number in range(140):
        grey = a_picture(min(number, frozen_from), faulty=FAULTY)
        mended = pixels.mended(grey, number / 30)
        if number > frozen_from + int(30 * LOOK_EVERY_S) + 1:
            shown_then.append(mended.copy())
    assert all(np.array_equal(one, shown_then[0]) for one in shown_then)


@pytest.mark.parametrize("again", [np.zeros((48, 64), np.uint8), np.zeros((2, 2), np.uint8)])
def test_a_camera_of_another_size_is_another_camera(again):
    pixels = HotPixels()
    shown(pixels, [a_picture(number, faulty=FAULTY) for number in range(MENDED)])
    assert pixels.mended(again, 99.0) is again


def test_a_clock_that_goes_back_and_one_that_stands_still_do_no_harm():
    pixels = HotPixels()
    for number in range(3 * LOOKS):
        pixels.mended(a_picture(number, faulty=FAULTY), 100.0 - number)
    assert shown(pixels, [a_picture(number, faulty=FAULTY) for number in range(MENDED)])[40, 50] < 100
    pixels = HotPixels()
    for number in range(3 * LOOKS):
        mended = pixels.mended(a_picture(number, faulty=FAULTY), 7.0)
    assert mended[40, 50] == 240


def test_hot_pixels_do_not_dance_in_the_view_of_a_camera_that_shakes():
    look = draw_station(9117, "plant")
    look = replace(look, shake_px=1.2, sensor=replace(look.sensor, hot_pixels=30, readout_s=0.0))
    twin = Twin(look, [draw_scene(9101, look, "plant", leaky=False)], fps=20.0, seed=1)
    seen = [(without_colour(frame.image), frame.monotonic_s) for frame, _ in twin.frames()][40:220]
    pixels = HotPixels()
    mended = np.array([pixels.mended(grey, at_s) for grey, at_s in seen])[120:]
    raw = np.array([grey for grey, _ in seen])[120:]
    standing = [np.abs(grey.astype(int) - cv2.medianBlur(grey, 3)) > 30 for grey in raw]
    hot = np.all(standing, axis=0)
    assert 5 <= hot.sum() <= 30
    left = np.abs(mended.astype(int) - [cv2.medianBlur(grey, 3) for grey in mended])[:, hot]
    assert np.percentile(left, 99) < 12
    assert (mended != raw).any(0).sum() <= 30, "nothing but hot pixels is touched"
