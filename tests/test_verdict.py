"""A verdict only applies limits; `not_tested` says why."""

from typing import Any

import msgspec
import pytest

from edge_agent.bundle import BundleManifest, Lineage, Preprocessing, RecallCurve, Sensitivity, Thresholds
from edge_agent.records import FramingSummary, Visibility, WaterSummary
from edge_agent.station import MarkerReference, StationProfile
from edge_agent.verdict import Finding, Watched, decide
from edge_agent.visibility import smallest_leak_std_cm3_s

SQUARE = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
THRESHOLDS = Thresholds(
    ok_below=0.2, leak_above=0.8, bubble_above=0.3, settle_s=1.0, lamp_lit_above=0.5, murky_below=0.4
)

MANIFEST = BundleManifest(
    name="test",
    version=1,
    created_at="",
    nets={},
    preprocessing=Preprocessing(spacing_ms=50, spacing_tolerance_ms=20, period_ms=100, max_view_px=(640, 480)),
    thresholds=THRESHOLDS,
    lineage=Lineage(recipe="", seed=0, dataset_sha256=None, parent_sha256=None, code=""),
    card="",
)


def profile(**changes):
    settings: dict[str, Any] = {
        "station": "TANK1",
        "frame_size_px": (640, 480),
        "tank_px": SQUARE,
        "view_size_px": (560, 420),
        "px_per_mm": 2.0,
        "markers": (MarkerReference("TL", SQUARE),),
        "required_hold_s": 5.0,
    }
    return StationProfile(**(settings | changes))


def watched(usable_s=8.0, framing="ok", water="clear", fault="", composites=80):
    return Watched(
        usable_s, composites, FramingSummary(framing), WaterSummary(water, 0.3 if water == "murky" else 0.9), fault
    )


def found(score, late_s=7.0, **changes):
    return Finding(
        score, late_s, (10, 20), "bubbles rise from one point", "3 bubbles rose, not as from a leak", **changes
    )


def judged(score=0.5, station=None, px_per_mm=2.0, late_s=7.0, **how):
    finding = None if score is None else found(score, late_s)
    return decide(watched(**how), finding, station, manifest=MANIFEST, px_per_mm=px_per_mm)


@pytest.mark.parametrize(
    ("score", "word"), [(0.1, "ok"), (0.2, "uncertain"), (0.5, "uncertain"), (0.8, "uncertain"), (0.9, "leak")]
)
def test_two_limits_make_three_answers(score, word):
    verdict = judged(score, profile())
    assert verdict.verdict == word
    # Who says ok does not say in the same breath that it leaks.
    assert verdict.reason == ("3 bubbles rose, not as from a leak" if word == "ok" else "bubbles rise from one point")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"usable_s": 2.1}, "2.1 s, 5.0 s are needed"),
        ({"water": "murky"}, "murky"),
        ({"fault": "the picture is black"}, "black"),
        ({"usable_s": 1.0, "framing": "shifted"}, "camera has moved"),
        ({"usable_s": 1.0, "framing": "lost"}, "markers were covered"),
        ({"composites": 4}, "only 4 of 80 composites"),
    ],
)
def test_a_unit_that_could_not_be_watched_is_not_tested_and_never_ok(how, words):
    verdict = judged(0.01, profile(), **how)
    assert (verdict.verdict, verdict.score) == ("not_tested", None)
    assert words in verdict.reason


def test_without_a_profile_only_blindness_is_a_reason_for_not_tested():
    assert judged(0.01, None, usable_s=0.3, water="murky", framing="unchecked").verdict == "ok"
    assert judged(0.01, None, fault="the picture is black").verdict == "not_tested"


def test_a_recording_that_ends_before_the_water_has_settled_is_never_ok():
    verdict = judged(0.01, None, usable_s=0.3, late_s=0.0)
    assert (verdict.verdict, verdict.score) == ("uncertain", 0.01)
    assert judged(0.9, None, usable_s=0.3, late_s=0.0).verdict == "leak"


def test_pictures_too_far_apart_to_have_been_watched_are_never_ok():
    verdict = judged(0.01, None, usable_s=0.0, late_s=3.0, composites=0)
    assert (verdict.verdict, verdict.score) == ("uncertain", 0.01)


def test_without_a_composite_there_is_no_verdict():
    assert judged(None, None).verdict == "not_tested"


def test_a_leak_smaller_than_required_that_could_not_be_seen_is_not_tested():
    assert judged(0.01, profile(required_sensitivity_std_cm3_s=1e-9)).verdict == "not_tested"
    assert judged(0.01, profile(required_sensitivity_std_cm3_s=1.0)).verdict == "ok"


def test_the_smallest_leak_is_that_of_the_view_the_nets_saw():
    full, half = judged(0.01, profile(), px_per_mm=2.0), judged(0.01, profile(), px_per_mm=1.0)
    assert half.smallest_leak_std_cm3_s == pytest.approx(8 * full.smallest_leak_std_cm3_s, rel=0.01)


def test_a_unit_held_too_briefly_still_tells_what_it_could_have_shown_and_a_blind_camera_nothing():
    assert judged(0.01, profile(), usable_s=2.0).smallest_leak_std_cm3_s is not None
    assert judged(0.01, profile(), composites=4).smallest_leak_std_cm3_s is None
    assert judged(0.01, profile(), fault="the picture is black").smallest_leak_std_cm3_s is None


