"""`cloud retrain`: goes on with runs that were queued or broke off, else asks the triggers, and does what is due.

Several runs are carried out side by side in processes of their own, as many as [retrain] jobs allows.
"""

import argparse
import logging
import multiprocessing
import sys
from collections.abc import Sequence
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path

import cv2
import msgspec
import sqlalchemy as sa
import torch

from cloud_sync import config as cloud_config
from cloud_sync import (
    dataset,
    db,
    drift_course,
    first_champion,
    manifest,
    policy_file,
    retrain_signs,
    retrain_triggers,
    retraining,
    run_folder,
    runs,
    scopes,
)
from cloud_sync.candidate import Twin
from cloud_sync.config import CloudConfig
from cloud_sync.dataset import Rules
from cloud_sync.retraining import Plant
from cloud_sync.runs import Order, Run
from cloud_sync.store import open_store
from edge_agent.errors import ConfigError, StoreError
from models import code_version, retrain_recipes

WHO = "command line"
TIMER = "timer"
log = logging.getLogger(__name__)


def retrain(argv: list[str], twin: Twin) -> int:
    """`tankwatch cloud retrain --config cloud.toml`; status 1 where a run failed."""
    options = _arguments().parse_args(argv)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("cloud_sync").setLevel(logging.INFO)
    config = cloud_config.load(options.config)
    plant = _plant(config, twin)
    try:
        with run_folder.held(run_folder.runs_of(config), "a retraining"):
            first_champion.ensure(config, plant.engine, db.now())
            waiting = _waiting(plant, options)
            found = _carried_out(plant, waiting)
    except sa.exc.OperationalError as error:
        raise StoreError(
            f"the database cannot be written ({error.orig}): free space; the same call goes on where it stopped"
        ) from error
    finally:
        plant.engine.dispose()
    for run in found:
        print(_words(run), file=sys.stderr)
        if options.json:
            print(msgspec.json.encode(_told(run)).decode())
    return 1 if any(run.state == "failed" for run in found) else 0


def _plant(config: CloudConfig, twin: Twin) -> Plant:
    rules = Rules(*policy_file.load(config))
    return Plant(config, db.open_database(config), open_store(config), rules, twin)


def _waiting(plant: Plant, options: argparse.Namespace) -> list[Run]:
    """What is to be carried out: what is open, and what a person or a trigger asks for now."""
    now, config = db.now(), plant.config.retrain
    with plant.engine.begin() as connection:
        if options.run is not None:
            runs.take_up(connection, options.run, who=WHO, now=now)
        waits = bool(runs.open_runs(connection))
        by_hand = options.now or options.dataset is not None
        orders = [_by_hand(plant, options)] if by_hand else [] if waits else _due(connection, plant, now)
        room = retrain_triggers.room_today(
            runs.queued_since(connection, now // retrain_signs.DAY_S * retrain_signs.DAY_S), config.runs_a_day
        )
        if by_hand and not room:
            raise ConfigError(f"{config.runs_a_day} runs began today, no more may ([retrain] runs_a_day): wait")
        for order in orders[:room]:
            runs.queue(connection, order, now)
        return runs.open_runs(connection)


def _by_hand(plant: Plant, options: argparse.Namespace) -> Order:
    name, version = options.dataset or (None, None)
    if version is not None and not version.isdecimal():
        raise ConfigError(f"{version!r} is no version of a dataset: write --dataset NAME VERSION")
    return Order(
        scope=options.scope,
        started_by=WHO,
        why="by hand",
        seed=plant.config.retrain.seed,
        dataset=name,
        version=None if version is None else int(version),
        recipes=tuple(options.recipe or ()),
        settings=msgspec.json.encode(plant.config.retrain),
    )


def _due(connection: sa.Connection, plant: Plant, now: float) -> list[Order]:
    """What the triggers ask for, the general scope first."""
    code, moved = code_version.of_training(), drift_course.standing(connection, now)
    signs = retrain_signs.of_general(connection, plant.rules.policy, now, code=code, drift=moved)
    why = retrain_triggers.reasons(signs)
    log.info("general: %s", "; ".join(why) or "nothing asks for retraining")
    found = [("general", "; ".join(why))] if why else []
    found += [(scope, "its station falls short") for scope in _short(connection, plant, now)]
    settings = msgspec.json.encode(plant.config.retrain)
    return [Order(scope, TIMER, words, plant.config.retrain.seed, settings=settings) for scope, words in found]


def _short(connection: sa.Connection, plant: Plant, now: float) -> list[str]:
    """Scopes with data of their own at whose stations the champion errs too often, each once a week at most."""
    released = [one for one in dataset.all_datasets(connection) if one.name == plant.config.retrain.dataset]
    if not released:
        return []
    held = dataset.manifest_of(plant.engine, released[0].name, released[0].version) or b""
    short = scopes.falling_short(retrain_signs.stations(connection, now))
    found = scopes.to_retrain(manifest.read(held), short)
    last = {scope: runs.latest(connection, scope) for scope in found}
    return [scope for scope, run in last.items() if run is None or now - run.queued_at >= retrain_triggers.WEEK_S]


def _carried_out(plant: Plant, waiting: Sequence[Run]) -> list[Run]:
    """One run in this process, several in children: a fork inherits the twin, and a child's end ends its run alone."""
    most = plant.config.retrain.jobs
    if len(waiting) == 1 or most == 1:
        _alone_in_process()
        return [retraining.carry_out(plant, run, most) for run in waiting]
    plant.engine.dispose()
    shared, left, at_work = min(most, len(waiting)), list(waiting), list[BaseProcess]()
    while left or at_work:
        while left and len(at_work) < shared:
            child = multiprocessing.get_context("fork").Process(
                target=_child, args=(plant, left.pop(0), max(1, most // shared))
            )
            child.start()
            at_work.append(child)
        wait([child.sentinel for child in at_work])
        at_work = [child for child in at_work if child.is_alive()]
    with plant.engine.connect() as connection:
        return [found for run in waiting if (found := runs.find(connection, run.id)) is not None]


def _child(plant: Plant, run: Run, jobs: int) -> None:
    _alone_in_process()
    retraining.carry_out(_plant(plant.config, plant.twin), run, jobs)


def _alone_in_process() -> None:
    """With one thread the bytes of a bundle do not depend on the machine's cores."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def _words(run: Run) -> str:
    ended = {"failed": run.fault, "done": f"candidate {(run.bundle_sha256 or '')[:12]}"}.get(run.state, run.progress)
    return f"run {run.id} ({run.scope}, {run.why}): {run.state}, {ended}"


def _told(run: Run) -> dict[str, object]:
    told = msgspec.structs.asdict(run) | {"settings": msgspec.Raw(run.settings)}
    return told | {"metrics": msgspec.Raw(run.metrics or b"null"), "schema": "tankwatch/run/1"}


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tankwatch cloud retrain", description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="cloud.toml")
    parser.add_argument("--now", action="store_true", help="a run by hand, whatever the triggers say")
    parser.add_argument(
        "--dataset", nargs=2, metavar=("NAME", "VERSION"), help="by hand, on this version; default: a new one"
    )
    names = [one.name for one in retrain_recipes.RECIPES]
    parser.add_argument("--recipe", action="append", choices=names, help="may be given again; default: all compete")
    parser.add_argument("--scope", default=scopes.GENERAL, help="general, site/SITE or station/SITE/STATION")
    parser.add_argument("--run", type=int, metavar="ID", help="take up a run that failed")
    parser.add_argument("--json", action="store_true", help="one JSON object a run")
    return parser
