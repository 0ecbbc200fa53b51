"""One device and its cloud for `drill kill`: what was said, what is held, and processes that die where they are told.

The uplink and the cloud's intake run all the while; whoever makes cases is started for each few of them.
"""

import functools
import multiprocessing
import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from benchmarks import feeding, ledger, wholeness
from benchmarks.installation import Processes, make_configs, sending, taking_in, until
from benchmarks.ledger import SaidCase
from benchmarks.moments import Moment, armed
from benchmarks.wholeness import StateReader
from cloud_sync import db
from cloud_sync.broker import EmbeddedBroker
from cloud_sync.config import CloudConfig
from cloud_sync.store import ClipStore, open_store
from edge_agent.config import DeviceConfig
from edge_agent.spool import Spool

SETTLE_S = 90.0
"""Longer than two re-sends: what the cloud lacks then is lost."""
DIE_S = 120.0
"""The whole agent loads its nets first."""
Work = Callable[[], None]
_FORK = multiprocessing.get_context("fork")


@dataclass
class Site:
    """The installation under fire."""

    folder: Path
    device: DeviceConfig
    cloud: CloudConfig
    broker: EmbeddedBroker
    engine: sa.Engine
    processes: Processes
    reader: StateReader
    seed: int
    spoken: dict[str, SaidCase] = field(default_factory=dict)
    """Also what retention has removed since."""

    @property
    def journal(self) -> Path:
        return self.folder / "journal"

    @property
    def agent_log(self) -> Path:
        return self.folder / "agent.log"

    @property
    def store(self) -> ClipStore:
        return open_store(self.cloud)

    def feeding(self, numbers: Iterable[int], device: DeviceConfig | None = None, pace_s: float = 0.0) -> Work:
        """The making of these cases, for a process."""
        where = device or self.device
        journal = self.journal if device is None else where.folder / "journal"
        return functools.partial(feeding.feed, where, journal, numbers, seed=self.seed, pace_s=pace_s)

    def sending(self, device: DeviceConfig | None = None) -> Work:
        """The uplink, for a process."""
        return sending(device or self.device, self.folder)

    def dies(self, name: str, moment: Moment, work: Work) -> bool:
        """Whether the process has died at that moment, and not otherwise."""
        struck = dies(moment, work, self.folder / "mark")
        self.processes.killed[name] += struck
        return struck

    def does(self, work: Work) -> None:
        """A process that comes to its end; RuntimeError where it does not."""
        process = _FORK.Process(target=work, daemon=True)
        process.start()
        process.join(DIE_S)
        if process.exitcode != 0:
            process.kill()
            raise RuntimeError(f"a process of the device ended with status {process.exitcode}: see {self.folder}")

    def said(self) -> set[str]:
        """What was said, by the journal and by the agent's log."""
        return set(feeding.said(self.journal)) | said_by_agent(self.agent_log)

    def know(self) -> dict[str, SaidCase]:
        """All that was ever in the spool, also what retention has removed since."""
        spool = Spool(self.device.spool_path)
        self.spoken |= {id: _said_in(spool, id) for id in spool.case_ids() if id not in self.spoken}
        return self.spoken

    def compare(self, store: ClipStore | None = None) -> dict[str, int]:
        """The ledger as it stands."""
        return ledger.compare(self.engine, self.know(), journal=self.said(), store=store)

    def settled(self) -> bool:
        """Waits for it: the cloud holds all that was said, and the device has a receipt for all of it."""
        return until(lambda: not waiting(self.device) and ledger.is_clean(self.compare()), SETTLE_S)

    def faults(self) -> list[str]:
        """What does not hold although everything has started again."""
        found = [] if self.settled() else [f"not settled: {self.compare()}, {waiting(self.device)} wait"]
        return found + device_faults(self.device)


def dies(moment: Moment, work: Work, mark: Path) -> bool:
    """Does the work in a process of its own; whether that has died at the moment, which makes `mark`."""
    mark.unlink(missing_ok=True)
    process = _FORK.Process(target=armed, args=(moment, mark, work), daemon=True)
    process.start()
    process.join(DIE_S)
    struck = process.exitcode == -9 and mark.exists()
    process.kill()
    process.join()
    return struck


@contextmanager
def site(folder: Path, seed: int) -> Iterator[Site]:
    """Broker, uplink and intake run; all of it ends with the context."""
    with ExitStack() as stack:
        broker = stack.enter_context(EmbeddedBroker(0, folder / "broker"))
        device, cloud = make_configs(folder, broker.port)
        engine = db.open_database(cloud)
        stack.callback(engine.dispose)
        (folder / "journal").touch()
        (folder / "agent.log").touch()
        reader = StateReader(device, folder / "torn")
        stack.callback(reader.stop)
        processes = Processes({"uplink": sending(device, folder), "ingest": taking_in(cloud, folder)})
        stack.callback(processes.stop)
        engine.dispose()
        processes.start("ingest")
        # What is said before anybody listens is said again after 10 s.
        until(lambda: _is_in(folder / "ingest.log", "connected"), SETTLE_S)
        processes.start("uplink")
        yield Site(folder, device, cloud, broker, engine, processes, reader, seed)


def waiting(device: DeviceConfig) -> int:
    """Cases and clips without a receipt, by the device's own rows."""
    query = """SELECT (SELECT count(*) FROM cases WHERE receipted_at IS NULL)
        + (SELECT count(*) FROM clips WHERE receipted_at IS NULL AND usable = 1)"""
    try:
        with closing(sqlite3.connect(device.outbox_path, timeout=10)) as rows:
            return rows.execute(query).fetchone()[0]
    except sqlite3.Error as error:
        print(f"the outbox cannot be read just now: {error}", file=sys.stderr)
        return -1


def device_faults(device: DeviceConfig) -> list[str]:
    """What is wrong on a device's disk once it has started again."""
    with closing(sqlite3.connect(device.outbox_path, timeout=10)) as database:
        (integrity,) = database.execute("PRAGMA integrity_check").fetchone()
        rows = {id for (id,) in database.execute("SELECT case_id FROM cases")}
    found = [] if integrity == "ok" else [f"outbox: {integrity}"]
    without = set(Spool(device.spool_path).case_ids()) - rows
    return found + [f"{id} has no row" for id in without] + wholeness.half_written(device.spool_path)


def said_by_agent(log: Path) -> set[str]:
    """Ids in the agent's log."""
    return {line.split()[0].removeprefix("case=") for line in log.read_text().splitlines() if line.startswith("case=")}


def _is_in(log: Path, words: str) -> bool:
    return log.is_file() and words in log.read_text()


def _said_in(spool: Spool, id: str) -> SaidCase:
    return ledger.said(spool.case_path(id).read_bytes())
