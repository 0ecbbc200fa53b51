"""How far a case lies from those of training, in what the detector made of its pictures.

A score is only worth believing on cases like those that it was fitted to. What a station has shown is familiar.
Make-believe is not, though the nets have seen it: it is there to teach doubt.
"""

from dataclasses import dataclass

import numpy as np
import torch

from models.cases import WHOLE, Features, chosen
from models.net import CaseNet

UNFAMILIAR_SHARE = 0.01
"""Of familiar cases that may be taken for unfamiliar."""
SHRINKAGE = 0.05
"""Of the correlations towards none: with few cases some of them are chance."""
FOLDS = 5


@dataclass(frozen=True, slots=True, eq=False)
class Familiar:
    """The middle of the familiar cases: `mean`, `spread` (D,) and `whitening` (D, D) of the standard values."""

    mean: np.ndarray
    spread: np.ndarray
    whitening: np.ndarray

    def distances(self, rows: Features) -> np.ndarray:
        """(n,), as CaseNet gives them."""
        return np.sqrt((((rows.mapped - self.mean) / self.spread @ self.whitening) ** 2).mean(axis=1))


def familiar_of(features: Features) -> Familiar | None:
    """None where nothing, or one row alone, is familiar."""
    known = chosen(features, features.familiar)
    if len(known.case) < 2:
        return None
    weight, mapped = _weight(known), known.mapped.astype(float)
    mean = np.average(mapped, axis=0, weights=weight)
    spread = np.maximum(np.sqrt(np.average((mapped - mean) ** 2, axis=0, weights=weight)), 1e-3)
    standard = (mapped - mean) / spread
    together = (standard.T * weight) @ standard / weight.sum()
    sizes, axes = np.linalg.eigh((1 - SHRINKAGE) * together + SHRINKAGE * np.eye(len(mean)))
    parts = mean, spread, axes / np.sqrt(np.maximum(sizes, 1e-6))
    return Familiar(*(part.astype(np.float32) for part in parts))


def teach(net: CaseNet, features: Features) -> None:
    """Sets what the net's distance is measured from."""
    familiar = familiar_of(features)
    if familiar is None:
        return
    net.mean[net.scored :], net.spread[net.scored :] = map(torch.from_numpy, (familiar.mean, familiar.spread))
    net.whitening.copy_(torch.from_numpy(familiar.whitening))


def limit(features: Features, seed: int) -> float | None:
    """Distance that UNFAMILIAR_SHARE of familiar whole cases exceed, each measured from the others; None where there
    are too few of them to tell.

    Split conformal where all cases weigh the same. Judged ones weigh more, for a station's own few shall count among
    many simulated ones: then it is a quantile without that guarantee.
    """
    known = chosen(features, features.familiar)
    order = np.random.default_rng([seed, 161]).permutation(np.unique(known.case))
    distances, weights = [], []
    for fold in range(FOLDS):
        out = np.isin(known.case, order[fold::FOLDS])
        others, judged = familiar_of(chosen(known, ~out)), chosen(known, out & known.whole)
        if others is not None:
            distances += others.distances(judged).tolist()
            weights += _weight(judged).tolist()
    ranked = np.argsort(distances)
    upto = np.cumsum(np.array(weights)[ranked])
    within = int(np.searchsorted(upto, (1 - UNFAMILIAR_SHARE) * (sum(weights) + 1) - 1e-9))
    return float(distances[ranked[within]]) if within < len(ranked) else None


def _weight(rows: Features) -> np.ndarray:
    """(n,) A case watched for less is as familiar as a whole one."""
    return np.maximum(rows.weight, WHOLE).astype(float)
