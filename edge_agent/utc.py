"""Seconds since 1970 <-> UTC as every message and file of ours writes it: ISO 8601, in milliseconds, with a Z. PURE."""

from datetime import UTC, datetime


def text(seconds: float) -> str:
    """Such as 2026-11-29T14:00:00.250Z."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds(moment: str | None) -> float | None:
    """What `text` wrote -> seconds since 1970; None where it is no time."""
    try:
        at = datetime.fromisoformat(moment or "")
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
