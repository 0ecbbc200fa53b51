"""The whole way from scenes to a bundle, and from judged clips to the next one, in miniature."""

import json
import multiprocessing
import resource
import signal
from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from retrain_site import quick_champion

from benchmarks import train as bench
from benchmarks import train_clips
from calibration import scenes_for_training
from edge_agent import clips
from edge_agent.account import FEATURES
from edge_agent.bundle import Sensitivity, open_bundle
from edge_agent.clips import ClipHeader, ClipWriter, Watch
from edge_agent.errors import ConfigError, ModelError
from edge_agent.infer import Aggregator, OriginReader
from edge_agent.inspection import shipped_bundle
from edge_agent.kymograph import ORIGIN_ROWS, PICTURE, ROWS, STRIPS
from models import bundle_command, cases, data, golden, package, sight
from models import train as training
from models.bubble_fit import BubbleRecipe
from models.case_fit import fit, held_out_logits, scores, sharpness
from models.cases import Basis, CaseEvidence, CaseTruth, Features, chosen, together
from models.export import onnx_bytes
from models.looked import JudgedClip, Workroom
from models.net import CaseNet, OriginNet
from models.origin_fit import OriginRecipe
from models.retrain import judged_features, read_manifest, retrain, scored, without
from models.retrain_recipes import RetrainRecipe
from models.stages import Workplace, simulated_cases
from models.train import LIMITS, Bases, Recipe, known_features, train, train_recipe

