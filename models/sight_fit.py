"""Sightings of many stations -> Sensitivity: how a detector's recall depends on size and on what the gauge measures.

A logistic curve over the bubble's size and the logarithms of what was measured, by weighted likelihood. No weight may
have the wrong sign: where data are few, nothing worse is ever said to show smaller bubbles.
"""

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
from scipy.optimize import minimize

from edge_agent.bundle import RecallCurve, Sensitivity, Thresholds
from edge_agent.infer import Detector
from edge_agent.origins import LEAST_POINTS
from edge_agent.records import Visibility
from edge_agent.visibility import LEAST_READING, WORSE, smallest_bubble_px
from edge_agent.water import WaterGauge
from models import sight
from models.sight import Sightings
from models.stages import EyeNets, Workplace, mark_of

Log = Callable[[str], None]
RECALL = 0.5
"""The smallest bubble is the one of which half are found: the smallest leak, V / r, has its least near there."""
LEAST_BUBBLES = 60
LEAST_SIZE = 1.0
"""Of the weight of ln(diameter): the curve rises with size however few bubbles were seen."""
SHRINK = 1e-4
"""Of the squared weights, against a likelihood per bubble."""


def fit(place: Workplace, count: int, nets: EyeNets, thresholds: Thresholds, log: Log) -> Sensitivity:
    """Looks at `count` recordings with `nets` and fits the curve; where they show too few bubbles there is none."""

    def look(seed: int, file: Path) -> None:
        recording = place.scenes.recording(seed, "sight")
        detector, water = Detector(nets["detector"], thresholds), WaterGauge(nets["water"])
        sight.save(sight.look(recording, detector, water), file)

    mark = mark_of(nets["detector"] + nets["water"], thresholds.bubble_above)
    files = place.each("sight", count, look, mark=mark)
    sensitivity = fitted([sight.load(file) for file in files])
    log(f"sight recordings={len(files)} {sensitivity}")
    return sensitivity


def fitted(recordings: list[Sightings]) -> Sensitivity:
    """The curve of these recordings. A bubble is found when a track could be made of it."""
    shown = [one for one in recordings if len(one.bubbles)]
    found = np.concatenate([one.bubbles[:, 2] >= LEAST_POINTS for one in shown]) if shown else np.empty(0, bool)
    if len(found) < LEAST_BUBBLES or not 0 < found.sum() < len(found):
        return Sensitivity()
    of_all = _curve(shown, found, recordings)
    smallest = [smallest_bubble_px(_visibility(one.seen), of_all) for one in recordings]
    # Half of them are spoilt, so that there is something to fit. What is usual, the better half tells.
    limit = float(np.median(smallest))
    better = [one for one, px in zip(recordings, smallest, strict=True) if px <= limit]
    return _curve(shown, found, better)


def _curve(shown: list[Sightings], found: np.ndarray, like: list[Sightings]) -> Sensitivity:
    """The curve of the bubbles of `shown`; what is usual is what the recordings in `like` show."""
    usual = np.array([_median(column) for column in np.array([one.seen for one in like]).T])
    table = np.concatenate([_table(one, usual) for one in shown])
    # Bubbles of one recording are alike: many of them say less than as many from many stations.
    weight = np.concatenate([np.full(len(one.bubbles), len(one.bubbles) ** -0.5) for one in shown])
    offset, size, *weights = _logistic(table, found.astype(float), weight / weight.sum()).tolist()
    named = dict(zip(sight.FIELDS, weights, strict=True))
    middle = _visibility(usual)
    curve = RecallCurve(usual=middle, offset=offset, size=size, **named)
    sensitivity = Sensitivity(recall=RECALL, curve=curve)
    return Sensitivity(smallest_bubble_px(middle, sensitivity), RECALL, curve=curve)


def _visibility(seen: np.ndarray) -> Visibility:
    """(6,) in the order of FIELDS, nan = not measured."""
    known = {name: None if np.isnan(value) else float(value) for name, value in zip(sight.FIELDS, seen, strict=True)}
    return msgspec.convert(known, Visibility)


def _median(values: np.ndarray) -> float:
    """Of those that were measured; nan where none was."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")


def _table(one: Sightings, usual: np.ndarray) -> np.ndarray:
    """(n, 8) rows of 1, ln(diameter_px) and how much better than usual each quantity was, in logarithms."""
    better = -np.array([WORSE[name] for name in sight.FIELDS]) * np.log(np.maximum(one.seen, LEAST_READING) / usual)
    count = len(one.bubbles)
    size = np.log(np.maximum(one.bubbles[:, 0], 0.1))
    return np.column_stack([np.ones(count), size, np.tile(np.nan_to_num(better), (count, 1))])


def _logistic(table: np.ndarray, found: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Coefficients of each column; all but the first are not negative."""

    def loss(at: np.ndarray) -> tuple[float, np.ndarray]:
        logit = table @ at
        miss = weight @ (np.logaddexp(0, logit) - found * logit)
        slope = table.T @ (weight * (1 / (1 + np.exp(-logit)) - found))
        return miss + SHRINK * float(at[1:] @ at[1:]), slope + 2 * SHRINK * np.append(0, at[1:])

    bounds = [(None, None), (LEAST_SIZE, None), *[(0, None)] * (table.shape[1] - 2)]
    start = np.append([-3.0, 3.0], np.ones(table.shape[1] - 2))
    return minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
