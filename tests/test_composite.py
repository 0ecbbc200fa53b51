"""Composites are spaced by capture time, whatever the frame rate."""

import numpy as np
import pytest

from edge_agent.bundle import Preprocessing
from edge_agent.composite import Compositor, without_colour
from edge_agent.records import TankView

PREPROCESSING = Preprocessing(spacing_ms=50, spacing_tolerance_ms=20, period_ms=100, max_view_px=(640, 480))


def view(at_s: float, level: int = 0) -> TankView:
    return TankView(np.full((48, 64), level, np.uint8), round(at_s * 1000), at_s, np.eye(3))


def composites_at(fps: float, seconds: float = 3.0, **options):
    compositor = Compositor(PREPROCESSING, **options)
    made = [compositor.push(view(n / fps)) for n in range(int(seconds * fps))]
    return [composite for composite in made if composite]


@pytest.mark.parametrize("fps", [15, 20, 24, 25, 30, 50, 60])
def test_spacing_stays_within_tolerance_at_any_usual_frame_rate(fps):
    composites = composites_at(fps)
    assert composites
    assert all(abs(composite.spacing_s - 0.05) <= 0.0201 for composite in composites)


@pytest.mark.parametrize("fps", [15, 20, 30, 60])
def test_composites_come_about_ten_times_a_second(fps):
    assert 6 <= len(composites_at(fps)) / 3.0 <= 11


def test_there_is_no_composite_where_capture_times_do_not_allow_the_spacing():
    assert composites_at(5) == []


def test_a_recording_taken_as_it_is_gives_composites_at_any_rate():
    assert composites_at(5, strict=False)


def test_there_is_no_composite_across_a_gap():
    compositor = Compositor(PREPROCESSING)
    for n in range(10):
        compositor.push(view(n / 20))
    assert compositor.push(view(5.0)) is None
    assert compositor.push(view(5.05)) is None
    assert compositor.push(view(5.10)) is not None


def test_a_jump_back_in_time_starts_anew():
    compositor = Compositor(PREPROCESSING)
    for n in range(10):
        compositor.push(view(10 + n / 20))
    assert compositor.push(view(1.0)) is None
    assert compositor.push(view(1.05)) is None
    assert compositor.push(view(1.10)) is not None


def test_what_stands_still_is_grey_and_red_is_the_oldest():
    compositor = Compositor(PREPROCESSING)
    compositor.push(view(0.0, 10))
    compositor.push(view(0.05, 20))
    composite = compositor.push(view(0.10, 30))
    assert composite is not None
    assert composite.image[0, 0].tolist() == [10, 20, 30]
    assert all(composite.image[..., channel].flags.c_contiguous for channel in range(3))
    assert composite.monotonic_s == 0.10


def test_a_view_of_another_size_starts_anew():
    compositor = Compositor(PREPROCESSING)
    for n in range(5):
        compositor.push(view(n / 20))
    other = TankView(np.zeros((24, 32), np.uint8), 9, 0.3, np.eye(3))
    assert compositor.push(other) is None


def test_grey_pictures_pass_unchanged_and_colour_is_removed():
    grey = np.zeros((4, 4), np.uint8)
    assert without_colour(grey) is grey
    assert without_colour(np.full((4, 4, 3), 200, np.uint8)).shape == (4, 4)
