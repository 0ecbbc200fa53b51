"""What lens, shutter, sensor, lamps and codec do to the twin's picture."""

from dataclasses import replace
from itertools import islice

import cv2
import numpy as np
import pytest

from calibration import optics
from calibration.codec import CodecOf
from calibration.exposure import toned
from calibration.glass import lamps_left
from calibration.look import LampOut
from calibration.scene import draw_scene, draw_station
from calibration.twin import Twin, profile_of

SIZE = (640, 480)


def seen(look, *, seed=3, at=0, fps=20.0, **changes):
    scene = replace(draw_scene(seed, look, "demo", leaky=False), **changes)
    twin = Twin(look, [scene], seed=seed, single=True, fps=fps)
    return next(islice(twin.frames(), at, None))


def test_a_bent_point_is_straightened_again():
    rng = np.random.default_rng(0)
    points = rng.uniform((0, 0), SIZE, (200, 2))
    for fisheye in (0.0, 0.01, 0.06):
        assert np.abs(optics.straightened(optics.bent(points, SIZE, fisheye), SIZE, fisheye) - points).max() < 1e-4


def test_fish_eye_bends_edges_outwards_and_keeps_the_corners():
    corners = np.array([[0, 0], [639, 0], [639, 479], [0, 479.0]])
    assert np.allclose(optics.bent(corners, SIZE, 0.06), corners)
    top = optics.bent(np.array([[319.5, 20.0]]), SIZE, 0.06)
    assert 3 < 20.0 - top[0, 1] < 15


def test_codes_and_truth_bend_together():
    zxingcpp = pytest.importorskip("zxingcpp")
    look = draw_station(2, "demo")
    look = replace(look, sensor=replace(look.sensor, fisheye=0.05))
    frame, truth = seen(look)
    found = {code.text: code.position for code in zxingcpp.read_barcodes(frame.image[:, :, 0])}
    inner = [found["TANK1:TL"].bottom_right, found["TANK1:BR"].top_left]
    read = np.array([[point.x, point.y] for point in inner])
    profile = profile_of(look)
    said = {marker.corner: marker.corners_px for marker in profile.markers}
    assert np.abs(read - [said["TL"][2], said["BR"][0]]).max() < 4
    assert np.allclose(truth.tank_px, look.tank_px, atol=1.0)


def test_a_rolling_shutter_shears_the_picture_while_the_camera_shakes():
    look = replace(draw_station(2, "demo"), shake_px=2.0)
    rolling = replace(look, sensor=replace(look.sensor, readout_s=0.03))
    still = replace(look, sensor=replace(look.sensor, readout_s=0.0))
    slants = [
        np.abs((truth.tank_px[3] - truth.tank_px[0]) - (look.tank_px[3] - look.tank_px[0])).max()
        for _, truth in (seen(station, at=at) for station in (rolling, still) for at in (3, 8, 13))
    ]
    assert max(slants[:3]) > 0.5
    assert max(slants[3:]) < 1e-6


def test_mains_flicker_shows_as_bands_only_where_the_shutter_rolls():
    def spread(readout_s):
        look = replace(draw_station(4, "demo"), noise_levels=0.2)
        quiet = replace(look.sensor, banding=0.0, row_noise=0.0, readout_s=readout_s)
        banded = replace(look, sensor=replace(quiet, banding=0.05))
        plain = replace(look, sensor=quiet)
        ratio = [seen(station, at=4)[0].image[:, :, 0].astype(float).mean(1) for station in (banded, plain)]
        return (ratio[0] / np.maximum(ratio[1], 1)).std()

    assert spread(0.03) > 4 * spread(0.0)


def test_tone_moves_mid_grey_and_leaves_black_and_white():
    levels = np.array([[0.0, 127.5, 255.0]], np.float32)
    bright, dark = toned(levels, 0.4)[0], toned(levels, -0.4)[0]
    assert np.allclose([bright[0], bright[2], dark[0], dark[2]], [0, 255, 0, 255])
    assert bright[1] > 145 and dark[1] < 110


def test_marker_paper_is_lit_from_the_front_alone():
    def paper(**changes):
        look = replace(draw_station(3, "demo"), lamp_out=None, light_left=1.0, **changes)
        square = profile_of(look).markers[0].corners_px
        x, y = (int(v) for v in np.mean(square, axis=0))
        patch = seen(look)[0].image[y - 30 : y + 30, x - 30 : x + 30, 0]
        return np.percentile(patch, 95) - np.percentile(patch, 5)

    dim, bright = paper(front_light=0.0), paper(front_light=0.9)
    assert bright > 1.7 * dim
    assert dim > 40


def test_a_failed_lamp_darkens_its_part_of_the_tank_but_not_the_codes_to_nothing():
    look = replace(draw_station(3, "demo"), light_left=1.0)
    failed = replace(look, lamp_out=LampOut("x", 0.5, 1, 0.4))
    whole, half = (seen(station)[0].image[:, :, 0].astype(float) for station in (look, failed))
    middle = slice(170, 300)
    left = half[middle, 60:160].mean() / whole[middle, 60:160].mean()
    right = half[middle, 480:560].mean() / whole[middle, 480:560].mean()
    assert left > 0.9 and right < 0.55
    assert np.isclose(lamps_left(failed)[:, -1].min(), 0.4, atol=0.02)
    codes = half[20:90, 480:560]
    assert np.percentile(codes, 95) - np.percentile(codes, 5) > 40


def test_an_old_lamp_gives_a_darker_picture():
    look = replace(draw_station(3, "demo"), lamp_out=None)
    new, old = (seen(replace(look, light_left=left))[0].image[200:300, 80:500].mean() for left in (1.0, 0.7))
    assert 0.65 < old / new < 0.78


def test_a_video_codec_flattens_noise_and_keeps_the_picture():
    rng = np.random.default_rng(0)
    base = cv2.GaussianBlur(rng.uniform(60, 180, (96, 128)).astype(np.float32), (0, 0), 4)
    noisy = [np.clip(base + rng.normal(0, 2, base.shape), 0, 255).astype(np.uint8) for _ in range(20)]
    codec = CodecOf(replace(draw_station(1, "demo"), codec="video", jpeg_quality=60))
    sent = [codec.sent(cv2.merge([one] * 3))[:, :, 0].astype(float) for one in noisy]
    change = [np.abs(np.diff(np.stack(stack), axis=0)).mean() for stack in (noisy[1:], sent[1:])]
    assert change[1] < 0.5 * np.abs(np.diff(np.stack(noisy[1:]).astype(float), axis=0)).mean()
    assert np.abs(sent[-1] - base).mean() < 4


def test_a_jpeg_camera_rounds_each_picture_by_itself():
    image = np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)
    codec = CodecOf(replace(draw_station(1, "demo"), codec="jpeg", jpeg_quality=50))
    first = codec.sent(image)
    codec.sent(np.zeros_like(image))
    assert np.array_equal(codec.sent(image), first)
    assert not np.array_equal(first, image)


def test_hot_pixels_shine_in_every_frame_at_the_same_place():
    look = draw_station(2, "demo")
    look = replace(look, sensor=replace(look.sensor, hot_pixels=30))
    plain = replace(look, sensor=replace(look.sensor, hot_pixels=0))
    first, later = ((seen(look, at=at)[0].image > seen(plain, at=at)[0].image).any(2) for at in (0, 5))
    assert np.array_equal(first, later)
    assert 5 < first.sum() <= 30
