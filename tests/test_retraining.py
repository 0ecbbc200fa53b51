"""From judged cases to an evaluated candidate: one run, in miniature, and everything that may go wrong on its way."""

import json
import multiprocessing
import shutil
import signal
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa
from fakes_disk import full_disk
from retrain_site import filled, run, twin_clips

from cloud_sync import choice, dataset, db, manifest, mlflow_log, policy_file, registry, run_folder, runs
from cloud_sync.config import CloudConfig
from cloud_sync.dataset import Rules
from cloud_sync.runs import Run
from cloud_sync.store import open_store
from cloud_sync.tables import audit, evaluated, truths
from edge_agent.bundle import open_bundle
from edge_agent.errors import ConfigError, StoreError
from edge_agent.inspection import shipped_bundle

QUICK = ("--recipe", "usual", "--recipe", "careful")


@pytest.fixture(scope="module")
def judged(tmp_path_factory) -> CloudConfig:
    """A cloud with ten judged clips of which nothing was trained yet; tests take copies of it."""
    folder = tmp_path_factory.mktemp("retraining")
    return filled(folder / "plant", twin_clips(folder / "clips", 10))


@pytest.fixture(scope="module")
def done(judged, tmp_path_factory) -> tuple[CloudConfig, Run]:
    """The same with its first run carried out; one of the clips to train on is damaged in the store."""
    config = copy_of(judged, tmp_path_factory.mktemp("done"))
    damage_one(config)
    assert run(config, "--now", *QUICK) == 0
    return config, all_runs(config)[0]


def copy_of(config: CloudConfig, folder: Path) -> CloudConfig:
    plant = shutil.copytree(config.folder.parent, folder / "plant")
    return msgspec.structs.replace(config, data_dir=str(plant / "cloud"), policy=str(plant / "policy.toml"))


def damage_one(config: CloudConfig) -> None:
    engine, store = db.open_database(config), open_store(config)
    released = dataset.release(engine, "weekly", 1.0, Rules(*policy_file.load(config)))
    members = manifest.read(dataset.manifest_of(engine, "weekly", released.version))
    hurt = next(one for one in members if one.split != "test")
    store.clip(hurt.lineage.clip_sha256).write_bytes(b"TWCLIP and nothing else")
    engine.dispose()


def all_runs(config: CloudConfig) -> list[Run]:
    engine = db.open_database(config)
    with engine.connect() as connection:
        found = runs.every(connection)
    engine.dispose()
    return found


@pytest.mark.full
def test_a_run_ends_in_a_candidate_whose_lineage_leads_back_to_its_examples(done) -> None:
    config, made = done
    assert (made.state, made.scope, made.started_by, made.why, made.share) == (
        "done", "general", "command line", "by hand", 1.0,
    )  # fmt: skip
    engine = db.open_database(config)
    with engine.connect() as connection:
        known = registry.find(connection, made.bundle_sha256)
        assert known.state == "candidate" and known.run_id == made.id
        assert known.parent_sha256 == made.parent_sha256
        released = dataset.find(engine, made.dataset, made.dataset_version)
        assert known.dataset_sha256 == made.dataset_sha256 == released.sha256
        assert "run_queued" in connection.scalars(sa.select(audit.c.did)).all()
        assert choice.best_for(connection, "plant/TANK1").sha256 == made.parent_sha256
    bundle = open_bundle(registry.path(config, made.bundle_sha256))
    assert bundle.manifest.lineage.parent_sha256 == made.parent_sha256
    assert not (run_folder.of_run(config, made.id) / "clips").exists()


@pytest.mark.full
def test_a_candidate_that_answered_nothing_of_one_kind_goes_on_without_a_certificate_and_the_log_says_so(done) -> None:
    config, made = done
    folder = run_folder.of_run(config, made.id)
    assert open_bundle(registry.path(config, made.bundle_sha256)).manifest.certificates == ()
    assert any("without a certificate" in line for line in run_folder.log_of(folder, 1000))


@pytest.mark.full
def test_recipes_compete_and_the_best_by_the_declared_criterion_goes_on(done) -> None:
    metrics = json.loads(done[1].metrics)
    losses = {one["name"]: one["held_out_loss"] for one in metrics["recipes"]}
    assert set(losses) == {"usual", "careful"}
    assert metrics["recipe"] == min(losses, key=losses.get)
    assert metrics["handful_loss"] < 0.15


