"""PURE. Judged cases -> the slices that each is in: tag, station, shift, light, murk, leak rate, kind seen, sampling.

A slice is a group and a name; a case is in one of most groups and in as many tags as it has.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
import numpy as np

SHIFTS = (("early, 6 to 14 UTC", 6, 14), ("late, 14 to 22 UTC", 14, 22))
NIGHT = "night, 22 to 6 UTC"
CLARITY_LIMITS = (0.4, 0.6, 0.8)
RATE_LIMITS = (1e-4, 1e-3, 1e-2)
"""std cm3/s"""
LEAST_FOR_TERCILES = 9


class Opinion(msgspec.Struct, frozen=True):
    """The first, blind word of one expert on a case."""

    by: str
    judgement: str


class Judged(msgspec.Struct, frozen=True):
    """A case whose truth is known, as far as an analysis of errors looks at it."""

    case_id: str
    place: str
    """site/station"""
    started_at: float
    verdict: str
    decision: str
    truth: str
    """leak, ok"""
    state: str
    """single, agreed, adjudicated"""
    probability: float
    """With which it was drawn; 1 over it is how many cases it stands for. 1 where somebody picked it."""
    sampled_for: str
    clarity: float | None = None
    light_levels: float | None = None
    leak_std_cm3_s: float | None = None
    seen: str | None = None
    tags: tuple[str, ...] = ()
    opinions: tuple[Opinion, ...] = ()


class Slice(msgspec.Struct, frozen=True, order=True):
    """Some of the cases."""

    group: str
    name: str


def light_limits(cases: Sequence[Judged]) -> tuple[float, ...]:
    """Two grey levels that cut the cases into thirds by light; none where too few were measured or all are alike."""
    return light_limits_of([one.light_levels for one in cases])


def light_limits_of(levels: Sequence[float | None]) -> tuple[float, ...]:
    """The same of grey levels, None where one was not measured."""
    known = [one for one in levels if one is not None]
    if len(known) < LEAST_FOR_TERCILES:
        return ()
    low, high = (round(float(value), 1) for value in np.quantile(known, (1 / 3, 2 / 3)))
    return (low, high) if low < high else ()


def slices_of(one: Judged, lights: tuple[float, ...]) -> list[Slice]:
    """Where a case belongs; what was not measured is a slice of its own, for it may be what matters."""
    named = {
        "station": one.place,
        "shift": shift(one.started_at),
        "murk": band(one.clarity, CLARITY_LIMITS, "clarity"),
        "light": band(one.light_levels, lights, "grey level") if lights else "",
        "leak rate": band(one.leak_std_cm3_s, RATE_LIMITS, "std cm3/s"),
        "seen": one.seen or "not said",
        "sampled for": one.sampled_for,
    }
    return [Slice(group, name) for group, name in named.items() if name] + [Slice("tag", tag) for tag in one.tags]


def shift(started_at: float) -> str:
    hour = datetime.fromtimestamp(started_at, UTC).hour
    return next((name for name, first, end in SHIFTS if first <= hour < end), NIGHT)


def band(value: float | None, limits: Sequence[float], unit: str) -> str:
    """The words for the part between two limits into which a value falls."""
    if value is None:
        return f"{unit} unknown"
    below = [limit for limit in limits if limit <= value]
    above = [limit for limit in limits if limit > value]
    if not below:
        return f"{unit} below {above[0]:g}"
    return f"{unit} {below[-1]:g} to {above[0]:g}" if above else f"{unit} {below[-1]:g} and more"
