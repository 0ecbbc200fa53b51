"""PURE. What champion and challenger said of the same units -> is the challenger no worse on misses, and better?

Two questions, each with an e-value that may be looked at every day (`betting` says why):
  1. It misses less than `miss_margin` more, of the leaking units; at each of the run's stations.
  2. It is better: fewer false alarms, more units answered, or fewer misses; and what is not better is held within a
     margin, so that a challenger that never answers is not "better on false alarms".
The challenger has won when both have reached 1 / alpha. While either is untrue that happens with probability alpha at
most: question 2 is the mean of three ways, each the smallest of what it needs, and each of these is, while it is
untrue, below the wealth of a fair game.

Truth is known of few units. Whatever is not known is taken so that wealth is only ever too small: a discordant unit
that nobody has judged was leaking where that speaks against the challenger, and is left out where it would speak for
it. So it does not matter in which order judgements come, how late, or why somebody chose to judge a discordant unit.
Every day is looked at as if the run had ended with it; the highest counts, because the inequality is about all of them.
docs/promotion.md has the assumptions.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec
import numpy as np

from cloud_sync.betting import audited, growth, mixed

ANSWERS = ("ok", "leak")
NAMES = (
    "no_more_misses",
    "fewer_misses",
    "fewer_alarms",
    "alarms_held",
    "alarming_more",
    "more_answers",
    "answers_held",
    "missing_more",
    "answering_less",
)
"""Of what `logs` has one row each. Three of them prove that the challenger is worse."""


class Margins(msgspec.Struct, frozen=True):
    """How much worse still counts as no worse; shares."""

    misses: float
    """Of leaking units."""
    alarms: float
    """Of all units."""
    answers: float
    """Of all units."""


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """Units of a day alike in what was said of them and in what is known."""

    day: int
    """Days since 1970, UTC."""
    champion: str
    challenger: str
    truth: str | None = None
    """`leak`, `ok`, `cannot_tell`; None where nobody judged or experts disagree."""
    drawn: bool
    """For a review, by the lot or because of what was said."""
    probability: float
    """Of having been drawn."""
    units: int = 1
    place: str = ""
    """Which of the run's stations; empty where there is one."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Units by day; arrays (..., days). "more": the challenger did it and the champion did not; "less": the reverse."""

    units: np.ndarray
    missed_more: np.ndarray
    missed_less: np.ndarray
    alarmed_more: np.ndarray
    alarmed_less: np.ndarray
    answered_more: np.ndarray
    answered_less: np.ndarray
    missed_more_waiting: np.ndarray
    """Nobody has judged these: misses if they leak."""
    missed_less_waiting: np.ndarray
    alarmed_more_waiting: np.ndarray
    alarmed_less_waiting: np.ndarray
    alike: tuple[tuple[float, np.ndarray], ...]
    """(probability of the draw, leaking units drawn with it that both missed or neither did)."""


@dataclass(frozen=True, slots=True)
class Values:
    """Logs of the e-values; arrays (...). `worse` proves that the challenger is not wanted."""

    misses: np.ndarray
    better: np.ndarray
    worse: np.ndarray


def counted(pairs: Iterable[Pair], days: np.ndarray | None = None) -> tuple[np.ndarray, Counts]:
    """Days (days,), rising, and what was counted on each. `days`: rather these, all of the pairs' among them."""
    pairs = list(pairs)
    days = np.unique([pair.day for pair in pairs]).astype(int) if days is None else days
    place = {int(day): at for at, day in enumerate(days)}
    sums = {name: np.zeros(len(days), np.int64) for name in Counts.__slots__ if name != "alike"}
    alike: dict[float, np.ndarray] = {}
    for pair in pairs:
        for name in _kinds(pair):
            sums[name][place[pair.day]] += pair.units
        if _is_alike_leak(pair):
            row = alike.setdefault(pair.probability, np.zeros(len(days), np.int64))
            row[place[pair.day]] += pair.units
    return days, Counts(**sums, alike=tuple(sorted(alike.items(), key=lambda item: item[0])))


