"""Frames in, cases out: the twin's immersions through the whole agent."""

import random
from dataclasses import replace

import msgspec
import pytest
from in_full import in_full

from calibration.faults import Impairment
from calibration.scene import draw_scene, draw_station
from calibration.twin import Twin, profile_of
from edge_agent import clips
from edge_agent.bundle import RecallCurve, Sensitivity, open_bundle
from edge_agent.case import Identity
from edge_agent.filming import film_in
from edge_agent.inspection import make_inspector, shipped_bundle, working_view
from edge_agent.pipeline import Sampling
from edge_agent.records import Visibility
from edge_agent.replay import judge_again
from edge_agent.station import StationProfile
from edge_agent.visibility import smallest_leak_std_cm3_s

LOOK = draw_station(31, "demo")
PROFILE = profile_of(LOOK)


@pytest.fixture(scope="module")
def bundle():
    return open_bundle(shipped_bundle())


def scene(seed=3, **changes):
    return replace(draw_scene(seed, LOOK, "demo"), **({"hands": ()} | changes))


def inspect(bundle, scenes, *, profile: StationProfile = PROFILE, impairments=(), draft=None, **options):
    """The cases of a continuous twin recording, the inspector, and the truths."""
    twin = Twin(LOOK, scenes, fps=15.0, seed=4, colour=True, impairments=impairments)
    size, _ = working_view(profile, bundle.manifest.preprocessing)
    film = film_in(draft, size, profile, bundle=bundle.ref, profile_sha256=None) if draft else None
    inspector, cases = None, []
    for frame, _truth in twin.frames():
        if inspector is None:
            inspector = make_inspector(
                frame,
                Identity("plant", "TANK1", "boot"),
                profile,
                bundle,
                sampling=Sampling(0.02, random.Random(1).random),
                open_clip=film,
                **options,
            )
        cases += inspector.step(frame)
    return cases + inspector.finish(), inspector, twin.cases


def test_each_immersion_becomes_one_case_with_the_inspectors_decision(bundle):
    cases, _, truths = inspect(bundle, [scene(3), scene(4, decision="leak"), scene(5, decision="ok")])
    assert [case.decision for case in cases] == [truth.decision for truth in truths]
    assert len({case.case_id for case in cases}) == 3
    for case, truth in zip(cases, truths, strict=True):
        assert abs(case.started_s - truth.entered_s) <= 0.3
        assert abs(case.ended_s - truth.decided_s) <= 0.3
        assert abs(case.usable_s - (truth.decided_s - truth.settled_s)) <= 1.0
        assert case.composites > 30
        assert case.framing.status == "ok"


def test_a_unit_that_is_taken_out_undecided_is_undecided(bundle):
    cases, _, truths = inspect(bundle, [scene(3, decision="none"), scene(4)])
    assert cases[0].outcome in ("undecided", "not_tested")
    assert cases[0].decision == "none"
    assert abs(cases[0].ended_s - truths[0].left_s) <= 0.3


def test_a_lamp_without_an_immersion_is_a_not_tested_case(bundle):
    cases, _, _ = inspect(bundle, [scene(3, unit=None, leaky=False, leaks=(), decision="ok", trapped_bubbles=0)])
    assert [(case.verdict, case.decision) for case in cases] == [("not_tested", "ok")]
    assert "without an immersion" in cases[0].reason


def test_a_unit_held_too_briefly_is_not_tested(bundle):
    cases, _, _ = inspect(bundle, [scene(3, hold_s=2.0)])
    assert cases[0].verdict == "not_tested"
    assert "are needed" in cases[0].reason
    assert cases[0].score is None


def test_a_unit_watched_through_a_moved_camera_is_not_tested(bundle):
    cases, _, _ = inspect(bundle, [scene(3)], impairments=(Impairment("shift", 4.0, 6.0),))
    assert (cases[0].verdict, cases[0].framing.status) == ("not_tested", "shifted")


def test_a_covered_marker_for_most_of_the_hold_is_not_tested(bundle):
    cases, _, _ = inspect(bundle, [scene(3)], impairments=(Impairment("covered", 4.0, 2.0),))
    assert (cases[0].verdict, cases[0].framing.status) == ("not_tested", "lost")


