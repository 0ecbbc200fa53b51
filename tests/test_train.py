"""The whole way from scenes to a bundle, and from judged clips to the next one, in miniature."""

import json
from dataclasses import replace

import numpy as np
import pytest

from calibration import scenes_for_training
from edge_agent.account import FEATURES
from edge_agent.bundle import open_bundle
from edge_agent.clips import ClipHeader, ClipWriter, Watch
from edge_agent.errors import ConfigError, ModelError
from edge_agent.inspection import shipped_bundle
from models import data, golden, package, registry
from models.bubble_fit import BubbleRecipe
from models.case_fit import calibrate, fit, scores
from models.cases import Features
from models.origin_fit import OriginRecipe
from models.retrain import read_manifest, retrain
from models.stages import Workplace
from models.train import Recipe, train, train_recipe

TINY = Recipe(
    "tiny", bubble_scenes=2, make_believe_clips=1, bubbles=BubbleRecipe(epochs=1, batch=32), origin_scenes=2,
    origins=OriginRecipe(epochs=1), case_scenes=4,
    make_believe_cases=1, upside_down_cases=1, chosen_scenes=4, lamp_samples=200, gauge_scenes=3, sight_scenes=2,
    case_steps=60, golden_cases=1,
)  # fmt: skip


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("train")
    place = Workplace(folder / "work", _ShortScenes(), TINY.seed)
    return folder, place, train_recipe(TINY, place, folder / "tiny.bundle")


class _ShortScenes:
    """The twin's scenes at 15 frames/s and 3 s: training's path, not its quality, is tested here."""

    def recording(self, seed: int, purpose: data.Purpose):
        recording = scenes_for_training.recording(seed, purpose)
        return replace(recording, fps=15.0, scene=replace(recording.scene, hold_s=min(3.0, recording.scene.hold_s)))


def test_a_recipe_ends_in_a_bundle_that_opens_and_runs(tiny):
    folder, _, bundle = tiny
    opened = open_bundle(folder / "tiny.bundle")
    assert opened.sha256 == bundle.sha256
    registry.verify(opened)
    assert opened.manifest.lineage.recipe == "tiny" and opened.manifest.card.startswith("# Model card")
    assert package.fitted_features(opened).values.shape[1] == len(FEATURES)
    assert [case.name for case in opened.manifest.golden] == ["leak"]


def test_a_second_run_takes_up_what_is_there(tiny):
    folder, place, bundle = tiny
    before = {path: path.stat().st_mtime_ns for path in place.folder.rglob("*.npz")}
    again = train_recipe(TINY, place, folder / "again.bundle")
    assert {path: path.stat().st_mtime_ns for path in place.folder.rglob("*.npz")} == before
    assert again.nets == bundle.nets


def test_every_stage_is_logged(tiny):
    log = (tiny[1].folder / "train.log").read_text()
    for word in ("recipe", "crops", "detector epoch=1/1", "aggregator", "calibration", "limits", "lamps", "water"):
        assert word in log


def _clip(path, seed: int) -> bool:
    """A clip as the device keeps it; whether the unit leaks."""
    recording = _ShortScenes().recording(seed, "cases")
    header = ClipHeader(
        case_id=f"T-{seed}",
        station="TANK1",
        view_size_px=recording.profile.view_size_px,
        px_per_mm=recording.profile.px_per_mm,
        lamps=(),
    )
    writer, times = ClipWriter(path, header), []
    for view, _, _ in data.views(recording):
        writer.frame(view, view.monotonic_s, [])
        times.append(view.monotonic_s)
    writer.close(Watch(settled_s=times[0], spans_s=((times[0], times[-1]),), usable_s=times[-1] - times[0]))
    return recording.leaky


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dataset")
    lines = []
    for seed in range(900_000, 900_008):
        leaky = _clip(folder / f"{seed}.twclip", seed)
        lines.append({"video": f"{seed}.twclip", "label": "leak" if leaky else "ok", "split": "train"})
    lines.append({"video": "absent.twclip", "label": "leak", "split": "test"})
    (folder / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert len({line["label"] for line in lines[:-1]}) == 2
    return folder / "manifest.jsonl"


def test_judged_clips_make_the_next_version_with_its_lineage(tiny, dataset, tmp_path):
    shipped, found = open_bundle(shipped_bundle()), golden.of_bundle(tiny[2])
    parent = package.with_golden(tmp_path / "parent.bundle", shipped, found, shipped.features)
    lines = []
    bundle = retrain(dataset, tmp_path / "parent.bundle", tmp_path / "next.bundle", seed=1, log=lines.append)
    manifest = open_bundle(tmp_path / "next.bundle").manifest
    assert manifest.version == parent.manifest.version + 1
    assert manifest.lineage.parent_sha256 == parent.sha256
    assert manifest.lineage.dataset_sha256 == read_manifest(dataset)[1]
    assert bundle.nets["detector"] == parent.nets["detector"]
    assert bundle.nets["aggregator"] != parent.nets["aggregator"]
    # It carries what the next one is trained on.
    assert len(package.fitted_features(bundle).leaky) == len(package.fitted_features(parent).leaky) + 8
    # The parent's golden clips go with it, and say what its own nets say of them.
    assert bundle.golden == parent.golden and len(bundle.golden) == 1
    assert manifest.golden == golden.judged(bundle, golden.of_bundle(parent))
    registry.verify(bundle)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "0 clips"),
        ('{"video": "a.twclip", "label": "leak"}\n' * 6, "6 clips"),
        ("no json\n", "line 1"),
        ('{"label": "leak"}\n', "line 1"),
    ],
)
def test_a_manifest_that_cannot_be_trained_on_is_refused(tmp_path, text, words):
    path = tmp_path / "manifest.jsonl"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        read_manifest(path)


def test_a_dataset_never_writes_over_the_shipped_bundle(dataset):
    with pytest.raises(ConfigError, match="--out"):
        train(["--dataset", str(dataset)], scenes_for_training)


def test_a_parent_without_features_is_refused(dataset, tmp_path):
    from edge_agent.bundle import write_bundle

    shipped = open_bundle(shipped_bundle())
    write_bundle(tmp_path / "bare.bundle", shipped.manifest, shipped.nets, golden=shipped.golden)
    with pytest.raises(ModelError, match="no features"):
        retrain(dataset, tmp_path / "bare.bundle", tmp_path / "out.bundle", seed=1, log=lambda line: None)


def test_the_aggregator_learns_and_its_scores_are_at_equal_odds():
    rng = np.random.default_rng(0)
    leaky = rng.random(400) < 0.2
    values = rng.standard_normal((400, len(FEATURES))).astype(np.float32)
    values[:, 1] += 3 * leaky
    features = Features(values, leaky, np.ones(400, np.float32), np.arange(400))
    net = calibrate(fit(features, 1, lambda line: None, steps=100), features, lambda line: None)
    found = scores(net, values)
    assert ((found > 0.5) == leaky).mean() > 0.85
    assert abs(found[leaky].mean() - (1 - found[~leaky].mean())) < 0.15
