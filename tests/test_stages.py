"""What a recipe's stages know of a case: which leaks nobody could see, and why."""

from types import SimpleNamespace

import numpy as np
import pytest

from edge_agent.account import FEATURES
from edge_agent.bundle import RecallCurve, Sensitivity
from edge_agent.kymograph import ORIGIN_ROWS, ROWS, STRIPS
from edge_agent.records import TankView, Visibility
from models import cases, stages
from models.cases import Basis, CaseEvidence, CaseTruth
from models.stages import Sightings
from models.train import LIMITS

USUAL = Visibility(noise_levels=2.0, light_levels=120.0)
CURVE = RecallCurve(
    usual=USUAL, offset=-4.0, size=4.0, noise_levels=1.0, light_levels=0.0, paper_levels=0.0, blur_px=0.0, smear_px=0.0,
    clarity=0.0,
)  # fmt: skip


def sighted(contrast_levels: float, *, leaky: bool = True, noise: float = 2.0, seconds: float = 3.0) -> CaseTruth:
    """The truth of a case whose leak shows one bubble of 3 px all the time, in pictures with this noise."""
    rng, sightings = np.random.default_rng(1), Sightings(settle_s=1.0)
    thing = np.array([[50.0, 50.0, 0.0, -200.0, 3.0, contrast_levels, 0.0]])
    for number in range(int(seconds * 20)):
        grey = np.clip(120 + rng.normal(0, noise, (90, 120)), 0, 255).astype(np.uint8)
        sightings.look(TankView(grey, number, number / 20, np.eye(3)), thing)
    recording = SimpleNamespace(leaky=leaky, silent=False, births=cases.NO_BIRTHS)
    return stages._truth_of(recording, sightings)


@pytest.mark.parametrize(
    ("contrast_levels", "hidden", "faint"), [(20.0, False, False), (1.0, False, True), (0.0, True, False)]
)
def test_a_leak_is_in_the_clear_or_faint_or_hidden_by_the_unit(contrast_levels: float, hidden: bool, faint: bool):
    truth = sighted(contrast_levels)
    assert (truth.hidden, truth.faint) == (hidden, faint)


def test_the_same_bubble_is_faint_in_a_noisy_picture():
    assert not sighted(6.0, noise=1.0).faint and sighted(6.0, noise=8.0).faint


def test_a_tight_unit_is_neither_faint_nor_hidden():
    truth = sighted(0.0, leaky=False)
    assert not (truth.leaky or truth.hidden or truth.faint)


def quiet(seen: Visibility | None) -> CaseEvidence:
    times = np.column_stack([np.arange(0, 8, 0.1), np.zeros(80)]).astype(np.float32)
    return CaseEvidence(
        times, np.empty((0, 7), np.float32), np.zeros((80, ROWS, STRIPS), np.uint8), 1.5, (640, 480), seen
    )


def basis() -> Basis:
    return Basis(
        LIMITS, lambda strips: np.full((len(strips), ORIGIN_ROWS), -4.0, np.float32), Sensitivity(2.7, 0.5, curve=CURVE)
    )


def test_of_two_quiet_cases_the_features_tell_which_picture_was_poor():
    poor = cases.features(quiet(Visibility(noise_levels=8.0, light_levels=120.0)), basis())
    good = cases.features(quiet(USUAL), basis())
    differ = [name for name, a, b in zip(FEATURES, poor, good, strict=True) if a != b]
    assert differ == ["smallest_bubble"] and poor[-1] > good[-1]


def test_without_a_gauge_the_picture_counts_as_usual():
    np.testing.assert_allclose(cases.features(quiet(USUAL), basis(), gauged=False)[-1], np.log(2.7), rtol=1e-6)


def test_a_faint_leak_is_never_shown_to_the_fit_without_its_gauge():
    seen, rng = quiet(Visibility(noise_levels=8.0, light_levels=120.0)), np.random.default_rng(3)
    of_faint = [
        cases.rows_of(seen, CaseTruth(leaky=True, faint=True), basis(), case=n, rng=rng).values for n in range(20)
    ]
    of_clear = [cases.rows_of(seen, CaseTruth(leaky=True), basis(), case=n, rng=rng).values for n in range(20)]
    assert len(np.unique(np.concatenate(of_faint)[:, -1])) == 1
    assert len(np.unique(np.concatenate(of_clear)[:, -1])) == 2


def test_what_could_be_seen_is_kept_with_the_evidence(tmp_path):
    for seen in (USUAL, None):
        cases.save(quiet(seen), tmp_path / "one.npz", CaseTruth(leaky=True, faint=True))
        evidence, truth = cases.load(tmp_path / "one.npz")
        assert evidence.seen == seen and truth.faint and not truth.hidden