@pytest.mark.full
def test_the_champion_is_not_compared_on_cases_chosen_because_it_failed(done) -> None:
    config, made = done
    engine = db.open_database(config)
    members = manifest.read(dataset.manifest_of(engine, made.dataset, made.dataset_version))
    tests = {one.case_id: one.lineage.drawn for one in members if one.split == "test"}
    failed = {case_id for case_id, drawn in tests.items() if drawn == "a mistake with something unfamiliar"}
    assert len(failed) == 3 and len(tests) > 3
    with engine.connect() as connection:
        rows = connection.execute(sa.select(evaluated).where(evaluated.c.part != "twin")).all()
    said = {sha256: {row.source for row in rows if row.bundle_sha256 == sha256} for sha256 in
            (made.bundle_sha256, made.parent_sha256)}  # fmt: skip
    assert said[made.bundle_sha256] == set(tests)
    assert said[made.parent_sha256] == set(tests) - failed
    assert {row.part for row in rows if row.source in failed} == {"chosen"}
    metrics = json.loads(made.metrics)
    assert metrics["test"]["candidate"]["cases"] == len(tests) and "champion" not in metrics["test"]
    assert metrics["random"]["champion"]["cases"] == len(tests) - 3


@pytest.mark.full
def test_both_are_compared_on_a_fresh_set_of_the_twin_with_a_report(done) -> None:
    config, made = done
    metrics = json.loads(made.metrics)
    assert metrics["twin"]["candidate"]["cases"] == metrics["twin"]["champion"]["cases"] == 2
    folder = run_folder.of_run(config, made.id)
    for part in ("test", "twin"):
        assert (folder / part / "report.html").read_text().startswith("<!doctype html>")
    (named,) = (folder / "twin").glob("twin-*.jsonl")
    sources = [json.loads(line)["video"] for line in named.read_text().splitlines()]
    assert all(int(source.split("seed=")[1].split(",")[0]) >= 1 << 30 for source in sources)


@pytest.mark.full
def test_there_is_one_run_for_a_dataset_and_it_is_said_which(done, capsys) -> None:
    config, made = done
    assert run(config, "--now", *QUICK, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["state"], told["progress"]) == ("skipped", f"run {made.id} has the same dataset, code and recipes")
    # Nothing new was judged, so no trigger asks for one either.
    assert run(config) == 0
    assert [one.state for one in all_runs(config)] == ["skipped", "done"]


@pytest.mark.full
def test_a_damaged_clip_is_named_and_counted_and_stops_nothing(done) -> None:
    metrics = json.loads(done[1].metrics)
    (missing,) = metrics["missing"]
    assert "is damaged: restore it from a backup" in missing and missing.startswith("TANK1-")
    assert len(metrics["left_out"]) == 1 and metrics["clips"] >= 4


@pytest.mark.full
def test_its_figures_are_copied_to_mlflow_where_the_environment_names_a_place(done, tmp_path, monkeypatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    warned: list[str] = []
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert not mlflow_log.copy(done[1], warned.append) and warned == []
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file:{tmp_path / 'mlruns'}")
    assert mlflow_log.copy(done[1], warned.append) and warned == []
    client = mlflow.MlflowClient(tracking_uri=f"file:{tmp_path / 'mlruns'}")
    experiment = client.get_experiment_by_name(mlflow_log.EXPERIMENT)
    (kept,) = client.search_runs([experiment.experiment_id])
    assert kept.data.tags["bundle"] == done[1].bundle_sha256 and kept.data.params["code"] == done[1].code
    assert kept.data.metrics["twin/candidate/cases"] == 2
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "file:/proc/nothing/here")
    assert not mlflow_log.copy(done[1], warned.append)
    assert "is in the catalogue all the same" in warned[0]


def test_a_dataset_of_one_kind_ends_in_a_failed_run_that_says_so(judged, tmp_path) -> None:
    config = copy_of(judged, tmp_path)
    engine = db.open_database(config)
    with engine.begin() as connection:
        connection.execute(sa.update(truths).where(truths.c.judgement == "leak").values(judgement="cannot_tell"))
    engine.dispose()
    assert run(config, "--now", *QUICK) == 1
    (failed,) = all_runs(config)
    assert failed.state == "failed" and "all of them ok; leaks and good units are both needed" in failed.fault


