"""Values one after the other -> how many fell into which of a few fixed buckets: latencies, scores, seconds. PURE.

Histograms with the same buckets add up: those of two runs, of two stations. What Prometheus calls `le` is `upto` here.
"""

import math
from bisect import bisect_left
from itertools import accumulate
from typing import Annotated

import msgspec


class Histogram(msgspec.Struct, frozen=True):
    """Counts by bucket; the one made without bounds has a single bucket for all."""

    upto: tuple[float, ...] = ()
    """Upper bounds, rising; a value that equals one is below it."""
    counts: tuple[Annotated[int, msgspec.Meta(ge=0)], ...] = (0,)
    """One a bound, and one more for what lies above all of them."""
    sum: float = 0.0
    """Of the values."""

    def __post_init__(self) -> None:
        if len(self.counts) != len(self.upto) + 1:
            raise ValueError(f"a histogram of {len(self.upto)} bounds has {len(self.counts)} counts, not one more")
        if any(low >= high for low, high in zip(self.upto, self.upto[1:], strict=False)):
            raise ValueError("the bounds of a histogram do not rise")

    @property
    def total(self) -> int:
        """How many values."""
        return sum(self.counts)

    @property
    def cumulative(self) -> tuple[int, ...]:
        """How many values are at or below each bound, and last all of them."""
        return tuple(accumulate(self.counts))

    def seen(self, value: float) -> "Histogram":
        """With one more value; what is no number is not counted."""
        if not math.isfinite(value):
            return self
        counts = list(self.counts)
        counts[bisect_left(self.upto, value)] += 1
        return Histogram(self.upto, tuple(counts), self.sum + value)

    def merged(self, other: "Histogram") -> "Histogram":
        """Both together. Raises ValueError where their buckets differ."""
        if self.upto != other.upto:
            raise ValueError(f"histograms with the bounds {self.upto} and {other.upto} do not add up")
        counts = tuple(mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True))
        return Histogram(self.upto, counts, self.sum + other.sum)


def empty(upto: tuple[float, ...]) -> Histogram:
    """Nothing has been seen yet."""
    return Histogram(upto, (0,) * (len(upto) + 1))
