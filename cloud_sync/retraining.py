"""One training run from its row to its candidate: checks, training, evaluation, report. Reads from top to bottom.

Each step may run twice: what is there already is taken up, so a run that was killed goes on and gives the same bytes.
A fault of data or disk ends in `failed`, with words; the run can then be taken up again.
"""

import logging
import time
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from cloud_sync import (
    candidate,
    dataset,
    db,
    first_champion,
    hearing,
    mlflow_log,
    registry,
    run_folder,
    runs,
    set_checks,
    set_statistics,
)
from cloud_sync import manifest as manifests
from cloud_sync.candidate import Ask, Both, Found, Twin
from cloud_sync.config import CloudConfig, RetrainConfig
from cloud_sync.dataset import Dataset, Rules
from cloud_sync.registry import Known
from cloud_sync.run_folder import Part
from cloud_sync.runs import Run, RunState
from cloud_sync.store import ClipStore
from cloud_sync.tables import datasets
from edge_agent import durable
from edge_agent.bundle import Bundle, open_bundle
from edge_agent.errors import ConfigError, TankwatchError
from edge_agent.wire import sha256_of
from models import bundle_command, code_version, retrain_recipes
from models.looked import Workroom
from models.retrain import Retrained, retrain

TOLD_EVERY_S = 1.0
"""The row is written no more often than people can read it."""
SHARES: dict[RunState, tuple[float, float]] = {
    "checking": (0.0, 0.05),
    "training": (0.05, 0.5),
    "evaluating": (0.5, 1.0),
}
"""Which part of the whole each step is, about."""
CANDIDATE = "candidate.bundle"
log = logging.getLogger(__name__)


class Plant(NamedTuple):
    """What a run works with."""

    config: CloudConfig
    engine: sa.Engine
    store: ClipStore
    rules: Rules
    twin: Twin


class Prepared(NamedTuple):
    """A run whose dataset and parent are settled."""

    dataset: Dataset
    part: Part
    parent: Known
    missing: list[str]
    """Clips that the store has lost, in words."""
    warnings: list[str]


class Outcome(NamedTuple):
    """What came of a run. `bundle`: what training made, with the certificate of its evaluation."""

    made: Retrained
    bundle: Bundle
    found: Found


class Step:
    """Says in the run's row and in its log how far it is."""

    def __init__(self, plant: Plant, run: Run, jobs: int) -> None:
        self.plant, self.run, self.jobs = plant, run, jobs
        self.folder = run_folder.of_run(plant.config, run.id)
        self.state: RunState = "checking"
        self._told_s = float("-inf")

    def begin(self, state: RunState, words: str) -> None:
        """The next state, whatever was said a moment ago."""
        self.state, self._told_s = state, float("-inf")
        self.log(words)
        self.tell(words, 0.0)

    def tell(self, words: str, share: float) -> None:
        """`share`: of this step."""
        now_s = time.monotonic()
        if now_s - self._told_s < TOLD_EVERY_S:
            return
        self._told_s = now_s
        first, last = SHARES[self.state]
        with self.plant.engine.begin() as connection:
            runs.tell(connection, self.run.id, self.state, words, first + share * (last - first))

    def log(self, line: str) -> None:
        log.info("run=%d %s", self.run.id, line)
        run_folder.note(self.folder, line, db.now())

    def looked(self, done: int, of: int) -> None:
        """As `Workroom.told`."""
        self.tell(f"looked at {done} of {of} clips", 0.8 * done / of)

    @property
    def room(self) -> Workroom:
        """Looks are shared by all runs: a clip is looked at once by the same eyes."""
        return Workroom(run_folder.runs_of(self.plant.config), self.jobs, self.log, self.looked)