TINY = Recipe(
    "tiny", bubble_scenes=2, make_believe_clips=1, bubbles=BubbleRecipe(epochs=1, batch=32), origin_scenes=2,
    # A single step, at a cycle's lowest rate, would leave all origins nets alike.
    origins=OriginRecipe(epochs=1, batch=1), case_scenes=4,
    make_believe_cases=1, upside_down_cases=1, limit_scenes=4, lamp_samples=200, gauge_scenes=3, sight_scenes=2,
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


@pytest.mark.full
def test_a_recipe_ends_in_a_bundle_that_opens_and_runs(tiny):
    folder, _, bundle = tiny
    opened = open_bundle(folder / "tiny.bundle")
    assert opened.sha256 == bundle.sha256
    bundle_command.verify(opened)
    assert opened.manifest.lineage.recipe == "tiny" and opened.manifest.card.startswith("# Model card")
    assert cases.fitted_features(opened).values.shape[1] == len(FEATURES)
    assert [case.name for case in opened.manifest.golden] == ["leak"]


@pytest.mark.full
def test_no_origins_net_looks_at_cases_that_it_has_learnt_and_that_of_both_halves_is_shipped(tiny, monkeypatch):
    folder, place, bundle = tiny
    nets = {}
    for path in place.folder.glob("origins-of-*.pt"):
        net = OriginNet()
        net.load_state_dict(torch.load(path, weights_only=True))
        nets[path.stem.rsplit("-", 1)[0].removeprefix("origins-of-")] = package.origins_bytes(net.eval())
    assert nets.keys() == {"2-origins", "4-cases", "2-origins-and-4-cases"} and len(set(nets.values())) == 3
    assert bundle.nets["origins"] == nets["2-origins-and-4-cases"]

    looked, features = [], training.stages.features
    strips = np.random.default_rng(1).random((2, *PICTURE), np.float32)
    said = {name: OriginReader(net)(strips).tobytes() for name, net in nets.items()}

    def heard(found, basis, *args, **kwargs):
        looked.append((len(found), [name for name in said if said[name] == basis.look(strips).tobytes()]))
        return features(found, basis, *args, **kwargs)

    monkeypatch.setattr(training.stages, "features", heard)
    train_recipe(TINY, place, folder / "heard.bundle")
    # The second half with its make-believe and upside-down cases; last, the cases for the limits.
    assert looked == [(2, ["4-cases"]), (6, ["2-origins"]), (4, ["2-origins-and-4-cases"])]


@pytest.mark.full
def test_a_second_run_takes_up_what_is_there(tiny, monkeypatch):
    folder, place, bundle = tiny
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    before = {path: path.stat().st_mtime_ns for path in place.folder.rglob("*.npz")}
    again = train_recipe(TINY, place, folder / "again.bundle")
    assert {path: path.stat().st_mtime_ns for path in place.folder.rglob("*.npz")} == before
    assert again.nets == bundle.nets
    assert again.manifest.created_at == "2001-09-09T01:46:40Z"


def test_a_work_folder_of_another_program_or_recipe_is_refused_before_anything_is_made(tmp_path, monkeypatch):
    training._claim(tmp_path, TINY)
    (tmp_path / "cases").mkdir()
    training._claim(tmp_path, TINY)
    with pytest.raises(ConfigError, match="another recipe"):
        training._claim(tmp_path, replace(TINY, seed=2))
    with monkeypatch.context() as changed:
        changed.setattr(training.code_version, "of_recipe", lambda: "of tomorrow")
        with pytest.raises(ConfigError, match="another version of the program"):
            train_recipe(TINY, Workplace(tmp_path, scenes_for_training, 1), tmp_path / "new.bundle")
    assert {path.name for path in tmp_path.iterdir()} == {"cases", "claim.sha256"}
    (tmp_path / "claim.sha256").unlink()
    with pytest.raises(ConfigError, match="Delete the folder"):
        training._claim(tmp_path, TINY)


def _save_net(path: Path) -> None:
    training._kept(Workplace(path.parent, scenes_for_training, 1), path.stem, OriginNet, OriginNet)


def test_a_net_of_another_version_in_the_work_folder_is_told(tmp_path):
    place = Workplace(tmp_path, scenes_for_training, 1)
    older = torch.nn.Linear(2, 1)
    training._kept(place, "origins", lambda: older, lambda: older)
    with pytest.raises(ConfigError, match="no OriginNet of this version: delete it"):
        training._kept(place, "origins", OriginNet, OriginNet)
    (tmp_path / "origins.pt").write_bytes(b"half of a")
    with pytest.raises(ConfigError, match="delete it"):
        training._kept(place, "origins", OriginNet, OriginNet)


def _save_crops(path: Path) -> None:
    data.save(data.joined([(np.zeros((3, 128, 128), np.uint8), data.rows_in(data.NOTHING, (0, 0)))]), path)


def _save_case(path: Path) -> None:
    rng = np.random.default_rng(1)
    glow = rng.integers(0, 256, (40, 60, 40), np.uint8)
    cases.save(cases.CaseEvidence(np.zeros(40), np.zeros((40, 2, 4)), np.empty((0, 7)), glow, 2.0, (640, 480)), path)


def _save_sightings(path: Path) -> None:
    sight.save(sight.Sightings(np.zeros((900, 4), np.float32), np.zeros(6, np.float32)), path)


@pytest.mark.parametrize("save", [_save_net, _save_crops, _save_case, _save_sightings])
def test_a_run_killed_while_a_stage_writes_leaves_no_half_file_under_its_name(tmp_path, save):
    """The kernel kills the child in the middle of a write: at the limit of a file's size."""

    def write_until_killed() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
        save(tmp_path / "kept.npz")

    child = multiprocessing.get_context("fork").Process(target=write_until_killed)
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGXFSZ
    names = {"kept.npz", "kept.pt"}
    half = {path.name for path in tmp_path.iterdir()}
    assert half and not half & names
    save(tmp_path / "kept.npz")
    (whole,) = tmp_path.iterdir()
    assert whole.name in names and whole.stat().st_size > 8192


@pytest.mark.full
def test_every_stage_is_logged(tiny):
    log = (tiny[1].folder / "train.log").read_text()
    for word in ("recipe", "crops", "detector epoch=1/1", "aggregator", "sharpness", "limits", "lamps", "water"):
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
    # The newest review's time is the bundle's, whatever its zone.
    lines[2]["lineage"] = {"judged_at": "2026-11-02T11:30:00.250+01:00"}
    lines[5]["lineage"] = {"judged_at": "2026-11-01T09:00:00.000+00:00"}
    lines.append({"video": "absent.twclip", "label": "leak", "split": "test"})
    (folder / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert len({line["label"] for line in lines[:-1]}) == 2
    return folder / "manifest.jsonl"


@pytest.fixture(scope="module")
def parent_file(tmp_path_factory) -> Path:
    """A parent that is quick to train from."""
    return quick_champion(tmp_path_factory.mktemp("parent") / "parent.bundle")


@pytest.fixture(scope="module")
def first(dataset, parent_file, tmp_path_factory):
    """A retraining in one process: its room, its log and the file."""
    folder, lines = tmp_path_factory.mktemp("first"), []
    room = Workroom(folder / "work", 1, lines.append)
    retrain(dataset, parent_file, folder / "next.bundle", room, seed=1)
    return room, lines, folder / "next.bundle"


def _looks(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("looks-*/*.json")}


@pytest.mark.full
def test_the_parents_golden_clips_go_along_with_what_the_new_nets_say_of_them(parent_file, first):
    parent, bundle = open_bundle(parent_file), open_bundle(first[2])
    assert parent.golden and bundle.golden == parent.golden
    assert bundle.manifest.golden == golden.judged(bundle, golden.of_bundle(parent))


@pytest.mark.full
def test_judged_clips_make_the_next_version_with_its_lineage(dataset, parent_file, first):
    parent, bundle = open_bundle(parent_file), open_bundle(first[2])
    manifest = bundle.manifest
    assert manifest.version == parent.manifest.version + 1
    assert manifest.lineage.parent_sha256 == parent.sha256
    assert manifest.lineage.dataset_sha256 == read_manifest(dataset).sha256
    assert manifest.created_at == "2026-11-02T10:30:00Z"
    assert bundle.nets["detector"] == parent.nets["detector"]
    assert bundle.nets["aggregator"] != parent.nets["aggregator"]
    # It carries what the next one is trained on.
    assert len(cases.fitted_features(bundle).leaky) == len(cases.fitted_features(parent).leaky) + 8
    assert "clips used=8 left_out=0" in first[1]
    bundle_command.verify(bundle)


@pytest.mark.full
def test_a_killed_retraining_goes_on_and_gives_the_same_bytes_in_another_folder(dataset, parent_file, first, tmp_path):
    room = Workroom(tmp_path / "other" / "work", 2, lambda line: None)
    out = tmp_path / "next.bundle"
    child = multiprocessing.get_context("spawn").Process(
        target=_retrain_until_killed, args=(dataset, parent_file, out, room.folder)
    )
    child.start()
    while len(_looks(room.folder)) < 2 and child.is_alive():
        child.join(0.02)
    child.kill()
    child.join()
    before = _looks(room.folder)
    assert child.exitcode == -signal.SIGKILL and len(before) >= 2 and not out.exists()
    retrain(dataset, parent_file, out, room, seed=1)
    after = _looks(room.folder)
    assert len(after) == 8 and {name: after[name] for name in before} == before
    assert out.read_bytes() == first[2].read_bytes()


def _retrain_until_killed(dataset: Path, parent: Path, out: Path, folder: Path) -> None:
    retrain(dataset, parent, out, Workroom(folder, 1, print), seed=1)


@pytest.mark.full
def test_clips_that_cannot_be_used_are_named_and_left_out(dataset, parent_file, first):
    room, lines = first[0], []
    good = next(dataset.parent.glob("*.twclip")).read_bytes()
    for name, content in (("torn", good[:40]), ("copy", good), ("empty", b"")):
        (dataset.parent / f"{name}.twclip").write_bytes(content)
    (dataset.parent / "other.twclip").write_bytes(good[:-9])
    entries = [{"video": f"{name}.twclip", "label": "ok"} for name in ("torn", "copy", "empty", "gone", "other")]
    entries[-1]["lineage"] = {"clip_sha256": "0" * 64}
    added = "".join(json.dumps(entry) + "\n" for entry in entries)
    longer = dataset.with_name("longer.jsonl")
    longer.write_text(dataset.read_text() + added)
    seen, parent = _looks(room.folder), open_bundle(parent_file)
    used = judged_features(read_manifest(longer).clips, parent, replace(room, log=lines.append))
    assert _looks(room.folder) == seen
    assert "clips used=8 left_out=5" in lines
    left = sorted(line for line in lines if line.startswith("left out"))
    words = ("copy.twclip is the same clip as", "empty.twclip", "gone.twclip cannot be read", "other.twclip has hash",
             "torn.twclip")  # fmt: skip
    assert len(left) == 5 and all(word in line for word, line in zip(words, left, strict=True))
    # What the fit is given, and with it its nets, is as without them.
    alone = judged_features(read_manifest(dataset).clips, parent, room)
    assert all(np.array_equal(a, b) for a, b in zip(astuple(used.features), astuple(alone.features), strict=True))


@pytest.mark.full
def test_a_dataset_of_which_too_little_can_be_used_is_refused(dataset, parent_file, first, tmp_path):
    absent = "".join(json.dumps({"video": f"gone-{number}.twclip", "label": "ok"}) + "\n" for number in range(9))
    mostly = dataset.with_name("mostly.jsonl")
    mostly.write_text(dataset.read_text() + absent)
    with pytest.raises(ConfigError, match="8 of 17 clips can be used, 9 are needed"):
        retrain(mostly, parent_file, tmp_path / "out.bundle", first[0], seed=1)


@pytest.mark.full
def test_the_benchmark_looks_at_the_same_frames_in_files_that_differ(dataset):
    one = JudgedClip(next(dataset.parent.glob("9*.twclip")), True)
    other = train_clips._renamed(one, 7)
    assert other.video.read_bytes() != one.video.read_bytes()
    clip, again = clips.read(one.video), clips.read(other.video)
    assert again.whole and again.watch == clip.watch and again.header.case_id == "B-7"
    assert all(np.array_equal(a.grey, b.grey) for a, b in zip(clip.views(), again.views(), strict=True))
    other.video.unlink()


@pytest.mark.parametrize(("units", "minutes", "kept"), [(100, 30.0, True), (300, 5.0, False), (100, 31.0, False)])
def test_the_benchmark_fails_where_one_of_the_limits_is_not_kept(units, minutes, kept):
    stages = [bench.Cost("look", units, 120.0, "rendering", 60.0, 2), bench.Cost("fit", 30, 60.0, "none", 0.0)]
    figures = bench.figures_of(stages, {"minutes": minutes})
    assert figures["train"]["minutes"] == units + 30
    assert [stage["ratio"] for stage in figures["stages"]] == [2.0, None]
    assert figures["kept"] is kept


@pytest.mark.full
def test_a_clip_that_the_parent_was_trained_on_counts_once(parent_file, first):
    parent, fitted = (cases.fitted_features(open_bundle(path)) for path in (parent_file, first[2]))
    judged = chosen(fitted, np.arange(len(fitted.case))[-8:])
    assert len(set(judged.case)) == 8 and (judged.case < 0).all()
    rest = without(fitted, judged)
    assert np.array_equal(rest.values, parent.values) and np.array_equal(rest.case, parent.case)
    assert len(without(together([parent, judged]), judged).leaky) == len(parent.leaky)


def test_what_is_unfamiliar_teaches_the_held_out_fits_and_binds_no_limit(monkeypatch):
    values = np.zeros((6, len(FEATURES)), np.float32)
    weight, familiar = np.array([1, 1, 0.5, 1, 6, 6], np.float32), np.array([True, True, True, False, True, True])
    known = Features(values, np.arange(6) % 2 == 0, weight, np.arange(6), familiar)
    learnt = []

    def heard(before, judged, *_args, **_kwargs):
        learnt.extend(before.case.tolist())
        return np.zeros(len(judged.leaky), np.float32)

    monkeypatch.setattr("models.case_fit.held_out_logits", heard)
    net = fit(known, 1, lambda line: None, steps=2)
    _, leaky = scored(net, known, RetrainRecipe("as ever", "for a test"), 1)
    assert learnt == [0, 1, 2, 3] and leaky.tolist() == known.leaky[[0, 1, 4, 5]].tolist()


def test_limits_mind_judged_clips_of_earlier_datasets_by_fits_that_have_not_seen_them():
    rng = np.random.default_rng(1)
    values = rng.standard_normal((90, len(FEATURES))).astype(np.float32)
    weight = np.repeat([1.0, 0.5, 6.0, 20.0], [40, 20, 20, 10]).astype(np.float32)
    # Labels are chance: only a fit that has seen a case knows its own.
    known = Features(values, rng.random(90) < 0.5, weight, np.arange(90), np.full(90, True))
    recipe = RetrainRecipe("as ever", "for a test", steps=400)
    net = fit(known, 1, lambda line: None, steps=400)
    found, leaky = scored(net, known, recipe, 1)
    assert leaky.tolist() == known.leaky[[*range(40), *range(60, 90)]].tolist(), "beginnings of cases have no part"
    assert ((found > 0.5) == leaky)[:40].mean() > 0.95 and ((found > 0.5) == leaky)[40:].mean() < 0.75


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "0 clips"),
        ('{"video": "a.twclip", "label": "leak"}\n' * 6, "6 clips"),
        ("no json\n", "line 1"),
        ('{"label": "leak"}\n', "line 1"),
        ('{"video": "a.twclip", "label": "leak", "lineage": {"judged_at": "yesterday"}}\n', "line 1"),
    ],
)
def test_a_manifest_that_cannot_be_trained_on_is_refused(tmp_path, text, words):
    path = tmp_path / "manifest.jsonl"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        read_manifest(path)


