"""PURE. Has a share become worse than it may be? Counts before and after -> evidence that may be looked at every day.

The limit is an upper bound on the share before (Clopper & Pearson) plus a margin; the evidence against "not over the
limit" is a mixture of likelihood ratios, whose chance of ever passing 1/risk is at most `risk` (Ville's inequality;
Wald 1945, Howard et al. 2021). It depends on the counts alone, so that no history of looks has to be kept.
"""

import math

import msgspec

ODDS = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
"""The worsenings that are bet on, equally, as multiples of the limit's odds: from hardly worse to always."""


class Tally(msgspec.Struct, frozen=True, array_like=True):
    """Cases of one bundle on one device."""

    cases: int = 0
    uncertain: int = 0
    not_tested: int = 0
    compared: int = 0
    """The machine and the inspector both said ok or leak."""
    disagreed: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(*(mine + theirs for mine, theirs in zip(self._counts(), other._counts(), strict=True)))

    def __sub__(self, other: "Tally") -> "Tally":
        """What came since; a database restored from a backup may hold fewer than before."""
        return Tally(*(max(0, mine - theirs) for mine, theirs in zip(self._counts(), other._counts(), strict=True)))

    def _counts(self) -> tuple[int, ...]:
        return self.cases, self.uncertain, self.not_tested, self.compared, self.disagreed


def log_evidence(events: int, trials: int, most: float) -> float:
    """Natural logarithm of the evidence that the share is above `most` (0..1, both ends excluded)."""
    odds = most / (1 - most)
    logs = [_log_ratio(events, trials, most, factor * odds / (1 + factor * odds)) for factor in ODDS]
    highest = max(logs)
    return highest + math.log(sum(math.exp(one - highest) for one in logs) / len(logs))


def _log_ratio(events: int, trials: int, most: float, bet: float) -> float:
    return events * math.log(bet / most) + (trials - events) * math.log((1 - bet) / (1 - most))
