"""The gauge: what makes bubbles harder to see makes the smallest one larger, and the reason names it."""

import time
from dataclasses import replace

import cv2
import msgspec
import numpy as np
import pytest
import segno

from calibration.scene import draw_scene, draw_station
from calibration.twin import Twin, profile_of
from edge_agent import immersion
from edge_agent.bundle import RecallCurve, Sensitivity
from edge_agent.decision import DecisionWatch
from edge_agent.eyes import Eyes
from edge_agent.framing import homography
from edge_agent.records import Framing, Visibility
from edge_agent.visibility import (
    BUBBLE_PX,
    VisibilityGauge,
    median_of,
    noise_levels,
    smallest_bubble_px,
    smallest_leak_std_cm3_s,
)

CORNERS = [np.array([[x, y], [x + 84, y], [x + 84, y + 84], [x, y + 84]], float) for x in (20, 520) for y in (20, 360)]
WATER = immersion.water_cells(CORNERS, (640, 480))
GAUGE = VisibilityGauge(CORNERS, WATER)
USUAL = Visibility(noise_levels=1.0, light_levels=100.0, paper_levels=120.0, blur_px=0.7, clarity=0.8)
CURVE = RecallCurve(
    usual=USUAL,
    offset=-4.0,
    size=5.0,
    noise_levels=1.0,
    light_levels=0.5,
    paper_levels=0.7,
    blur_px=2.0,
    clarity=3.0,
)
SENSITIVITY = Sensitivity(recall=0.5, curve=CURVE)


def measured(*, noise=1.0, blur=0.7, light=1.0, front=1.0, clarity=0.8):
    """What the gauge makes of two painted views of an empty tank with four codes."""
    rng = np.random.default_rng(5)
    code = 1.0 - np.array([list(row) for row in segno.make("T:TL", version=1, error="m").matrix_iter(border=0)], float)
    view = np.full((480, 640), 110.0 * light) + cv2.GaussianBlur(rng.normal(0, 60, (480, 640)), (0, 0), 9)
    for left, top in (corners[0].astype(int) for corners in CORNERS):
        view[top - 8 : top + 92, left - 8 : left + 92] = 130.0 * front
        view[top : top + 84, left : left + 84] = np.kron(code, np.ones((4, 4))) * 120 * front + 10
    view = cv2.GaussianBlur(view, (0, 0), blur)
    before, now = (np.clip(view + rng.normal(0, noise, view.shape), 0, 255).round().astype(np.uint8) for _ in range(2))
    return msgspec.structs.replace(GAUGE.measure(now, before, immersion.thumbnail(now)), clarity=clarity)


@pytest.mark.parametrize("noise", [0.7, 1.0, 2.0, 5.0, 10.0])
def test_noise_is_measured_within_a_tenth_whatever_the_flicker(noise):
    noise_and_rounding = np.hypot(noise, 12**-0.5)
    assert measured(noise=noise).noise_levels == pytest.approx(noise_and_rounding, rel=0.1)
    rng = np.random.default_rng(1)
    still = np.full((480, 640), 120.0)
    bright, dim = ((still * gain + rng.normal(0, noise, still.shape)).round().astype(np.uint8) for gain in (1.03, 0.98))
    assert noise_levels(bright, dim) == pytest.approx(noise_and_rounding, rel=0.1)


@pytest.mark.parametrize("blur", [0.6, 0.9, 1.3, 1.8])
def test_blur_is_measured_from_the_codes_within_a_fifth_whatever_the_noise(blur):
    for noise in (0.7, 4.0):
        assert measured(blur=blur, noise=noise).blur_px == pytest.approx(blur, rel=0.2)


def test_a_longer_exposure_smears_bubbles_over_more_pixels():
    short, long = (draw_station(31, "demo"), replace(draw_station(31, "demo"), exposure_s=1 / 60))
    smears = [_on_twin(look, seconds=0.2)[0].smear_px for look in (short, long)]
    assert smears[1] == pytest.approx(200 / 60 * profile_of(long).px_per_mm, rel=0.01)
    assert smears[0] < smears[1] / 2


def test_light_is_told_apart_by_where_it_comes_from():
    usual, no_back, no_front = measured(), measured(light=0.4), measured(front=0.4)
    assert no_back.light_levels == pytest.approx(0.4 * usual.light_levels, rel=0.05)
    assert no_back.paper_levels == pytest.approx(usual.paper_levels, rel=0.02)
    assert no_front.paper_levels == pytest.approx(0.4 * usual.paper_levels, rel=0.05)
    assert no_front.light_levels == pytest.approx(usual.light_levels, rel=0.02)


@pytest.mark.parametrize(
    ("quantity", "steps"),
    [
        ("noise", (0.7, 1.5, 3.0, 6.0)),
        ("blur", (0.5, 0.9, 1.4, 2.2)),
        ("clarity", (0.95, 0.7, 0.4, 0.1)),
        ("light", (1.0, 0.7, 0.4, 0.1)),
        ("front", (1.0, 0.7, 0.4, 0.1)),
    ],
)
def test_what_hides_bubbles_raises_the_smallest_one_step_by_step(quantity, steps):
    smallest = [smallest_bubble_px(measured(**{quantity: step}), SENSITIVITY) for step in steps]
    assert all(later > earlier * 1.03 for earlier, later in zip(smallest, smallest[1:], strict=False)), smallest


