"""Outbox and machine -> what the uplink says of itself: its software metrics and the conditions that only it sees.

Looked at each second; a disk that cannot be asked leaves what was known before.
"""

from dataclasses import dataclass

import msgspec

from edge_agent import delivery_alarms
from edge_agent.alarms import Condition
from edge_agent.machine import Machine, MachineFigures, OwnProcess
from edge_agent.messages import SoftwareMetrics
from edge_agent.outbox import Backlog, Outbox
from edge_agent.state import DeviceState, Process

BYTES_EVERY_S = 10.0
"""Looks at the file of each clip that waits: after days without a network there are thousands."""
WEIGHED_AT_ONCE = 200
"""So few are weighed whenever their number has changed."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What went over the wire since start."""

    sent: int = 0
    receipted: int = 0
    resent: int = 0
    reconnects: int = 0


class UplinkHealth:
    """One run of the uplink, which began at `started_s` on the clock that nobody sets."""

    def __init__(self, outbox: Outbox, *, version: str, started_s: float, keep_free_bytes: int) -> None:
        self._outbox, self._version, self._started_s = outbox, version, started_s
        self._keep_free_bytes = keep_free_bytes
        self._machine, self._process = Machine(outbox.spool.folder), OwnProcess()
        self._backlog = Backlog(0, 0, None)
        self._waiting_bytes, self._weighed_s = 0, float("-inf")
        self.conditions: tuple[Condition, ...] = ()
        """For the alarms that only the uplink can raise."""

    def look(self, now_s: float) -> None:
        """At the outbox, and what follows from it. Raises StoreError where it cannot be used."""
        before, self._backlog = self._backlog, self._outbox.backlog()
        many = self._backlog.cases + self._backlog.clips
        changed = (before.cases, before.clips) != (self._backlog.cases, self._backlog.clips)
        if now_s - self._weighed_s >= BYTES_EVERY_S or (changed and many <= WEIGHED_AT_ONCE):
            self._waiting_bytes, self._weighed_s = self._outbox.waiting_bytes(), now_s
        free_bytes = self._outbox.spool.free_bytes()
        self.conditions = delivery_alarms.conditions(self._backlog, free_bytes, keep_free_bytes=self._keep_free_bytes)

    def software(self, now_s: float, traffic: Traffic, seen: DeviceState | None) -> SoftwareMetrics:
        """As the outbox was at the last look; the machine as it is now. `seen`: what the inspection says."""
        machine = self._machine.look(now_s)
        own, inspection = self._process.look(), seen.process if seen else None
        return SoftwareMetrics(
            version=self._version,
            uptime_s=round(now_s - self._started_s, 1),
            disk_free_mb=machine.disk_free_mb or 0.0,
            waiting_cases=self._backlog.cases,
            waiting_clips=self._backlog.clips,
            waiting_bytes=self._waiting_bytes,
            oldest_waiting_s=self._backlog.oldest_s,
            sent=traffic.sent,
            receipted=traffic.receipted,
            resent=traffic.resent,
            reconnects=max(0, traffic.reconnects),
            resident_mb=own.resident_mb,
            cpu_s=own.cpu_s,
            inspect_starts=seen.inspect_starts if seen else 0,
            inspect_started_at=inspection.started_at if inspection else None,
            inspect_cpu_s=inspection.cpu_s if inspection else None,
            inspect_resident_mb=inspection.resident_mb if inspection else None,
            **_named(machine),
        )

    @property
    def process(self) -> Process:
        """What this process takes."""
        return self._process.look()

    @property
    def waiting_bytes(self) -> int:
        return self._waiting_bytes


def _named(machine: MachineFigures) -> dict[str, float | None]:
    """The figures that have the same name on the wire."""
    told = msgspec.structs.asdict(machine)
    del told["disk_free_mb"]
    return told
