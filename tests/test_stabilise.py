"""Shake is measured to a fraction of a pixel, whatever moves in the tank and however the light flickers."""

import cv2
import numpy as np
import pytest

from edge_agent.stabilise import Stabiliser

RNG = np.random.default_rng(3)
SCENE = cv2.GaussianBlur(
    (RNG.random((60, 80)) > 0.5).astype(np.float32).repeat(8, 0).repeat(8, 1) * 120 + 60, (0, 0), 1.2
)


def shaken(dx, dy, gain=1.0):
    matrix = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    moved = cv2.warpAffine(SCENE, matrix, (640, 480), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    return np.clip(moved * gain + RNG.normal(0, 3, moved.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("dx", "dy", "gain"), [(0, 0, 1), (0.4, -0.3, 1), (1.4, 1.0, 1), (-1.2, 0.7, 0.95)])
def test_a_shake_is_found_within_a_tenth_of_a_pixel(dx, dy, gain):
    stabiliser = Stabiliser()
    stabiliser.anchor(shaken(0, 0))
    frame = shaken(dx, dy, gain)
    frame[150:330, 220:420] = 40
    assert np.allclose(stabiliser.shift(frame), (dx, dy), atol=0.1)


def test_a_picture_without_edges_has_no_shake():
    stabiliser = Stabiliser()
    stabiliser.anchor(np.full((480, 640), 90, np.uint8))
    assert stabiliser.shift(shaken(1, 1)) == (0.0, 0.0)


def test_only_the_given_region_counts():
    region = np.zeros((480, 640), bool)
    region[:100] = True
    stabiliser = Stabiliser(region)
    stabiliser.anchor(shaken(0, 0))
    frame = shaken(0, 0)
    frame[100:] = shaken(3, 3)[100:]
    assert np.allclose(stabiliser.shift(frame), (0, 0), atol=0.1)
