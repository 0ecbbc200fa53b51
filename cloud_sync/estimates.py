"""PURE. Judged cases and how likely each was drawn -> miss and false alarm rate of *all* units, with bounds.

The bounds may be looked at every day: the chance that one of them is ever below the truth is at most 5 %, for both
rates together and however the truth changes over time. They rest on the draw alone. A wrong unit that was drawn with
probability p multiplies a bettor's wealth by (1 - (1 - p) e^l) / p, a wrong one that was not drawn by e^l, any other
by 1. That is a martingale (p times the one and 1 - p times the other make 1), so by Ville's inequality it ever exceeds
1 / a with probability a at most: more hidden wrong units than that allows are refuted. BETS are mixed, bold to careful.

Sources: Ville 1939; Howard, Ramdas, McAuliffe & Sekhon 2021 (bounds true at all times); Waudby-Smith & Ramdas 2024.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec
import numpy as np
from scipy.special import logsumexp

CONFIDENCE = 0.95
BETS = np.sin(np.pi * np.arange(1, 33) / 64) ** 2
"""Shares of the boldest bet: 1 suits no wrong case seen, small ones suit many. Each gets the same stake."""
FEWEST = 30
"""With fewer judged cases than this no estimate is given, only the bound."""
Rater = Literal["machine", "inspector"]
Word = Literal["ok", "leak"]
OPPOSITE = {"ok": "leak", "leak": "ok"}


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """Units alike in all that is counted here."""

    day: int
    """Days since 1970, UTC."""
    station: str = ""
    shift: str = ""
    inspector: str = ""
    verdict: str
    decision: str
    drawn: bool
    """For a review, by chance or because of what was said."""
    probability: float
    """Of having been drawn; among units that were not, the smallest."""
    truth: str | None = None
    """The experts' settled word; None where nobody judged or they disagree."""
    units: int = 1


class Rate(msgspec.Struct, frozen=True):
    """A share of all units of one kind. None: too few to say."""

    estimate: float | None
    at_most: float | None
    """True on every day with 95 %, together with the other rate."""


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """What one rater's answers are worth, over all units that were answered."""

    miss: Rate
    false_alarm: Rate
    units: int
    judged: int
    unjudged: int
    """Drawn, and without a settled truth: wrong in every bound."""


class Stratum(msgspec.Struct, frozen=True, kw_only=True):
    """Units with the same two words, drawn for the same reason."""

    verdict: str
    decision: str
    always: bool
    """Each of them is drawn; otherwise by chance."""
    smallest_probability: float
    units: int
    drawn: int
    judged: int
    wrong: int
    """Judged, and the rater's word was wrong."""
    wrong_estimate: float | None
    """Of all units, judged or not."""
    wrong_at_most: float
    """By itself, with 95 %, on every day."""


def rates(tallies: Sequence[Tally], rater: Rater, confidence: float = CONFIDENCE) -> Rates:
    """Miss rate: of leaking units that were answered, those answered ok. False alarm rate: of good ones, those answered
    leak. Each of the two counts of wrong answers takes half of the risk."""
    said = {word: [tally for tally in tallies if answer(tally, rater) == word] for word in ("ok", "leak")}
    units = {word: sum(tally.units for tally in said[word]) for word in said}
    drawn = [tally for word in said for tally in said[word] if tally.drawn]
    judged = sum(tally.units for tally in drawn if tally.truth is not None)
    wrong = {word: _estimate(said[word], OPPOSITE[word]) if judged >= FEWEST else None for word in said}
    most = {word: at_most(said[word], OPPOSITE[word], (1 - confidence) / 2) for word in said}
    return Rates(
        miss=_rate(wrong["ok"], wrong["leak"], (most["ok"], most["leak"]), units["leak"]),
        false_alarm=_rate(wrong["leak"], wrong["ok"], (most["leak"], most["ok"]), units["ok"]),
        units=sum(units.values()),
        judged=judged,
        unjudged=sum(tally.units for tally in drawn) - judged,
    )


def merged(tallies: Iterable[Tally]) -> list[Tally]:
    """The same units in fewer tallies: what no rate asks for is left out."""
    sums: dict[tuple, int] = {}
    for one in tallies:
        key = one.day, one.verdict, one.decision, one.drawn, one.probability, one.truth
        sums[key] = sums.get(key, 0) + one.units
    names = ("day", "verdict", "decision", "drawn", "probability", "truth")
    return [Tally(**dict(zip(names, key, strict=True)), units=units) for key, units in sums.items()]


def strata(tallies: Sequence[Tally], rater: Rater) -> list[Stratum]:
    """The same by what was said and how it was drawn, the most units first."""
    groups: dict[tuple[str, str, bool], list[Tally]] = {}
    for tally in tallies:
        if answer(tally, rater):
            groups.setdefault((tally.verdict, tally.decision, tally.probability >= 1), []).append(tally)
    found = [_stratum(key, group, rater) for key, group in groups.items()]
    return sorted(found, key=lambda stratum: -stratum.units)


