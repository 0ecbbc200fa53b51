"""Seed -> parameters: nothing but the leak may tell a leaky unit from its tight twin."""

import dataclasses

import numpy as np
import pytest

from calibration import bubbles
from calibration.profiles import PROFILES
from calibration.scene import at_pose, draw_scene, draw_station
from edge_agent.errors import StationError


def test_same_seed_draws_the_same_scene_and_station():
    first, again = draw_station(5), draw_station(5)
    assert np.array_equal(first.tank_px, again.tank_px)
    assert dataclasses.replace(first, tank_px=again.tank_px) != again  # compared by identity: they hold arrays
    one, two = draw_scene(9, first), draw_scene(9, first)
    assert one.unit == two.unit
    assert one.hold_s == two.hold_s
    assert all(np.array_equal(a.births_s, b.births_s) for a, b in zip(one.leaks, two.leaks, strict=True))


def test_other_seeds_draw_other_units_and_stations():
    look = draw_station(1)
    assert len({draw_scene(seed, look).unit.texture_seed for seed in range(50)}) == 50
    assert len({draw_station(seed).back_level for seed in range(50)}) == 50


@pytest.mark.parametrize("profile", ["reference", "plant", "hard", "demo"])
def test_a_leaky_unit_and_its_tight_twin_differ_in_the_leak_alone(profile):
    look = draw_station(2, profile)
    for seed in range(20):
        leaky, tight = (draw_scene(seed, look, profile, leaky=word) for word in (True, False))
        differing = {
            field.name
            for field in dataclasses.fields(leaky)
            if getattr(leaky, field.name) != getattr(tight, field.name)
        }
        assert differing <= {"leaky", "leaks", "decision"}
        assert leaky.leaks and not tight.leaks


def test_reference_holds_ten_seconds_and_half_of_its_units_leak():
    look = draw_station(3)
    scenes = [draw_scene(seed, look) for seed in range(600)]
    assert {scene.hold_s for scene in scenes} == {10.0}
    assert 0.44 < np.mean([scene.leaky for scene in scenes]) < 0.56
    assert np.mean([scene.trapped_bubbles > 0 for scene in scenes]) >= 0.6
    assert np.mean([scene.beads > 0 for scene in scenes]) >= 0.5
    rates = [scene.leaks[0].rate_s for scene in scenes if scene.leaky]
    assert min(rates) >= 1 and max(rates) <= 30


def test_every_leak_of_reference_is_at_least_two_pixels_wide():
    for seed in range(60):
        look = draw_station(seed)
        leak = draw_scene(seed, look, leaky=True).leaks[0]
        assert leak.diameter_mm * look.px_per_mm >= 1.99 or leak.diameter_mm == 6.0


def test_at_least_half_of_the_stations_have_more_front_than_back_light():
    assert np.mean([draw_station(seed).front_light > 0.5 for seed in range(400)]) >= 0.5


def test_inspector_errs_as_often_as_told():
    look = draw_station(4)
    scenes = [draw_scene(seed, look, inspector_error_rate=0.25) for seed in range(800)]
    wrong = [scene.decision != ("leak" if scene.leaky else "ok") for scene in scenes]
    assert 0.2 < np.mean(wrong) < 0.3


def test_leaks_that_let_go_fewer_than_three_bubbles_are_silent():
    look = draw_station(6, "hard")
    scenes = [draw_scene(seed, look, "hard", leaky=True) for seed in range(200)]
    assert any(scene.silent for scene in scenes)
    for scene in scenes:
        assert scene.silent == (scene.bubbles_released < 3)


def test_a_regular_leak_lets_go_at_its_rate():
    look = draw_station(7)
    counts, wanted = [], []
    for seed in range(300):
        scene = draw_scene(seed, look, leaky=True)
        if len(scene.leaks) == 1 and scene.leaks[0].odd == "steady":
            counts.append(scene.bubbles_released)
            wanted.append(scene.leaks[0].rate_s * scene.hold_s)
    assert abs(sum(counts) / sum(wanted) - 1) < 0.03


def test_units_fit_between_surface_and_floor():
    for profile in PROFILES:
        for seed in range(30):
            look = draw_station(seed, profile)
            unit = draw_scene(seed, look, profile).unit
            if unit is not None:
                assert unit.top_mm > look.surface_mm
                assert unit.bottom_mm + bubbles.FEET_MM < look.tank_mm[1]


def test_codes_are_wide_enough_to_be_read():
    for size in ((640, 480), (1280, 720)):
        for seed in range(20):
            look = draw_station(seed, frame_size_px=size)
            assert look.marker_mm * look.px_per_mm >= 84
            assert look.tank_px.min() > 0
            assert (look.tank_px < np.array(size)).all()


def test_another_pose_moves_the_codes_by_more_than_the_tolerance():
    look = draw_station(8)
    for pose in (1, 2, 3):
        moved = np.linalg.norm(at_pose(look, pose).tank_px - look.tank_px, axis=1)
        assert moved.max() > 3
    assert at_pose(look, 0) is look


def test_an_unknown_profile_is_refused_with_the_known_ones():
    with pytest.raises(StationError, match="plant"):
        draw_station(1, "plants")


def test_bubbles_rise_as_fast_as_the_handbook_says():
    sizes = np.array([0.5, 1.0, 2.0, 3.0, 5.0])
    assert np.allclose(bubbles.rise_speed_mm_s(sizes, 1.0), [75, 240, 290, 240, 220])
    assert np.allclose(bubbles.rise_speed_mm_s(sizes, 0.0), [55, 115, 175, 200, 210])


def test_leak_bubbles_only_ever_rise_and_end_at_the_surface():
    look = draw_station(9)
    scene = draw_scene(9, look, leaky=True)
    movers = bubbles.movers_of(scene, look, already_in=True)
    leak_rows = np.flatnonzero(movers.kind == bubbles.LEAK)
    heights = {row: [] for row in leak_rows}
    for now_s in np.arange(0, 4, 0.05):
        moment = bubbles.at(movers, now_s, 0.0, look.surface_mm, look.tank_mm[1])
        for row, y in zip(moment.rows, moment.y_mm, strict=True):
            if row in heights:
                heights[row].append(y)
                assert y > look.surface_mm
    for track in heights.values():
        assert (np.diff(track) <= 0).all()
