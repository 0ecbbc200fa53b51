"""PURE. Daily counts and means -> control charts (Shewhart's p, Laney's p', g, EWMA), for people to read.

Nobody is alarmed by them: their limits hold for days that are alike and do not count how often somebody looks. Alarms
are the matter of `edge_agent.drift`. Sources: Montgomery, Introduction to Statistical Quality Control; Laney 2002;
Kaminsky et al. 1992 (g chart); Roberts 1959, Lucas & Saccucci 1990 (EWMA and its run length).
"""

from collections.abc import Sequence

import msgspec
import numpy as np
from scipy.special import ndtr

SIGMAS = 3.0
RANGE_TO_SIGMA = 1.128
"""Mean moving range of two, in standard deviations (d2)."""
TAIL = 0.00135
"""Of a normal variable beyond three standard deviations: the g chart's limits leave as much outside."""
EWMA_WEIGHT, EWMA_SIGMAS = 0.2, 2.86
"""Lucas & Saccucci's pair: 370 points between signals, on average, while nothing changes (`ewma_run_length`)."""
STATES = 201
"""Of the Markov chain by which that is computed."""


class Point(msgspec.Struct, frozen=True):
    """One point of a chart, with the limits that hold for it."""

    at: float
    """Day, or number of the event."""
    value: float
    low: float
    high: float

    @property
    def is_out(self) -> bool:
        return not self.low <= self.value <= self.high


class ControlChart(msgspec.Struct, frozen=True):
    """Points in their order around `centre`."""

    centre: float
    points: tuple[Point, ...]
    spread: float = 1.0
    """Laney's factor: how much further days differ than their counts explain; 1 in other charts."""

    @property
    def out(self) -> int:
        return sum(point.is_out for point in self.points)


def p_chart(
    days: Sequence[float],
    events: Sequence[int],
    units: Sequence[int],
    *,
    laney: bool = False,
    learnt: int | None = None,
) -> ControlChart:
    """Share of events a day. `laney`: limits widened by what days differ beyond chance. `learnt`: the limits are of so
    many first days; None: of all. Raises ValueError for none."""
    count, size = np.asarray(events, float), np.asarray(units, float)
    if not len(size) or size.min() <= 0:
        raise ValueError("a p chart needs days with units")
    centre = float(count[:learnt].sum() / size[:learnt].sum())
    sigma = np.sqrt(centre * (1 - centre) / size)
    spread = _laney((count / size)[:learnt], centre, sigma[:learnt]) if laney else 1.0
    low, high = centre - SIGMAS * sigma * spread, centre + SIGMAS * sigma * spread
    return ControlChart(centre, _points(days, count / size, np.maximum(0, low), np.minimum(1, high)), spread)


def g_chart(gaps: Sequence[int]) -> ControlChart:
    """Units between two rare events. Limits are quantiles of the geometric distribution with the same mean."""
    between = np.asarray(gaps, float)
    if not len(between):
        raise ValueError("a g chart needs two events")
    mean = float(between.mean())
    stays = mean / (mean + 1)
    if stays == 0:
        low = high = 0.0
    else:
        low, high = (float(np.floor(np.log(part) / np.log(stays))) for part in (1 - TAIL, TAIL))
    at = np.arange(1, len(between) + 1)
    return ControlChart(mean, _points(at, between, np.full(len(between), low), np.full(len(between), high)))


def ewma_chart(days: Sequence[float], means: Sequence[float], *, learnt: int | None = None) -> ControlChart:
    """Exponentially weighted means; sigma from the moving range, so that a slow change does not widen the limits.
    `learnt`: centre and sigma are of so many first days; None: of all."""
    values = np.asarray(means, float)
    if len(values) < 2:
        raise ValueError("an EWMA chart needs two days")
    centre = float(values[:learnt].mean())
    sigma = float(np.abs(np.diff(values[:learnt])).mean()) / RANGE_TO_SIGMA
    smooth, found = centre, []
    for value in values:
        smooth += EWMA_WEIGHT * (value - smooth)
        found.append(smooth)
    steps = np.arange(1, len(values) + 1)
    share = EWMA_WEIGHT / (2 - EWMA_WEIGHT) * (1 - (1 - EWMA_WEIGHT) ** (2 * steps))
    width = EWMA_SIGMAS * sigma * np.sqrt(share)
    return ControlChart(centre, _points(days, np.array(found), centre - width, centre + width))


def ewma_run_length(shift: float = 0.0) -> float:
    """Mean number of points until one is out, for independent normal days whose mean has moved by `shift` sigmas; from
    the steady state's limits (Brook & Evans 1972, a Markov chain over STATES parts)."""
    edge = EWMA_SIGMAS * np.sqrt(EWMA_WEIGHT / (2 - EWMA_WEIGHT))
    half = edge / STATES
    middles = np.linspace(-edge + half, edge - half, STATES)
    low, high = (
        (middles[None, :] + sign * half - (1 - EWMA_WEIGHT) * middles[:, None]) / EWMA_WEIGHT - shift
        for sign in (-1, 1)
    )
    stays = ndtr(high) - ndtr(low)
    lengths = np.linalg.solve(np.eye(STATES) - stays, np.ones(STATES))
    return float(lengths[STATES // 2])


def _laney(shares: np.ndarray, centre: float, sigma: np.ndarray) -> float:
    """Never below 1: chance alone makes days differ."""
    if len(shares) < 2 or not sigma.all():
        return 1.0
    moving = np.abs(np.diff((shares - centre) / sigma))
    return max(1.0, float(moving.mean()) / RANGE_TO_SIGMA)


def _points(
    at: Sequence[float] | np.ndarray, values: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[Point, ...]:
    return tuple(Point(*(float(one) for one in row)) for row in zip(at, values, low, high, strict=True))