def test_what_is_trained_never_writes_over_the_shipped_bundle(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="--out"):
        train(["--dataset", "manifest.jsonl"], scenes_for_training)
    made = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        training, "train_recipe", lambda recipe, place, out: made.append((place, out)) or open_bundle(training.SHIPPED)
    )
    train(["--recipe", "shipped", "--seed", "3"], scenes_for_training)
    ((place, out),) = made
    assert (place.folder, out) == (Path("runs/train-shipped-3"), Path("runs/shipped-3.bundle")) and out.parent.is_dir()


@pytest.mark.full
def test_a_parent_without_features_is_refused(dataset, tmp_path):
    from edge_agent.bundle import write_bundle

    shipped = open_bundle(shipped_bundle())
    write_bundle(tmp_path / "bare.bundle", shipped.manifest, shipped.nets, golden=shipped.golden)
    with pytest.raises(ModelError, match="no features"):
        retrain(dataset, tmp_path / "bare.bundle", tmp_path / "out.bundle", Workroom(tmp_path, 1, print), seed=1)


def test_each_half_is_looked_at_with_the_origins_net_of_the_other():
    def says(odds: float) -> Basis:
        return Basis(LIMITS, lambda strips: np.full((len(strips), ORIGIN_ROWS), odds, np.float32), Sensitivity())

    times, glow = np.arange(0, 6, 0.1, np.float32), np.full((60, ROWS, STRIPS), 90, np.uint8)
    seen = CaseEvidence(times, np.zeros((60, 2, 4), np.float32), np.empty((0, 7), np.float32), glow, 1.5, (640, 480))
    first, second = [(seen, CaseTruth())] * 2, [(seen, CaseTruth(leaky=True))] * 3
    rows = known_features(first, second, Bases(says(2.0), says(-2.0), says(0.0)), 1)
    odds = rows.values[:, FEATURES.index("origin_odds")] * 4
    assert set(odds[~rows.leaky]) == {-2.0} and set(odds[rows.leaky]) == {2.0}
    assert np.unique(rows.case[~rows.leaky]).tolist() == [0, 1] and np.unique(rows.case).tolist() == [0, 1, 2, 3, 4]