def answer(tally: Tally, rater: Rater) -> Word | None:
    """The rater's word where it is an answer. A unit that could not be tested counts for neither rater."""
    word = tally.verdict if rater == "machine" else tally.decision
    return word if word in ("ok", "leak") and tally.verdict != "not_tested" else None  # type: ignore[return-value]


def at_most(tallies: Sequence[Tally], wrong: str, risk: float) -> float:
    """Units whose truth is `wrong`, at most, with confidence 1 - risk on every day.

    Drawn units without a settled truth, and those of which experts cannot tell, count as wrong: that only raises the
    bound, so it stays true whatever becomes of them.
    """
    counted = [tally for tally in tallies if tally.drawn and tally.truth in (wrong, None, "cannot_tell")]
    seen = sum(tally.units for tally in counted)
    hidden = sum(tally.units for tally in tallies if not tally.drawn)
    if not hidden:
        return float(seen)
    floors = _floors(tallies)
    stakes = wealth((tally.probability, floors[tally.day], tally.units) for tally in counted if tally.probability < 1)
    lambdas = BETS * -math.log1p(-floors[max(floors)])
    return seen + _refuted(stakes, lambdas, math.log(1 / risk), hidden)


def wealth(seen: Iterable[tuple[float, float, int]]) -> np.ndarray:
    """`seen`: probability, smallest probability so far, number of the wrong units that were drawn. (BETS,) log wealth
    before what hidden units add to it."""
    stakes = np.zeros(len(BETS))
    for probability, floor, units in seen:
        growth = np.exp(BETS * -math.log1p(-floor))
        with np.errstate(divide="ignore"):
            stakes += units * np.log(np.maximum((1 - (1 - probability) * growth) / probability, 0.0))
    return stakes


def _refuted(stakes: np.ndarray, lambdas: np.ndarray, limit: float, hidden_units: int) -> float:
    """The number of hidden wrong units from which on the mixed wealth is over the limit; at most all of them."""

    def over(hidden: float) -> bool:
        return float(logsumexp(stakes + lambdas * hidden) - math.log(len(lambdas))) >= limit

    low, high = 0.0, float(hidden_units)
    if not over(high):
        return high
    while high - low > 1e-6 * high + 1e-9:
        middle = (low + high) / 2
        low, high = (low, middle) if over(middle) else (middle, high)
    return high


def _floors(tallies: Sequence[Tally]) -> dict[int, float]:
    """Day -> the smallest probability below 1 until then: bets only ever become more careful."""
    floors: dict[int, float] = {}
    smallest = 1.0
    for tally in sorted(tallies, key=lambda tally: tally.day):
        if tally.probability < 1:
            smallest = min(smallest, tally.probability)
        floors[tally.day] = smallest
    return floors


def _estimate(tallies: Sequence[Tally], wrong: str) -> float | None:
    """Wrong units among all: by stratum, each judged unit standing for 1 / probability of them (Hajek 1971)."""
    total = 0.0
    for key in {(tally.verdict, tally.decision, tally.probability >= 1) for tally in tallies}:
        group = [tally for tally in tallies if (tally.verdict, tally.decision, tally.probability >= 1) == key]
        judged = [tally for tally in group if tally.drawn and tally.truth in ("ok", "leak")]
        if not judged:
            return None
        weight = sum(tally.units / tally.probability for tally in judged)
        share = sum(tally.units / tally.probability for tally in judged if tally.truth == wrong) / weight
        total += share * sum(tally.units for tally in group)
    return total


def _rate(wrong: float | None, other: float | None, most: tuple[float, float], answered_other: int) -> Rate:
    """`wrong`, `most[0]`: wrong answers of this kind; `other`, `most[1]`: among the `answered_other` units of the
    opposite answer, those that were wrong, too: the rest of them are the units of our kind answered right."""
    estimate = None
    if wrong is not None and other is not None and wrong + answered_other - other > 0:
        estimate = wrong / (wrong + answered_other - other)
    of_kind = most[0] + max(0.0, answered_other - most[1])
    return Rate(estimate, most[0] / of_kind if of_kind else None)


def _stratum(key: tuple[str, str, bool], group: list[Tally], rater: Rater) -> Stratum:
    verdict, decision, always = key
    wrong = OPPOSITE[verdict if rater == "machine" else decision]
    drawn = [tally for tally in group if tally.drawn]
    return Stratum(
        verdict=verdict,
        decision=decision,
        always=always,
        smallest_probability=min(tally.probability for tally in group),
        units=sum(tally.units for tally in group),
        drawn=sum(tally.units for tally in drawn),
        judged=sum(tally.units for tally in drawn if tally.truth is not None),
        wrong=sum(tally.units for tally in drawn if tally.truth == wrong),
        wrong_estimate=_estimate(group, wrong),
        wrong_at_most=at_most(group, wrong, 1 - CONFIDENCE),
    )
