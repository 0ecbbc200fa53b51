"""`drill kill`: the agent is killed again and again while cases are made; the cloud must hold each exactly once.

Real outbox, uplink, broker and ingest, each in its own process, killed by SIGKILL at random moments. What counts as
said is what a journal holds that is written and synced after `put` has returned. `--full` also kills broker and ingest.
"""

import argparse
import functools
import json
import logging
import multiprocessing
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

import cv2
import msgspec
import sqlalchemy as sa

from benchmarks.made_cases import SITE, STATION, make_case, write_clip
from calibration.scene import draw_station
from calibration.twin import profile_of
from cloud_sync import cases as cloud_cases
from cloud_sync import config as cloud_config
from cloud_sync import db, ingest
from cloud_sync.broker import EmbeddedBroker
from cloud_sync.config import CloudConfig
from cloud_sync.tables import cases, clips
from edge_agent import config as device_config
from edge_agent import station, uplink
from edge_agent.config import DeviceConfig
from edge_agent.outbox import Outbox

PACE_S = 0.05
"""Between two cases: without it the uplink would be killed before it has said anything."""
SETTLE_S = 90.0
"""After the last case: longer than two re-sends, so that what is missing then is lost."""
_FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is made and killed."""

    cases: int
    kills: int
    seed: int
    victims: tuple[str, ...]


@dataclass(slots=True)
class Processes:
    """The installation's processes by name; one that is not alive is started again."""

    starts: dict[str, Callable[[], None]]
    alive: dict[str, BaseProcess] = field(default_factory=dict)
    killed: Counter = field(default_factory=Counter)

    def start(self, name: str) -> None:
        process = _FORK.Process(target=self.starts[name], name=name, daemon=True)
        process.start()
        self.alive[name] = process

    def kill(self, name: str) -> None:
        """SIGKILL: no handler, no flush, no goodbye."""
        self.alive[name].kill()
        self.alive[name].join()
        self.killed[name] += 1

    def stop(self) -> None:
        for process in self.alive.values():
            process.kill()
            process.join()


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
        ledger = _drill_for(options.frames)(plan, Path(folder), lambda words: print(words, file=sys.stderr))
    print(json.dumps(ledger) if options.json else _words(ledger))
    return 1 if ledger["lost"] or ledger["duplicated"] or ledger["clips_lost"] else 0


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
                "uplink": functools.partial(quietly, folder / "uplink.log", uplink.run, device, lambda: False),
                "ingest": functools.partial(quietly, folder / "ingest.log", ingest.run, cloud, threading.Event()),
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
        ledger = make_ledger(engine, plan, device, journal) | {
            "kills": sum(processes.killed.values()),
            "killed": dict(sorted(processes.killed.items())),
            "arrived_under_fire": under_fire,
        }
    return ledger | {"broker": broker.name, "seconds": round(time.monotonic() - began_s, 1)}


def make_ledger(engine: sa.Engine, plan: Plan, device: DeviceConfig, journal: Path) -> dict:
    """What was said against what is held. A case with other bytes, or a gap in the sequence, is a lost one."""
    said = _said(journal)
    with engine.connect() as connection:
        held = {row.case_id: row for row in connection.execute(sa.select(cases))}
        stored = set(connection.scalars(sa.select(clips.c.sha256).where(clips.c.state == "stored")))
    sequences = [row.sequence for row in held.values()]
    wanted_clips = [row.clip_sha256 for row in held.values() if row.sampled_for != "none"]
    summary = cloud_cases.summary(engine)
    changed = [id for id, row in held.items() if row.payload != (device.spool_path / f"{id}.json").read_bytes()]
    return {
        "drill": "kill",
        "cases": plan.cases,
        "lost": len(set(said) - held.keys()) + len(changed) + (max(sequences, default=0) - len(set(sequences))),
        "duplicated": len(sequences) - len(set(sequences)) + len(held.keys() - set(said)) + summary["duplicated"],
        "clips": len(stored),
        "clips_lost": len([sha256 for sha256 in wanted_clips if sha256 not in stored]),
        "queued": summary["queued"],
        "seed": plan.seed,
    }


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
            say(f"{number + 1} of {plan.kills} kills, {len(_said(journal))} of {plan.cases} cases")


def _wait_for_cases(journal: Path, wanted: int, processes: Processes) -> None:
    while len(_said(journal)) < wanted:
        making = processes.alive["inspect"]
        if not making.is_alive() and len(_said(journal)) < wanted:
            raise RuntimeError(f"the process that makes cases ended by itself with status {making.exitcode}")
        time.sleep(0.002)


def _make_cases(device: DeviceConfig, journal: Path, plan: Plan) -> None:
    """Stands for `agent inspect`: what was said before is not said again, the interrupted case is made anew."""
    outbox = Outbox.open(device.outbox_path, device.spool_path)
    said = set(_said(journal))
    with open(journal, "ab") as file:
        # A line that a kill cut short was never said.
        file.write(b"\n")
        for number in range(1, plan.cases + 1):
            case = make_case(number, seed=plan.seed)
            if case.case_id in said:
                continue
            draft = outbox.spool.draft(case.case_id) if case.sampled.reason != "none" else None
            if draft:
                # Every third clip has several parts, so that it is cut in the middle and has to resume.
                large = number % 9 == 0
                clip = write_clip(draft, case, view_px=(640, 480) if large else (160, 120))
                case = msgspec.structs.replace(case, clip=clip)
            outbox.put(case, draft)
            file.write(case.case_id.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
            time.sleep(PACE_S)


def _said(journal: Path) -> list[str]:
    lines = journal.read_bytes().split(b"\n")[:-1]
    wanted = len(make_case(1).case_id)
    return [line.decode() for line in lines if len(line) == wanted]


def _settle(engine: sa.Engine, plan: Plan, journal: Path) -> None:
    deadline = time.monotonic() + SETTLE_S
    wanted_clips = sum(make_case(number).sampled.reason != "none" for number in range(1, plan.cases + 1))
    while time.monotonic() < deadline:
        found = cloud_cases.summary(engine)
        if found["cases"] >= len(_said(journal)) and found["clips"] >= wanted_clips:
            return
        time.sleep(0.1)


def make_configs(folder: Path, port: int) -> tuple[DeviceConfig, CloudConfig]:
    profile = profile_of(draw_station(1, "demo", station_id=STATION))
    (folder / "station.toml").write_bytes(station.dump(profile))
    device = DeviceConfig(
        site=SITE,
        station=str(folder / "station.toml"),
        camera="twin:",
        data_dir=str(folder / "device"),
        keep_free_mb=0,
        broker=device_config.BrokerConfig(port=port),
    )
    broker = cloud_config.BrokerConfig(port=port)
    return device, CloudConfig(data_dir=str(folder / "cloud"), broker=broker)


def quietly(log: Path, process: Callable[..., None], *arguments: object) -> None:
    """Runs a process with its log in a file."""
    logging.basicConfig(filename=log, level=logging.INFO, force=True)
    process(*arguments)


def _words(ledger: dict) -> str:
    killed = ", ".join(f"{name} {count}" for name, count in ledger.get("killed", {"inspect": ledger["kills"]}).items())
    return (
        f"{ledger['cases']} cases, {ledger['kills']} kills ({killed}): {ledger['lost']} lost, "
        f"{ledger['duplicated']} duplicated; {ledger['queued']} in the queue, {ledger['clips_lost']} clips lost; "
        f"{ledger['seconds']} s with {ledger['broker']}"
    )
