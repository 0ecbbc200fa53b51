"""`drill kill --frames`: the whole agent, camera to outbox, is killed while it watches units; nothing may be lost.

The twin's frames come as fast as they can be looked at. What counts as said is what the agent's log says, line by line;
what lies in the spool must be in the database, each once, byte for byte, in a sequence without gaps.
"""

import contextlib
import functools
import io
import random
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import cv2
import msgspec
import sqlalchemy as sa

from benchmarks import ledger
from benchmarks.drill_kill import Plan
from benchmarks.installation import Processes, make_configs, sending, taking_in, until
from calibration.scene import draw_station
from calibration.twin import open_twin, profile_of
from cloud_sync import db
from cloud_sync.broker import EmbeddedBroker
from cloud_sync.store import ClipStore, open_store
from edge_agent import config as device_config
from edge_agent import station
from edge_agent.agent import agent_inspect
from edge_agent.config import DeviceConfig
from edge_agent.spool import Spool

LONGEST_S = 2.5
"""Between two kills: about as long as two cases take, so that every phase is hit."""
PATIENCE_S = 120.0


def drill_with_frames(plan: Plan, folder: Path, say: Callable[[str], None]) -> dict:
    """Runs the plan in `folder` and gives the ledger."""
    # Before the first picture: OpenCV's threads do not live through a fork, and who waits for them waits for ever.
    cv2.setNumThreads(1)
    began_s = time.monotonic()
    with ExitStack() as stack:
        broker = stack.enter_context(EmbeddedBroker(0, folder / "broker"))
        device, cloud = make_configs(folder, broker.port)
        (folder / "station.toml").write_bytes(station.dump(profile_of(draw_station(plan.seed, "demo"))))
        db.open_database(cloud).dispose()
        log = folder / "agent.log"
        log.touch()
        processes = Processes(
            {
                "inspect": functools.partial(_agent, device, folder, log, plan.seed),
                "uplink": sending(device, folder),
                "ingest": taking_in(cloud, folder),
            }
        )
        stack.callback(processes.stop)
        for name in processes.starts:
            processes.start(name)
        _kill(plan, processes, device, say)
        processes.kill("inspect")
        engine = db.open_database(cloud)
        stack.callback(engine.dispose)
        found = _settled(engine, device, open_store(cloud), log)
    return {
        "drill": "kill",
        "frames": True,
        "asked": plan.cases,
        **found,
        "kills": processes.killed["inspect"],
        "seed": plan.seed,
        "broker": broker.name,
        "seconds": round(time.monotonic() - began_s, 1),
    }


def _kill(plan: Plan, processes: Processes, device: DeviceConfig, say: Callable[[str], None]) -> None:
    """Kills until both the cases and the kills of the plan are reached."""
    chance, spool = random.Random(plan.seed), Spool(device.spool_path)
    kills = made = 0
    moved_s = time.monotonic()
    while True:
        before, made = made, sum(1 for _ in spool.case_ids())
        moved_s = time.monotonic() if made > before else moved_s
        if time.monotonic() - moved_s > PATIENCE_S:
            raise RuntimeError(f"no case for {PATIENCE_S:.0f} s: look at agent.log")
        if kills >= plan.kills and made >= plan.cases:
            return
        # Kills are spread over the cases: none before its turn, unless the cases are there already.
        due = made >= plan.cases or kills * plan.cases < made * plan.kills
        time.sleep(chance.uniform(0.05, LONGEST_S))
        if not processes.alive["inspect"].is_alive():
            raise RuntimeError("the agent ended by itself: look at agent.log")
        if due and kills < plan.kills:
            processes.kill("inspect")
            processes.start("inspect")
            kills += 1
            if kills % 10 == 0:
                say(f"{kills} of {plan.kills} kills, {made} of {plan.cases} cases")


def _settled(engine: sa.Engine, device: DeviceConfig, store: ClipStore, log: Path) -> dict:
    """The ledger, once the cloud holds what the spool holds or the patience is over."""
    spoken, said = ledger.said_in(Spool(device.spool_path)), _said(log)
    until(lambda: ledger.is_clean(ledger.compare(engine, spoken, journal=said)), PATIENCE_S, 0.2)
    return ledger.compare(engine, spoken, journal=said, store=store) | {"said": len(said)}


def _said(log: Path) -> set[str]:
    return {line.split()[0].removeprefix("case=") for line in log.read_text().splitlines() if line.startswith("case=")}


def _agent(device: DeviceConfig, folder: Path, log: Path, seed: int) -> None:
    """`agent inspect`, its lines in the log. After each start the twin begins with its first unit again."""
    camera = f"twin:seed={seed},profile=demo,cases=100000"
    config = folder / "device.toml"
    config.write_bytes(device_config.dump(msgspec.structs.replace(device, camera=camera)))
    with (
        open(log, "a", buffering=1) as file,
        contextlib.redirect_stdout(file),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        sys.exit(agent_inspect(["--config", str(config)], openers={"twin:": open_twin}))
