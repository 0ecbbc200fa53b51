"""Judged clips -> whether training can work at all: a handful is learnt by heart, or something before it is broken.

Labels that were swapped, features that are all alike, a rate that is far too high: all of them end in a bundle that
looks like one. A net that cannot even repeat eight clips says so within seconds.
"""

import numpy as np

from edge_agent.errors import ModelError
from models import case_fit
from models.cases import Features, chosen

HANDFUL = 8
STEPS = 200
"""Enough for eight rows at the rate of every fit; measured, 60 will do."""
MOST_LOSS = 0.15
"""Nats a clip. Smoothed labels end at 0.02 to 0.06; a pair of equal clips with different labels keeps 0.17 or more."""


def check(judged: Features, seed: int) -> float:
    """The loss of a handful after a fit to it alone. Raises ModelError where it does not come near nothing."""
    few = handful(judged)
    net = case_fit.fit(few, seed, lambda line: None, steps=STEPS)
    loss = case_fit.even_loss(case_fit.scores(net, few.values), few.leaky)
    if not loss <= MOST_LOSS:
        raise ModelError(
            f"a fit to {len(few.leaky)} clips alone keeps a loss of {loss:.3f}, limit {MOST_LOSS}: clips that look the "
            "same have different labels, or the features are damaged; compare the judgements of these clips"
        )
    return loss


def handful(judged: Features) -> Features:
    """HANDFUL rows, half of each kind as far as there are, the same ones for the same clips."""
    order = np.argsort(judged.case, kind="stable")
    halves = [order[judged.leaky[order] == leaky][: HANDFUL // 2] for leaky in (True, False)]
    return chosen(judged, np.concatenate(halves))
