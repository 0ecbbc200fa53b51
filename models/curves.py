"""Scores and labels -> ROC, its area with interval, risk against coverage, reliability, calibration slope. PURE.

Arrays named `scores` and `leaky` are (n,), float and bool.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm, rankdata

from models.select import auc

BETWEEN = 0.05, 0.95
"""Calibration is judged on scores between these: beyond them nearly all cases are clear, and a slope says nothing."""
LEAST_FOR_SLOPE = 300
SLOPE_WANTED = 0.8, 1.2
BINS = 10
MOST_POINTS = 200
"""Of a longer curve only so many points are kept: a picture shows no more."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with the interval that holds it with 95 % confidence. None where the data do not say."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Slope:
    """logit P(leak) = intercept + slope * logit(score), on `cases` cases; (0, 1) is perfect.

    `enough`: whether there are so many that the slope means something.
    """

    slope: Interval
    intercept: Interval
    cases: int

    @property
    def enough(self) -> bool:
        return self.cases >= LEAST_FOR_SLOPE


def auc_interval(scores: np.ndarray, leaky: np.ndarray) -> Interval | None:
    """Area under the ROC curve with its 95 % interval; None where one class is missing.

    DeLong's (1988) on the logit scale. Where the classes do not overlap DeLong's variance is nothing, so the interval
    is the exact one of min(leaks, goods) independent pairs that were all in the right order.
    """
    leaks, goods = scores[leaky], scores[~leaky]
    if not len(leaks) or not len(goods):
        return None
    area, variance = _delong(leaks, goods)
    if area in (0.0, 1.0) or variance == 0 or min(len(leaks), len(goods)) < 2:
        shy = 0.025 ** (1 / min(len(leaks), len(goods)))
        return Interval(area, min(area, shy), max(area, 1 - shy))
    reach = norm.ppf(0.975) * np.sqrt(variance) / (area * (1 - area))
    return Interval(area, float(expit(logit(area) - reach)), float(expit(logit(area) + reach)))


def roc(scores: np.ndarray, leaky: np.ndarray) -> np.ndarray:
    """(m, 2) rows of false alarm rate and hit rate as the limit falls, (0, 0) to (1, 1); empty without both classes."""
    if leaky.all() or not leaky.any():
        return np.empty((0, 2))
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.nonzero(np.diff(scores[order]))[0], len(order) - 1)
    hits, alarms = np.cumsum(leaky[order])[ends], np.cumsum(~leaky[order])[ends]
    points = np.column_stack([alarms / (~leaky).sum(), hits / leaky.sum()])
    return _thinned(np.vstack([[0.0, 0.0], points]))


def sureness(scores: np.ndarray, ok_below: float, leak_above: float) -> tuple[np.ndarray, np.ndarray]:
    """((n,) how far beyond its nearer limit each score lies, in log odds, (n,) whether that is the leaks'). Beyond 0 it
    is an answer; both limits moved by as much give the answers from another number on."""
    at, low, high = (logit(np.clip(value, 1e-6, 1 - 1e-6)) for value in (scores, ok_below, leak_above))
    return np.maximum(low - at, at - high), at - high > low - at


def risk_coverage(sure: np.ndarray, wrong: np.ndarray, cases: int) -> np.ndarray:
    """(m, 2) rows of coverage and error as the least sure answers are given up one by one; surest first.

    `sure`, `wrong`: (n,) of the cases that may be answered. `cases`: all of them, those that no limit covers too.
    """
    if not len(sure):
        return np.empty((0, 2))
    order = np.argsort(-sure, kind="stable")
    ends = np.append(np.nonzero(np.diff(sure[order]))[0], len(order) - 1)
    errors = np.cumsum(wrong[order])[ends]
    return _thinned(np.column_stack([(ends + 1) / cases, errors / (ends + 1)]))


def reliability(scores: np.ndarray, leaky: np.ndarray) -> np.ndarray:
    """(m, 4) rows, one each filled tenth of 0..1: mean score, share of leaks at equal odds, leaks, good cases."""
    rows = []
    odds = _prior_odds(leaky)
    for number in range(BINS):
        inside = np.minimum((scores * BINS).astype(int), BINS - 1) == number
        leaks, goods = int((inside & leaky).sum()), int((inside & ~leaky).sum())
        if inside.any() and odds:
            rows.append((float(scores[inside].mean()), leaks / (leaks + goods * odds), leaks, goods))
    return np.array(rows).reshape(-1, 4)


def calibration(scores: np.ndarray, leaky: np.ndarray) -> Slope | None:
    """Slope and intercept of the scores between BETWEEN, by logistic regression (Cox 1958); None without an answer.

    Scores are probabilities at equal odds: the odds of all scored cases are taken off first. Intervals are Wald's.
    """
    odds = _prior_odds(leaky)
    inside = (scores > BETWEEN[0]) & (scores < BETWEEN[1])
    if not odds or not inside.any():
        return None
    fitted = _logistic(logit(scores[inside]), leaky[inside], float(np.log(odds)))
    if fitted is None:
        return None
    values, covariance = fitted
    intercept, slope = (
        Interval(float(value), float(value - reach), float(value + reach))
        for value, reach in zip(values, norm.ppf(0.975) * np.sqrt(np.diag(covariance)), strict=True)
    )
    return Slope(slope, intercept, int(inside.sum()))


def _delong(leaks: np.ndarray, goods: np.ndarray) -> tuple[float, float]:
    """(area, its variance) by midranks (Sun & Xu 2014)."""
    count, others = len(leaks), len(goods)
    ranks = rankdata(np.concatenate([leaks, goods]))
    of_leaks = (ranks[:count] - rankdata(leaks)) / others
    of_goods = 1 - (ranks[count:] - rankdata(goods)) / count
    area = auc(np.concatenate([leaks, goods]), np.arange(count + others) < count)
    if min(count, others) < 2:
        return area, 0.0
    return area, float(of_leaks.var(ddof=1) / count + of_goods.var(ddof=1) / others)


def _logistic(x: np.ndarray, leaky: np.ndarray, offset: float) -> tuple[np.ndarray, np.ndarray] | None:
    """((intercept, slope), their covariance) by Newton's method; None where the classes can be split."""
    design = np.column_stack([np.ones_like(x), x])
    weights = np.array([0.0, 1.0])
    for _ in range(50):
        probability = expit(offset + design @ weights)
        information = design.T @ (design * (probability * (1 - probability))[:, None])
        if np.linalg.cond(information) > 1e12:
            return None
        step = np.linalg.solve(information, design.T @ (leaky - probability))
        weights = weights + step
        if np.abs(weights).max() > 1e3:
            return None
        if np.abs(step).max() < 1e-10:
            return weights, np.linalg.inv(information)
    return None


def _prior_odds(leaky: np.ndarray) -> float | None:
    """Leaks per good case; None where one class is missing."""
    leaks = int(leaky.sum())
    return leaks / (len(leaky) - leaks) if 0 < leaks < len(leaky) else None


def _thinned(points: np.ndarray) -> np.ndarray:
    kept = np.unique(np.round(np.linspace(0, len(points) - 1, min(len(points), MOST_POINTS))).astype(int))
    return points[kept]