def test_the_bench_fits_the_aggregator_to_as_many_rows_as_the_recipe_has(tiny):
    _, place, bundle = tiny
    found = simulated_cases(place, "cases", TINY.case_scenes, bundle.nets, LIMITS)
    basis = Basis(LIMITS, OriginReader(bundle.nets["origins"]), bundle.manifest.sensitivity)
    features, step = bench._cases(TINY, found, basis)
    looked = TINY.origin_scenes + TINY.case_scenes + TINY.make_believe_cases + TINY.upside_down_cases
    assert features.units == looked + TINY.limit_scenes and step.cpu_s > 0


def test_the_aggregator_learns_and_its_scores_are_at_equal_odds():
    rng = np.random.default_rng(0)
    leaky = rng.random(400) < 0.2
    values = rng.standard_normal((400, len(FEATURES))).astype(np.float32)
    values[:, 1] += 3 * leaky
    features = Features(values, leaky, np.ones(400, np.float32), np.arange(400), np.ones(400, bool))
    found = scores(fit(features, 1, lambda line: None, steps=100), values)
    assert ((found > 0.5) == leaky).mean() > 0.85
    assert abs(found[leaky].mean() - (1 - found[~leaky].mean())) < 0.15


def test_no_case_is_scored_by_a_fit_that_has_seen_a_row_of_it():
    rng = np.random.default_rng(1)
    values = rng.standard_normal((300, len(FEATURES))).astype(np.float32)
    case, leaky = np.arange(300) // 3, rng.random(100) < 0.5
    # The rows of a case are one and the same, and the label is chance: only who has seen it can know it.
    noise = Features(values[case * 3], leaky[case], np.ones(300, np.float32), case, np.ones(300, bool))
    before = chosen(noise, np.empty(0, int))
    held_out = held_out_logits(before, noise, 1, steps=200)
    seen = scores(fit(noise, 1, lambda line: None, steps=200), noise.values)
    assert ((seen > 0.5) == noise.leaky).mean() > 0.95
    assert ((held_out > 0) == noise.leaky).mean() < 0.7


