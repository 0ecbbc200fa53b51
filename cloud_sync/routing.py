"""PURE. A judged case -> which set it goes to: the machine's mistakes teach or test the next model.

The machine was wrong where it said leak or ok and the expert says the opposite. Then a familiar kind of bubble is
training data: the model should have known it. An unfamiliar one is test data: it shows how the next model takes what
it was never taught. `uncertain` and `not_tested` are no mistakes, they are the machine asking; these cases, and those
in which the machine was right, go to the pool, from which training may draw but tests may not.
"""

from typing import Literal

Judged = Literal["leak", "ok", "cannot_tell"]
Label = Literal["leak", "ok"]
Split = Literal["train", "test", "pool"]


def machine_was_wrong(verdict: str, judgement: Judged) -> bool:
    return (verdict, judgement) in (("leak", "ok"), ("ok", "leak"))


def split_of(verdict: str, judgement: Judged, familiar: bool | None) -> Split | None:
    """None: what nobody can tell is no example."""
    if judgement == "cannot_tell":
        return None
    if not machine_was_wrong(verdict, judgement) or familiar is None:
        return "pool"
    return "train" if familiar else "test"


def settled(split: Split, released: Split | None) -> Split:
    """The split in a new dataset of a case that an earlier one had as `released`.

    A model may have been trained on whatever was released as train or pool, so that never becomes test data; and what
    was once test data stays it, or the figures of two versions could not be compared.
    """
    if released is None or split == released:
        return split
    if released == "test":
        return "test"
    return "train" if "train" in (split, released) else "pool"