def test_the_smallest_bubble_is_the_one_of_which_the_share_is_found():
    assert smallest_bubble_px(USUAL, SENSITIVITY) == pytest.approx(np.exp(4.0 / 5.0))
    four_fifths = msgspec.structs.replace(SENSITIVITY, recall=0.8)
    assert smallest_bubble_px(USUAL, four_fifths) == pytest.approx(np.exp((4.0 + np.log(4.0)) / 5.0))


def test_the_smallest_leak_grows_with_the_cube_of_the_smallest_bubble():
    hazy = msgspec.structs.replace(USUAL, clarity=0.4)
    ratio = smallest_bubble_px(hazy, SENSITIVITY) / smallest_bubble_px(USUAL, SENSITIVITY)
    leaks = [smallest_leak_std_cm3_s(2.0, 8.0, SENSITIVITY, seen) for seen in (USUAL, hazy)]
    assert leaks[1] / leaks[0] == pytest.approx(ratio**3, rel=0.01)


def test_what_could_not_be_measured_counts_as_usual_and_a_bundle_without_a_curve_stays_as_it_was():
    bare = Visibility(noise_levels=1.0, light_levels=100.0)
    assert smallest_bubble_px(bare, SENSITIVITY) == pytest.approx(smallest_bubble_px(USUAL, SENSITIVITY))
    assert smallest_bubble_px(measured(noise=9.0, clarity=0.1), Sensitivity()) == 2.0
    assert smallest_bubble_px(None, SENSITIVITY) == SENSITIVITY.smallest_bubble_px


@pytest.mark.parametrize("size", [5.0, 0.01])
@pytest.mark.parametrize("offset", [-100.0, 100.0])
def test_however_absurd_a_reading_or_a_curve_is_the_smallest_bubble_has_a_size(size, offset):
    curve = msgspec.structs.replace(CURVE, size=size, offset=offset)
    absurd = Visibility(noise_levels=1e308, light_levels=0.0, blur_px=1e308, smear_px=1e308, clarity=0.0)
    assert BUBBLE_PX[0] <= smallest_bubble_px(absurd, Sensitivity(recall=0.5, curve=curve)) <= BUBBLE_PX[1]


def test_a_case_has_the_medians_of_its_readings():
    readings = [
        Visibility(noise_levels=n, light_levels=90.0 + n, blur_px=b) for n, b in ((1, 0.6), (2, None), (9, 0.8))
    ]
    assert median_of(readings, 0.9) == Visibility(noise_levels=2, light_levels=92.0, blur_px=0.7, clarity=0.9)
    assert median_of([], 0.9) is None


def test_covered_or_unprinted_markers_are_no_measure_of_sharpness():
    flat = np.full((480, 640), 90, np.uint8)
    seen = GAUGE.measure(flat, flat, immersion.thumbnail(flat))
    assert seen.blur_px is None or seen.blur_px > 10
    assert seen.noise_levels == 0.5


class _Fixed:
    def __init__(self, profile):
        self._framing = Framing("ok", homography(profile.tank_px, profile.view_size_px))

    def step(self, frame):
        return self._framing


def _on_twin(look, seconds=2.2):
    """The readings of the device's eyes on a simulated station."""
    profile = profile_of(look)
    eyes = Eyes(profile, _Fixed(profile), profile.view_size_px, None, DecisionWatch())
    seen = []
    for frame, _ in Twin(look, [draw_scene(3, look)], fps=20.0, seed=1, single=True).frames():
        if frame.monotonic_s > seconds:
            break
        reading = eyes.look(frame).visibility
        seen += [reading] if reading else []
    return seen


def test_the_eyes_measure_once_a_second_and_rank_simulated_stations_as_they_are():
    look = draw_station(31, "demo")
    plain = _on_twin(look)
    assert len(plain) == 3
    usual = median_of(plain, None)
    for changes, field, worse in (
        ({"noise_levels": 6.0}, "noise_levels", 1),
        ({"blur_px": 1.8}, "blur_px", 1),
        ({"back_level": look.back_level * 0.3}, "light_levels", -1),
    ):
        seen = median_of(_on_twin(replace(look, **changes)), None)
        assert worse * (getattr(seen, field) - getattr(usual, field)) > 0.3 * getattr(usual, field), field


def test_a_reading_costs_little_against_the_second_that_it_stands_for():
    view = np.random.default_rng(1).integers(0, 255, (480, 640)).astype(np.uint8)
    thumb = immersion.thumbnail(view)
    GAUGE.measure(view, view, thumb)
    began = time.process_time()
    for _ in range(10):
        GAUGE.measure(view, view, thumb)
    # 1 ms once a second is 0.05 ms a frame at 20 frames/s; five times that for a busy machine.
    assert (time.process_time() - began) / 10 < 0.005
