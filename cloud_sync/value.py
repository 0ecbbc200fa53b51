"""PURE. What errors and minutes cost a plant, and judged cases with scores -> limits to recommend, and what they save.

Compared are an inspector alone, and the machine deciding outside the two limits with an expert in between. Where both
say the same, right or wrong, nothing is gained or lost; so only the cases in which they differ, and those in between,
count, and the device sends nearly all of these. The older half of the cases chooses the limits, the newer half
measures them.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
import numpy as np

from cloud_sync.estimates import CONFIDENCE, FEWEST, Tally, at_most
from models.select import BOLDEST, GRID

LOWS = tuple(round(100 * float(low)) for low in GRID if low <= BOLDEST[0])
HIGHS = tuple(round(100 * float(high)) for high in GRID if high >= BOLDEST[1])
"""Limits to choose from, in hundredths, no bolder than any bundle's."""
Cost = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
Word = Literal["leak", "ok"]


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """In the plant's own currency."""

    miss: Cost
    """A leaking unit that is passed."""
    false_alarm: Cost
    """A good unit that is rejected."""
    expert_minute: Cost
    minutes_a_case: Annotated[float, msgspec.Meta(gt=0, le=60)] = 0.5
    inspector_a_unit: Cost = 0.0
    """What is saved where no inspector looks at a unit; 0: the inspector stays."""
    units_a_day: Annotated[float, msgspec.Meta(gt=0, le=1e6)] = 1000.0
    days_a_year: Annotated[float, msgspec.Meta(gt=0, le=366)] = 250.0
    leaking: Annotated[float, msgspec.Meta(gt=0, lt=1)] | None = None
    """Share of units that leak, where the plant knows better than these cases."""

    @property
    def look(self) -> float:
        return self.expert_minute * self.minutes_a_case


class Scored(Tally, frozen=True, kw_only=True):
    """Units with a score and an inspector's decision."""

    score: int
    """In hundredths, rounded down."""


class Saving(msgspec.Struct, frozen=True, kw_only=True):
    """What the recommended limits do. Money is for a year like the newer half of the cases; None: too few to say."""

    ok_below: float
    leak_above: float
    chosen_on: int
    """Judged cases of the older half."""
    measured_on: int
    """Judged cases of the newer half."""
    units: int
    """Units of the newer half."""
    unjudged: int
    leaking: float | None = None
    decided: float | None = None
    """Share of units that the machine would decide."""
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    """With 95 %, on every day. Drawn cases that nobody judged count as the worse for `low`, the better for `high`."""


class _Set(msgspec.Struct, frozen=True):
    """Units of one fate, and what each gains where it leaks and where it is good."""

    units: list[Scored]
    leak: float
    ok: float


def saving(units: Sequence[Scored], costs: Costs) -> Saving:
    """The recommendation. Where the newer half has too few judged cases, limits alone are given."""
    older, newer = _halves(units)
    low, high = _chosen(older, costs)
    found = Saving(
        ok_below=low / 100,
        leak_above=high / 100,
        chosen_on=_judged(older),
        measured_on=_judged(newer),
        units=_count(newer),
        unjudged=sum(one.units for one in newer if one.drawn and one.truth is None),
    )
    if found.measured_on < FEWEST:
        return found
    sets = _sets(newer, low, high, costs)
    a_year = costs.units_a_day * costs.days_a_year / _count(newer)
    plain = costs.inspector_a_unit * _count(newer)
    least, most = _interval(sets)
    return msgspec.structs.replace(
        found,
        leaking=_leaking(newer),
        decided=sum(one.units for one in newer if not low <= one.score < high) / _count(newer),
        estimate=a_year * (plain + sum(_gain(group) for group in sets)),
        low=a_year * (plain + least),
        high=a_year * (plain + most),
    )


