"""The report on real recordings: what counts as found, and what the shipped bundle is held to."""

import json

import numpy as np
import pytest

from benchmarks import real
from edge_agent.bundle import open_bundle
from edge_agent.errors import ConfigError
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


def test_without_the_recordings_it_says_what_to_set(monkeypatch, tmp_path):
    monkeypatch.setenv("TANKWATCH_REAL_DATA", str(tmp_path))
    with pytest.raises(ConfigError, match="TANKWATCH_REAL_DATA"):
        real.run([])


@pytest.mark.full
def test_the_shipped_bundle_keeps_the_targets_on_real_recordings(real_data, tmp_path):
    figures = real.measure(real_data, open_bundle(shipped_bundle()), tmp_path)
    assert figures["missed"] == []
    assert all(clip["verdict"] in ("ok", "uncertain") for clip in figures["clips"].values())
    assert figures["labelled"]["rising"]["recall"] > 10 * figures["labelled"]["falling"]["recall"]
    assert len(list(tmp_path.glob("*.png"))) == 18
