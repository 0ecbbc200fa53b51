"""How far a case lies from those of training, in what the detector made of its pictures.

A score is only worth believing on cases like those that it was fitted to. What a station has shown is familiar.
Make-believe is not, though the nets have seen it: it is there to teach doubt.
"""

import numpy as np
import torch

from edge_agent.account import SCORED
from models.cases import Features, chosen
from models.net import CaseNet

STRANGE_SHARE = 0.01
"""Of familiar cases that may be taken for strange."""
SHRINKAGE = 0.05
"""Of the correlations towards none: with few cases some of them are chance."""
FOLDS = 5
WHOLE = 1.0
"""Weight from which a row is a case watched to its end."""


def teach(net: CaseNet, features: Features) -> None:
    """Sets what the net's distance is measured from: the middle and the spread of the familiar cases."""
    familiar = features.values[features.familiar, net.scored :]
    if len(familiar) < 2:
        return
    mean, spread, whitening = _usual(familiar)
    net.mean[net.scored :], net.spread[net.scored :] = torch.from_numpy(mean), torch.from_numpy(spread)
    net.whitening.copy_(torch.from_numpy(whitening))


def limit(features: Features, seed: int) -> float | None:
    """Distance that STRANGE_SHARE of familiar whole cases exceed, each measured from the others (split conformal);
    None where there are too few of them to tell.
    """
    known = chosen(features, features.familiar)
    felt, whole = known.values[:, len(SCORED) :], known.weight >= WHOLE
    order = np.random.default_rng([seed, 161]).permutation(np.unique(known.case))
    distances = []
    for fold in range(FOLDS):
        out = np.isin(known.case, order[fold::FOLDS])
        if (out & whole).any() and (~out).sum() > 1:
            distances += distances_of(felt[out & whole], felt[~out]).tolist()
    rank = int(np.ceil((1 - STRANGE_SHARE) * (len(distances) + 1)))
    return float(np.sort(distances)[rank - 1]) if rank <= len(distances) else None


def distances_of(felt: np.ndarray, familiar: np.ndarray) -> np.ndarray:
    """(n, D), (m, D) -> (n,) distances of the first from the middle of the second, as CaseNet gives them."""
    mean, spread, whitening = _usual(familiar)
    return np.sqrt((((felt - mean) / spread @ whitening) ** 2).mean(axis=1))


def _usual(familiar: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(m, D) -> mean (D,), spread (D,), whitening (D, D) of the standard values."""
    mean, spread = familiar.mean(axis=0), np.maximum(familiar.std(axis=0), 1e-3)
    standard = (familiar - mean) / spread
    together = (1 - SHRINKAGE) * standard.T @ standard / len(standard) + SHRINKAGE * np.eye(standard.shape[1])
    sizes, axes = np.linalg.eigh(together)
    return mean, spread, (axes / np.sqrt(np.maximum(sizes, 1e-6))).astype(np.float32)
