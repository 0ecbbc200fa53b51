"""Recordings -> a detector's evidence over whole cases -> the features that the aggregator is fitted to.

Evidence is kept, features are made from it: at several lengths of watching, with and without a scale, with the moment
of immersion a little wrong, so that the aggregator knows what it will meet.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_agent.bundle import Thresholds
from edge_agent.composite import Compositor
from edge_agent.infer import Detector
from edge_agent.origins import FEATURES, Account
from edge_agent.records import Evidence, TankView
from models.data import PREPROCESSING

KEPT_ABOVE = 0.12
"""Peaks are kept from this score on, so that the limit can be chosen afterwards."""


@dataclass(frozen=True, slots=True, eq=False)
class CaseEvidence:
    """What a detector saw of one case. `times` (m, 2) float32 rows of since_s and stir, one a composite;
    `bubbles` (n, 6) float32 rows of the composite's number and the five columns of Evidence."""

    times: np.ndarray
    bubbles: np.ndarray
    px_per_mm: float | None
    view_size_px: tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """`values` (n, F) float32; `leaky` (n,) bool; `weight` (n,) float32; `case` (n,) int: rows of one case share it."""

    values: np.ndarray
    leaky: np.ndarray
    weight: np.ndarray
    case: np.ndarray


def evidence_of(views: Iterable[TankView], detector: Detector, px_per_mm: float | None) -> CaseEvidence:
    """Runs the detector over a case's tank views; time counts from the first."""
    compositor = Compositor(PREPROCESSING, strict=False)
    times: list[tuple[float, float]] = []
    bubbles = [np.empty((0, 6))]
    first_s, size = None, (0, 0)
    for view in views:
        first_s = view.monotonic_s if first_s is None else first_s
        size = view.grey.shape[1], view.grey.shape[0]
        composite = compositor.push(view)
        if composite is None:
            continue
        seen = detector.look(composite)
        bubbles.append(np.column_stack([np.full(len(seen.bubbles), len(times)), seen.bubbles]))
        times.append((composite.monotonic_s - first_s, seen.stir))
    rows = np.concatenate(bubbles).astype(np.float32)
    return CaseEvidence(np.array(times, np.float32).reshape(-1, 2), rows, px_per_mm, size)


def upside_down(views: Iterable[TankView]) -> Iterator[TankView]:
    """Bubbles that go down: whatever it is, it is no leak."""
    for view in views:
        yield TankView(np.ascontiguousarray(view.grey[::-1]), view.sequence, view.monotonic_s, view.homography)


def features(
    evidence: CaseEvidence, thresholds: Thresholds, *, until_s: float = np.inf, late_s: float = 0.0, scale: bool = True
) -> np.ndarray:
    """(F,) float32 of the first `until_s` seconds, the moment of immersion set `late_s` later than it was."""
    account = Account(evidence.px_per_mm if scale else None, evidence.view_size_px, thresholds)
    bounds = np.searchsorted(evidence.bubbles[:, 0], np.arange(len(evidence.times) + 1))
    for number, (since_s, stir) in enumerate(evidence.times.tolist()):
        if not late_s <= since_s <= until_s:
            continue
        rows = evidence.bubbles[bounds[number] : bounds[number + 1], 1:]
        rows = rows[rows[:, 2] >= thresholds.bubble_above]
        account.add(Evidence(since_s, _NO_HEAT, rows, 0.0, stir), since_s - late_s)
    return account.features()


def rows_of(
    evidence: CaseEvidence, leaky: bool, thresholds: Thresholds, *, case: int, rng: np.random.Generator, short: int = 2
) -> Features:
    """The case watched to its end, and `short` times for less."""
    last_s = float(evidence.times[-1, 0]) if len(evidence.times) else 0.0
    values = [features(evidence, thresholds, late_s=rng.uniform(-0.2, 0.3), scale=rng.random() < 0.75)]
    for _ in range(short):
        until_s = float(np.exp(rng.uniform(np.log(min(1.5, last_s)), np.log(max(last_s, 1.6)))))
        values.append(
            features(evidence, thresholds, until_s=until_s, late_s=rng.uniform(-0.2, 0.5), scale=rng.random() < 0.5)
        )
    count = len(values)
    weight = np.array([1.0] + [0.5] * short, np.float32)
    return Features(np.array(values), np.full(count, leaky), weight, np.full(count, case))


def together(parts: Iterable[Features]) -> Features:
    """All rows in one table."""
    nothing = Features(
        np.empty((0, len(FEATURES)), np.float32), np.empty(0, bool), np.empty(0, np.float32), np.empty(0, int)
    )
    tables = [nothing, *parts]
    columns = ("values", "leaky", "weight", "case")
    return Features(*(np.concatenate([getattr(table, column) for table in tables]) for column in columns))


def save(evidence: CaseEvidence, path: Path, *, leaky: bool = False, silent: bool = False) -> None:
    """One file, whole or absent, with the truth beside the evidence."""
    partial = path.with_suffix(".part.npz")
    scale = np.nan if evidence.px_per_mm is None else evidence.px_per_mm
    truth = np.array([leaky, silent])
    np.savez_compressed(
        partial, times=evidence.times, bubbles=evidence.bubbles, scale=scale, view=evidence.view_size_px, truth=truth
    )
    partial.replace(path)


def load(path: Path) -> tuple[CaseEvidence, bool, bool]:
    """(evidence, leaky, silent) as `save` wrote them."""
    with np.load(path) as kept:
        width, height = kept["view"].tolist()
        scale = None if np.isnan(kept["scale"]) else float(kept["scale"])
        leaky, silent = kept["truth"].tolist()
        return CaseEvidence(kept["times"], kept["bubbles"], scale, (width, height)), leaky, silent


_NO_HEAT = np.zeros((1, 1), np.float32)
