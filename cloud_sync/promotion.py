"""PURE. What was counted of a parallel run -> how it stands: running, won, lost or futile, and how much is missing.

Also the year's chance of a wrong promotion: what a challenger gets of it and what it gives back.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

import msgspec
import numpy as np
from scipy.special import gammaincinv

from cloud_sync import paired
from cloud_sync.paired import Counts, Margins, Pair, Values
from cloud_sync.policy import Promotion

State = Literal["running", "won", "lost", "futile", "stopped"]
MOST_TIMES = 64.0
"""What asks for more than so many times what was seen is not foretold."""
_TIMES = np.concatenate([[1.0], 1 + np.geomspace(0.005, MOST_TIMES - 1, 96)])
TAIL = 0.1
"""On either side of the interval of what is missing: 80 % lie between."""


class Needed(msgspec.Struct, frozen=True):
    """More judged cases until it has won, if all goes on as until now. None: not foretold."""

    expected: int | None
    low: int | None
    high: int | None
    days: float | None
    """That `expected` takes at the present pace."""


class Point(msgspec.Struct, frozen=True):
    """As if the run had ended with this day."""

    day: int
    misses: float
    better: float


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """How a run stands. E-values as base-10 logs, because the worst of them are very small."""

    state: State
    misses: float
    """The highest until now: it misses no more than the margin allows, at none of the run's stations."""
    better: float
    """The highest until now: fewer false alarms, more answers or fewer misses, and the rest held."""
    worse: float
    """Of the latest day: it misses more, or gives more false alarms or fewer answers than the margins allow."""
    last: tuple[float, float]
    """Misses and better of the latest day."""
    threshold: float
    """That misses and better have to reach."""
    counts: dict[str, int]
    """Sums by the names of `paired.Counts`."""
    alike_leaks: int
    """Leaks on which both said the same, or neither missed, as audits and reviews have shown."""
    judged: int
    """Units judged that moved the evidence: those on which the two differ, and leaks on which they do not."""
    waiting: int
    """Units on which the two differ and that nobody has judged."""
    needed: Needed
    course: tuple[Point, ...]


def evidence(pairs: Sequence[Pair], rules: Promotion, *, alpha: float, days: float) -> Evidence:
    """`alpha`: this run's part of the year's chance; `days`: since it began."""
    counted_days, counts = paired.counted(pairs)
    limits = margins(rules)
    if not len(counted_days):
        return _nothing(alpha, "futile" if days >= rules.longest_days else "running")
    here = paired.misses_by_place(pairs, counted_days, limits)
    found = replace(paired.course(counts, limits), misses=paired.mixed(here).min(axis=0))
    highest = paired.Values(found.misses.max(), found.better.max(), found.worse[-1])
    total = _total(counts)
    times = float(times_as_much(paired.logs(total, limits)[..., 0, :], alpha, here[:, -1]))
    judged = sum(pair.units for pair in pairs if _counts_as_judged(pair))
    return Evidence(
        state=str(state(highest, times, rules, alpha=alpha, days=days)),  # type: ignore[arg-type]
        misses=_ten(highest.misses),
        better=_ten(highest.better),
        worse=_ten(highest.worse),
        last=(_ten(found.misses[-1]), _ten(found.better[-1])),
        threshold=-math.log10(alpha),
        counts={name: int(getattr(counts, name).sum()) for name in Counts.__slots__ if name != "alike"},
        alike_leaks=int(sum(leaks.sum() for _, leaks in counts.alike)),
        judged=judged,
        waiting=sum(pair.units for pair in pairs if pair.truth is None and differ(pair.champion, pair.challenger)),
        needed=_needed(total, limits, times, judged, alpha=alpha, days=days),
        course=tuple(
            Point(int(day), _ten(misses), _ten(better))
            for day, misses, better in zip(counted_days, found.misses, found.better, strict=True)
        ),
    )


def state(
    highest: Values,
    times: float | np.ndarray,
    rules: Promotion,
    *,
    alpha: float | np.ndarray,
    days: float | np.ndarray,
) -> np.ndarray:
    """Of one run or of many: arrays of any shape -> words. `times`: what `times_as_much` says."""
    limit = -np.log(alpha)
    won = (highest.misses >= limit) & (highest.better >= limit)
    lost = highest.worse >= -math.log(rules.alpha_lost)
    hopeless = np.multiply(times, np.maximum(days, 1)) > rules.patience * rules.longest_days
    futile = np.greater_equal(days, rules.longest_days) | (np.greater_equal(days, rules.fewest_days) & hopeless)
    return np.select([won, lost, futile], ["won", "lost", "futile"], "running")


