"""Features of judged cases -> a fitted and calibrated CaseNet."""

import time
from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional

from models.cases import Features
from models.net import CaseNet

Log = Callable[[str], None]
SMOOTHING = 0.01
"""Labels are believed this much less than fully: scores stay off 0 and 1."""


def fit(features: Features, seed: int, log: Log, *, steps: int = 1500, start: CaseNet | None = None) -> CaseNet:
    """A CaseNet fitted to both classes at equal odds, `start` = go on from its weights."""
    torch.manual_seed(seed)
    values = torch.from_numpy(features.values)
    leaky = torch.from_numpy(features.leaky.astype(np.float32))
    weight = _even_odds(features)
    net = start or CaseNet(values.mean(0), values.std(0).clamp(min=1e-3))
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-2, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    wanted = leaky * (1 - 2 * SMOOTHING) + SMOOTHING
    began_s, loss = time.monotonic(), torch.zeros(())
    for _ in range(steps):
        # Jitter of a tenth of a spread: what differs by less is the same.
        blurred = values + 0.1 * net.spread * torch.randn_like(values)
        losses = functional.binary_cross_entropy_with_logits(net.logit(blurred).squeeze(1), wanted, reduction="none")
        loss = (losses * weight).sum() / weight.sum()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
    log(f"aggregator rows={len(values)} loss={float(loss.detach()):.4f} seconds={time.monotonic() - began_s:.0f}")
    return net.eval()


def calibrate(net: CaseNet, held_out: Features, log: Log) -> CaseNet:
    """Sets the sharpness so that scores are probabilities on cases that the fit has not seen (temperature scaling)."""
    with torch.no_grad():
        net.sharpness.fill_(1.0)
        logits = net.logit(torch.from_numpy(held_out.values)).squeeze(1)
    leaky, weight = torch.from_numpy(held_out.leaky.astype(np.float32)), _even_odds(held_out)
    choices = torch.exp(torch.linspace(np.log(0.2), np.log(2.0), 60))
    losses = [
        float((functional.binary_cross_entropy_with_logits(logits * choice, leaky, reduction="none") * weight).sum())
        for choice in choices
    ]
    net.sharpness.fill_(float(choices[int(np.argmin(losses))]))
    log(f"calibration sharpness={float(net.sharpness):.2f} held_out_rows={len(leaky)}")
    return net


def scores(net: CaseNet, values: np.ndarray) -> np.ndarray:
    """(n, F) -> (n,) leak probabilities."""
    with torch.no_grad():
        return net(torch.from_numpy(values.astype(np.float32))).squeeze(1).numpy()


def _even_odds(features: Features) -> torch.Tensor:
    """Weights under which both classes count the same."""
    weight = torch.from_numpy(features.weight.copy())
    leaky = torch.from_numpy(features.leaky)
    for one in (leaky, ~leaky):
        weight[one] /= weight[one].sum().clamp(min=1e-6)
    return weight * len(leaky) / 2
