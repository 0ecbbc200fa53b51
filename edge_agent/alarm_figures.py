"""Events of alarms -> how many people had to look at, when it was too many, and which alarms are to blame. PURE.

Counted is what asked somebody to look: not what was shelved, suppressed or out of service.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import msgspec

from edge_agent.alarm_catalogue import FigureRules
from edge_agent.alarms import Event
from edge_agent.messages import Alarm

TEN_MIN_S, HOUR_S = 600.0, 3600.0
MOST_FREQUENT = 10


class Often(msgspec.Struct, frozen=True):
    """One alarm and how often it came."""

    id: str
    told: int
    share: float
    """Of all."""


class Standing(msgspec.Struct, frozen=True):
    """One alarm that stands for too long."""

    id: str
    hours: float


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The history of some time, measured. Times are UTC, in seconds since 1970."""

    from_s: float
    until_s: float
    told: int
    per_10_min: float
    """Mean, per operator."""
    aim_per_10_min: float
    worst_10_min: int
    """The most within any ten minutes."""
    flood_share: float
    """Of the ten-minute spans, those with a flood."""
    worst_hour: int
    worst_hour_at_s: float | None
    """When it began; None where nothing came."""
    most_frequent: tuple[Often, ...]
    chattering: tuple[Often, ...]
    """Those that came several times within a minute, with how often they did."""
    stale: tuple[Standing, ...]

    @property
    def is_within_aim(self) -> bool:
        return self.per_10_min <= self.aim_per_10_min


def figures(
    events: Sequence[Event], active: Sequence[Alarm], rules: FigureRules, *, span_s: tuple[float, float]
) -> Figures:
    """`events` of the span from and until UTC seconds, `active`: at its end."""
    from_s, until_s = span_s
    told = sorted((event for event in events if event.told and from_s <= event.at_s < until_s), key=lambda e: e.at_s)
    times = [event.at_s for event in told]
    spans = max(1.0, (until_s - from_s) / TEN_MIN_S)
    slots = Counter(int((at - from_s) // TEN_MIN_S) for at in times)
    worst_hour, worst_hour_at_s = _worst(times, HOUR_S)
    counts = Counter(event.id for event in told)
    return Figures(
        from_s=from_s,
        until_s=until_s,
        told=len(told),
        per_10_min=len(told) / spans / rules.operators,
        aim_per_10_min=rules.aim_per_10_min,
        worst_10_min=_worst(times, TEN_MIN_S)[0],
        flood_share=sum(count > rules.flood_per_10_min for count in slots.values()) / spans,
        worst_hour=worst_hour,
        worst_hour_at_s=worst_hour_at_s,
        most_frequent=_often(counts, len(told))[:MOST_FREQUENT],
        chattering=_chattering(told, rules),
        stale=_stale(active, rules, until_s),
    )


def _worst(times: Sequence[float], span_s: float) -> tuple[int, float | None]:
    """The most in any span of that length, and when the first such began."""
    most, began_s, first = 0, None, 0
    for last, at in enumerate(times):
        while at - times[first] >= span_s:
            first += 1
        if last - first + 1 > most:
            most, began_s = last - first + 1, times[first]
    return most, began_s


def _often(counts: Counter[str], all_of_them: int) -> tuple[Often, ...]:
    ranked = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    return tuple(Often(id, count, count / all_of_them) for id, count in ranked)


def _chattering(told: Sequence[Event], rules: FigureRules) -> tuple[Often, ...]:
    counts: Counter[str] = Counter()
    for id in {event.id for event in told}:
        times = [event.at_s for event in told if event.id == id]
        nth = rules.chatter_count - 1
        counts[id] = sum(later - first < rules.chatter_s for first, later in zip(times, times[nth:], strict=False))
    return _often(Counter({id: count for id, count in counts.items() if count}), len(told))


def _stale(active: Sequence[Alarm], rules: FigureRules, now_s: float) -> tuple[Standing, ...]:
    ages = [(alarm.id, (now_s - datetime.fromisoformat(alarm.since).timestamp()) / HOUR_S) for alarm in active]
    return tuple(Standing(id, round(hours, 1)) for id, hours in ages if hours >= rules.stale_h)
