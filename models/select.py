"""Scores of held-out cases -> the two limits between which the machine is unsure, and what they promise. PURE.

`learn_then_test` promises: with the confidence asked for, both rates of the pair that it gives are within what was
asked for, on cases like those that it saw; `shown_by` says what so many cases can show. `sgr` promises it the older
way. `limits` weighs costs, where cases are too few for any promise or were seen before.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import bdtr

from models.bounds import CONFIDENCE, ErrorCounts, at_most

GRID = np.round(np.concatenate([np.arange(0.01, 0.1, 0.01), np.arange(0.1, 0.91, 0.05), np.arange(0.91, 1.0, 0.01)]), 2)
BOLDEST = 0.25, 0.8
"""However good the scores look, limits go no further in: a station is not the data that they were chosen on."""
OK_BELOW = np.round(np.arange(0.05, 0.255, 0.01), 2)
LEAK_ABOVE = np.round(np.arange(0.95, 0.795, -0.01), 2)
"""The fixed grid of `learn_then_test`, each from the most careful limit to the boldest."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Case scores between which the machine is unsure, and what they gave on the cases they were chosen on."""

    ok_below: float
    leak_above: float
    coverage: float
    error: float


@dataclass(frozen=True, slots=True)
class Promise:
    """What the limits shall keep: the largest rates among answered cases, together with `confidence`."""

    most_missed: float
    most_alarms: float
    confidence: float = CONFIDENCE


def shown_by(leaky: np.ndarray, *, most_errors: float = 0.004, answered: float = 0.9) -> Promise:
    """The promise that cases of these labels, (n,), can show where `answered` of each class is answered, with an error
    in `most_errors` of that, but at least one. It looks at no score: a promise chosen by what the scores allow would
    not be kept. With one error whatever their number, more cases would ask for more than the machine can do."""
    return Promise(*(_rate_shown(int(answered * count), most_errors) for count in (leaky.sum(), (~leaky).sum())))


def _rate_shown(answers: int, most_errors: float) -> float:
    """The upper bound of a rate with an error in `most_errors` of the answers; whole errors make it a saw."""
    errors = max(1, round(most_errors * answers))
    level = 1 - np.sqrt(CONFIDENCE)
    return at_most(errors, max(answers, errors + 1), 1 - level)


def promised(scores: np.ndarray, leaky: np.ndarray) -> tuple[Limits, Promise | None]:
    """The boldest limits under the promise that so many cases can show; the cheapest ones and None where that is not
    kept."""
    promise = shown_by(leaky)
    found = learn_then_test(scores, leaky, promise)
    return (found, promise) if found else (limits(scores, leaky), None)


def limits(scores: np.ndarray, leaky: np.ndarray, *, most_errors: float = 0.005, widest: float = 0.2) -> Limits:
    """`scores`, `leaky`: (n,). The cheapest pair that is no bolder than BOLDEST.

    Unsure cases cost 1; wrong ones cost what makes a share of `most_errors` as dear as `widest` unsure ones. Ties go to
    the wider band, which is the more careful one.
    """
    if not len(scores):
        # Nothing was shown: the most careful pair.
        return Limits(float(GRID[0]), float(GRID[-1]), 0.0, 0.0)
    dear = widest / most_errors
    best, cost = Limits(*BOLDEST, 1.0, 1.0), np.inf
    highest_low, lowest_high = BOLDEST
    for low in GRID[highest_low >= GRID]:
        for high in GRID[::-1][GRID[::-1] >= lowest_high]:
            wrong = (leaky & (scores < low)) | (~leaky & (scores > high))
            unsure = (scores >= low) & (scores <= high)
            now = float(unsure.mean() + dear * wrong.mean())
            if now < cost - 1e-9:
                sure = max(1, int((~unsure).sum()))
                best, cost = Limits(float(low), float(high), float((~unsure).mean()), float(wrong.sum() / sure)), now
    return best