def test_the_smallest_leak_follows_the_formula_of_three_bubbles_of_two_millimetres():
    sensitivity = Sensitivity(smallest_bubble_px=4.0, recall=1.0, bubbles_needed=1)
    # field.md: for 2 mm bubbles T = 10 s gives 1.3e-3, 30 s gives 4.2e-4 std cm3/s
    assert smallest_leak_std_cm3_s(2.0, 10.0, sensitivity) == pytest.approx(1.3e-3, rel=0.05)
    assert smallest_leak_std_cm3_s(2.0, 30.0, sensitivity) == pytest.approx(4.2e-4, rel=0.05)
    assert smallest_leak_std_cm3_s(None, 10.0, sensitivity) is None


USUAL = Visibility(noise_levels=1.0, light_levels=100.0, paper_levels=120.0, blur_px=0.7, smear_px=1.2, clarity=0.8)
WEIGHTS = dict.fromkeys(("noise_levels", "light_levels", "paper_levels", "blur_px", "smear_px", "clarity"), 1.0)
CURVE = RecallCurve(usual=USUAL, offset=-4.0, size=5.0, **WEIGHTS)


@pytest.mark.parametrize(("score", "plain"), [(0.1, "ok"), (0.9, "leak"), (0.5, "uncertain")])
def test_what_is_like_no_case_of_training_is_uncertain_whatever_its_score(score, plain):
    limited = msgspec.structs.replace(MANIFEST, thresholds=msgspec.structs.replace(THRESHOLDS, novel_above=2.5))
    for distance, manifest, word in ((2.6, limited, "uncertain"), (2.4, limited, plain), (99.0, MANIFEST, plain)):
        finding = found(score, distance=distance)
        verdict = decide(watched(), finding, profile(), manifest=manifest, px_per_mm=2.0)
        assert verdict.verdict == word and verdict.score == score
        assert ("distance 2.60, limit 2.50" in verdict.reason) == (manifest is limited and distance > 2.5)
        assert verdict.novelty == (round(distance / 2.5, 3) if manifest is limited else None)


GAUGED = msgspec.structs.replace(
    MANIFEST, sensitivity=Sensitivity(smallest_bubble_px=2.2, recall=0.5, bubbles_needed=2, curve=CURVE)
)
REQUIRED = 1e-3
"""A little more than a usual picture shows in 8 s at 2 px a mm, 8.5e-4."""


def gauged(score=0.01, required=REQUIRED, usable_s=8.0, px_per_mm=2.0, **seen):
    station = profile(required_sensitivity_std_cm3_s=required)
    how = Watched(
        usable_s,
        int(10 * usable_s),
        FramingSummary("ok"),
        WaterSummary("clear", 0.9),
        visibility=msgspec.structs.replace(USUAL, **seen),
    )
    finding = Finding(score, 7.0, (10, 20), "no bubble rose", "no bubble rose")
    return decide(how, finding, station, manifest=GAUGED, px_per_mm=px_per_mm)


def test_a_usual_picture_shows_what_is_required_and_the_case_tells_what_it_showed():
    verdict = gauged()
    assert verdict.verdict == "ok"
    assert verdict.smallest_leak_std_cm3_s == pytest.approx(8.5e-4, rel=0.1)
    assert verdict.visibility.smallest_bubble_px == pytest.approx(2.23, abs=0.01)
    assert verdict.visibility.smallest_bubble_mm == pytest.approx(1.11, abs=0.01)
    assert verdict.visibility.noise_levels == 1.0


@pytest.mark.parametrize(
    ("worse", "words"),
    [
        ({"noise_levels": 4.0}, ("noisy", "lower the camera's gain")),
        ({"light_levels": 20.0}, ("in this light", "behind the tank")),
        ({"paper_levels": 30.0}, ("in this light", "from the camera's side")),
        ({"blur_px": 2.5}, ("blurred", "focus the camera")),
        ({"smear_px": 4.0}, ("shutter", "shorten the exposure")),
        ({"clarity": 0.2}, ("hazy", "change the water")),
        ({"clarity": 0.2, "blur_px": 0.9}, ("hazy", "change the water")),
    ],
)
def test_what_costs_most_of_the_visibility_is_named_with_its_cure(worse, words):
    verdict = gauged(**worse)
    assert (verdict.verdict, verdict.score) == ("not_tested", None)
    assert "bubbles under" in verdict.reason and "0.001 is required" in verdict.reason
    assert all(word in verdict.reason for word in words), verdict.reason


@pytest.mark.parametrize("how", [{"usable_s": 5.5}, {"px_per_mm": 1.5}, {"usable_s": 5.5, "blur_px": 0.75}])
def test_where_no_picture_would_show_it_time_and_size_are_named(how):
    verdict = gauged(**how)
    assert verdict.verdict == "not_tested"
    assert "hold the unit longer or move the camera closer" in verdict.reason


def test_a_station_that_requires_nothing_refuses_nothing_for_its_visibility():
    assert gauged(required=None, clarity=0.05, noise_levels=9.0).verdict == "ok"
    assert gauged(required=None, clarity=0.05).visibility.smallest_bubble_px > 3.5


def test_a_better_picture_than_usual_makes_up_for_time():
    assert gauged(usable_s=5.5).verdict == "not_tested"
    assert gauged(usable_s=5.5, noise_levels=0.6).verdict == "ok"
