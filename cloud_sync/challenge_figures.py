"""PURE. Runs of challenge parts -> how often each kind was found, by machine and by inspector, with exact bounds.

Parts are shown on purpose: these figures speak of the parts, as a curve of detection does, and of no share of units.
"""

from collections.abc import Iterable, Sequence

import msgspec

from cloud_sync.challenge import Result, Run, Truth
from models import bounds

FEWEST = 5
"""With fewer answers a bound says less than half: even five of five only show 55 % with 95 % confidence."""


class Score(msgspec.Struct, frozen=True):
    """One rater on one kind of part."""

    right: int
    wrong: int
    repeat: int
    """Without an answer."""
    right_at_least: float | None
    """Share of the answers, one-sided 95 % (Clopper and Pearson); None: too few to say."""


class Kind(msgspec.Struct, frozen=True):
    """Leakers of one rate, or good parts."""

    truth: Truth
    leak_std_cm3_s: float | None
    runs: int
    machine: Score
    inspector: Score


def kinds(runs: Iterable[Run]) -> list[Kind]:
    """The largest leak first, then leaks of unknown rate, then good parts."""
    groups: dict[tuple[Truth, float | None], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.truth, run.leak_std_cm3_s), []).append(run)
    ordered = sorted(groups.items(), key=lambda item: (item[0][0] == "ok", -(item[0][1] or 0.0)))
    return [
        Kind(truth, rate, len(mine), _score([run.result for run in mine]), _score([run.human_result for run in mine]))
        for (truth, rate), mine in ordered
    ]


def _score(results: Sequence[Result]) -> Score:
    right, repeat = results.count("passed"), results.count("repeat")
    answers = len(results) - repeat
    at_least = bounds.lower(right, answers, bounds.CONFIDENCE) if answers >= FEWEST else None
    return Score(right, answers - right, repeat, at_least)
