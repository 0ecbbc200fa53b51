"""The report on real recordings: what counts as found, and what the shipped bundle is held to."""

import json

import numpy as np
import pytest

from benchmarks import real
from edge_agent.bundle import open_bundle
from edge_agent.inspection import shipped_bundle


def test_each_bubble_has_one_spot_to_itself_and_the_nearest_counts():
    labels = np.array([[50, 50, 4], [56, 50, 4], [200, 100, 40], [300, 300, 4]], np.float32)
    spots = np.array([[53.5, 50], [215, 100], [216, 100], [300, 307]], np.float32)
    assert real.matches(spots, labels).tolist() == [False, True, True, False]
    assert not real.matches(np.empty((0, 2)), labels).any()
    assert real.matches(spots, np.empty((0, 3))).shape == (0,)


def test_a_still_moves_from_view_to_view_and_is_in_place_in_the_middle():
    still = np.zeros((60, 80), np.uint8)
    still[30:33, 40:43] = 200
    oldest, middle, newest = np.moveaxis(real.moved(still, -4.0).image, 2, 0)
    assert np.array_equal(middle, still)
    assert [int(np.argwhere(view)[:, 0].mean()) for view in (oldest, middle, newest)] == [35, 31, 27]


def test_labels_are_read_in_view_pixels_as_centre_and_diameter(tmp_path):
    shapes = [
        {"label": "bubble", "shape_type": "circle", "points": [[100, 200], [106, 208]]},
        {"label": "bubble", "shape_type": "polygon", "points": [[20, 20], [40, 20], [40, 40], [20, 40]]},
        {"label": "bubble", "shape_type": "polygon", "points": [[200, 20], [220, 20], [220, 40], [200, 40]]},
    ]
    (tmp_path / "one.json").write_text(json.dumps({"shapes": shapes}))
    labels = real.read_labels(tmp_path / "one.json", 0.5, (240, 320))
    assert np.allclose(labels.rows[0], [50, 100, 10])
    assert np.allclose(labels.rows[1], [15, 15, 2 * np.sqrt(100 / np.pi)], atol=1e-4)
    assert labels.inside[20, 60] and not labels.inside[5, 5]


def test_a_polygon_counts_where_its_area_is_however_its_corners_are_spread(tmp_path):
    crowded = [[0, 0], [1, 0], [2, 0], [3, 0], [40, 0], [40, 40], [0, 40]]
    shapes = [{"label": "bubble", "shape_type": "polygon", "points": crowded}] * 3
    (tmp_path / "one.json").write_text(json.dumps({"shapes": shapes}))
    assert np.allclose(real.read_labels(tmp_path / "one.json", 1.0, (60, 60)).rows[0, :2], [20, 20], atol=1e-3)


def test_spots_where_nothing_is_labelled_do_not_count_and_mirrored_ones_tell_chance():
    inside = np.zeros((100, 200), bool)
    inside[:, 50:151] = True
    labels = real.Labels(np.array([[60, 50, 8], [140, 50, 8], [70, 80, 8]], np.float32), inside)
    spots = np.array([[61, 50, 0.9, 0, -80, 8], [70, 81, 0.8, 0, -80, 8], [20, 50, 0.7, 0, -80, 8]], np.float32)
    one = real.scored(spots, labels)
    assert one.hit.tolist() == [True, False, True] and one.spots == 2
    # 61 is mirrored to 139, where a bubble is too; 70 to 130, where none is.
    assert (one.mirrored, one.mirrored_hits, one.full) == (2, 1, False)


def test_a_spot_that_is_said_beyond_the_edge_counts_as_on_it():
    labels = real.Labels(np.array([[198, 50, 8]], np.float32), np.ones((100, 200), bool))
    assert real.scored(np.array([[203.0, 50, 0.9, 0, -80, 8]], np.float32), labels).hit.tolist() == [True]


def test_missed_targets_are_named():
    kept = {name: {"verdict": "ok"} for name in real.NEGATIVES}
    lights = {"pictures": 115, "right": 114}
    assert real.missed(kept, {"upright": 10.0, "upside_down": 5.0}, lights) == []
    assert real.missed(kept, {"upright": 10.0, "upside_down": 5.0}, {"pictures": 0, "right": 0})
    changed = kept | {"fire": {"verdict": "leak"}, "river": {"verdict": "not_tested"}}
    changed |= {name: {"verdict": "not_tested"} for name in real.CAMERA_MOVES}
    assert real.missed(changed, {"upright": 10.0, "upside_down": 5.1}, lights | {"right": 113}) == [
        "fire is called a leak",
        "river is not tested, and its camera stands still",
        "boiling bubbles: 10.00 upright, 5.10 upside down, 2 times as many",
        "of 115 traffic lights the lit lamp of 113 is found",
    ]


@pytest.mark.parametrize("named", ["", "empty folder"])
def test_without_the_recordings_it_says_what_to_set(monkeypatch, tmp_path, capsys, named):
    monkeypatch.setenv("TANKWATCH_REAL_DATA", named and str(tmp_path))
    assert real.run([]) == 2
    told = capsys.readouterr()
    assert told.out == "" and told.err.count("\n") == 1 and "TANKWATCH_REAL_DATA" in told.err


@pytest.mark.full
def test_the_shipped_bundle_keeps_the_targets_on_real_recordings(real_data, tmp_path):
    figures = real.measure(real_data, open_bundle(shipped_bundle()), tmp_path)
    assert figures["missed"] == []
    assert all(clip["verdict"] in ("ok", "uncertain") for clip in figures["clips"].values())
    rising, falling = figures["labelled"]["rising"], figures["labelled"]["falling"]
    assert rising["recall"] > 10 * falling["recall"]
    assert rising["precision"] > 1.3 * rising["by_chance"]
    assert sum(figures["backlit"]["still"]["with_bubbles"]) == 0
    stills = 18 * len(real.MOVES_PX)
    assert len(list(tmp_path.glob("*.png"))) == stills + len(real.NEGATIVES) + 2
    assert real._words(figures).endswith("missed: nothing")
