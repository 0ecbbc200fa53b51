"""What a shake costs is counted unit by unit; and one unit is really judged still and shaken."""

import pytest

from benchmarks import shake
from benchmarks.shake import Unit
from calibration.twin import scene_seed
from edge_agent.bundle import open_bundle
from edge_agent.inspection import shipped_bundle


def test_each_unit_is_held_against_itself_before_the_still_camera():
    units = [
        Unit("leak", ("leak", "uncertain"), (0.99, 0.5)),
        Unit("leak", ("ok", "leak"), (0.01, 0.95)),
        Unit("ok", ("ok", "leak"), (0.01, 0.95)),
        Unit("ok", ("ok", "not_tested"), (0.01, None)),
        Unit("silent", ("ok", "leak"), (0.01, 0.95)),
    ]
    still, shaken = (shake.figures_of(units, number) for number in (0, 1))
    assert (still["right"], still["wrong"], still["median_log_odds_gained"]) == (3, 1, 0)
    assert (shaken["right"], shaken["wrong"], shaken["unsure"], shaken["not_tested"]) == (1, 1, 1, 1)
    assert (shaken["right_when_still_alone"], shaken["right_when_shaken_alone"]) == (3, 1)
    # Towards the truth counts as gained: -4.6, +7.5 and -7.5 of these three.
    assert shaken["median_log_odds_gained"] == pytest.approx(-4.6, abs=0.1)


def test_the_same_unit_is_judged_still_and_shaken(monkeypatch):
    monkeypatch.setattr(shake, "SHAKES_MM", (0.0, 1.0))
    unit = shake.judge(scene_seed(41, 0), open_bundle(shipped_bundle()))
    assert unit.truth in ("leak", "ok") and len(unit.verdicts) == 2
    assert None not in unit.scores and unit.scores[0] != unit.scores[1]
