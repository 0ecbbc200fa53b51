"""`drill outage`: a month without a broker, then all of it goes out at once while new cases are made; none is lost.

Time is logical: the cases' own times and the outbox's clock run through 30 days while they are put as fast as the disk
takes them. `agent uplink` runs all the while as a program of its own, so that its memory is its own.
"""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import cv2
import msgspec
import sqlalchemy as sa

from benchmarks import feeding, flow, ledger
from benchmarks.exercise import Exercise, Say
from benchmarks.installation import Processes, as_command, make_configs, until
from benchmarks.made_cases import make_case
from benchmarks.outage_watch import Drain, LiveCases, Memory, cpu_s
from cloud_sync import config as cloud_config
from cloud_sync import db
from cloud_sync.broker import EmbeddedBroker
from cloud_sync.store import open_store
from edge_agent import config as device_config
from edge_agent import utc
from edge_agent.config import DeviceConfig
from edge_agent.outbox import Outbox
from edge_agent.records import Case
from edge_agent.spool import Spool

DAYS = 30
ONE_IN = 33
"""Cases are drawn for review, with a clip: 3 %, as with 1 % disagreements and 2 % audits."""
MEMORY_BYTES = 4 << 30


@dataclass(frozen=True, slots=True)
class Plan:
    """How many cases have piled up, and what is asked of the drain. A live case is put every `live_every_s`."""

    cases: int
    seed: int
    drain_per_s: float = 1000.0
    live_s: float = 2.0
    grown_mb: float = 20.0
    live_every_s: float = 0.5
    in_memory: bool = True


def plan(full: bool, seed: int) -> Plan:
    """The short form runs beside others: what it asks of speed a machine under load can keep."""
    return Plan(100_000, seed) if full else Plan(3_000, seed, drain_per_s=100.0, live_s=15.0, live_every_s=0.1)


def drill(plan: Plan, folder: Path, say: Say = lambda _: None) -> dict:
    """Runs the plan and gives the ledger."""
    cv2.setNumThreads(1)
    began_s = time.monotonic()
    with ExitStack() as stack:
        place = stack.enter_context(_fast(folder, plan.in_memory))
        broker = EmbeddedBroker(0, place / "broker")
        device, cloud = make_configs(place, broker.port)
        (place / "device.toml").write_bytes(device_config.dump(device))
        (place / "cloud.toml").write_bytes(cloud_config.dump(cloud))
        db.open_database(cloud).dispose()
        processes = Processes(
            {
                "uplink": as_command(place / "uplink.log", "agent", "uplink", "--config", str(place / "device.toml")),
                "ingest": as_command(place / "ingest.log", "cloud", "ingest", "--config", str(place / "cloud.toml")),
            }
        )
        stack.callback(processes.stop)
        processes.start("uplink")
        until(device.uplink_path.exists, flow.COMES_S)
        memory = stack.enter_context(Memory(processes.alive["uplink"].pid))
        put_s = pile_up(device, plan)
        say(f"{plan.cases} cases of {DAYS} days wait, put in {put_s:.0f} s; the broker comes back")
        processes.start("ingest")
        broker.start()
        stack.callback(broker.stop)
        engine = flow.open_to_look(cloud.database_url)
        spoken, live, drain = _drain(device, plan, engine, processes, say)
        found = ledger.compare(engine, spoken, store=open_store(cloud))
        memory.look()
    return {
        "drill": "outage",
        "days": DAYS,
        "asked": plan.cases + len(live.delays_s),
        **found,
        "drain_per_s": round(drain.per_s),
        "cpu_ms_a_case": drain.cpu_ms,
        "live": len(live.delays_s),
        "live_median_s": round(median(live.delays_s), 2),
        "live_max_s": round(max(live.delays_s), 2),
        "uplink_mb": round(memory.before_mb, 1),
        "uplink_grown_mb": round(memory.most_mb - memory.before_mb, 1),
        "cried_missing": drain.cried,
        "limits": {"drain_per_s": plan.drain_per_s, "live_s": plan.live_s, "grown_mb": plan.grown_mb},
        "folder": "in memory" if place.parent != folder else "on the disk",
        "broker": broker.name,
        "seed": plan.seed,
        "seconds": round(time.monotonic() - began_s, 1),
    }


def is_good(found: dict) -> bool:
    """Nothing lost or twice, no false alarm of a gap, and fast and small enough."""
    limits = found["limits"]
    kept = ledger.is_clean(found) and found["cases"] == found["asked"] and found["cried_missing"] == 0
    fast = found["drain_per_s"] >= limits["drain_per_s"] and found["live"] > 0
    return kept and fast and found["live_max_s"] <= limits["live_s"] and found["uplink_grown_mb"] <= limits["grown_mb"]


def pile_up(device: DeviceConfig, plan: Plan) -> float:
    """Puts the cases of 30 days; how many seconds it took."""
    began_s, until_s = time.monotonic(), time.time()
    step_s = DAYS * 86_400 / plan.cases
    moment = until_s - DAYS * 86_400
    outbox = Outbox.open(device.outbox_path, device.spool_path, clock=lambda: moment)
    for number in range(1, plan.cases + 1):
        moment += step_s
        feeding.put(outbox, case_of(number, moment, plan.seed))
    outbox.close()
    return time.monotonic() - began_s


def case_of(number: int, at_s: float, seed: int) -> Case:
    """Of this moment; every 33rd is a disagreement with a clip, the others agree."""
    kind = make_case(3 if number % ONE_IN == 0 else 1, seed=seed)
    named = make_case(number, seed=seed)
    at = utc.text(at_s)
    return msgspec.structs.replace(kind, case_id=named.case_id, started_at=at, ended_at=at)


def _drain(
    device: DeviceConfig, plan: Plan, engine: sa.Engine, processes: Processes, say: Say
) -> tuple[dict[str, ledger.SaidCase], LiveCases, Drain]:
    """Until all is there; meanwhile there are live cases."""
    outbox = Outbox.open(device.outbox_path, device.spool_path)
    live, drain = LiveCases(engine), Drain(engine, plan.cases)
    before_s = {name: cpu_s(process.pid) for name, process in processes.alive.items()}
    number, due_s = plan.cases, 0.0
    while not drain.is_over():
        live.look()
        if drain.flows and time.monotonic() >= due_s:
            due_s, number = time.monotonic() + plan.live_every_s, number + 1
            live.put(outbox, case_of(number, time.time(), plan.seed))
    for name, spent_s in before_s.items():
        drain.cpu_ms[name] = round(1e3 * (cpu_s(processes.alive[name].pid) - spent_s) / plan.cases, 2)
    outbox.close()
    live.wait()
    spoken = ledger.said_in(Spool(device.spool_path))
    say(f"{drain.per_s:.0f} cases a second; waiting for the clips")
    flow.settle(engine, spoken)
    return spoken, live, drain


@contextmanager
def _fast(folder: Path, in_memory: bool) -> Iterator[Path]:
    """A folder in memory where there is room: what is asked for is a rate, not that of this machine's disk."""
    memory = Path("/dev/shm")
    if not (in_memory and memory.is_dir() and shutil.disk_usage(memory).free > MEMORY_BYTES):
        (folder / "outage").mkdir()
        yield folder / "outage"
        return
    with tempfile.TemporaryDirectory(prefix="tankwatch-drill-", dir=memory) as place:
        yield Path(place)


exercise = Exercise(
    name="outage",
    about="A month without a broker, and what comes after it.",
    plan=plan,
    drill=drill,
    is_good=is_good,
)
run = exercise.run
