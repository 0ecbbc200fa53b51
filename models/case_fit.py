"""Features of judged cases -> a fitted CaseNet, and what fits that had not seen a case say of it."""

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional

from edge_agent.account import SCORED
from edge_agent.errors import ModelError
from models import novelty
from models.augmentation import FEATURE_JITTER
from models.cases import Features, chosen, together
from models.net import CaseNet

Log = Callable[[str], None]
RATE, DECAY = 1e-2, 0.02
DEALS, FOLDS = 4, 4
"""How often cases are dealt, and into how many folds."""
SMOOTHING = 0.01
"""Labels are believed this much less than fully: scores stay off 0 and 1."""
HIDDEN, STEPS = 16, 600
"""Width of a member, and how often all of them are moved."""
LEAST_SHARE = 1e-6
"""A score of 0 on a leak would cost infinitely much."""


class Deal(NamedTuple):
    """One dealing of cases into folds."""

    seed: int
    number: int = 0


def fit(features: Features, seed: int, log: Log, *, steps: int = STEPS, hidden: int = HIDDEN) -> CaseNet:
    """A CaseNet fitted to both classes at equal odds, each of its members for itself.

    Raises ModelError where the loss is no number any more.
    """
    torch.manual_seed(seed)
    values = torch.from_numpy(features.values)
    leaky = torch.from_numpy(features.leaky.astype(np.float32))[:, None]
    weight = _even_odds(features)[:, None]
    net = CaseNet(values.mean(0), values.std(0).clamp(min=1e-3), len(SCORED), hidden=hidden)
    novelty.teach(net, features)
    optimiser = torch.optim.AdamW(_groups(net), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    wanted = leaky * (1 - 2 * SMOOTHING) + SMOOTHING
    began_s, loss = time.monotonic(), torch.zeros(())
    for step in range(steps):
        blurred = values + FEATURE_JITTER * net.spread * torch.randn_like(values)
        votes = net.votes(blurred)
        losses = functional.binary_cross_entropy_with_logits(votes, wanted.expand_as(votes), reduction="none")
        loss = (losses * weight).mean(1).sum() / weight.sum()
        if not torch.isfinite(loss):
            raise _no_number(features, float(loss.detach()), step)
        optimiser.zero_grad(set_to_none=True)
        # The mean over members would shorten each one's step: they are fitted as if alone.
        (loss * net.members).backward()
        optimiser.step()
        schedule.step()
    log(f"aggregator rows={len(values)} loss={float(loss.detach()):.4f} seconds={time.monotonic() - began_s:.0f}")
    return net.eval()


def _no_number(features: Features, loss: float, step: int) -> ModelError:
    broken = int((~np.isfinite(features.values).all(axis=1)).sum())
    cure = "leave these clips out" if broken else "give another seed or recipe"
    return ModelError(
        f"the aggregator's loss became {loss} at step {step}; {broken} of {len(features.leaky)} rows hold features "
        f"that are no numbers: {cure}"
    )


def _groups(net: CaseNet) -> list[dict]:
    """A member's weights in the mean are smaller than its own by their number, and so are its steps."""
    shares = {"params": [net.out.weight], "lr": RATE / net.members, "weight_decay": DECAY * net.members}
    return [{"params": [*net.hidden.parameters(), net.out.bias]}, shares]


def held_out_logits(before: Features, judged: Features, seed: int, *, steps: int, hidden: int = HIDDEN) -> np.ndarray:
    """(n,) log odds of the rows of `judged`, each by fits to `before` and to other cases of `judged` alone.

    The mean of DEALS: one case at the edge scores 0.01 or 0.03, as the folds fall, and limits hang on such cases.
    """
    deals = [dealt_logits(before, judged, Deal(seed, number), steps=steps, hidden=hidden) for number in range(DEALS)]
    return np.array(deals, np.float32).reshape(DEALS, len(judged.leaky)).mean(axis=0)


def dealt_logits(before: Features, judged: Features, deal: Deal, *, steps: int, hidden: int = HIDDEN) -> np.ndarray:
    """(n,) the same of a single deal: enough to rank recipes by."""
    logits = np.zeros(len(judged.leaky), np.float32)
    order = np.random.default_rng([deal.seed, 151, deal.number]).permutation(np.unique(judged.case))
    for out in (order[fold::FOLDS] for fold in range(FOLDS)):
        asked = np.isin(judged.case, out)
        if asked.any():
            known, seed = together([before, chosen(judged, ~asked)]), deal.seed + deal.number
            net = fit(known, seed, lambda line: None, steps=steps, hidden=hidden)
            logits[asked] = _logits(net, judged.values[asked])
    return logits


def even_loss(scores: np.ndarray, leaky: np.ndarray) -> float:
    """Mean log loss in nats of (n,) scores, both kinds counting the same however many there are of each."""
    right = np.clip(np.where(leaky, scores, 1 - scores), LEAST_SHARE, 1)
    kinds = [-np.log(right[leaky == kind]).mean() for kind in (True, False) if (leaky == kind).any()]
    return float(np.mean(kinds))


def sharpness(logits: np.ndarray, judged: Features) -> float:
    """The factor that makes probabilities of held-out log odds (temperature scaling)."""
    said = torch.from_numpy(logits)
    leaky, weight = torch.from_numpy(judged.leaky.astype(np.float32)), _even_odds(judged)
    choices = torch.exp(torch.linspace(np.log(0.2), np.log(2.0), 60))
    losses = [
        float((functional.binary_cross_entropy_with_logits(said * choice, leaky, reduction="none") * weight).sum())
        for choice in choices
    ]
    return float(choices[int(np.argmin(losses))])


def scores(net: CaseNet, values: np.ndarray) -> np.ndarray:
    """(n, F) -> (n,) leak probabilities."""
    with torch.no_grad():
        return net(torch.from_numpy(values.astype(np.float32)))[:, 0].numpy()


def _logits(net: CaseNet, values: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return net.logit(torch.from_numpy(values.astype(np.float32))).squeeze(1).numpy()


def _even_odds(features: Features) -> torch.Tensor:
    """Weights under which both classes count the same."""
    weight = torch.from_numpy(features.weight.copy())
    leaky = torch.from_numpy(features.leaky)
    for one in (leaky, ~leaky):
        weight[one] /= weight[one].sum().clamp(min=1e-6)
    return weight * len(leaky) / 2
