"""PURE. Two raters' words on the same cases -> how well they agree: kappa, AC1 and McNemar, with intervals.

Cases may carry weights (1 / their sampling probability), so that a table speaks of all units; with weights of 1 these
are the formulae of the books. What cannot be said (no case, one class only) is None, never a number.
"""

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np
from scipy.special import bdtr, chdtrc, ndtri

from models import bounds

CONFIDENCE = 0.95
FEWEST_OF_A_WORD = 5
"""Under so many cases of a word from either rater kappa's interval is not kept: 91 % at 2 in 100, simulated."""
SMOOTHING = 2.0
"""Cases spread evenly over the table before the interval is taken; without them small tables cover 76 to 94 %."""


class Table(msgspec.Struct, frozen=True, eq=False):
    """How often one rater said this word and the other that one."""

    words: tuple[str, ...]
    counts: np.ndarray
    """(words, words) int: cases; rows are the first rater's words."""
    weights: np.ndarray
    """(words, words) float: the sum of their weights."""
    squares: np.ndarray
    """(words, words) float: the sum of their squared weights."""

    @property
    def cases(self) -> int:
        return int(self.counts.sum())


class Figure(msgspec.Struct, frozen=True):
    """An estimate and what is known of it; None = cannot be said from these cases."""

    value: float | None
    low: float | None
    high: float | None
    cases: int


class Paired(msgspec.Struct, frozen=True):
    """McNemar's test: of the cases in which just one of two was right, did one do better?"""

    first_only: int
    second_only: int
    exact_p: float | None
    chi_square: float | None
    """With the continuity correction."""
    chi_square_p: float | None


def table(pairs: Iterable[tuple[str, str, int, float]], words: Sequence[str]) -> Table:
    """`pairs`: first word, second word, cases alike, weight of each. Other words are left out."""
    place = {word: number for number, word in enumerate(words)}
    counts = np.zeros((len(words), len(words)), int)
    weights, squares = np.zeros(counts.shape), np.zeros(counts.shape)
    for first, second, cases, weight in pairs:
        if first in place and second in place:
            at = place[first], place[second]
            counts[at] += cases
            weights[at] += cases * weight
            squares[at] += cases * weight**2
    return Table(tuple(words), counts, weights, squares)


def kappa(found: Table, *, fewest: int = FEWEST_OF_A_WORD) -> Figure:
    """Cohen's kappa (1960); variance after Fleiss, Cohen & Everitt (1969). No interval under `fewest` of a word."""
    return _figure(found, _cohen, found.cases > 0 and _fewest_of_a_word(found) >= fewest)


def ac1(found: Table) -> Figure:
    """Gwet's AC1 (2008): agreement beyond chance, steady where one word is rare."""
    return _figure(found, _gwet, found.cases > 0)


def kappa_error(found: Table) -> float | None:
    """Standard error of kappa, without smoothing: the figure of other programs."""
    return _error(found, _cohen)


def ac1_error(found: Table) -> float | None:
    """Standard error of AC1, without smoothing (Gwet 2008, for a large population)."""
    return _error(found, _gwet)


def overall(found: Table) -> Figure:
    """Share of alike words, Clopper-Pearson; weighted, with Kish's effective number of cases (Korn & Graubard 1998)."""
    total = float(found.weights.sum())
    if not total:
        return Figure(None, None, None, 0)
    share = float(np.trace(found.weights)) / total
    cases = total**2 / float(found.squares.sum())
    return Figure(share, *proportion(share * cases, cases), found.cases)


def proportion(events: float, cases: float, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Clopper & Pearson (1934), two-sided; `cases` > 0 may be an effective number."""
    tail = (1 - confidence) / 2
    return bounds.at_least(events, cases, 1 - tail), bounds.at_most(events, cases, 1 - tail)


def mcnemar(first_only: int, second_only: int) -> Paired:
    """`first_only`: cases in which only the first was right."""
    both = first_only + second_only
    if both == 0:
        return Paired(0, 0, None, None, None)
    exact = min(1.0, 2 * float(bdtr(min(first_only, second_only), both, 0.5)))
    square = max(0, abs(first_only - second_only) - 1) ** 2 / both
    return Paired(first_only, second_only, exact, square, float(chdtrc(1, square)))


def _figure(found: Table, measure, interval_holds: bool) -> Figure:
    value = measure(_shares(found.weights))[0]
    if value is None or not interval_holds:
        return Figure(value, None, None, found.cases)
    low, high = _interval(found, measure)
    return Figure(value, min(low, value), max(high, value), found.cases)


def _interval(found: Table, measure) -> tuple[float, float]:
    """Normal interval on the table with SMOOTHING cases of average weight added (Agresti & Min 2005 for pairs)."""
    unit = float(found.squares.sum()) / float(found.weights.sum())
    added = SMOOTHING / found.weights.size
    weights, squares = found.weights + added * unit, found.squares + added * unit**2
    value, slopes = measure(_shares(weights))
    reach = float(ndtri((1 + CONFIDENCE) / 2)) * _spread(weights, squares, slopes)
    return max(-1.0, value - reach), min(1.0, value + reach)


def _error(found: Table, measure) -> float | None:
    value, slopes = measure(_shares(found.weights))
    return None if value is None else _spread(found.weights, found.squares, slopes)


def _spread(weights: np.ndarray, squares: np.ndarray, slopes: np.ndarray) -> float:
    """Standard error of a smooth measure of weighted shares: the delta method for a ratio of sums."""
    mean = float((_shares(weights) * slopes).sum())
    return float(np.sqrt((squares * (slopes - mean) ** 2).sum()) / weights.sum())


def _cohen(shares: np.ndarray) -> tuple[float | None, np.ndarray]:
    rows, columns = shares.sum(1), shares.sum(0)
    return _beyond_chance(shares, float(rows @ columns), columns[:, None] + rows[None, :])


def _gwet(shares: np.ndarray) -> tuple[float | None, np.ndarray]:
    means, others = (shares.sum(1) + shares.sum(0)) / 2, len(shares) - 1
    slopes = 1 - means[:, None] - means[None, :]
    return _beyond_chance(shares, float(means @ (1 - means)) / others, slopes / others)


def _beyond_chance(shares: np.ndarray, chance: float, slopes: np.ndarray) -> tuple[float | None, np.ndarray]:
    """(agreement - chance) / (1 - chance), and how it changes with each cell's share; `slopes`: those of chance."""
    alike, room = float(np.trace(shares)), 1 - chance
    if not shares.sum() or room < 1e-12:
        return None, np.zeros_like(shares)
    return (alike - chance) / room, (np.eye(len(shares)) * room - (1 - alike) * slopes) / room**2


def _shares(weights: np.ndarray) -> np.ndarray:
    total = weights.sum()
    return weights / total if total else weights


def _fewest_of_a_word(found: Table) -> int:
    return int(min(found.counts.sum(0).min(), found.counts.sum(1).min()))
