"""PURE. A dataset's examples -> what they look like in sum: kept with the set, the reference for drift."""

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from cloud_sync.manifest import Example

QUANTILES = tuple(round(0.05 * step, 2) for step in range(21))
MEASURED = ("score", "clarity", "light_levels", "usable_s")


class Spread(msgspec.Struct, frozen=True):
    """How a measured quantity is spread. `quantiles`: at QUANTILES; empty where nothing was measured."""

    measured: int
    missing: int
    quantiles: tuple[float, ...]

    @property
    def median(self) -> float | None:
        return self.quantiles[len(QUANTILES) // 2] if self.quantiles else None


class Figures(msgspec.Struct, frozen=True):
    """Of one set. Each dict: word -> how many examples."""

    examples: int
    labels: dict[str, int]
    verdicts: dict[str, int]
    decisions: dict[str, int]
    stations: dict[str, int]
    label_states: dict[str, int]
    sampled_for: dict[str, int]
    spreads: dict[str, Spread]
    """By MEASURED."""


class Statistics(msgspec.Struct, frozen=True):
    """Of a dataset. `left_out`: reason -> judged cases that could have been in it."""

    whole: Figures
    by_split: dict[str, Figures]
    left_out: dict[str, int]
    conflicts: int
    """Cases on which experts disagreed when it was made."""


def statistics(members: Sequence[Example], left_out: Iterable[str], conflicts: int) -> Statistics:
    """The reasons in `left_out` come once a case."""
    splits = sorted({one.split for one in members})
    by_split: dict[str, Figures] = {split: figures([one for one in members if one.split == split]) for split in splits}
    return Statistics(figures(members), by_split, _counted(left_out), conflicts)


def figures(members: Sequence[Example]) -> Figures:
    return Figures(
        examples=len(members),
        labels=_counted(one.label for one in members),
        verdicts=_counted(one.lineage.verdict for one in members),
        decisions=_counted(one.decision for one in members),
        stations=_counted(one.place for one in members),
        label_states=_counted(one.lineage.label_state for one in members),
        sampled_for=_counted(one.lineage.sampled_for for one in members),
        spreads={name: spread([getattr(one.lineage, name) for one in members]) for name in MEASURED},
    )


def spread(values: Sequence[float | None]) -> Spread:
    known = np.array([value for value in values if value is not None], float)
    quantiles = np.quantile(known, QUANTILES).round(6).tolist() if len(known) else []
    return Spread(len(known), len(values) - len(known), tuple(quantiles))


def _counted(words: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(words).items()))
