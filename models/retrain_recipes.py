"""PURE. The settings that compete in a retraining, each with its reason, and what comes of the contest.

The criterion is declared here and looks at training data alone: the mean log loss of the judged clips, leaks and good
units at equal odds, each scored by fits that had not seen it. A tie goes to the first of the table.
"""

import msgspec

from models.augmentation import JUDGED_WEIGHT


class RetrainRecipe(msgspec.Struct, frozen=True):
    """How an aggregator is fitted to the parent's cases and the judged ones together."""

    name: str
    reason: str
    steps: int = 600
    weight: float = JUDGED_WEIGHT
    """As how many simulated cases a judged clip counts."""
    hidden: int = 16
    """Width of each of the aggregator's members."""


class Competed(msgspec.Struct, frozen=True):
    """How a recipe did in the contest."""

    name: str
    held_out_loss: float
    """Nats a clip at equal odds; 0.693 is guessing."""
    held_out_auc: float | None
    """None where one class is missing."""


USUAL = RetrainRecipe("usual", "the settings of the shipped bundle: what every other one has to beat")
RECIPES = (
    USUAL,
    RetrainRecipe("own", "at a station unlike the twin its own clips have to outweigh thousands", weight=20.0),
    RetrainRecipe("careful", "of few or doubtful clips little is learnt: it stays near the parent", 300, 2.0),
    RetrainRecipe("wide", "many clips of several stations need more bends in the boundary", hidden=32),
)


def named(names: list[str]) -> tuple[RetrainRecipe, ...]:
    """Those recipes in the table's order; all where none is named. Unknown names give fewer."""
    return tuple(one for one in RECIPES if not names or one.name in names)


def best(competed: list[Competed]) -> Competed:
    """The smallest loss on clips that no fit had seen."""
    return min(competed, key=lambda one: one.held_out_loss)
