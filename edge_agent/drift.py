"""Daily figures of a station -> evidence that one of them has moved for good, under one declared rate of alarms. PURE.

A block is a day's mean (days with few cases wait for the next). Against the station's own good weeks: where a block
falls among REFERENCE_BLOCKS frozen ones, each moved outwards by the quantity's tolerance. While blocks and reference
are exchangeable the chance of the next block's place is known exactly, however few they are: a place that held k of t
blocks so far, and is `size` of the reference's gaps wide, has (size + k) / (REFERENCE_BLOCKS + 1 + t). Against the
training data: what share of a block lies beyond them, where a share is tolerated. Bets at those odds are fair or worse.

Each test's evidence starts anew with every block (M = (1 + M) e, Shiryaev & Roberts) and alarms at `limit`. M less the
blocks so far is no more than fair, so a test alarms once in `limit` blocks at most in the long run, and all tests of a
station together once in MEAN_DAYS_BETWEEN_FALSE_ALARMS days, whatever they have to do with each other: expected
numbers add up (Shin, Ramdas & Rinaldo 2023; Vovk, Gammerman & Shafer 2005 for the places). docs/drift.md has the proof,
and what happens where days are not exchangeable.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Annotated, Literal

import msgspec

MEAN_DAYS_BETWEEN_FALSE_ALARMS = 90
REFERENCE_BLOCKS = 20
"""Four weeks of five days."""
GROUPS = (1, 2, 3, 5, 10)
"""Gaps between reference blocks, from beyond all of them inwards; they are REFERENCE_BLOCKS + 1 together."""
PLACE_BETS = ((0.85, 0.06, 0.04, 0.03, 0.02), (0.40, 0.25, 0.17, 0.10, 0.08))
"""Shares of the stake on each group: for what has plainly moved, and for what has moved a little."""
LEAST_SPREADS = 1.25
"""No tolerance is less than so many standard deviations of the reference: a day is more like the day before than like
one of another week, and evidence is not to add up from that."""
SHARE_BETS = (0.1, 0.3, 0.7)
"""Parts of the stake on a share that is larger than tolerated."""
CALM_BLOCKS = 3
"""So many blocks running that are as in the good weeks, or within what is tolerated, end an alarm."""
SET_BACK = timedelta(days=2)
"""A clock that was right is set back by less."""
Side = Literal["up", "down"]
Day = Annotated[str, msgspec.Meta(pattern=r"^([0-9]{4}-[0-9]{2}-[0-9]{2})?\Z")]
"""ISO 8601, or empty."""


class Quantity(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is watched. Its name is that in the files; `words` and `unit` are for people."""

    name: str
    words: str
    unit: str = ""
    cure: str
    sides: tuple[Side, ...]
    """Which way it has to move to be an alarm."""
    tolerance: float = 0.0
    """Smallest move that is worth an alarm; less is weather, seasons and habits."""
    relative: bool = False
    """The tolerance is a share of the reference's median."""
    tolerated: float | None = None
    """Against the training data: the share of cases that may lie beyond them. None: against the own good weeks."""
    least: int = 30
    """Cases of a block."""
    lapses: bool = True
    """It says something of the machine, so that the mode comes down; else it says something of the plant."""
    good_from: float | None = None
    good_to: float | None = None
    """Weeks whose mean is outside are no good weeks: the learning of everything begins again."""


class Watch(msgspec.Struct, frozen=True):
    """One quantity in one direction. `seen`: blocks by group. `evidence`: of each bet, since ever."""

    seen: tuple[int, ...] = (0,) * len(GROUPS)
    evidence: tuple[float, ...] = ()
    run: float = 1.0
    """Evidence of the bets together since `since`; it never goes below 1 (CUSUM): when the move began, not whether."""
    since: Day = ""
    """Empty while nothing points to a move."""
    moved: float = 0.0
    """Sum of the blocks since then."""
    blocks: int = 0
    """How many these are."""
    calm: int = 0
    alarmed: bool = False
    strength: float = 0.0
    """What was held against the limit at the last block. Evidence that has alarmed is used up after it."""

    def __post_init__(self) -> None:
        if len(self.seen) != len(GROUPS) or len(self.evidence) not in (0, len(PLACE_BETS), len(SHARE_BETS)):
            raise ValueError("this is no watch of these tests")


class Track(msgspec.Struct, frozen=True):
    """All that is kept of one quantity: the open block, the reference, the tests."""

    day: Day = ""
    """Of the open block's last case."""
    began: Day = ""
    total: float = 0.0
    cases: int = 0
    reference: tuple[float, ...] = ()
    watches: dict[str, Watch] = {}
    """By side."""

    def __post_init__(self) -> None:
        if len(self.reference) > REFERENCE_BLOCKS:
            raise ValueError("this is no track of these tests")


def limit(quantities: Sequence[Quantity]) -> float:
    """The evidence at which one test of a station alarms: all of them share the declared rate alike."""
    return float(MEAN_DAYS_BETWEEN_FALSE_ALARMS * sum(len(one.sides) for one in quantities))