def logs(counts: Counts, margins: Margins) -> np.ndarray:
    """(NAMES, ..., days, K) log factors of each day's bets; their sums are log wealth."""
    none = np.zeros_like(counts.units)
    missed_more = counts.missed_more + counts.missed_more_waiting
    missed_less = counts.missed_less + counts.missed_less_waiting
    no_more_misses = growth(missed_more, counts.missed_less, none, margins.misses)
    for probability, leaks in counts.alike:
        no_more_misses = no_more_misses + audited(leaks, margins.misses, probability)
    more, less = counts.answered_more, counts.answered_less
    same = counts.units - more - less
    return np.stack(
        [
            no_more_misses,
            growth(missed_more, counts.missed_less, none, 0.0),
            *_alarms(counts, margins.alarms),
            growth(less, more, none, 0.0),
            growth(less, more, same, margins.answers),
            growth(missed_less, counts.missed_more, none, 0.0),
            growth(more, less, same, -margins.answers),
        ]
    )


def values(wealth: np.ndarray) -> Values:
    """`wealth`: (NAMES, ..., K) sums of `logs`."""
    of = dict(zip(NAMES, mixed(wealth), strict=True))
    ways = (
        np.minimum(of["fewer_alarms"], of["answers_held"]),
        np.minimum(of["more_answers"], of["alarms_held"]),
        np.minimum(of["fewer_misses"], np.minimum(of["alarms_held"], of["answers_held"])),
    )
    worse = (of["missing_more"], of["alarming_more"], of["answering_less"])
    return Values(of["no_more_misses"], _mean(ways), _mean(worse))


def course(counts: Counts, margins: Margins) -> Values:
    """(..., days): as if the run had ended with each day."""
    return values(np.cumsum(logs(counts, margins), axis=-2))


def misses_by_place(pairs: Iterable[Pair], days: np.ndarray, margins: Margins) -> np.ndarray:
    """(places, days, K) log wealth against "it misses more than the margin allows *here*", as it stood on each day."""
    by_place: dict[str, list[Pair]] = {}
    for pair in pairs:
        by_place.setdefault(pair.place, []).append(pair)
    mine = (logs(counted(by_place[place], days)[1], margins)[0] for place in sorted(by_place))
    return np.cumsum(np.stack(list(mine)), axis=-2)


def _alarms(counts: Counts, margin: float) -> list[np.ndarray]:
    """Fewer, held, and more than the margin allows."""
    more = counts.alarmed_more + counts.alarmed_more_waiting
    less = counts.alarmed_less + counts.alarmed_less_waiting
    return [
        growth(more, counts.alarmed_less, np.zeros_like(more), 0.0),
        growth(more, counts.alarmed_less, counts.units - more - counts.alarmed_less, margin),
        growth(less, counts.alarmed_more, counts.units - less - counts.alarmed_more, -margin),
    ]


def _mean(ways: tuple[np.ndarray, ...]) -> np.ndarray:
    """Of e-values, as logs."""
    return mixed(np.stack(ways, axis=-1))


def _kinds(pair: Pair) -> Iterable[str]:
    """Names of the counts that such a unit belongs to."""
    yield "units"
    champion, challenger, truth = pair.champion, pair.challenger, pair.truth
    if (champion in ANSWERS) != (challenger in ANSWERS):
        yield "answered_more" if challenger in ANSWERS else "answered_less"
    if (champion == "ok") != (challenger == "ok"):
        kind = "missed_more" if challenger == "ok" else "missed_less"
        if truth in ("leak", None):
            yield kind if truth else f"{kind}_waiting"
    if (champion == "leak") != (challenger == "leak"):
        kind = "alarmed_more" if challenger == "leak" else "alarmed_less"
        if truth == "ok":
            yield kind
        elif truth is None:
            yield f"{kind}_waiting"


def _is_alike_leak(pair: Pair) -> bool:
    """A leak on which neither missed or both did, and which the draw has shown."""
    alike = (pair.champion == "ok") == (pair.challenger == "ok")
    return alike and pair.drawn and pair.truth == "leak"
