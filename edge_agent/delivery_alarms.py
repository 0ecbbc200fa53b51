"""Backlog and free space -> the conditions that only the uplink sees; those of the tank come from elsewhere."""

from edge_agent.alarms import Condition
from edge_agent.outbox import Backlog


def conditions(backlog: Backlog, free_bytes: int, *, keep_free_bytes: int) -> tuple[Condition, ...]:
    """Age of the oldest case in seconds; free space as a share of what is kept free. The catalogue has the limits."""
    waiting = Condition(
        id="no-receipts",
        words=f"{backlog.cases} cases wait for the cloud's receipt, {_age(backlog.oldest_s)}",
        value=backlog.oldest_s,
    )
    space = Condition(
        id="disk-space",
        words=f"{free_bytes / 1e6:.0f} MB are free on the device",
        value=free_bytes / keep_free_bytes if keep_free_bytes else None,
    )
    return (*([waiting] if backlog.oldest_s is not None else ()), *([space] if keep_free_bytes else ()))


def _age(oldest_s: float | None) -> str:
    return f"the oldest for {(oldest_s or 0.0) / 3600:.1f} h"
