"""PURE. Judged cases -> what to work on next: slices with their share of the errors, their gap to people, and the gain.

A case counts as often as its sampling probability says that it stands for others. An error is leak said of a good unit
or ok of a leaky one; `uncertain` and `not_tested` are no errors. Sources: Kish (1965) for the effective number of
weighted cases; Wilson (1927) for the interval of a share.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from math import sqrt

import msgspec

from cloud_sync import slices
from cloud_sync.slices import Judged, Slice

Z = 1.959964
"""Of a two-sided interval of 95 %."""
FEWEST_CASES, FEWEST_ERRORS = 10, 3
"""With less nothing is said of a slice."""
SURE = ("agreed", "adjudicated")
ANSWERS = ("leak", "ok")


class Rate(msgspec.Struct, frozen=True):
    """A weighted share with its interval; `cases` that were looked at, `of` them are errors."""

    cases: int
    of: int
    share: float
    low: float
    high: float


class Finding(msgspec.Struct, frozen=True):
    """What is known of a slice."""

    slice: Slice
    machine: Rate
    inspector: Rate | None
    """Inspectors' decisions against what counts as true."""
    expert: Rate | None
    """Single experts against what two agreed on or a third settled."""
    share: Rate
    """Of all errors."""
    gap: float | None
    """The machine's error rate over people's; None where people's is not known."""
    gain: float | None
    """By how much the error rate over all cases would fall if the gap were closed."""
    too_few: bool


def analyse(cases: Sequence[Judged]) -> list[Finding]:
    """Every slice with an error, the largest gain first; what is too small to tell comes last. What holds every case is
    no slice."""
    lights = slices.light_limits(cases)
    members: dict[Slice, list[Judged]] = defaultdict(list)
    for one in cases:
        for which in slices.slices_of(one, lights):
            members[which].append(one)
    parts = {one: inside for one, inside in members.items() if len(inside) < len(cases) and any(map(is_error, inside))}
    found = [_finding(one, inside, cases) for one, inside in parts.items()]
    return sorted(found, key=lambda one: (one.too_few, -(one.gain or 0.0), -one.share.share, one.slice))


def overall(cases: Sequence[Judged]) -> Rate | None:
    """The machine's error rate over everything that it answered."""
    return _rate([one for one in cases if one.verdict in ANSWERS], is_error)


def is_error(one: Judged) -> bool:
    return one.verdict in ANSWERS and one.verdict != one.truth


def human_error(cases: Sequence[Judged]) -> tuple[Rate | None, Rate | None]:
    """(inspectors', single experts')"""
    decided = [one for one in cases if one.decision in ANSWERS]
    return _rate(decided, lambda one: one.decision != one.truth), _expert(cases)


def weighted(weights: Sequence[float], hits: Sequence[bool]) -> tuple[float, float, float]:
    """(share, low, high) of what hits; 95 %."""
    total = sum(weights)
    share = sum(weight for weight, hit in zip(weights, hits, strict=True) if hit) / total
    effective = total**2 / sum(weight**2 for weight in weights)
    centre = (share + Z**2 / (2 * effective)) / (1 + Z**2 / effective)
    half = Z * sqrt(share * (1 - share) / effective + Z**2 / (4 * effective**2)) / (1 + Z**2 / effective)
    return share, min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half))


def _finding(which: Slice, inside: Sequence[Judged], cases: Sequence[Judged]) -> Finding:
    answered = [one for one in inside if one.verdict in ANSWERS]
    machine, (inspector, expert) = _rate(answered, is_error), human_error(inside)
    errors, keys = [one for one in cases if is_error(one)], {one.case_id for one in inside}
    share = _rate(errors, lambda one: one.case_id in keys)
    assert machine is not None and share is not None
    people = [rate.share for rate in (inspector, expert) if rate is not None and rate.cases >= FEWEST_CASES]
    gap = machine.share - min(people) if people else None
    part = _weight(answered) / _weight([one for one in cases if one.verdict in ANSWERS])
    return Finding(
        slice=which,
        machine=machine,
        inspector=inspector,
        expert=expert,
        share=share,
        gap=gap,
        gain=None if gap is None else max(0.0, gap) * part,
        too_few=machine.cases < FEWEST_CASES or machine.of < FEWEST_ERRORS,
    )


def _expert(cases: Sequence[Judged]) -> Rate | None:
    pairs = [(one, said) for one in cases if one.state in SURE for said in one.opinions if said.judgement in ANSWERS]
    if not pairs:
        return None
    hits = [said.judgement != one.truth for one, said in pairs]
    return Rate(len(pairs), sum(hits), *weighted([1 / one.probability for one, _ in pairs], hits))


def _rate(cases: Sequence[Judged], hit: Callable[[Judged], bool]) -> Rate | None:
    if not cases:
        return None
    hits = [hit(one) for one in cases]
    return Rate(len(cases), sum(hits), *weighted([1 / one.probability for one in cases], hits))


def _weight(cases: Sequence[Judged]) -> float:
    return sum(1 / one.probability for one in cases)
