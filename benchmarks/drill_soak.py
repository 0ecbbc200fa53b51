"""`drill soak`: 100,000 cases in logical time; memory, handles, threads and the device's disk may not grow with them.

Made cases of a hundred days, a few with clips, go through the real outbox, uplink, broker and ingest, each in its own
process. It runs in a folder in memory where there is one: what is looked for does not depend on the disk.
"""

import functools
import multiprocessing
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import cv2

from benchmarks import ledger, soaking
from benchmarks.exercise import Exercise, Ledger, Say
from benchmarks.installation import Processes, make_configs, sending, taking_in, until
from benchmarks.soaking import Sample, Soak
from cloud_sync import db
from cloud_sync.broker import EmbeddedBroker
from cloud_sync.config import CloudConfig
from cloud_sync.store import open_store
from edge_agent.config import DeviceConfig
from edge_agent.outbox import Outbox

DAYS = 100.0
SHORT_CASES, FULL_CASES = 1_500, 100_000
LOOKS = 60
SLOPE_MB, SHORT_SLOPE_MB = 1.0, 300.0
"""For 10,000 cases. The first videos alone make ingest 23 MB larger, and 1,500 cases are no more than a warm-up."""
LARGEST_GROWTH = 1.2
"""Of the outbox's database, from the day on which the first records go."""
LARGEST_LOG_MB = 64.0
SETTLE_S = 300.0
MEMORY = Path("/dev/shm")
BYTES_A_CASE = 20_000


@dataclass(frozen=True, slots=True)
class Plan:
    """How much passes, and by how much a process may grow meanwhile."""

    soak: Soak
    slope_mb: float


def plan(full: bool, seed: int) -> Plan:
    """The short form sees that all of it works and that nothing grows fast; what grows slowly shows in the full one."""
    if full:
        return Plan(Soak(FULL_CASES, DAYS, seed), SLOPE_MB)
    return Plan(Soak(SHORT_CASES, DAYS, seed), SHORT_SLOPE_MB)


def drill(plan: Plan, folder: Path, say: Say) -> Ledger:
    """Runs the plan in memory where there is room for it, otherwise in `folder`."""
    in_memory = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 2 * BYTES_A_CASE * plan.soak.cases
    if not in_memory:
        return _drilled(plan, folder, say) | {"folder": "disk"}
    with tempfile.TemporaryDirectory(prefix="tankwatch-drill-", dir=MEMORY) as fast:
        return _drilled(plan, Path(fast), say) | {"folder": "memory"}


def is_good(found: Ledger) -> bool:
    """Nothing lost, nothing grows."""
    flat = not any(grown > 0 for kind in ("handles_grown", "threads_grown") for grown in found[kind].values())
    return (
        ledger.is_clean(found)
        and found["cases"] == found["asked"]
        and found["waiting"] == 0
        and flat
        and max(found["slope_mb"].values()) <= found["slope_limit_mb"]
        and found["records"] <= found["records_limit"]
        and found["rows_grown"] <= LARGEST_GROWTH
        and found["log_mb"] <= LARGEST_LOG_MB
    )


def _drilled(plan: Plan, folder: Path, say: Say) -> Ledger:
    # Before the first picture: OpenCV's threads do not live through a fork.
    cv2.setNumThreads(1)
    began_s = time.monotonic()
    done = multiprocessing.get_context("fork").Value("q", 0)
    with ExitStack() as stack:
        broker = stack.enter_context(EmbeddedBroker(0, folder / "broker"))
        device, cloud = make_configs(folder, broker.port)
        db.open_database(cloud).dispose()
        put = functools.partial(soaking.put_all, device, plan.soak, folder / "journal", done)
        processes = Processes({"inspect": put, "uplink": sending(device, folder), "ingest": taking_in(cloud, folder)})
        stack.callback(processes.stop)
        for name in processes.starts:
            processes.start(name)
        look = functools.partial(soaking.look, device, cloud.folder / "cloud.db")
        samples = _watched(plan.soak, processes, done, look, say=say)
        put_s = time.monotonic() - began_s
        found = _settled(device, cloud, folder / "journal")
    return {
        "drill": "soak",
        "asked": plan.soak.cases,
        "days": plan.soak.days,
        **found,
        **soaking.figures(samples, plan.soak),
        "slope_limit_mb": plan.slope_mb,
        "cases_a_s": round(plan.soak.cases / put_s, 1),
        "seed": plan.soak.seed,
        "broker": broker.name,
        "seconds": round(time.monotonic() - began_s, 1),
    }


def _watched(
    soak: Soak,
    processes: Processes,
    done: soaking.Counted,
    look: Callable[[int, dict[str, int]], Sample],
    *,
    say: Say,
) -> list[Sample]:
    """Samples at even distances, as long as cases are put. Raises RuntimeError where that breaks off."""
    samples: list[Sample] = []
    every, inspect = max(1, soak.cases // LOOKS), processes.alive["inspect"]
    while inspect.is_alive():
        if done.value >= (len(samples) + 1) * every:
            pids = {name: process.pid or 0 for name, process in processes.alive.items()}
            with suppress(FileNotFoundError, ProcessLookupError):
                samples.append(look(done.value, pids))
                if len(samples) % (LOOKS // 6) == 0:
                    say(f"{done.value} of {soak.cases} cases")
        time.sleep(0.02)
    inspect.join()
    if inspect.exitcode or done.value < soak.cases:
        raise RuntimeError(f"the process that puts cases ended at {done.value} with status {inspect.exitcode}")
    return samples


def _settled(device: DeviceConfig, cloud: CloudConfig, journal: Path) -> dict:
    """Once everything has its receipt: what was said against what is held."""
    outbox = Outbox.open(device.outbox_path, device.spool_path)

    def waiting() -> int:
        backlog = outbox.backlog()
        return backlog.cases + backlog.clips

    until(lambda: waiting() == 0, SETTLE_S, 0.2)
    last = waiting()
    engine = db.open_database(cloud)
    found = ledger.compare(engine, soaking.in_journal(journal), store=open_store(cloud))
    engine.dispose()
    outbox.close()
    return found | {"waiting": last}


EXERCISE = Exercise("soak", "100,000 cases: nothing may grow.", plan, drill, is_good)
run = EXERCISE.run