def _chosen(units: Sequence[Scored], costs: Costs) -> tuple[int, int]:
    """The limits that gain most on these cases; the wider ones where they gain the same or nothing was judged."""
    pairs = [(low, high) for low in LOWS for high in reversed(HIGHS)]
    gains = [round(sum(_gain(group) for group in _sets(units, *pair, costs)), 6) for pair in pairs]
    return pairs[int(np.argmax(gains))] if _judged(units) else pairs[0]


def _sets(units: Sequence[Scored], low: int, high: int, costs: Costs) -> list[_Set]:
    leaks, goods = _scale(units, costs.leaking)
    passed = [one for one in units if one.score < low and one.decision == "leak"]
    stopped = [one for one in units if one.score >= high and one.decision == "ok"]
    between = [one for one in units if low <= one.score < high]
    looked_ok = [one for one in between if one.decision == "ok"]
    looked_leak = [one for one in between if one.decision == "leak"]
    return [
        _Set(passed, -costs.miss * leaks, costs.false_alarm * goods),
        _Set(stopped, costs.miss * leaks, -costs.false_alarm * goods),
        _Set(looked_ok, (costs.miss - costs.look) * leaks, -costs.look * goods),
        _Set(looked_leak, -costs.look * leaks, (costs.false_alarm - costs.look) * goods),
    ]


def _gain(group: _Set) -> float:
    """Estimate: judged units stand for those that are not, by their probabilities; where none is judged, as if good."""
    total = 0.0
    for always in (True, False):
        units = [one for one in group.units if (one.probability >= 1) == always]
        share = _leak_share(units)
        total += _count(units) * (group.leak * share + group.ok * (1 - share))
    return total


def _interval(sets: Sequence[_Set]) -> tuple[float, float]:
    """Two bounds a set, each with its part of the risk."""
    risk = (1 - CONFIDENCE) / (2 * len(sets))
    least = most = 0.0
    for group in sets:
        count = _count(group.units)
        worse, better = ("leak", "ok") if group.leak < group.ok else ("ok", "leak")
        gain = {"leak": group.leak, "ok": group.ok}
        worst, best = at_most(group.units, worse, risk), at_most(group.units, better, risk)
        least += worst * gain[worse] + (count - worst) * gain[better]
        most += best * gain[better] + (count - best) * gain[worse]
    return least, most


def _scale(units: Sequence[Scored], leaking: float | None) -> tuple[float, float]:
    """How much more often units leak, and are good, than here."""
    here = _leaking(units)
    if leaking is None or here is None or not 0 < here < 1:
        return 1.0, 1.0
    return leaking / here, (1 - leaking) / (1 - here)


def _leaking(units: Sequence[Scored]) -> float | None:
    """Estimated share of units that leak."""
    groups = [[one for one in units if (one.decision, one.probability >= 1) == key] for key in _KEYS]
    total = _count(units)
    return sum(_count(group) * _leak_share(group) for group in groups) / total if total else None


_KEYS = [(decision, always) for decision in ("ok", "leak") for always in (True, False)]


def _leak_share(units: Sequence[Scored]) -> float:
    judged = [one for one in units if one.drawn and one.truth in ("leak", "ok")]
    weight = sum(one.units / one.probability for one in judged)
    leaks = sum(one.units / one.probability for one in judged if one.truth == "leak")
    return leaks / weight if weight else 0.0


def _halves(units: Sequence[Scored]) -> tuple[list[Scored], list[Scored]]:
    """By day, so that each has about half of the judged cases."""
    half, so_far, last = _judged(units) / 2, 0, None
    for one in sorted(units, key=lambda one: one.day):
        if so_far >= half and one.day != last:
            return [two for two in units if two.day < one.day], [two for two in units if two.day >= one.day]
        so_far, last = so_far + (one.units if one.truth is not None and one.drawn else 0), one.day
    return list(units), []


def _judged(units: Sequence[Scored]) -> int:
    return sum(one.units for one in units if one.drawn and one.truth is not None)


def _count(units: Sequence[Tally]) -> int:
    return sum(one.units for one in units)
