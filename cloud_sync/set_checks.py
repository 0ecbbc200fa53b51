"""PURE. A dataset's examples and statistics -> what forbids training on it, and what somebody should know first."""

from collections import defaultdict
from collections.abc import Callable, Sequence

from cloud_sync.draw import unit_of
from cloud_sync.manifest import Example
from cloud_sync.set_statistics import MEASURED, Figures, Spread

MOST_NAMED = 3
"""Of a fault's examples: who mends it needs a few."""
FAR_SHARE = 0.25
"""A median below this quantile of the champion's data, or above its mirror image, is said to have moved."""
FEWEST = 20
"""Measured values in each set, from which medians are compared."""
TRAINED = ("train", "pool")


def faults(members: Sequence[Example]) -> list[str]:
    """Why nothing may be trained on these examples, in words; none: they will do."""
    return [*_on_both_sides(members), *_of_one_kind(members)]


def warnings(known: Figures, coming: Figures) -> list[str]:
    """Where incoming examples are unlike those that the champion was trained on, in words."""
    found = [
        words
        for name in MEASURED
        if name in known.spreads and name in coming.spreads
        if (words := _moved(name, known.spreads[name], coming.spreads[name]))
    ]
    strangers = sorted(set(coming.stations) - set(known.stations))
    if strangers:
        found.append(f"stations that the champion was not trained on: {', '.join(strangers)}")
    return found


def _on_both_sides(members: Sequence[Example]) -> list[str]:
    keys: dict[str, Callable[[Example], str]] = {
        "case": lambda one: one.case_id,
        "clip": lambda one: one.lineage.clip_sha256,
        "unit": lambda one: unit_of(one.site, one.lineage.serial, one.case_id),
    }
    return [words for what, key in keys.items() if (words := _shared(members, what, key))]


def _shared(members: Sequence[Example], what: str, key: Callable[[Example], str]) -> str:
    sides: dict[str, set[bool]] = defaultdict(set)
    for one in members:
        sides[key(one)].add(one.split in TRAINED)
    both = sorted(name for name, found in sides.items() if len(found) == 2)
    if not both:
        return ""
    named = ", ".join(both[:MOST_NAMED]) + (" …" if len(both) > MOST_NAMED else "")
    return (
        f"{len(both)} {what}{'' if len(both) == 1 else 's'} in training and test data at once ({named}): "
        "a test on them shows nothing; release a new version of the dataset"
    )


def _of_one_kind(members: Sequence[Example]) -> list[str]:
    trained = [one.label for one in members if one.split in TRAINED]
    if len(set(trained)) == 2:
        return []
    have = f"{len(trained)} clips, all of them {trained[0]}" if trained else "no clip to train on"
    return [f"the dataset has {have}; leaks and good units are both needed: judge more cases"]


def _moved(name: str, known: Spread, coming: Spread) -> str:
    if min(known.measured, coming.measured) < FEWEST:
        return ""
    low, high = (known.quantiles[round(at * (len(known.quantiles) - 1))] for at in (FAR_SHARE, 1 - FAR_SHARE))
    middle = coming.median
    if middle is None or low <= middle <= high:
        return ""
    return f"{name}: the median is {middle:.3g}, half of the champion's data lay between {low:.3g} and {high:.3g}"
