"""When a shift began and ends, by the clock on the wall. PURE: the time and the zone are handed in.

A time that is left out when clocks go forward begins its shift as if they had not; one that comes twice begins it once.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta, tzinfo

import msgspec

MIDNIGHT = ("00:00",)
"""A plant that names no shift counts by the day."""


class Shift(msgspec.Struct, frozen=True):
    """UTC, seconds since 1970; `words`: such as 06:00–14:00, by the clock on the wall."""

    begins: float
    ends: float
    words: str


class Counts(msgspec.Struct, frozen=True):
    """Units of a shift."""

    shift: Shift
    units: int = 0
    good: int = 0
    leak: int = 0
    undecided: int = 0
    """Nobody has decided, neither the inspector nor the machine."""
    not_tested: int = 0
    """By the machine; they are among the others too, for the inspector decides on them."""


def shift_at(now: float, begins: Sequence[str], zone: tzinfo) -> Shift:
    """The shift of a moment. `begins`: HH:MM each, in any order."""
    today = datetime.fromtimestamp(now, zone).date()
    moments = sorted(
        {
            datetime.combine(today + timedelta(days=day), _time(begin), zone).astimezone(UTC).timestamp()
            for day in (-1, 0, 1)
            for begin in begins or MIDNIGHT
        }
    )
    began = max(moment for moment in moments if moment <= now)
    ends = min(moment for moment in moments if moment > now)
    return Shift(began, ends, f"{clock(began, zone)}–{clock(ends, zone)}")


def clock(moment: float, zone: tzinfo) -> str:
    """HH:MM, on the wall."""
    return datetime.fromtimestamp(moment, zone).strftime("%H:%M")


def _time(begin: str) -> time:
    return datetime.strptime(begin, "%H:%M").time()