def carry_out(plant: Plant, run: Run, jobs: int) -> Run:
    """The run as it is in the end: done, skipped or failed. Raises StoreError where another process is at it."""
    folder = run_folder.of_run(plant.config, run.id)
    with run_folder.held(folder, f"run {run.id}"):
        try:
            _through(Step(plant, run, jobs))
        except TankwatchError as error:
            _fail(plant, run, str(error))
        except OSError as error:
            _fail(plant, run, str(durable.failure(folder, error)))
        except sa.exc.OperationalError:
            raise  # the run stays open, and the next call goes on with it
        except Exception as error:
            # Our own fault: a run that stayed open would be tried again every hour.
            log.exception("run=%d broke off", run.id)
            _fail(plant, run, f"something went wrong here ({type(error).__name__}), the traceback is in the log")
    with plant.engine.connect() as connection:
        found = runs.find(connection, run.id)
    assert found is not None
    if found.state == "done":
        mlflow_log.copy(found, log.warning)
    return found


def _through(step: Step) -> None:
    began = db.now()
    with step.plant.engine.begin() as connection:
        runs.change(connection, step.run.id, started_at=step.run.started_at or began, fault=None, ended_at=None)
    step.begin("checking", "checking the dataset")
    prepared = _prepared(step)
    if prepared is None:
        return
    step.begin("training", f"training from champion {prepared.parent.sha256[:12]}")
    made = _trained(step, prepared)
    step.begin("evaluating", f"evaluating candidate {made.bundle.sha256[:12]}")
    found = _evaluated(step, prepared, made)
    _finish(step, prepared, Outcome(made, _certified(step, made), found))
    run_folder.tidy(step.folder)


def _prepared(step: Step) -> Prepared | None:
    """None where another run has done the same. Raises ConfigError or StoreError where the dataset will not do."""
    run, plant = step.run, step.plant
    chosen = _dataset(step)
    part = run_folder.part_of(dataset.manifest_of(plant.engine, chosen.name, chosen.version) or b"", run.scope)
    with plant.engine.begin() as connection:
        parent = _parent(connection, run)
        code = code_version.of_training()
        want = sha256_of(f"{run.scope} {part.sha256} {code} {run.recipes} {run.seed}".encode())
        facts = {"want": want, "code": code, "dataset_sha256": part.sha256, "parent_sha256": parent.sha256}
        other = runs.same(connection, want, run.id)
        if other is not None:
            words = f"run {other.id} has the same dataset, code and recipes"
            runs.change(connection, run.id, state="skipped", progress=words, share=1.0, ended_at=db.now())
            return None
        runs.change(connection, run.id, dataset=chosen.name, dataset_version=chosen.version, **facts)
        known = _statistics_of(connection, parent.dataset_sha256)
    if faults := set_checks.faults(part.members):
        raise ConfigError("; ".join(faults))
    warnings = set_checks.warnings(known, set_statistics.figures(part.members)) if known else []
    missing = run_folder.lay_out(plant.store, part, step.folder)
    for words in (*warnings, *missing):
        step.log(words)
    return Prepared(chosen, part, parent, missing, warnings)


def _dataset(step: Step) -> Dataset:
    """The one that the run has settled on, or was told; otherwise a new version, if anything has changed."""
    run, plant = step.run, step.plant
    if run.dataset is None or run.dataset_version is None:
        name = run.dataset or plant.config.retrain.dataset
        return dataset.release(plant.engine, name, db.now(), plant.rules, who=run.started_by)
    found = dataset.find(plant.engine, run.dataset, run.dataset_version)
    if found is None:
        raise ConfigError(f"there is no dataset {run.dataset} {run.dataset_version}: see the page Datasets")
    return found


def _parent(connection: sa.Connection, run: Run) -> Known:
    """The one that the run has begun from, or the scope's champion."""
    begun = registry.find(connection, run.parent_sha256) if run.parent_sha256 else None
    parent = begun or first_champion.of_scope(connection, run.scope)
    if parent is None:
        raise ConfigError(f"there is no champion to train from for {run.scope}: make a bundle champion first")
    return parent


def _statistics_of(connection: sa.Connection, sha256: str | None) -> set_statistics.Figures | None:
    """Of what the champion was trained on; None where that is no dataset of ours."""
    manifest = connection.scalar(sa.select(datasets.c.manifest).where(datasets.c.sha256 == sha256).limit(1))
    return None if manifest is None else set_statistics.figures(manifests.read(bytes(manifest)))