@pytest.mark.parametrize("fault", [in_full("black"), in_full("white"), "freeze"])
def test_no_verdict_comes_from_a_picture_that_shows_nothing(bundle, fault):
    cases, _, _ = inspect(bundle, [scene(3, hold_s=8.0)], impairments=(Impairment(fault, 4.5, 0.0),))
    assert {case.verdict for case in cases} == {"not_tested"}


def test_a_murky_tank_is_not_tested_and_the_reason_says_so(bundle):
    cases, _, _ = inspect(bundle, [scene(3, haze=2.4)])
    assert [case.verdict for case in cases] == ["not_tested"]
    assert "murky" in cases[0].reason


def test_a_station_without_lamps_is_undecided(bundle):
    cases, _, _ = inspect(bundle, [scene(3)], profile=msgspec.structs.replace(PROFILE, lamps=()))
    assert [case.decision for case in cases] == ["none"]


def test_the_challenger_is_logged_and_does_not_speak(bundle):
    cases, _, _ = inspect(bundle, [scene(3)], challenger=bundle)
    assert cases[0].challenger is not None
    assert cases[0].challenger.verdict == cases[0].verdict
    assert cases[0].challenger.score == cases[0].score


def test_a_stored_clip_replays_to_the_same_verdict(bundle, tmp_path):
    # Where man and machine disagree there is a clip, whatever the score; these lie far from the limits.
    scenes = [scene(4, decision="leak"), scene(5, decision="ok"), scene(8, hold_s=2.0)]
    cases, inspector, _ = inspect(bundle, scenes, draft=lambda id: tmp_path / f"{id}.tmp")
    assert [case.verdict for case in cases] == ["ok", "leak", "not_tested"] and all(case.clip for case in cases)
    for case in cases:
        clip = clips.read(inspector.clip_path(case))
        assert clip.whole
        again = judge_again(clip, bundle)
        assert again.verdict == case.verdict
        if case.score is not None:
            assert abs(again.score - case.score) <= 0.02


@pytest.mark.full
def test_a_tank_that_is_murky_from_the_first_frame_still_has_its_immersions_found(bundle):
    cases, _, truths = inspect(bundle, [scene(3, haze=2.4), scene(5, haze=2.4)])
    assert [case.verdict for case in cases] == ["not_tested", "not_tested"]
    for case, truth in zip(cases, truths, strict=True):
        assert abs(case.started_s - truth.entered_s) <= 0.3
        assert abs(case.ended_s - truth.decided_s) <= 0.3


def test_water_that_is_changed_is_followed(bundle):
    cases, _, truths = inspect(bundle, [scene(3, haze=2.4, gap_s=4.0), scene(5, gap_s=4.0)])
    assert [case.verdict == "not_tested" for case in cases] == [True, False]
    assert all(abs(case.started_s - truth.entered_s) <= 0.3 for case, truth in zip(cases, truths, strict=True))


def test_a_case_tells_what_could_be_seen_and_is_not_tested_where_that_would_hide_a_leak_it_has_to_find(bundle):
    usual = Visibility(noise_levels=1.0, light_levels=110.0, paper_levels=130.0, blur_px=0.8, clarity=0.85)
    curve = RecallCurve(
        usual=usual, offset=-3.5, size=4.5, noise_levels=1.0, light_levels=1.0, blur_px=2.5, clarity=2.5
    )
    sensitivity = Sensitivity(smallest_bubble_px=2.2, recall=0.5, curve=curve)
    manifest = msgspec.structs.replace(bundle.manifest, sensitivity=sensitivity)
    required = smallest_leak_std_cm3_s(PROFILE.px_per_mm, 4.0, sensitivity)
    station = msgspec.structs.replace(PROFILE, required_sensitivity_std_cm3_s=1.8 * required)
    clear, hazy = (
        inspect(replace(bundle, manifest=manifest), [scene(3, haze=haze)], profile=station)[0][0] for haze in (0.1, 1.0)
    )
    assert clear.verdict != "not_tested"
    assert clear.smallest_leak_std_cm3_s < 1.8 * required
    assert clear.visibility.smallest_bubble_px < hazy.visibility.smallest_bubble_px
    assert clear.visibility.blur_px == pytest.approx(hazy.visibility.blur_px, rel=0.1)
    assert clear.visibility.clarity > hazy.visibility.clarity + 0.2
    assert hazy.verdict == "not_tested"
    assert "in water this hazy" in hazy.reason and hazy.reason.endswith("change the water")