def times_as_much(wealth: np.ndarray, alpha: float | np.ndarray, by_place: np.ndarray | None = None) -> np.ndarray:
    """(NAMES, ..., K) log wealth -> (...): how many times what was seen has to be seen, in the same proportions, until
    both questions are answered; inf where that is not foretold. `by_place`: (places, K), of misses at each station."""
    found = paired.values(wealth[..., None, :] * _TIMES[:, None])
    limit = -np.log(np.asarray(alpha))[..., None]
    reached = (found.misses >= limit) & (found.better >= limit)
    if by_place is not None and len(by_place) > 1:
        reached &= paired.mixed(by_place[:, None, :] * _TIMES[:, None]).min(axis=0) >= limit
    return np.where(reached.any(axis=-1), _TIMES[reached.argmax(axis=-1)], np.inf)


def margins(rules: Promotion) -> Margins:
    return Margins(rules.miss_margin, rules.false_alarm_margin, rules.answer_margin)


def differ(champion: str, challenger: str) -> bool:
    """Whether what an expert says of this unit speaks for one of the two."""
    return champion != challenger and (champion in paired.ANSWERS or challenger in paired.ANSWERS)


def stake(rules: Promotion, before: Iterable[tuple[float | np.ndarray, float | np.ndarray]]) -> np.ndarray:
    """What the next challenger of a year gets. `before`: (staked, given back) of those that began before it.

    Each stakes a share of what is left, so that all of them together, however many, stake no more than the year has. A
    run that ended without winning gives back what its wealth still was: staked * min(1, e-values at its end), because
    its chance of ever winning wrongly had sunk to that (Ville's inequality from then on). So the sum of what is left,
    what is running and one for each wrong promotion never rises on average, and that any happens has no more
    probability than the year began with.
    """
    left = rules.alpha_per_year - sum(staked - given_back for staked, given_back in before)
    return rules.share_of_rest * np.maximum(left, 0.0)


def given_back(alpha: float | np.ndarray, misses: float | np.ndarray, better: float | np.ndarray) -> np.ndarray:
    """Of what was staked. Logs of the e-values of the last day: `Evidence.last` when the run ended without winning."""
    return alpha * 10 ** np.minimum(np.minimum(misses, better), 0.0)


def _needed(counts: Counts, limits: Margins, times: float, judged: int, *, alpha: float, days: float) -> Needed:
    """The limits by the Poisson limits of what differs: all of it as kind to the challenger as they allow, or none."""
    kind, unkind = (
        float(times_as_much(paired.logs(_shifted(counts, ways), limits)[..., 0, :], alpha))
        for ways in ((_fewest, _most), (_most, _fewest))
    )
    low, expected, high = (
        None if math.isinf(one) else math.ceil((one - 1) * judged - 1e-9) for one in (kind, times, unkind)
    )
    return Needed(expected, low, high, None if expected is None else (times - 1) * days)


def _shifted(counts: Counts, ways: Sequence) -> Counts:
    """`ways`: what becomes of counts against the challenger, and of those for it."""
    against, for_it = ways
    return replace(
        counts,
        missed_more=against(counts.missed_more),
        missed_less=for_it(counts.missed_less),
        alarmed_more=against(counts.alarmed_more),
        alarmed_less=for_it(counts.alarmed_less),
        answered_more=for_it(counts.answered_more),
        answered_less=against(counts.answered_less),
    )


def _fewest(counts: np.ndarray) -> np.ndarray:
    return np.where(counts > 0, gammaincinv(np.maximum(counts, 1), TAIL), 0.0)


def _most(counts: np.ndarray) -> np.ndarray:
    return gammaincinv(counts + 1, 1 - TAIL)


def _total(counts: Counts) -> Counts:
    """All days as one, without what waits: the rest will be like what was judged."""
    sums = {
        name: 0 * getattr(counts, name)[..., :1]
        if name.endswith("waiting")
        else getattr(counts, name).sum(axis=-1, keepdims=True)
        for name in Counts.__slots__
        if name != "alike"
    }
    alike = tuple((probability, leaks.sum(axis=-1, keepdims=True)) for probability, leaks in counts.alike)
    return Counts(**sums, alike=alike)


def _counts_as_judged(pair: Pair) -> bool:
    known = pair.truth is not None and differ(pair.champion, pair.challenger)
    return known or (pair.drawn and pair.truth == "leak")


def _nothing(alpha: float, word: State) -> Evidence:
    none = {name: 0 for name in Counts.__slots__ if name != "alike"}
    return Evidence(
        state=word, misses=0.0, better=0.0, worse=0.0, last=(0.0, 0.0), threshold=-math.log10(alpha), counts=none,
        alike_leaks=0, judged=0, waiting=0, needed=Needed(None, None, None, None), course=(),
    )  # fmt: skip


def _ten(natural: np.ndarray | float) -> float:
    return float(natural) / math.log(10)
