"""What training does to a judged clip, in words and numbers that a dataset keeps with each of them."""

import msgspec

JUDGED_WEIGHT = 6.0
"""A judged clip counts as this many simulated cases: it is real, and there are few."""
FEATURE_JITTER = 0.1
"""Of a feature's spread, anew in each step: what differs by less is the same."""


class Augmentation(msgspec.Struct, frozen=True):
    """Of one clip. The seed of the jitter is the training's own and stands in its bundle's lineage."""

    pictures: tuple[str, ...] = ()
    """Changes to the frames: none, the parent's detector looks at a judged clip as it was filmed."""
    feature_jitter: float = 0.0
    """Standard deviation of the noise on its features, in their spreads."""
    weight: float = 0.0
    """As how many simulated cases it counts; 0 = training does not see it."""


TRAINED = Augmentation(feature_jitter=FEATURE_JITTER, weight=JUDGED_WEIGHT)
UNTRAINED = Augmentation()
