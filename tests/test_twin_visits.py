"""Units that do not simply come, wait and go: dipped twice, left in, letting air go in odd ways."""

from dataclasses import replace

import numpy as np
import pytest

from calibration import bubbles, odd
from calibration.movers import chosen, path, rising
from calibration.scene import Dip, Leak, draw_scene, draw_station
from calibration.twin import Twin

LOOK = draw_station(3, "demo")


def leaking(habit="steady", **changes):
    """A demo scene whose one leak has births every 0.5 s under the shell's middle."""
    scene = draw_scene(3, LOOK, "demo", leaky=True)
    unit = scene.unit
    leak = Leak(
        spot="underside", origin_mm=(unit.centre_mm - 5, float(unit.underside_mm(unit.centre_mm - 5))), rate_s=2.0,
        diameter_mm=5.0, spread=0.02, regularity=20, odd=habit, slides=False, births_s=np.arange(0.1, 5.0, 0.5),
    )  # fmt: skip
    return replace(scene, leaks=(replace(leak, **changes),), trapped_bubbles=0, late_detachments_s=())


def rows_of(scene):
    movers = bubbles.movers_of(scene, LOOK, already_in=True)
    kept = np.flatnonzero(movers.kind == bubbles.LEAK)
    return {name: getattr(movers, name)[kept] for name in movers.__slots__}


def test_a_unit_dipped_twice_is_one_case_that_is_watched_from_its_last_rest():
    scene = replace(draw_scene(3, LOOK, "demo", leaky=True), dips=(Dip(1.0, 3.5),), hold_s=9.0)
    twin = Twin(LOOK, [scene], fps=10)
    phases = [truth.phase for _, truth in twin.frames()]
    order = [phase for number, phase in enumerate(phases) if number == 0 or phases[number - 1] != phase]
    assert order == ["empty", "entering", "watching", "entering", "watching", "decided", "leaving", "empty"]
    assert len(twin.cases) == 1
    case = twin.cases[0]
    assert case.decided_s - case.settled_s == pytest.approx(9.0 - 3.5)
    assert case.slices["dips"] == 1


def test_only_bubbles_after_the_last_rest_count():
    scene = replace(leaking(), dips=(Dip(1.0, 3.0),), hold_s=4.0)
    births = scene.leaks[0].births_s
    assert scene.bubbles_released == np.count_nonzero((births >= 3.0) & (births < 4.0))
    assert scene.undipped().dips == () and scene.undipped().hold_s == 1.0


def test_a_dipped_unit_is_out_of_the_water_between():
    scene = replace(draw_scene(3, LOOK, "demo"), dips=(Dip(1.0, 4.0),), hold_s=9.0)
    lift = bubbles.lift_mm(scene, np.array([0.5, 2.5, 4.5]))
    assert lift[0] == lift[2] == 0
    assert lift[1] > scene.unit.bottom_mm


def test_recordings_of_a_unit_at_rest_have_no_dips():
    scene = replace(draw_scene(3, LOOK, "demo"), dips=(Dip(1.0, 3.5),), hold_s=9.0)
    twin = Twin(LOOK, [scene], fps=10, single=True)
    assert sum(1 for _ in twin.frames()) == round((9.0 - 3.5 + 1.0) * 10)


def test_units_left_in_stay_long_after_their_lamp():
    scenes = [draw_scene(seed, LOOK, "hard") for seed in range(300)]
    stays = [scene.lamp_delay_s for scene in scenes if scene.left_in]
    assert 10 < len(stays) < 60
    assert min(stays) >= 8
    assert max(scene.lamp_delay_s for scene in scenes if not scene.left_in) < 1


def test_creeping_bubbles_leave_the_shell_at_its_edge():
    rows = rows_of(leaking(slides=True))
    unit = leaking().unit
    creeps, rises = rows["vy_mm_s"] > -100, rows["vy_mm_s"] <= -100
    assert creeps.sum() == rises.sum() == 10
    edge = unit.centre_mm - 0.9 * unit.width_mm / 2
    assert np.abs(rows["x_mm"][rises] - edge).max() < 0.04 * unit.width_mm
    assert np.allclose(np.sort(rows["ends_s"][creeps]), np.sort(rows["born_s"][rises]))


def test_a_breaking_bubble_becomes_two_or_three_of_the_same_volume():
    rows = rows_of(leaking("breakup"))
    whole = chosen(rows, np.arange(10))
    later = chosen(rows, np.arange(10, rows["x_mm"].size))
    assert 20 <= later["x_mm"].size <= 30
    for born_s, ends_s, size in zip(whole["born_s"], whole["ends_s"], whole["diameter_mm"], strict=True):
        daughters = later["diameter_mm"][np.isclose(later["born_s"], ends_s)]
        assert np.isclose((daughters**3).sum(), size**3)
        assert 0.05 < ends_s - born_s < 0.5


def test_two_bubbles_that_meet_go_on_as_one():
    scene = leaking("coalescing")
    births = np.sort(np.concatenate([scene.leaks[0].births_s, scene.leaks[0].births_s + 0.05]))
    rng = np.random.default_rng(0)
    ones = np.ones(births.size)
    free = rising(rng, scene, LOOK, births, 150 * ones, 200 * ones, 3 * ones, bubbles.LEAK, 0.0)
    rows = odd.joining(rng, free, scene, LOOK)
    first, second = (chosen(rows, np.arange(20)[start::2]) for start in (0, 1))
    joint = chosen(rows, np.arange(20, rows["x_mm"].size))
    assert joint["x_mm"].size == 10
    assert np.allclose(joint["diameter_mm"], 3 * np.cbrt(2))
    for ahead in (first, second):
        x, y, _, _ = path(ahead, joint["born_s"] - ahead["born_s"])
        assert np.allclose(x, joint["x_mm"]) and np.allclose(y, joint["y_mm"])
    assert np.allclose(first["ends_s"], joint["born_s"])


def test_caps_are_wide_flat_and_fast():
    rows = rows_of(leaking("cap", diameter_mm=12.0))
    assert (rows["aspect"] <= 0.6).all()
    assert (rows["look"] >= bubbles.LOOKS).all()
    assert bubbles.rise_speed_mm_s(np.array([14.0]), 0.5)[0] > 250
