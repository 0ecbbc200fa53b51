"""Scores of held-out cases -> thresholds: as many sure answers as a bearable share of wrong ones allows."""

from dataclasses import dataclass

import numpy as np

GRID = np.round(np.concatenate([np.arange(0.01, 0.1, 0.01), np.arange(0.1, 0.91, 0.05), np.arange(0.91, 1.0, 0.01)]), 2)


BOLDEST = 0.25, 0.8
"""However good the scores look, limits go no further in: a station is not the data that they were chosen on."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Case scores between which the machine is unsure, and what they gave on the cases they were chosen on."""

    ok_below: float
    leak_above: float
    coverage: float
    error: float


def limits(scores: np.ndarray, leaky: np.ndarray, *, most_errors: float = 0.005, widest: float = 0.2) -> Limits:
    """`scores`, `leaky`: (n,). The cheapest pair that is no bolder than BOLDEST.

    Unsure cases cost 1; wrong ones cost what makes a share of `most_errors` as dear as `widest` unsure ones. Ties go to
    the wider band, which is the more careful one.
    """
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


def auc(scores: np.ndarray, leaky: np.ndarray) -> float:
    """Chance that a leaky case scores higher than a tight one; ties count half. nan where one class is missing."""
    leaks, tights = scores[leaky], np.sort(scores[~leaky])
    if not len(leaks) or not len(tights):
        return float("nan")
    below, upto = np.searchsorted(tights, leaks, "left"), np.searchsorted(tights, leaks, "right")
    return float((below + upto).mean() / 2 / len(tights))
