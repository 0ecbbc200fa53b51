"""`drill kill`: the agent is killed again and again while cases are made; the cloud must hold each exactly once.

Real outbox, uplink, broker and ingest, each in its own process, killed by SIGKILL at random moments. What counts as
said is what a journal holds that is written and synced after `put` has returned. `--full` also kills broker and ingest.
"""

import argparse
import functools
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import cv2
import sqlalchemy as sa

from benchmarks import feeding, ledger
from benchmarks.installation import SETTLE_S, Processes, make_configs, sending, taking_in, until
from benchmarks.made_cases import make_case
from cloud_sync import cases as cloud_cases
from cloud_sync import db
from cloud_sync.broker import EmbeddedBroker
from cloud_sync.store import ClipStore, open_store
from edge_agent.config import DeviceConfig
from edge_agent.spool import Spool

PACE_S = 0.05
"""Between two cases: without it the uplink would be killed before it has said anything."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is made and killed."""

    cases: int
    kills: int
    seed: int
    victims: tuple[str, ...]


def run(argv: list[str]) -> int:
    """`tankwatch drill kill`; ends with 1 if anything is lost or there twice."""
    parser = argparse.ArgumentParser("tankwatch drill kill", description="SIGKILL at random moments.")
    parser.add_argument("--cases", type=int, help="default 200, with --full 2000")
    parser.add_argument("--kills", type=int, help="default 50, with --full 500")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--full", action="store_true", help="more of all, and broker and ingest are killed too")
    parser.add_argument("--frames", action="store_true", help="the whole agent, from the camera's frames on, is killed")
    parser.add_argument("--json", action="store_true", help="only the ledger, as one JSON object")
    options = parser.parse_args(argv)
    plan = Plan(
        cases=options.cases or (2000 if options.full else 200),
        kills=options.kills if options.kills is not None else (500 if options.full else 50),
        seed=options.seed,
        victims=("inspect", "uplink", "broker", "ingest") if options.full else ("inspect", "uplink"),
    )
    with tempfile.TemporaryDirectory(prefix="tankwatch-drill-") as folder:
        found = _drill_for(options.frames)(plan, Path(folder), lambda words: print(words, file=sys.stderr))
    print(json.dumps(found) if options.json else _words(found))
    return 0 if is_good(found) else 1


def is_good(found: dict) -> bool:
    """Nothing lost, nothing twice, and as many cases as were asked for."""
    return ledger.is_clean(found) and found["cases"] >= found["asked"]


def _drill_for(frames: bool) -> Callable[[Plan, Path, Callable[[str], None]], dict]:
    if not frames:
        return drill
    from benchmarks.drill_kill_frames import drill_with_frames  # it builds on this module

    return drill_with_frames


def drill(plan: Plan, folder: Path, say: Callable[[str], None] = lambda _: None) -> dict:
    """Runs the plan in `folder` and gives the ledger."""
    cv2.setNumThreads(1)
    began_s = time.monotonic()
    with ExitStack() as stack:
        broker = stack.enter_context(EmbeddedBroker(0, folder / "broker"))
        device, cloud = make_configs(folder, broker.port)
        journal = folder / "journal"
        journal.touch()
        db.open_database(cloud).dispose()
        processes = Processes(
            {
                "inspect": functools.partial(_make_cases, device, journal, plan),
                "uplink": sending(device, folder),
                "ingest": taking_in(cloud, folder),
            }
        )
        stack.callback(processes.stop)
        for name in processes.starts:
            processes.start(name)
        _kill(plan, processes, broker, journal, say)
        engine = db.open_database(cloud)
        stack.callback(engine.dispose)
        under_fire = cloud_cases.summary(engine)["cases"]
        processes.alive["inspect"].join()
        say(f"{plan.cases} cases are made, {sum(processes.killed.values())} kills done; waiting for the cloud")
        _settle(engine, plan, journal)
        found = make_ledger(engine, plan, device, journal, open_store(cloud)) | {
            "kills": sum(processes.killed.values()),
            "killed": dict(sorted(processes.killed.items())),
            "arrived_under_fire": under_fire,
        }
    return found | {"broker": broker.name, "seconds": round(time.monotonic() - began_s, 1)}


def make_ledger(engine: sa.Engine, plan: Plan, device: DeviceConfig, journal: Path, store: ClipStore) -> dict:
    """What was said against what is held; what a journal holds and no file does is lost too."""
    spoken = ledger.said_in(Spool(device.spool_path))
    found = ledger.compare(engine, spoken, journal=feeding.said(journal), store=store)
    return {"drill": "kill", "asked": plan.cases, **found, "seed": plan.seed}


def _kill(plan: Plan, processes: Processes, broker: EmbeddedBroker, journal: Path, say: Callable[[str], None]) -> None:
    """Kills spread over the cases, each at a random moment within the making of one."""
    chance = random.Random(plan.seed)
    for number in range(plan.kills):
        _wait_for_cases(journal, min((number + 1) * plan.cases // (plan.kills + 1), plan.cases - 1), processes)
        # Two of three fall into the making of a case, the others into the quiet between.
        time.sleep(PACE_S + chance.uniform(-0.005, 0.02) if chance.random() < 0.67 else chance.uniform(0, PACE_S))
        victim = plan.victims[number % 2] if chance.random() < 0.8 else chance.choice(plan.victims)
        if victim == "broker":
            broker.kill()
            processes.killed["broker"] += 1
            time.sleep(chance.uniform(0, 0.5))
            broker.start()
        else:
            processes.kill(victim)
            processes.start(victim)
        if number % 10 == 9:
            say(f"{number + 1} of {plan.kills} kills, {len(feeding.said(journal))} of {plan.cases} cases")


def _wait_for_cases(journal: Path, wanted: int, processes: Processes) -> None:
    while len(feeding.said(journal)) < wanted:
        making = processes.alive["inspect"]
        if not making.is_alive() and len(feeding.said(journal)) < wanted:
            raise RuntimeError(f"the process that makes cases ended by itself with status {making.exitcode}")
        time.sleep(0.002)


def _make_cases(device: DeviceConfig, journal: Path, plan: Plan) -> None:
    feeding.feed(device, journal, range(1, plan.cases + 1), seed=plan.seed, pace_s=PACE_S)


def _settle(engine: sa.Engine, plan: Plan, journal: Path) -> None:
    wanted_clips = sum(make_case(number).sampled.reason != "none" for number in range(1, plan.cases + 1))

    def is_there() -> bool:
        found = cloud_cases.summary(engine)
        return found["cases"] >= len(feeding.said(journal)) and found["clips"] >= wanted_clips

    until(is_there, SETTLE_S)


def _words(found: dict) -> str:
    killed = ", ".join(f"{name} {count}" for name, count in found.get("killed", {"inspect": found["kills"]}).items())
    return (
        f"{found['cases']} cases, {found['kills']} kills ({killed}): {found['lost']} lost, "
        f"{found['duplicated']} duplicated, {found['changed']} changed; {found['queued']} in the queue, "
        f"{found['queue_lost']} missing there, {found['queue_extra']} too many; {found['clips_lost']} clips lost; "
        f"{found['seconds']} s with {found['broker']}"
    )
