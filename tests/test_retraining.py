"""From judged cases to an evaluated candidate: one run, in miniature, and everything that may go wrong on its way."""

import json
import shutil
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa
from retrain_site import filled, run, twin_clips

from cloud_sync import choice, dataset, db, manifest, registry, run_folder, runs
from cloud_sync.config import CloudConfig
from cloud_sync.runs import Run
from cloud_sync.tables import audit, evaluated
from edge_agent.bundle import open_bundle

QUICK = ("--recipe", "usual", "--recipe", "careful")


@pytest.fixture(scope="module")
def judged(tmp_path_factory) -> CloudConfig:
    """A cloud with a dozen judged clips of which nothing was trained yet; tests take copies of it."""
    folder = tmp_path_factory.mktemp("retraining")
    return filled(folder / "plant", twin_clips(folder / "clips", 12))


@pytest.fixture(scope="module")
def done(judged, tmp_path_factory) -> tuple[CloudConfig, Run]:
    """The same with its first run carried out."""
    config = copy_of(judged, tmp_path_factory.mktemp("done"))
    assert run(config, "--now", *QUICK) == 0
    return config, all_runs(config)[0]


def copy_of(config: CloudConfig, folder: Path) -> CloudConfig:
    plant = shutil.copytree(config.folder.parent, folder / "plant")
    return msgspec.structs.replace(config, data_dir=str(plant / "cloud"), policy=str(plant / "policy.toml"))


def all_runs(config: CloudConfig) -> list[Run]:
    engine = db.open_database(config)
    with engine.connect() as connection:
        found = runs.every(connection)
    engine.dispose()
    return found


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


def test_recipes_compete_and_the_best_by_the_declared_criterion_goes_on(done) -> None:
    metrics = json.loads(done[1].metrics)
    losses = {one["name"]: one["held_out_loss"] for one in metrics["recipes"]}
    assert set(losses) == {"usual", "careful"}
    assert metrics["recipe"] == min(losses, key=losses.get)
    assert metrics["handful_loss"] < 0.15


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


def test_both_are_compared_on_a_fresh_set_of_the_twin_with_a_report(done) -> None:
    config, made = done
    metrics = json.loads(made.metrics)
    assert metrics["twin"]["candidate"]["cases"] == metrics["twin"]["champion"]["cases"] == 2
    folder = run_folder.of_run(config, made.id)
    for part in ("test", "twin"):
        assert (folder / part / "report.html").read_text().startswith("<!doctype html>")
    sources = [json.loads(line)["video"] for line in (folder / "twin" / "manifest.jsonl").read_text().splitlines()]
    assert all(int(source.split("seed=")[1].split(",")[0]) >= 1 << 30 for source in sources)


def test_there_is_one_run_for_a_dataset_and_it_is_said_which(done, capsys) -> None:
    config, made = done
    assert run(config, "--now", *QUICK, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["state"], told["progress"]) == ("skipped", f"run {made.id} has the same dataset, code and recipes")
    # Nothing new was judged, so no trigger asks for one either.
    assert run(config) == 0
    assert [one.state for one in all_runs(config)] == ["skipped", "done"]