def _trained(step: Step, prepared: Prepared) -> Retrained:
    run, config, folder = step.run, step.plant.config, step.folder
    return retrain(
        folder / run_folder.MANIFEST,
        registry.path(config, prepared.parent.sha256),
        folder / CANDIDATE,
        step.room,
        seed=run.seed,
        recipes=retrain_recipes.named(run.recipe_names),
    )


def _evaluated(step: Step, prepared: Prepared, made: Retrained) -> Found:
    settings = msgspec.json.decode(step.run.settings, type=RetrainConfig)
    both = Both(made.bundle, _opened(step, prepared.parent.sha256))
    test = candidate.on_test_data(prepared.part.members, step.folder, both, step.room, step.plant.twin)
    for words in test.left_out:
        step.log(f"left out of the test: {words}")
    ask = Ask(settings.twin_cases, settings.twin_profile, step.jobs)
    twin = candidate.on_twin(step.folder / candidate.TWIN, both, step.plant.twin, ask, step.tell)
    return Found({**test.figures, **twin.figures}, test.rows + twin.rows, test.left_out)


def _certified(step: Step, made: Retrained) -> Bundle:
    """A device that may decide takes no bundle without a certificate; one that answered nothing gets none.

    Dated like the bundle, by its newest judgement: the same data give the same bytes.
    """
    target, twin = step.folder / "certified.bundle", step.folder / candidate.TWIN
    try:
        bundle_command.certified(made.bundle, twin, target, dated=made.bundle.manifest.created_at)
    except ConfigError as error:
        step.log(f"without a certificate: {error}")
        target = step.folder / CANDIDATE
    return registry.keep(step.plant.config, target)


def _opened(step: Step, sha256: str) -> Bundle:
    return open_bundle(registry.path(step.plant.config, sha256))


def _finish(step: Step, prepared: Prepared, came: Outcome) -> None:
    made, found = came.made, came.found
    metrics: dict[str, Any] = {
        "clips": made.clips,
        "left_out": [*made.left_out],
        "missing": prepared.missing,
        "warnings": prepared.warnings,
        "test_left_out": [*found.left_out],
        "handful_loss": made.handful_loss,
        "recipes": [msgspec.to_builtins(one) for one in made.competed],
        "recipe": made.recipe.name,
        **found.figures,
    }
    step.log("done")
    with step.plant.engine.begin() as connection:
        _register(connection, step.run, prepared, came.bundle)
        runs.keep_evaluated(connection, step.run.id, [_of_certified(row, came) for row in found.rows])
        values = {"metrics": msgspec.json.encode(metrics), "ended_at": db.now(), "share": 1.0, "progress": "done"}
        runs.change(connection, step.run.id, state="done", **values)
        if step.plant.config.retrain.parallel:
            step.log(_heard(connection, step.plant, came.bundle, prepared.parent.sha256, metrics))


def _register(connection: sa.Connection, run: Run, prepared: Prepared, bundle: Bundle) -> None:
    reason = f"run {run.id} on {prepared.dataset.name} {prepared.dataset.version}: {run.why}"
    runs.change(connection, run.id, bundle_sha256=bundle.sha256)
    registry.add(connection, bundle, who=run.started_by, reason=reason, now=db.now(), scope=run.scope, run_id=run.id)


def _of_certified(row: dict[str, object], came: Outcome) -> dict[str, object]:
    """The certificate and the figures in the card change no verdict of the bundle, but its hash."""
    is_candidate = row["bundle_sha256"] == came.made.bundle.sha256
    return {**row, "bundle_sha256": came.bundle.sha256} if is_candidate else row


def _heard(connection: sa.Connection, plant: Plant, bundle: Bundle, parent: str, metrics: dict[str, Any]) -> str:
    if words := hearing.why_not(metrics):
        return f"no parallel run: {words}"
    return hearing.begin(connection, bundle.sha256, parent, plant.rules.policy.promotion, now=db.now())


def _fail(plant: Plant, run: Run, fault: str) -> None:
    log.error("run=%d failed: %s", run.id, fault)
    with plant.engine.begin() as connection:
        runs.change(connection, run.id, state="failed", fault=fault, ended_at=db.now())
