"""PURE. A station's units of late and before, by slices -> the slices that have become worse, with multiplicity paid.

Each slice is asked twice: is the machine uncertain more often, and does it disagree with the inspector more often?
Fisher's exact test, one-sided; Holm's procedure over all questions, so that with 95 % no slice is named for nothing.
"""

from collections.abc import Iterable, Sequence

import msgspec

from cloud_sync import fisher
from cloud_sync.slices import CLARITY_LIMITS, Slice, band, shift

RISK = 0.05
LEAST_UNITS = 30
"""In each of the two times: fewer show nothing after the others were paid for."""
SERIAL_LETTERS = 4
"""Of a serial that tell what is made, as far as anybody can know from here."""
LATEST_DAYS, BEFORE_DAYS = 7, 35


class UnitWords(msgspec.Struct, frozen=True):
    """One unit, as far as slices look at it."""

    started_at: float
    verdict: str
    decision: str
    bundle_version: int
    serial: str | None
    clarity: float | None
    light_levels: float | None


class Worse(msgspec.Struct, frozen=True):
    """A slice that has become worse. Shares are of the units of which the question can be asked."""

    slice: Slice
    question: str
    lately: tuple[int, int]
    """Events, units."""
    before: tuple[int, int]
    p: float
    """After Holm: compare with RISK."""


def worse(units: Sequence[UnitWords], since: float, lights: tuple[float, ...]) -> list[Worse]:
    """Units from `since` on against those before it. `lights`: limits of the light's bands (`slices.light_limits`)."""
    counts: dict[tuple[Slice, str], list[int]] = {}
    for one in units:
        asked = answers(one)
        for slice in slices_of(one, lights):
            for question, is_event in asked.items():
                row = counts.setdefault((slice, question), [0, 0, 0, 0])
                place = 0 if one.started_at >= since else 2
                row[place] += is_event
                row[place + 1] += 1
    tested = [
        Worse(slice, question, (row[0], row[1]), (row[2], row[3]), fisher.p_of_more(*row))
        for (slice, question), row in counts.items()
        if min(row[1], row[3]) >= LEAST_UNITS
    ]
    return [one for one in _holm(tested) if one.p <= RISK]


def answers(one: UnitWords) -> dict[str, int]:
    """Question -> 1 where the answer is a bad one; only those that can be asked of this unit."""
    if one.verdict == "not_tested":
        return {}
    found = {"uncertain": int(one.verdict == "uncertain")}
    if one.verdict != "uncertain" and one.decision in ("ok", "leak"):
        found["disagrees"] = int(one.verdict != one.decision)
    return found


def slices_of(one: UnitWords, lights: tuple[float, ...]) -> list[Slice]:
    """By product, shift, bundle, water and light; the station as a whole is one as well."""
    found = [
        Slice("all", "all units"),
        Slice("shift", shift(one.started_at)),
        Slice("bundle", f"version {one.bundle_version}"),
        Slice("water", band(one.clarity, CLARITY_LIMITS, "clarity")),
    ]
    if lights:
        found.append(Slice("light", band(one.light_levels, lights, "grey level")))
    if one.serial:
        found.append(Slice("serial", f"begins with {one.serial[:SERIAL_LETTERS]}"))
    return found


def _holm(tested: Iterable[Worse]) -> list[Worse]:
    """Adjusted, the smallest first."""
    ordered, highest = sorted(tested, key=lambda one: one.p), 0.0
    found = []
    for number, one in enumerate(ordered):
        highest = max(highest, min(1.0, one.p * (len(ordered) - number)))
        found.append(msgspec.structs.replace(one, p=highest))
    return found
