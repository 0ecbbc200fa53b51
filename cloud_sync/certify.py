"""PURE. What was counted at one station, of one bundle under one profile -> bounds on its error rates, and what is
missing for a mode.

The bounds may be looked at every day; each of them may fail with 1 % (RISK), so all hold together with 95 %. Two steps
lead from counts to a rate. First, how many units were answered wrongly: `estimates.at_most`, by stratum (what was said
and how it was drawn), from the recorded probabilities alone, with all that is unjudged as wrong. Second, the rate
behind a number of errors among so many units: a bettor who stakes on fewer errors than a rate m gives multiplies his
wealth at each unit by r^error / (1 - m + m r). That is a martingale under the rate m and, since the logarithm is
concave, none that grows under rates with that mean in any order. Rates under which STAKES together have won 1 / risk
are refuted (Ville 1939; Howard, Ramdas, McAuliffe & Sekhon 2021).
"""

import math
from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from cloud_sync import estimates
from cloud_sync.estimates import Tally
from cloud_sync.policy import Requirement

CONFIDENCE = 0.95
RISK = (1 - CONFIDENCE) / 5
"""Of each of five bounds: wrong words of both kinds, and the rates of misses, of false alarms and of missed parts."""
STAKES = np.array([0.0, 1 / 16, 1 / 8, 1 / 4, 0.5, 0.7, 0.85, 0.95])
"""What an error leaves of the wealth. 0 suits no error at all, and gets half of the stake: most certificates are of
that kind, and then 506 units show 1 %."""
LOG_STAKES = np.array([-math.inf, *np.log(STAKES[1:])])
SHARES = np.array([0.5, *[0.5 / 7] * 7])
MOST_MISSING = 1_000_000
"""Nobody waits for so many."""


