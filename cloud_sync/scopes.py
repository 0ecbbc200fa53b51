"""PURE. A place and what is known of it -> for whom a model is trained, and which of several one is best for a place.

One model a station where its data suffice, else its site's, else the general one. A narrower model has to have shown
that it is better where it is to speak: it is trained on less.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec
from scipy.special import bdtrc

from cloud_sync.manifest import Example

GENERAL = "general"
LEAST_OF_A_KIND = 20
"""Clips of leaks, and of good units, from which a scope's own model is worth a try: some forty set its limits."""
ACCEPTED_ERROR = 0.02
"""Share of answered units that may be wrong before a station falls short."""
LEVEL = 0.05
"""Chance at most that a station which keeps ACCEPTED_ERROR is said to fall short."""


class Shown(msgspec.Struct, frozen=True):
    """What an evaluation showed of one bundle on a place's own cases."""

    sha256: str
    loss: float
    """Mean cost of a case: 1 an error, UNSURE_COST where nothing was said."""
    cases: int


UNSURE_COST = 0.1
"""A case left to the human, in errors: he looks at it anyway, an error reaches the customer."""
LEAST_CASES = 20
"""Of a place's own cases, from which an evaluation may choose a narrower model."""


class AtStation(msgspec.Struct, frozen=True):
    """A station's units of late that the machine answered, and how many of these answers are known to be wrong."""

    place: str
    """site/station"""
    answered: int
    wrong: int


def of_place(place: str) -> list[str]:
    """The scopes that a place belongs to, the narrowest first."""
    return [f"station/{place}", f"site/{place.partition('/')[0]}", GENERAL]


def holds(scope: str, place: str) -> bool:
    """Does the place belong to the scope?"""
    return scope in of_place(place)


def part(members: Iterable[Example], scope: str) -> list[Example]:
    """The examples of a scope, in their order."""
    return [one for one in members if holds(scope, one.place)]


def with_enough(members: Sequence[Example]) -> list[str]:
    """The scopes beside the general one whose own examples suffice for training, of both kinds."""
    counted: dict[str, dict[str, int]] = defaultdict(lambda: {"leak": 0, "ok": 0})
    for one in members:
        if one.split != "test":
            for scope in of_place(one.place)[:-1]:
                counted[scope][one.label] += 1
    return sorted(scope for scope, kinds in counted.items() if min(kinds.values()) >= LEAST_OF_A_KIND)


def falling_short(stations: Iterable[AtStation]) -> list[str]:
    """The places where the champion errs more than it may, by an exact binomial test and not by a share alone."""
    return [
        one.place for one in stations if one.wrong and float(bdtrc(one.wrong - 1, one.answered, ACCEPTED_ERROR)) < LEVEL
    ]


def to_retrain(members: Sequence[Example], short: Iterable[str]) -> list[str]:
    """The narrowest scope with enough data of each place that falls short; the general one is not among them."""
    enough = with_enough(members)
    found = (next((scope for scope in of_place(place) if scope in enough), None) for place in short)
    return sorted({scope for scope in found if scope is not None})


def best(place: str, champions: Mapping[str, str], shown: Sequence[Shown]) -> str | None:
    """The bundle for a place. `champions`: scope -> hash; `shown`: what evaluations on this place's cases say.

    The general champion, unless one of a narrower scope lost less on the place's own cases. None: there is no champion.
    """
    known = {one.sha256: one for one in shown if one.cases >= LEAST_CASES}
    chosen = champions.get(GENERAL)
    for scope in reversed(of_place(place)[:-1]):
        own = champions.get(scope)
        if own is not None and (chosen is None or _better(known.get(own), known.get(chosen))):
            chosen = own
    return chosen


def _better(own: Shown | None, wider: Shown | None) -> bool:
    return own is not None and wider is not None and own.loss < wider.loss


def loss(labelled: Sequence[tuple[str, str]]) -> float:
    """Mean cost of (label, verdict) pairs; 0 where there are none."""
    if not labelled:
        return 0.0
    costs = [0.0 if said == label else 1.0 if said in ("leak", "ok") else UNSURE_COST for label, said in labelled]
    return sum(costs) / len(costs)
