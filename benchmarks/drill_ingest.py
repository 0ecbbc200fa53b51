"""`drill ingest`: ingest is killed again and again, its database goes away; no case is lost or held twice.

Killed at random and at named moments around the commit (`ingest_deaths`). A witness looks into the database at each
receipt: whatever it names has to be committed by then. Everything but the deaths is the real thing.
"""

import contextlib
import functools
import multiprocessing
import random
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import cv2
import msgspec

from benchmarks import feeding, flow, ledger, postgres_server, receipt_witness
from benchmarks.exercise import Exercise, Say
from benchmarks.ingest_fire import Away, Fire
from benchmarks.installation import Processes, make_configs, quietly, sending, until
from benchmarks.postgres_server import PostgresServer
from cloud_sync import db, ingest
from cloud_sync.broker import EmbeddedBroker
from cloud_sync.config import CloudConfig
from cloud_sync.store import open_store
from edge_agent.errors import StoreError

PACE_S = 0.03
ON_ITS_WAY_S = 0.5
"""A receipt that was sent before the database went."""
_FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True, slots=True)
class Stage:
    """One cloud, and what is done to it. `busy_ms`: how long its SQLite is waited for before it counts as away."""

    store: str
    kills: int
    away_s: float
    busy_ms: int = db.BUSY_MS


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done, one stage after the other."""

    stages: tuple[Stage, ...]
    seed: int


def plan(full: bool, seed: int) -> Plan:
    """Where PostgreSQL is not installed SQLite takes all of it."""
    if postgres_server.programs() is None:
        return Plan((Stage("sqlite", 200, 600.0) if full else Stage("sqlite", 16, 4.0, busy_ms=1000),), seed)
    if full:
        return Plan((Stage("sqlite", 140, 75.0), Stage("postgresql", 60, 600.0)), seed)
    return Plan((Stage("sqlite", 9, 3.0, busy_ms=1000), Stage("postgresql", 5, 3.0)), seed)


def drill(plan: Plan, folder: Path, say: Say = lambda _: None) -> dict:
    """Runs the plan in `folder` and gives the ledger: sums, and what each stage came to."""
    cv2.setNumThreads(1)
    began_s, stages = time.monotonic(), {}
    for stage in plan.stages:
        (folder / stage.store).mkdir()
        stages[stage.store] = _go_through(stage, plan.seed, folder / stage.store, say)
    counts = ("cases", *ledger.FAULTS, "queued", "clips", "kills", "stalled", "receipts", "early", "while_away")
    sums = {name: sum(found[name] for found in stages.values()) for name in counts}
    killed = sum((Counter(found["killed"]) for found in stages.values()), Counter[str]())
    asked = {"asked_kills": sum(stage.kills for stage in plan.stages)}
    ended = {"seed": plan.seed, "seconds": round(time.monotonic() - began_s, 1)}
    return {"drill": "ingest", **sums, **asked, "killed": dict(sorted(killed.items())), "stages": stages, **ended}


def is_good(found: dict) -> bool:
    """Nothing lost, nothing twice, and no receipt for what was not committed, nor any while there was no database."""
    kept = ledger.is_clean(found) and found["early"] == found["while_away"] == found["stalled"] == 0
    return kept and found["kills"] == found["asked_kills"] and found["receipts"] > 0 and found["cases"] > 0


def _go_through(stage: Stage, seed: int, folder: Path, say: Say) -> dict:
    with ExitStack() as stack:
        broker = stack.enter_context(EmbeddedBroker(0, folder / "broker"))
        device, cloud = make_configs(folder, broker.port)
        away, url = stack.enter_context(_database(stage, cloud))
        cloud = msgspec.structs.replace(cloud, database=url)
        db.open_database(cloud).dispose()
        journal, witness = folder / "journal", folder / "receipts"
        take_in = functools.partial(_take_in, cloud, stage, folder)
        processes = Processes(
            {
                "ingest": take_in,
                "witness": functools.partial(receipt_witness.watch, cloud, broker.port, witness),
                "uplink": sending(device, folder),
                "inspect": functools.partial(feeding.feed, device, journal, flow.numbers(), seed=seed, pace_s=PACE_S),
            }
        )
        stack.callback(processes.stop)
        processes.start("witness")
        until(lambda: receipt_witness.listens(witness), flow.COMES_S)
        for name in ("ingest", "uplink", "inspect"):
            processes.start(name)
        engine = flow.open_to_look(cloud.database_url)
        fire = Fire(processes, engine, take_in, random.Random(seed))
        fire.kill(stage.kills // 2)
        gone = fire.while_away(away, stage.away_s)
        fire.kill(stage.kills - sum(fire.killed.values()))
        spoken = flow.last_word(processes, device)
        say(f"{stage.store}: {len(spoken)} cases were said under {stage.kills} kills; waiting for the cloud")
        flow.settle(engine, spoken)
        found = ledger.compare(engine, spoken, journal=feeding.said(journal), store=open_store(cloud))
        return found | _told(receipt_witness.seen_in(witness), gone, fire)


def _told(seen: list[receipt_witness.Seen], gone: tuple[float, float], fire: Fire) -> dict:
    return {
        "kills": sum(fire.killed.values()),
        "killed": dict(fire.killed),
        "stalled": fire.stalled,
        "receipts": len(seen),
        "early": sum(one.early for one in seen),
        "away_s": round(gone[1] - gone[0], 1),
        "while_away": sum(gone[0] + ON_ITS_WAY_S < one.at_s < gone[1] for one in seen),
    }


def _take_in(cloud: CloudConfig, stage: Stage, folder: Path, arm: Callable[[], None] | None = None) -> None:
    db.BUSY_MS = stage.busy_ms
    if arm is not None:
        arm()
    with contextlib.suppress(StoreError):
        quietly(folder / "ingest.log", ingest.run, cloud, threading.Event())


@contextmanager
def _database(stage: Stage, cloud: CloudConfig) -> Iterator[tuple[Away, str]]:
    """What makes it go away, and its URL."""
    if stage.store == "sqlite":
        yield functools.partial(_locked, cloud.folder / "cloud.db"), cloud.database_url
        return
    programs = postgres_server.programs()
    assert programs is not None
    server = PostgresServer(programs, postgres_server.SAFE)
    try:
        yield functools.partial(_stopped, server), server.new_database(empty=True)
    finally:
        server.stop()


@contextmanager
def _locked(database: Path) -> Iterator[None]:
    """Another process writes to it and does not end."""
    here, there = _FORK.Pipe()
    holder = _FORK.Process(target=_hold, args=(database, there), daemon=True)
    holder.start()
    here.recv()
    try:
        yield
    finally:
        holder.kill()
        holder.join()


def _hold(database: Path, locked: Connection) -> None:
    rows = sqlite3.connect(database, timeout=flow.COMES_S, isolation_level=None)
    rows.execute("BEGIN IMMEDIATE")
    locked.send(True)
    signal.pause()


@contextmanager
def _stopped(server: PostgresServer) -> Iterator[None]:
    server.go_away()
    try:
        yield
    finally:
        server.come_back()


exercise = Exercise(
    name="ingest",
    about="Ingest is killed at random and named moments, and its database goes away.",
    plan=plan,
    drill=drill,
    is_good=is_good,
)
run = exercise.run