def learn_then_test(
    scores: np.ndarray,
    leaky: np.ndarray,
    promise: Promise,
    *,
    ok_below: np.ndarray = OK_BELOW,
    leak_above: np.ndarray = LEAK_ABOVE,
) -> Limits | None:
    """The boldest pair of the grid that keeps the promise; None where not even the most careful one is shown to.

    `scores`, `leaky`: (n,), of cases that neither the fit nor the calibration has seen. Learn-then-Test (Angelopoulos
    et al. 2021) with exact binomial p-values and two fixed sequences, each from careful to bold and up to its first
    failure. The good cases set `leak_above`, with `ok_below` at its most careful: a higher one only lowers the share of
    false alarms among answers. The leaks, which are independent of the good cases, then set `ok_below` at that
    `leak_above`. Each sequence may err with 1 - sqrt(confidence), so both hold together with `confidence`.
    """
    level = 1 - np.sqrt(promise.confidence)
    leaks, goods = np.sort(scores[leaky]), np.sort(scores[~leaky])
    alarms = _above(goods, leak_above)
    highs = _passed(alarms, alarms + _below(goods, ok_below[:1]), promise.most_alarms, level)
    if not highs:
        return None
    high = leak_above[highs - 1]
    missed = _below(leaks, ok_below)
    lows = _passed(missed, missed + _above(leaks, np.array([high])), promise.most_missed, level)
    return _given(scores, leaky, float(ok_below[lows - 1]), float(high)) if lows else None


def sgr(
    scores: np.ndarray,
    leaky: np.ndarray,
    promise: Promise,
    *,
    ok_below: np.ndarray = OK_BELOW,
    leak_above: np.ndarray = LEAK_ABOVE,
) -> Limits | None:
    """Selection with Guaranteed Risk (Geifman & El-Yaniv 2017), for comparison: one step from careful to bold.

    Both limits move together along the grid's diagonal. A binary search bounds both rates at each of its steps, and all
    steps share the risk.
    """
    pairs = _diagonal(ok_below, leak_above)
    steps = int(np.ceil(np.log2(len(pairs) + 1)))
    level = (1 - promise.confidence) / (2 * steps)
    careful, bold, best = 0, len(pairs), None
    while careful < bold:
        middle = (careful + bold) // 2
        counts = counted(scores, leaky, *pairs[middle])
        missed, alarms = (
            at_most(counts.missed, counts.leaks, 1 - level),
            at_most(counts.false_alarms, counts.goods, 1 - level),
        )
        if missed <= promise.most_missed and alarms <= promise.most_alarms:
            best, careful = pairs[middle], middle + 1
        else:
            bold = middle
    return _given(scores, leaky, *best) if best else None


def counted(scores: np.ndarray, leaky: np.ndarray, ok_below: float, leak_above: float) -> ErrorCounts:
    """The answers that a pair of limits gives to (n,) scores."""
    said_ok, said_leak = scores < ok_below, scores > leak_above
    answered = said_ok | said_leak
    return ErrorCounts(
        leaks=int((answered & leaky).sum()),
        missed=int((said_ok & leaky).sum()),
        goods=int((answered & ~leaky).sum()),
        false_alarms=int((said_leak & ~leaky).sum()),
    )


def auc(scores: np.ndarray, leaky: np.ndarray) -> float:
    """Chance that a leaky case scores higher than a tight one; ties count half. nan where one class is missing."""
    leaks, tights = scores[leaky], np.sort(scores[~leaky])
    if not len(leaks) or not len(tights):
        return float("nan")
    below, upto = np.searchsorted(tights, leaks, "left"), np.searchsorted(tights, leaks, "right")
    return float((below + upto).mean() / 2 / len(tights))


def _diagonal(ok_below: np.ndarray, leak_above: np.ndarray) -> list[tuple[float, float]]:
    """Pairs from the most careful to the boldest, both limits at the same part of their way."""
    count = max(len(ok_below), len(leak_above))
    lows, highs = (np.round(np.linspace(0, len(way) - 1, count)).astype(int) for way in (ok_below, leak_above))
    return [(float(ok_below[low]), float(leak_above[high])) for low, high in zip(lows, highs, strict=True)]


def _passed(errors: np.ndarray, answered: np.ndarray, most: float, level: float) -> int:
    """How many of a sequence's hypotheses are refuted before the first that is not."""
    refuted = np.where(answered > 0, bdtr(errors, answered, most), 1.0) <= level
    return len(refuted) if refuted.all() else int(np.argmin(refuted))


def _below(ordered: np.ndarray, limits_: np.ndarray) -> np.ndarray:
    return np.searchsorted(ordered, limits_, "left")


def _above(ordered: np.ndarray, limits_: np.ndarray) -> np.ndarray:
    return len(ordered) - np.searchsorted(ordered, limits_, "right")


def _given(scores: np.ndarray, leaky: np.ndarray, low: float, high: float) -> Limits:
    counts = counted(scores, leaky, low, high)
    answered = counts.leaks + counts.goods
    wrong = counts.missed + counts.false_alarms
    return Limits(low, high, answered / max(1, len(scores)), wrong / max(1, answered))