def added(track: Track, quantity: Quantity, *, day: str, value: float, most: float) -> Track:
    """One case more. A later day (ISO 8601) closes the block, if enough cases are in it. `most`: the limit."""
    if day > track.day and track.cases >= quantity.least:
        track = closed(track, quantity, most=most)
    return msgspec.structs.replace(
        track,
        day=day if _was_ahead(track.day, day) else max(day, track.day),
        began=track.began if track.cases else day,
        total=track.total + value,
        cases=track.cases + 1,
    )


def closed(track: Track, quantity: Quantity, *, most: float) -> Track:
    """The open block is at its end: it is learnt, or tested."""
    value, began = track.total / track.cases, track.began
    track = msgspec.structs.replace(track, began="", total=0.0, cases=0)
    if is_learning(track, quantity):
        return msgspec.structs.replace(track, reference=(*track.reference, value))
    watches = {
        side: _stepped(track.watches.get(side, Watch()), _bets(track, quantity, side, value), began, value, most=most)
        for side in quantity.sides
    }
    return msgspec.structs.replace(track, watches=watches)


def is_learning(track: Track, quantity: Quantity) -> bool:
    """Whether the station's own good weeks are not over yet."""
    return quantity.tolerated is None and len(track.reference) < REFERENCE_BLOCKS


def is_good(track: Track, quantity: Quantity) -> bool:
    """Whether the weeks that were learnt may count as good, by this quantity; while they are learnt nobody asks."""
    if is_learning(track, quantity) or not track.reference:
        return True
    mean = sum(track.reference) / len(track.reference)
    low, high = quantity.good_from, quantity.good_to
    return (low is None or mean >= low) and (high is None or mean <= high)


def usual(track: Track, quantity: Quantity) -> float | None:
    """What the quantity is like in the good weeks (median), or may be by the training data; None while it is learnt."""
    if quantity.tolerated is not None:
        return quantity.tolerated
    return None if is_learning(track, quantity) else _median(track.reference)


def tolerance_of(reference: Sequence[float], quantity: Quantity) -> float:
    """How far a block may lie from the reference before it counts as further out."""
    declared = quantity.tolerance * (abs(_median(reference)) if quantity.relative else 1.0)
    mean = sum(reference) / len(reference)
    spread = (sum((one - mean) ** 2 for one in reference) / (len(reference) - 1)) ** 0.5
    return max(declared, LEAST_SPREADS * spread)


def group_of(reference: Sequence[float], value: float, *, side: Side, tolerance: float) -> int:
    """Which of GROUPS a block falls into: 0 is beyond all of the reference. Equal values count as further inside."""
    sign = 1 if side == "up" else -1
    further = sum(sign * one + tolerance >= sign * value for one in reference)
    upto = 0
    for number, size in enumerate(GROUPS):
        upto += size
        if further < upto:
            return number
    raise AssertionError("GROUPS cover all places")


def _was_ahead(before: str, day: str) -> bool:
    """The clock had run ahead and was set right: without this no day would end until it is reached again."""
    return bool(before) and date.fromisoformat(before) - date.fromisoformat(day) > SET_BACK


def _bets(track: Track, quantity: Quantity, side: Side, value: float) -> tuple[tuple[float, ...], int | None]:
    """e-value of each bet on this block, and the group in which it fell, where it fell into one."""
    if quantity.tolerated is not None:
        return tuple(1 - bet + bet * value / quantity.tolerated for bet in SHARE_BETS), None
    group = group_of(track.reference, value, side=side, tolerance=tolerance_of(track.reference, quantity))
    seen = track.watches.get(side, Watch()).seen
    chance = (GROUPS[group] + seen[group]) / (REFERENCE_BLOCKS + 1 + sum(seen))
    return tuple(bets[group] / chance for bets in PLACE_BETS), group


def _stepped(
    watch: Watch, bets: tuple[tuple[float, ...], int | None], began: str, value: float, *, most: float
) -> Watch:
    factors, group = bets
    before = watch.evidence or (0.0,) * len(factors)
    evidence = tuple((1 + had) * factor for had, factor in zip(before, factors, strict=True))
    mean = sum(factors) / len(factors)
    is_new = watch.run <= 1.0
    # Evidence wanes while a move lasts, for what is moved becomes known: only the inner half of the places is calm.
    is_calm = mean < 1 if group is None else group == len(GROUPS) - 1
    calm = watch.calm + 1 if is_calm else 0
    strength = sum(evidence) / len(evidence)
    rings = strength >= most
    return Watch(
        seen=watch.seen if group is None else (*watch.seen[:group], watch.seen[group] + 1, *watch.seen[group + 1 :]),
        # A bet that has won is paid out: without it the next alarm would cost nothing.
        evidence=(0.0,) * len(factors) if rings else evidence,
        run=min(most, max(1.0, (1.0 if is_new else watch.run) * mean)),
        since=began if is_new and not watch.alarmed else watch.since,
        moved=value if is_new and not watch.alarmed else watch.moved + value,
        blocks=1 if is_new and not watch.alarmed else watch.blocks + 1,
        calm=calm,
        strength=strength,
        alarmed=rings or (watch.alarmed and calm < CALM_BLOCKS),
    )


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
