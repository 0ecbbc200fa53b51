"""What the aggregator is shown of a case that could be seen well or badly."""

import numpy as np

from edge_agent.account import FEATURES
from edge_agent.bundle import RecallCurve, Sensitivity
from edge_agent.kymograph import ORIGIN_ROWS, ROWS, STRIPS
from edge_agent.records import Visibility
from edge_agent.visibility import smallest_leak_std_cm3_s
from models import cases
from models.cases import Basis, CaseEvidence, CaseTruth
from models.train import LIMITS

USUAL = Visibility(noise_levels=2.0, light_levels=120.0)
SMALLEST = FEATURES.index("smallest_bubble")
CURVE = RecallCurve(
    usual=USUAL, offset=-4.0, size=4.0, noise_levels=1.0, light_levels=0.0, paper_levels=0.0, blur_px=0.0, smear_px=0.0,
    clarity=0.0,
)  # fmt: skip


def quiet(seen: Visibility | None) -> CaseEvidence:
    times, classes = np.arange(0, 8, 0.1, np.float32), np.zeros((80, 2, 4), np.float32)
    glow = np.zeros((80, ROWS, STRIPS), np.uint8)
    return CaseEvidence(times, classes, np.empty((0, 7), np.float32), glow, 1.5, (640, 480), seen)


def basis() -> Basis:
    return Basis(
        LIMITS, lambda strips: np.full((len(strips), ORIGIN_ROWS), -4.0, np.float32), Sensitivity(2.7, 0.5, curve=CURVE)
    )


def test_of_two_quiet_cases_the_features_tell_which_picture_was_poor():
    poor = cases.features(quiet(Visibility(noise_levels=8.0, light_levels=120.0)), basis())
    good = cases.features(quiet(USUAL), basis())
    differ = [name for name, a, b in zip(FEATURES, poor, good, strict=True) if a != b]
    assert differ == ["smallest_bubble"] and poor[SMALLEST] > good[SMALLEST]


def test_without_a_gauge_the_picture_counts_as_usual():
    np.testing.assert_allclose(cases.features(quiet(USUAL), basis(), measured=False)[SMALLEST], np.log(2.7), rtol=1e-6)


def test_a_whole_case_is_as_the_device_has_it_and_some_shorter_ones_as_if_nothing_was_measured():
    seen, rng = quiet(Visibility(noise_levels=8.0, light_levels=120.0)), np.random.default_rng(3)
    rows = [cases.rows_of(seen, CaseTruth(leaky=True), basis(), case=number, rng=rng) for number in range(20)]
    gauge = np.array([one.values[:, SMALLEST] for one in rows])
    measured, usual = cases.features(seen, basis())[SMALLEST], np.float32(np.log(2.7))
    assert (gauge[:, 0] == measured).all()
    assert set(np.unique(gauge[:, 1:])) == {measured, usual}
    assert 0.1 < (gauge[:, 1:] == usual).mean() < 0.45


def test_what_could_be_seen_is_kept_with_the_evidence(tmp_path):
    for seen in (USUAL, None):
        cases.save(quiet(seen), tmp_path / "one.npz", CaseTruth(leaky=True, silent=True, required_std_cm3_s=0.01))
        evidence, truth = cases.load(tmp_path / "one.npz")
        assert evidence.seen == seen and truth.leaky and truth.silent and truth.required_std_cm3_s == 0.01
    cases.save(quiet(None), tmp_path / "one.npz")
    assert cases.load(tmp_path / "one.npz")[1].required_std_cm3_s is None


def test_a_case_that_a_device_calls_not_tested_is_known():
    poor = Visibility(noise_levels=8.0, light_levels=120.0, clarity=0.9)
    murky = Visibility(noise_levels=1.0, light_levels=120.0, clarity=0.1)
    watched_s = quiet(poor).times[-1]
    for seen, expected in ((poor, False), (None, False), (murky, True)):
        smallest = smallest_leak_std_cm3_s(quiet(seen).px_per_mm, watched_s, basis().sensitivity, seen)
        truths = [CaseTruth(required_std_cm3_s=factor * smallest) for factor in (0.9, 1.1)]
        found = [cases.is_not_tested(quiet(seen), truth, basis()) for truth in (*truths, CaseTruth())]
        assert found == [True, expected, expected]
