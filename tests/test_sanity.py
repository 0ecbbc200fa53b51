"""Whether training can work at all, before it is begun."""

import numpy as np
import onnxruntime
import pytest

from edge_agent.account import FEATURES
from edge_agent.bundle import open_bundle
from edge_agent.errors import ModelError
from edge_agent.inspection import shipped_bundle
from models import case_fit, code_version, sanity, seen
from models.cases import Features


def rows(count: int = 12) -> Features:
    rng = np.random.default_rng(4)
    values = rng.standard_normal((count, len(FEATURES))).astype(np.float32)
    leaky = np.arange(count) % 2 == 0
    return Features(values, leaky, np.full(count, 6.0, np.float32), -1 - np.arange(count), np.full(count, True))


def test_a_handful_is_learnt_by_heart_whatever_is_true_of_it() -> None:
    assert sanity.check(rows(), 1) < sanity.MOST_LOSS
    few = sanity.handful(rows())
    assert len(few.leaky) == 8 and few.leaky.sum() == 4


def test_clips_that_look_the_same_with_different_labels_are_refused() -> None:
    alike = rows()
    alike.values[:] = alike.values[0]
    with pytest.raises(ModelError, match="clips that look the same have different labels"):
        sanity.check(alike, 1)


def test_a_loss_that_is_no_number_ends_the_fit_in_words() -> None:
    broken = rows()
    broken.values[3, 5] = np.nan
    with pytest.raises(ModelError, match="loss became nan at step 0; 1 of 12 rows hold features that are no numbers"):
        case_fit.fit(broken, 1, lambda line: None, steps=5)


def test_both_kinds_count_the_same_in_the_loss_of_the_contest() -> None:
    leaky = np.array([True] + [False] * 9)
    assert case_fit.even_loss(np.full(10, 0.5), leaky) == pytest.approx(np.log(2))
    assert case_fit.even_loss(np.full(10, 0.1), leaky) == pytest.approx((np.log(10) - np.log(0.9)) / 2)
    assert np.isfinite(case_fit.even_loss(np.zeros(10), leaky))


def test_the_codes_hash_is_of_training_and_preprocessing_and_of_no_page() -> None:
    names = {path.stem for path in code_version.sources(code_version.TRAINING)}
    assert {"retrain", "case_fit", "composite", "account", "judge", "kymograph", "novelty", "tracks"} <= names
    assert not {"report", "drawings", "agent", "uplink"} & names
    recipe = {path.stem for path in code_version.sources(code_version.RECIPE)}
    assert {"stages", "bubble_fit", "origin_fit", "sight_fit", "gauges", "twin", "stabilise", "composite"} <= recipe
    assert not {"case_fit", "select", "package", "report", "agent"} & recipe
    judging = {path.stem for path in code_version.sources(code_version.JUDGING)}
    assert {"judged", "side_by_side", "pipeline", "account", "twin", "bubbles", "view"} <= judging
    assert not {"report", "rates", "evaluate", "agent"} & judging


def test_another_runtime_is_another_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    before = code_version.of_judging.__wrapped__()
    assert before == code_version.of_judging()
    monkeypatch.setattr(onnxruntime, "__version__", "99")
    assert code_version.of_judging.__wrapped__() != before


def test_bundles_see_alike_where_only_aggregator_and_limits_differ() -> None:
    from dataclasses import replace

    import msgspec

    bundle = open_bundle(shipped_bundle())
    limits = msgspec.structs.replace(bundle.manifest.thresholds, ok_below=0.01)
    manifest = msgspec.structs.replace(bundle.manifest, thresholds=limits)
    assert seen.eyes_of(replace(bundle, manifest=manifest, nets=bundle.nets | {"aggregator": b""})) == seen.eyes_of(
        bundle
    )
    assert seen.eyes_of(replace(bundle, nets=bundle.nets | {"detector": b""})) != seen.eyes_of(bundle)