def test_a_disk_that_takes_nothing_ends_in_a_failed_run_that_can_be_taken_up_again(judged, tmp_path) -> None:
    config = copy_of(judged, tmp_path)
    in_the_way = run_folder.of_run(config, 1) / "clips"
    in_the_way.parent.mkdir(parents=True)
    in_the_way.write_bytes(b"a file where the clips should go")
    assert run(config, "--now", *QUICK) == 1
    (failed,) = all_runs(config)
    assert failed.state == "failed" and "MB free): free space or check who owns" in failed.fault
    in_the_way.unlink()
    engine, store = db.open_database(config), open_store(config)
    part = run_folder.part_of(dataset.manifest_of(engine, "weekly", 1), "general")
    with full_disk(), pytest.raises(StoreError, match="free space"):
        run_folder.lay_out(store, part, in_the_way.parent)
    assert [path.name for path in in_the_way.iterdir()] == []
    with engine.begin() as connection:
        runs.take_up(connection, failed.id, who="ada", now=1.0)
        assert [one.id for one in runs.open_runs(connection)] == [failed.id]
    engine.dispose()


@pytest.mark.full
def test_a_killed_run_goes_on_and_gives_the_same_bytes_as_one_in_another_folder(done, judged, tmp_path) -> None:
    """Killed twice: while it looks at clips, and while it judges the twin's recordings."""
    config = copy_of(judged, tmp_path)
    damage_one(config)
    for reached in (lambda: list(config.folder.glob("runs/looks-*/*.json"))[2:], lambda: _twin_cases(config)):
        child = multiprocessing.get_context("spawn").Process(target=run, args=(config, "--now", *QUICK))
        child.start()
        while not reached() and child.is_alive():
            child.join(0.02)
        child.kill()
        child.join()
        assert child.exitcode == -signal.SIGKILL
    assert [one.state for one in all_runs(config)] == ["evaluating"]
    assert run(config) == 0
    (again,) = all_runs(config)
    assert (again.state, again.bundle_sha256) == ("done", done[1].bundle_sha256)
    assert _without_times(again) == _without_times(done[1])


def _twin_cases(config: CloudConfig) -> bytes:
    path = run_folder.of_run(config, 1) / "twin" / "candidate" / "cases.jsonl"
    return path.read_bytes() if path.is_file() else b""


def _without_times(made: Run) -> dict:
    return json.loads(made.metrics)


@pytest.mark.full
def test_runs_of_several_scopes_are_carried_out_side_by_side_and_one_that_fails_stops_no_other(
    judged, tmp_path
) -> None:
    config = copy_of(judged, tmp_path)
    file = config.folder.parent / "cloud.toml"
    file.write_text(file.read_text().replace("jobs = 1", "jobs = 2"))
    engine = db.open_database(config)
    with engine.begin() as connection:
        connection.execute(sa.update(truths).where(truths.c.judgement == "leak").values(judgement="cannot_tell"))
        for scope in ("general", "station/plant/TANK1", "station/plant/TANK9"):
            runs.queue(connection, runs.Order(scope, "ada", "a test", 1, settings=b"{}"), 1.0)
    engine.dispose()
    assert run(config) == 1
    faults = {one.scope: one.fault for one in all_runs(config)}
    assert "all of them ok" in faults["general"] and "all of them ok" in faults["station/plant/TANK1"]
    assert "no clip to train on" in faults["station/plant/TANK9"]


def test_an_empty_cloud_gets_the_shipped_bundle_as_its_champion_and_trains_nothing(tmp_path) -> None:
    (tmp_path / "cloud.toml").write_text('data_dir = "cloud"\n')
    config = CloudConfig(data_dir=str(tmp_path / "cloud"))
    assert run(config) == run(config) == 0
    engine = db.open_database(config)
    with engine.connect() as connection:
        (known,) = registry.all_bundles(connection)
        assert (known.state, known.scope) == ("champion", "general")
        assert open_bundle(registry.path(config, known.sha256)).sha256 == open_bundle(shipped_bundle()).sha256
        assert runs.every(connection) == []
    engine.dispose()


def test_so_many_runs_a_day_and_no_more(judged, tmp_path) -> None:
    config = copy_of(judged, tmp_path)
    engine = db.open_database(config)
    with engine.begin() as connection:
        for number in range(config.retrain.runs_a_day):
            order = runs.Order(f"site/{number}", "ada", "a test", 1)
            runs.change(connection, runs.queue(connection, order, db.now()), state="failed")
    engine.dispose()
    with pytest.raises(ConfigError, match=r"6 runs began today, no more may \(\[retrain\] runs_a_day\)"):
        run(config, "--now")
