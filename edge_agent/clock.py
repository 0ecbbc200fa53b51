"""Whether the device's clock can be right: it is not before what is known to have been. Setting it is for others."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

SLACK = timedelta(hours=1)
"""Two clocks that nobody keeps together may differ by so much."""


def software_from() -> datetime:
    """When the newest file of this software was written, UTC."""
    newest = max(path.stat().st_mtime for path in Path(__file__).parent.glob("*.py"))
    return datetime.fromtimestamp(newest, UTC)


def fault(now: datetime, software: datetime, signed: datetime | None) -> str:
    """Why `now` cannot be the time, in words with the cure; empty where it can. `signed`: by the cloud's own clock."""
    cure = "set it, or let systemd-timesyncd or chrony do so"
    if now < software:
        return f"the clock says {now:%Y-%m-%d %H:%M} UTC, but this software is from {software:%Y-%m-%d}: {cure}"
    if signed is not None and now < signed - SLACK:
        limit = f"limit {SLACK.total_seconds() / 60:.0f} minutes behind"
        return f"the clock says {now:%Y-%m-%d %H:%M} UTC, the cloud signed at {signed:%Y-%m-%d %H:%M}, {limit}: {cure}"
    return ""
