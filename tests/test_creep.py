"""The trail of bubbles that creep under the unit, drawn by hand in the detector's maps, and one of the twin."""

import numpy as np
import pytest

from calibration import scenes_for_training
from calibration.odd import release
from edge_agent.bundle import open_bundle
from edge_agent.creep import GAP_CELLS, LEAST_CELLS, Trail
from edge_agent.inspection import shipped_bundle
from edge_agent.judge import Judge
from edge_agent.records import Evidence, FramingSummary, WaterSummary
from edge_agent.verdict import Watched
from models.data import Gauged, held

HEIGHT, WIDTH = 70, 80
EDGE = 40, 60
"""Row and column of where the bubbles rise."""
RISES_PX = (EDGE[1] + 0.5) * 4, (EDGE[0] + 0.5) * 4


def trail(cells, *, strength=0.2, noise=0.01, composites=20, beads=True, seed=1) -> Trail:
    """Of maps in which a bubble is somewhere on `cells` in each composite, and rises from the edge."""
    rng, seen = np.random.default_rng(seed), Trail()
    for _ in range(composites):
        heat, bead = rng.uniform(0, noise, (2, HEIGHT, WIDTH)).astype(np.float32)
        heat[10 : EDGE[0], EDGE[1]] += 0.5
        for row, column in cells:
            bead[row, column] += strength * rng.uniform(0.5, 1.5)
        seen.add(Evidence(0.0, heat, np.empty((0, 6), np.float32), 0.5, beads=bead if beads else None))
    return seen


def creeping(count, *, step=-1, slope=0.3):
    """Cells from the edge inwards, going down by `slope`."""
    return [(round(EDGE[0] + slope * number), EDGE[1] + step * number) for number in range(1, count + 1)]


@pytest.mark.parametrize("step", [-1, 1])
@pytest.mark.parametrize("slope", [0.0, 0.3, 1.5, -0.5])
def test_a_leak_is_where_the_trail_begins_whose_end_is_where_its_bubbles_rise(step, slope):
    cells = creeping(16, step=step, slope=slope)
    row, column = cells[-1]
    assert trail(cells).begins(RISES_PX) == ((column + 0.5) * 4, (row + 0.5) * 4)


def test_a_gap_is_walked_over_and_a_longer_one_ends_the_trail():
    cells = creeping(20)
    short, long = cells[:8] + cells[8 + GAP_CELLS :], cells[:8] + cells[9 + GAP_CELLS :]
    assert trail(short).begins(RISES_PX)[0] == (cells[-1][1] + 0.5) * 4
    assert trail(long).begins(RISES_PX)[0] == (cells[7][1] + 0.5) * 4


def test_what_is_short_or_faint_or_elsewhere_is_no_trail():
    assert trail(creeping(LEAST_CELLS)).begins(RISES_PX) != RISES_PX
    assert trail(creeping(LEAST_CELLS - 1)).begins(RISES_PX) == RISES_PX
    assert trail(creeping(16), strength=0.02).begins(RISES_PX) == RISES_PX
    assert trail([(row - 12, column) for row, column in creeping(16)]).begins(RISES_PX) == RISES_PX
    assert trail([]).begins(RISES_PX) == RISES_PX


def test_in_a_noisy_picture_a_trail_has_to_be_stronger():
    assert trail(creeping(16), strength=0.05, noise=0.01).begins(RISES_PX) != RISES_PX
    assert trail(creeping(16), strength=0.05, noise=0.5, composites=4).begins(RISES_PX) == RISES_PX


def test_of_two_trails_the_stronger_counts():
    left, right = creeping(8, step=-1), creeping(16, step=1)
    assert trail([*left, *right]).begins(RISES_PX)[0] > RISES_PX[0]


def test_without_maps_of_beads_or_composites_or_beyond_the_map_the_place_stays():
    assert Trail().begins(RISES_PX) == RISES_PX
    assert trail(creeping(16), beads=False).begins(RISES_PX) == RISES_PX
    for beyond in ((-40.0, 160.0), (1000.0, 160.0), (240.0, -500.0), (240.0, 5000.0)):
        assert trail(creeping(16)).begins(beyond) == beyond


def test_a_leak_of_the_twin_whose_bubbles_creep_is_placed_at_its_hole():
    recording = scenes_for_training.recording(3_700_107, "limits")
    (leak,), unit, profile = recording.scene.leaks, recording.scene.unit, recording.profile
    (width_px, height_px), (width_mm, height_mm) = profile.view_size_px, recording.look.tank_mm
    judge = Judge(open_bundle(shipped_bundle()), profile.px_per_mm, profile.view_size_px)
    for view, _, _ in held(recording, Gauged()):
        judge.push(view, view.monotonic_s)
    watched = Watched(recording.hold_s, judge.composites, FramingSummary("ok"), WaterSummary("clear", 0.9))
    x, y = judge.verdict(watched, None).leak_at_tank_px

    def away_mm(place_mm):
        return np.hypot(x * width_mm / width_px - place_mm[0], y * height_mm / height_px - place_mm[1])

    assert leak.slides and away_mm(leak.origin_mm) < 10 < 20 < away_mm(release(leak, unit)[:2])
