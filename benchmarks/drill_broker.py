"""`drill broker`: Mosquitto as Debian sets it up is killed again and again while cases flow; none is lost or twice.

With these settings it forgets what it has acknowledged (facts 1 and 2), so only receipts carry the cases through. Cases
with their clips, outbox, uplink and ingest are the real ones.
"""

import functools
import random
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import cv2
import sqlalchemy as sa

from benchmarks import feeding, flow, ledger
from benchmarks.exercise import Exercise, Say
from benchmarks.installation import Processes, make_configs, quietly, taking_in
from cloud_sync import db
from cloud_sync.broker import EmbeddedBroker
from cloud_sync.store import open_store
from edge_agent import link, state, uplink
from edge_agent.config import DeviceConfig

PACE_S = 0.02
PATIENCE_S = 1.0
"""Longest wait between two tries to connect, in this drill's uplink. The device's own is 30 s, and most of the drill
would be waiting: a broker that lives for less than 10 s at a time is tried less and less often."""
BURST_S, AWAY_S = 0.5, 1.5


@dataclass(frozen=True, slots=True)
class Plan:
    """How often the broker is killed."""

    kills: int
    seed: int


def drill(plan: Plan, folder: Path, say: Say = lambda _: None) -> dict:
    """Runs the plan in `folder` and gives the ledger."""
    cv2.setNumThreads(1)
    began_s = time.monotonic()
    with ExitStack() as stack:
        broker = stack.enter_context(EmbeddedBroker(0, folder / "broker", tuned=False))
        device, cloud = make_configs(folder, broker.port)
        db.open_database(cloud).dispose()
        journal = folder / "journal"
        processes = Processes(
            {
                "ingest": taking_in(cloud, folder),
                "uplink": functools.partial(_send, device, folder),
                "inspect": functools.partial(
                    feeding.feed, device, journal, flow.numbers(), seed=plan.seed, pace_s=PACE_S
                ),
            }
        )
        stack.callback(processes.stop)
        for name in processes.starts:
            processes.start(name)
        engine = flow.open_to_look(cloud.database_url)
        waited = _kill(plan, broker, engine, say)
        spoken = flow.last_word(processes, device)
        say(f"{len(spoken)} cases were said under {plan.kills} kills; waiting for the cloud")
        under_fire = flow.held(engine)
        flow.settle(engine, spoken)
        found = ledger.compare(engine, spoken, journal=feeding.said(journal), store=open_store(cloud))
    return {
        "drill": "broker",
        **found,
        "kills": plan.kills,
        "stalled": waited.count(None),
        "longest_wait_s": round(max((wait for wait in waited if wait is not None), default=0.0), 1),
        "arrived_under_fire": under_fire,
        "resent": resent(device),
        "broker": broker.name,
        "seed": plan.seed,
        "seconds": round(time.monotonic() - began_s, 1),
    }


def is_good(found: dict) -> bool:
    """Nothing lost, nothing twice, and after each kill cases came through again."""
    return ledger.is_clean(found) and found["stalled"] == 0 and found["cases"] > found["kills"] > 0


def resent(device: DeviceConfig) -> int:
    """Messages that the uplink has said again, by its own word."""
    report = state.read_uplink(device.uplink_path)
    return report.software.resent if report else 0


def _send(device: DeviceConfig, folder: Path) -> None:
    link.LONGEST_WAIT_S = PATIENCE_S
    quietly(folder / "uplink.log", uplink.run, device, lambda: False)


def _kill(plan: Plan, broker: EmbeddedBroker, engine: sa.Engine, say: Callable[[str], None]) -> list[float | None]:
    """Each time while cases come through the broker that lives now; how long after its start the first came."""
    chance, waited = random.Random(plan.seed), []
    for number in range(1, plan.kills + 1):
        waited.append(flow.seconds_until_more(engine))
        time.sleep(chance.uniform(0, BURST_S))
        broker.kill()
        time.sleep(chance.uniform(0, AWAY_S))
        broker.start()
        if number % 10 == 0:
            say(f"{number} of {plan.kills} kills, {flow.held(engine)} cases are held")
    waited.append(flow.seconds_until_more(engine))
    return waited


exercise = Exercise(
    name="broker",
    about="Mosquitto with Debian's settings is killed while cases flow.",
    plan=lambda full, seed: Plan(kills=100 if full else 8, seed=seed),
    drill=drill,
    is_good=is_good,
)
run = exercise.run
