"""Backlog and free space -> the alarms that only the uplink can raise; those of the tank come from elsewhere."""

from edge_agent.messages import Alarm
from edge_agent.outbox import Backlog

SILENT_S = 3600.0
"""A case that waits longer for its receipt is worth an alarm."""


def active(
    backlog: Backlog, free_bytes: int, *, keep_free_bytes: int, utc: str, before: tuple[Alarm, ...]
) -> tuple[Alarm, ...]:
    """The alarms that hold now; one that held `before` stays as it was raised."""
    found = []
    if backlog.oldest_s is not None and backlog.oldest_s > SILENT_S:
        found.append(_no_receipts(backlog, utc))
    if free_bytes < keep_free_bytes // 2:
        found.append(_disk_space(free_bytes, utc))
    old = {alarm.id: alarm for alarm in before}
    return tuple(old.get(alarm.id, alarm) for alarm in found)


def _no_receipts(backlog: Backlog, utc: str) -> Alarm:
    return Alarm(
        id="no-receipts",
        priority="medium",
        text=f"{backlog.cases} cases wait for the cloud's receipt, the oldest for more than an hour",
        since=utc,
        cause="the broker takes messages, but the cloud does not confirm them",
        consequence="nothing is lost; experts do not see these cases",
        action="check that the cloud's ingest runs and reaches this broker",
    )


def _disk_space(free_bytes: int, utc: str) -> Alarm:
    return Alarm(
        id="disk-space",
        priority="high",
        text=f"{free_bytes / 1e6:.0f} MB are free on the device",
        since=utc,
        cause="clips that the cloud has not confirmed fill the disk, or something else does",
        consequence="when it is full, cases wait in memory and are lost at a power cut",
        action="mend the way to the cloud or free space on the device",
    )
