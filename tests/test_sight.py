"""What a detector found, fitted to what the gauge measured: the curve that a bundle carries."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from calibration import scenes_for_training
from calibration.scene import draw_scene, draw_station
from calibration.twin import profile_of
from edge_agent.bundle import Sensitivity, open_bundle
from edge_agent.infer import Detector
from edge_agent.inspection import shipped_bundle
from edge_agent.records import Visibility
from edge_agent.visibility import WORSE, smallest_bubble_px
from edge_agent.water import WaterGauge
from models import sight, sight_fit
from models.sight import Sightings

MIDDLE = Visibility(noise_levels=1.5, light_levels=90.0, paper_levels=110.0, blur_px=0.8, smear_px=1.2, clarity=0.7)


def made_up(seed, count=300, *, blur=3.0, paper=0.0):
    """Sightings of stations on which half of the bubbles of exp(0.8) px are found where all is as in MIDDLE."""
    rng = np.random.default_rng(seed)
    recordings = []
    for _ in range(count):
        better = rng.normal(0, 0.4, 6)
        seen = np.array([getattr(MIDDLE, name) for name in sight.FIELDS]) * np.exp(better * [-1, 1, 1, -1, -1, 1])
        size = rng.uniform(0.0, 2.0, 8)
        logit = 4.5 * (size - 0.8) + np.array([1.0, 1.5, paper, blur, 0.8, 2.0]) @ better
        hits = np.where(rng.random(8) < 1 / (1 + np.exp(-logit)), 5, 1)
        bubbles = np.column_stack([np.exp(size), np.full(8, 10), hits, np.full(8, 20.0)])
        recordings.append(Sightings(bubbles.astype(np.float32), seen.astype(np.float32)))
    return recordings


def test_the_fit_finds_the_curve_that_made_the_sightings():
    sensitivity = sight_fit.fitted(made_up(1))
    assert smallest_bubble_px(MIDDLE, sensitivity) == pytest.approx(np.exp(0.8), rel=0.05)
    assert sensitivity.curve.size == pytest.approx(4.5, rel=0.2)
    assert sensitivity.curve.blur_px == pytest.approx(3.0, rel=0.3)
    blurred = msgspec.structs.replace(MIDDLE, blur_px=1.6)
    assert smallest_bubble_px(blurred, sensitivity) == pytest.approx(np.exp(0.8 + 3.0 / 4.5 * np.log(2)), rel=0.15)


def test_what_is_usual_is_what_the_better_half_of_the_stations_shows():
    recordings = made_up(4)
    sensitivity = sight_fit.fitted(recordings)
    smallest = [smallest_bubble_px(_visibility(one), sensitivity) for one in recordings]
    share = np.mean(np.array(smallest) < sensitivity.smallest_bubble_px)
    assert 0.15 < share < 0.35
    assert sensitivity.smallest_bubble_px == smallest_bubble_px(sensitivity.curve.usual, sensitivity)


def _visibility(one: Sightings) -> Visibility:
    return msgspec.convert(dict(zip(sight.FIELDS, one.seen.tolist(), strict=True)), Visibility)


def test_nothing_worse_ever_lets_smaller_bubbles_be_seen():
    curve = sight_fit.fitted(made_up(2, blur=-2.0, paper=-1.0)).curve
    assert curve.blur_px == curve.paper_levels == 0.0
    assert all(getattr(curve, name) >= 0 for name in WORSE)


def test_too_few_bubbles_make_no_curve():
    assert sight_fit.fitted(made_up(1, count=3)) == Sensitivity()
    assert sight_fit.fitted([]) == Sensitivity()
    never = [Sightings(one.bubbles * np.float32([1, 1, 0, 1]), one.seen) for one in made_up(1)]
    assert sight_fit.fitted(never) == Sensitivity()


def test_a_quantity_that_some_stations_could_not_measure_is_fitted_on_the_others():
    recordings = made_up(3)
    recordings[::2] = [
        Sightings(one.bubbles, one.seen * np.float32([1, 1, 1, np.nan, 1, 1])) for one in recordings[::2]
    ]
    assert sight_fit.fitted(recordings).curve.blur_px > 1.0
    nowhere = [Sightings(one.bubbles, one.seen * np.float32([1, 1, 1, 1, np.nan, 1])) for one in recordings]
    sensitivity = sight_fit.fitted(nowhere)
    assert (sensitivity.curve.usual.smear_px, sensitivity.curve.smear_px) == (None, 0.0)
    assert np.isfinite(sensitivity.smallest_bubble_px)


def test_a_curve_goes_through_the_manifest_and_a_bundle_without_one_says_nothing_of_it():
    sensitivity = sight_fit.fitted(made_up(1))
    assert msgspec.json.decode(msgspec.json.encode(sensitivity), type=Sensitivity) == sensitivity
    assert b"curve" not in msgspec.json.encode(Sensitivity())


def test_more_bubbles_are_found_where_the_picture_is_better(tmp_path):
    bundle = open_bundle(shipped_bundle())
    nets = Detector(bundle.nets["detector"], bundle.manifest.thresholds), WaterGauge(bundle.nets["water"])
    recording = _streaming()
    clear = sight.look(recording, *nets)
    hidden = sight.look(replace(recording, look=replace(recording.look, blur_px=2.4, noise_levels=7.0)), *nets)
    assert min(len(clear.bubbles), len(hidden.bubbles)) >= 5
    assert np.median(clear.bubbles[:, 2]) > np.median(hidden.bubbles[:, 2])
    assert hidden.seen[0] > 2 * clear.seen[0] and hidden.seen[3] > 2 * clear.seen[3]
    sight.save(clear, tmp_path / "clear.npz")
    assert (sight.load(tmp_path / "clear.npz").bubbles == clear.bubbles).all()


def _streaming():
    """A plain station with a leak of some large bubbles a second."""
    look = draw_station(31, "demo")
    scene = replace(draw_scene(4, look, "demo", leaky=True), hold_s=3.0)
    return scenes_for_training.Recording(look, scene, profile_of(look), 20.0, 3)


def test_visibility_is_told_by_the_fields_that_are_fitted():
    assert set(sight.FIELDS) == set(WORSE) <= set(Visibility.__struct_fields__)
