"""One small installation whose two links run through fault proxies, and schedule after schedule that it lives through.

Real outbox, uplink, broker and ingest. Each schedule feeds its cases while its faults happen, then the link is fair
and everything has to arrive.
"""

import random
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import msgspec

from benchmarks import feeding, ledger
from benchmarks.fault_proxy import HOST, FaultProxy, ProxyThread
from benchmarks.hosts import ADDRESSES, Hosts, Name
from benchmarks.installation import Processes, make_configs, sending, taking_in, until
from benchmarks.ledger import SaidCase
from benchmarks.link_faults import SIDES, Fault, Side, schedule
from benchmarks.made_cases import make_case
from benchmarks.proxied_link import Noticed
from cloud_sync import db
from cloud_sync.broker import EmbeddedBroker
from cloud_sync.store import open_store
from edge_agent.outbox import Outbox

PACE_S = (0.02, 0.12)
"""Between two cases: so that receipts come while cases go."""
FAULTS_S = 12.0
"""So long after the last case faults may still find their packet, and go on."""
SETTLE_S = 300.0
"""A link that swallows is left after a minute at the cloud, and a clip that was cut off is offered again after 10 s,
20 s and 40 s more."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one schedule."""

    number: int
    planned: tuple[Fault, ...]
    happened: tuple[Fault, ...]
    noticed: tuple[Noticed, ...]
    took_s: float
    waiting: int
    """Cases and clips without a receipt at the end."""
    found: dict[str, int]
    """The ledger, of all that was said in this lane so far."""

    @property
    def is_good(self) -> bool:
        return self.waiting == 0 and ledger.is_clean(self.found)


class Lane:
    """Device, cloud and the proxies between them. `prepare` starts processes, `open` the threads beside them."""

    def __init__(self, folder: Path, *, seed: int, cases: int, hosts: Hosts | None = None) -> None:
        self._folder, self._seed, self._cases, self._hosts = folder, seed, cases, hosts
        self._spoken: dict[str, SaidCase] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def prepare(self) -> None:
        """Broker, uplink and ingest run; nothing connects them yet. Before any thread: they are forked."""
        self._folder.mkdir()
        with self._inside("cloud"):
            self._broker = self._stack.enter_context(EmbeddedBroker(0, self._folder / "broker"))
            self._proxies = {side: self._proxy(side) for side in SIDES}
        device, cloud = make_configs(self._folder, self._broker.port)
        to_device, to_cloud = self._proxies["device"], self._proxies["cloud"]
        way = msgspec.structs.replace(device.broker, host=to_device.host, port=to_device.port)
        self._device = msgspec.structs.replace(device, broker=way)
        self._cloud = msgspec.structs.replace(
            cloud, broker=msgspec.structs.replace(cloud.broker, host=to_cloud.host, port=to_cloud.port)
        )
        db.open_database(self._cloud).dispose()
        starts = {"uplink": sending(self._device, self._folder), "ingest": taking_in(self._cloud, self._folder)}
        processes = Processes(starts)
        self._stack.callback(processes.stop)
        with self._inside("device"):
            processes.start("uplink")
        with self._inside("cloud"):
            processes.start("ingest")

    def open(self) -> None:
        """The links are there, and fair."""
        self._outbox = Outbox.open(self._device.outbox_path, self._device.spool_path)
        self._stack.callback(self._outbox.close)
        self._engine = db.open_database(self._cloud)
        self._stack.callback(self._engine.dispose)
        self._thread = self._stack.enter_context(ProxyThread(lambda: self._inside("cloud")))
        for proxy in self._proxies.values():
            proxy.pull_cable = self._hosts.pull if self._hosts else None
            self._thread.call(proxy.open())
            self._stack.callback(self._close, proxy)

    @property
    def broker(self) -> str:
        return self._broker.name

    def run(self, number: int) -> Outcome:
        """Lives through one schedule."""
        began_s, proxies = time.monotonic(), self._proxies.values()
        faults = schedule(self._seed, number, cable=self._hosts is not None)
        for proxy in proxies:
            self._thread.call(proxy.arm(faults))
        self._feed(number)
        until(lambda: all(proxy.is_quiet() for proxy in proxies), FAULTS_S)
        for proxy in proxies:
            self._thread.call(proxy.fair())
        until(lambda: self._waiting() == 0, SETTLE_S)
        return Outcome(
            number=number,
            planned=faults,
            happened=tuple(fault for proxy in proxies for fault in proxy.happened),
            noticed=tuple(noticed for proxy in proxies for noticed in proxy.noticed),
            took_s=round(time.monotonic() - began_s, 1),
            waiting=self._waiting(),
            found=ledger.compare(self._engine, self._spoken),
        )

    def last_word(self) -> dict[str, int]:
        """The ledger of all schedules, and of every clip's bytes."""
        return ledger.compare(self._engine, self._spoken, store=open_store(self._cloud))

    def _feed(self, number: int) -> None:
        pace = random.Random(f"pace {self._seed}/{number}")
        for case_number in numbers_of(number, self._cases):
            case = make_case(case_number, seed=self._seed)
            feeding.put(self._outbox, case, large=feeding.is_large(case_number))
            self._spoken[case.case_id] = ledger.said(self._outbox.spool.case_path(case.case_id).read_bytes())
            time.sleep(pace.uniform(*PACE_S))

    def _close(self, proxy: FaultProxy) -> None:
        self._thread.call(proxy.close())

    def _waiting(self) -> int:
        backlog = self._outbox.backlog()
        return backlog.cases + backlog.clips

    def _proxy(self, side: Side) -> FaultProxy:
        host = ADDRESSES["cloud"] if self._hosts and side == "device" else HOST
        return FaultProxy(side, (HOST, self._broker.port), host)

    def _inside(self, host: Name) -> AbstractContextManager:
        return self._hosts.inside(host) if self._hosts else nullcontext()


def numbers_of(schedule: int, cases: int) -> Iterable[int]:
    """The made cases of a schedule: no other one has any of them."""
    return range(schedule * cases + 1, (schedule + 1) * cases + 1)