def test_sharpness_takes_back_what_scores_are_too_sure_of():
    rng = np.random.default_rng(2)
    logits = rng.normal(0, 2, 4000).astype(np.float32)
    leaky = rng.random(4000) < 1 / (1 + np.exp(-logits))
    judged = Features(np.empty((4000, 1), np.float32), leaky, np.ones(4000, np.float32), np.arange(4000), leaky)
    assert abs(sharpness(2 * logits, judged) - 0.5) < 0.08


def test_members_of_the_aggregator_vote_and_the_mean_of_their_log_odds_is_said():
    torch.manual_seed(3)
    net, seen = CaseNet(torch.zeros(5), torch.ones(5), 5), torch.randn(7, 5)
    votes = net.votes(seen).detach()
    assert votes.shape == (7, 8) and float(votes.std(1).min()) > 0
    torch.testing.assert_close(net.logit(seen).squeeze(1).detach(), votes.mean(1))


@pytest.mark.full
def test_an_aggregator_of_other_features_is_refused_before_any_case():
    net = CaseNet(torch.zeros(3), torch.ones(3), 2).eval()
    data = onnx_bytes(net, np.zeros((4, 3), np.float32), free_axes={0: torch.export.Dim.DYNAMIC})
    with pytest.raises(ModelError, match=f"takes 3 features, this version gives {len(FEATURES)}"):
        Aggregator(data)