class Challenge(msgspec.Struct, frozen=True):
    """Answers on challenge parts: units of known truth, no sample of anything, so they stand apart."""

    leaky: int = 0
    missed: int = 0
    good: int = 0
    false_alarms: int = 0
    parts: int = 0
    """Different leaking parts among them: runs of one show that one."""


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one bundle at one station. Bounds: together with 95 %, on every day; 1.0 = nothing is known."""

    leaky: int
    """Units that experts call leaking and that were answered."""
    good: int
    challenge: Challenge
    answered: int
    tested: int
    missed: float
    """Units answered ok that leak, at most; unjudged ones count."""
    alarmed: float
    seen_missed: int
    """Of them, those that experts call leaks, and those that an inspector does and no expert has denied."""
    unjudged: int
    """Drawn, and without a settled truth."""
    answered_ok: int
    answered_leak: int
    miss_rate_upper: float
    challenge_miss_rate_upper: float
    false_alarm_rate_upper: float

    @property
    def coverage(self) -> float:
        """Share of the tested units that were answered ok or leak."""
        return self.answered / self.tested if self.tested else 0.0

    @property
    def seen_miss_rate(self) -> float:
        """What is seen of misses, and nothing of those that may be hidden."""
        seen = self.seen_missed + self.answered_leak
        return self.seen_missed / seen if seen else 0.0


class Shown(msgspec.Struct, frozen=True):
    """The bound on misses that counts, and what shows it."""

    miss_rate_upper: float
    by: str
    """`units` or `challenge parts`."""


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """What keeps a station from a mode; all empty where nothing does. None: more of the same does not help."""

    leaky: int | None = 0
    """Leaking units judged, or challenge parts found."""
    good: int | None = 0
    words: tuple[str, ...] = ()
    """What no number of units mends."""

    @property
    def is_nothing(self) -> bool:
        return self.leaky == 0 and self.good == 0 and not self.words


def measure(tallies: Sequence[Tally], challenge: Challenge = Challenge()) -> Measured:  # noqa: B008 - frozen
    """`tallies`: by the words that the line was told or would have been, challenge parts left out."""
    said = {word: [one for one in tallies if estimates.answer(one, "machine") == word] for word in ("ok", "leak")}
    units = {word: _units(said[word]) for word in said}
    missed = estimates.at_most(said["ok"], "leak", RISK)
    alarmed = estimates.at_most(said["leak"], "ok", RISK)
    drawn = [one for word in said for one in said[word] if one.drawn]
    return Measured(
        leaky=_units([one for one in drawn if one.truth == "leak"]),
        good=_units([one for one in drawn if one.truth == "ok"]),
        challenge=challenge,
        answered=units["ok"] + units["leak"],
        tested=_units([one for one in tallies if one.verdict != "not_tested"]),
        missed=missed,
        alarmed=alarmed,
        seen_missed=_units([one for one in said["ok"] if one.drawn and _is_against(one)]),
        unjudged=_units([one for one in drawn if one.truth is None]),
        answered_ok=units["ok"],
        answered_leak=units["leak"],
        miss_rate_upper=rate_at_most(missed, missed + max(0.0, units["leak"] - alarmed)),
        challenge_miss_rate_upper=rate_at_most(challenge.missed, challenge.leaky),
        false_alarm_rate_upper=rate_at_most(alarmed, alarmed + max(0.0, units["ok"] - missed)),
    )


def rate_at_most(errors: float, units: float, risk: float = RISK) -> float:
    """The mean error rate of these units, at most, with 1 - risk on every day. 1.0 where nothing is refuted."""

    def is_refuted(rate: float) -> bool:
        return _log_wealth(errors, units, rate) >= math.log(1 / risk)

    low, high = errors / units if units else 1.0, 1.0
    if not units or not is_refuted(high - 1e-12):
        return 1.0
    while high - low > 1e-7:
        middle = (low + high) / 2
        low, high = (low, middle) if is_refuted(middle) else (middle, high)
    return high


def shown(found: Measured, *, least_parts: int | None) -> Shown:
    """Whichever is smaller; `least_parts`: so many different challenge parts may stand for leaks, None: none do."""
    if _parts_count(found, least_parts) and found.challenge_miss_rate_upper < found.miss_rate_upper:
        return Shown(found.challenge_miss_rate_upper, "challenge parts")
    return Shown(found.miss_rate_upper, "units")


def missing(found: Measured, required: Requirement, *, least_parts: int | None) -> Missing:
    """What is missing for a mode that requires this. Future units count as answered right; the rest stays as it is."""
    words = []
    if not found.tested:
        words.append("this bundle has tested no unit under this profile yet")
    elif found.coverage < required.coverage:
        words.append(
            f"the machine answers {100 * found.coverage:.1f} % of the units, {100 * required.coverage:g} % are needed"
        )
    if found.seen_miss_rate > required.miss_rate:
        words.append(
            f"{found.seen_missed} of {found.seen_missed + found.answered_leak} leaks seen were answered ok, those that "
            f"nobody has judged included: {100 * required.miss_rate:g} % are allowed"
        )
    counted = [(found.missed, found.missed + max(0.0, found.answered_leak - found.alarmed))]
    if _parts_count(found, least_parts):
        counted.append((found.challenge.missed, found.challenge.leaky))
    alarms = (found.alarmed, found.alarmed + max(0.0, found.answered_ok - found.missed))
    more = [_more(errors, units, required.miss_rate) for errors, units in counted]
    leaky = min((one for one in more if one is not None), default=None)
    if leaky != 0 and least_parts and 0 < found.challenge.parts < least_parts:
        words.append(
            f"{found.challenge.parts} different leaking challenge parts were run, {least_parts} are needed to count"
        )
    return Missing(leaky=leaky, good=_more(*alarms, required.false_alarm_rate), words=tuple(words))


def _parts_count(found: Measured, least_parts: int | None) -> bool:
    return least_parts is not None and found.challenge.parts >= least_parts


def _is_against(one: Tally) -> bool:
    """An answer ok that is a miss as far as anybody knows."""
    return one.truth == "leak" or (one.decision == "leak" and one.truth != "ok")


def _more(errors: float, units: float, most: float) -> int | None:
    """Units without an error until the bound is within `most`; None: too many to wait for."""

    def is_enough(extra: int) -> bool:
        return rate_at_most(errors, units + extra) <= most

    if is_enough(0):
        return 0
    return _first(is_enough, MOST_MISSING) if is_enough(MOST_MISSING) else None


def _first(holds: Callable[[int], bool], high: int) -> int:
    """The smallest number for which it holds; it holds for `high` and not for 0."""
    low = 0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _log_wealth(errors: float, units: float, rate: float) -> float:
    growth = (LOG_STAKES * errors if errors else 0.0) - units * np.log1p(-rate * (1 - STAKES))
    most = float(growth.max())
    return most + math.log(float(SHARES @ np.exp(growth - most)))


def _units(tallies: Sequence[Tally]) -> int:
    return sum(tally.units for tally in tallies)
