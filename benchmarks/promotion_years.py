"""Simulated years of a station whose challengers are judged daily by the code that judges real ones; many at once.

A challenger is drawn, runs beside the champion until `cloud_sync.promotion` says that it has won, lost or will not get
there, and the next one begins on the following Monday. Experts judge discordant units one to five days later and audits
up to eight, out of order; a tenth of the audits is never judged.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np

from cloud_sync import paired, promotion
from cloud_sync.betting import SHARES
from cloud_sync.paired import NAMES, Counts, Values
from cloud_sync.policy import Promotion

UNITS = 1000
"""A day."""
WINDOW = 9
"""Days after which nothing of a day changes any more."""
AUDIT = 0.5
"""How often a leak on which all agree is drawn while a run lasts: `parallel` asks for it."""
NEVER_JUDGED = 0.1
ALWAYS_SEEN = 0.15
"""Of the leaks on which champion and challenger agree: those on which the inspector does not."""
WEEK, YEAR, TRIAL = 7, 365, 14
JUDGED_AFTER = 6
"""Days after which every discordant unit is judged."""
AGES = np.arange(WINDOW)[::-1]
LN10 = float(np.log(10))


@dataclass(frozen=True, slots=True)
class Rates:
    """What a challenger does and the champion does not (more), and the reverse (less); arrays (years,)."""

    missed_more: np.ndarray
    missed_less: np.ndarray
    """Of leaking units."""
    alarmed_more: np.ndarray
    alarmed_less: np.ndarray
    answered_more: np.ndarray
    answered_less: np.ndarray
    """Of good units."""

    def is_wrong(self, rules: Promotion) -> np.ndarray:
        """Whether promoting it would be: it misses more than the margin, or is better in nothing."""
        misses = self.missed_more - self.missed_less
        alarms = self.alarmed_more - self.alarmed_less
        unanswered = self.answered_less - self.answered_more
        quiet, open_ = alarms < rules.false_alarm_margin, unanswered < rules.answer_margin
        better = ((alarms < 0) & open_) | ((unanswered < 0) & quiet) | ((misses < 0) & quiet & open_)
        return (misses >= rules.miss_margin - 1e-12) | ~better

    def replaced(self, lanes: np.ndarray, other: "Rates") -> "Rates":
        """With the other's rates in these lanes."""
        return Rates(*(np.where(lanes, getattr(other, one.name), getattr(self, one.name)) for one in fields(self)))


Challengers = Callable[[np.random.Generator, int], Rates]


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that is over."""

    year: int
    word: str
    wrong: bool
    days: int
    judged: int


@dataclass(frozen=True, slots=True)
class Station:
    """Where challengers run."""

    leak_share: float = 0.01
    impatient: bool = False
    """What shows no evidence on misses after two weeks is stopped for the next one."""


class Years:
    """So many years side by side, a lane each."""

    def __init__(self, number: int, rules: Promotion, seed: int, *, station: Station = Station()) -> None:
        self._number, self._rules, self._station = number, rules, station
        self._random = np.random.default_rng(seed)
        self._margins = promotion.margins(rules)
        self._rates = Rates(*np.zeros((len(fields(Rates)), number)))
        self._alpha = np.zeros(number)
        self._left = np.full(number, rules.alpha_per_year)
        self._began = np.full(number, -1)
        self._wealth = np.zeros((len(NAMES), number, len(SHARES)))
        self._highest = np.full((2, number), -np.inf)
        self._window: dict[str, np.ndarray] = {}
        self._judged = np.zeros(number, np.int64)
        self._owes = np.zeros(number, bool)

    def run(self, challengers: Challengers) -> list[Ended]:
        """Every run that began in these years, to its end."""
        ended: list[Ended] = []
        for day in range(YEAR + self._rules.longest_days + 1):
            if day % WEEK == 0 and day < YEAR:
                self._begin(day, challengers(self._random, self._number))
            self._work()
            ended += self._look(day)
        return ended

    def race(self, rates: Rates, alpha: float) -> list[Ended]:
        """One run in each lane."""
        self._begin(0, rates)
        self._alpha[:] = alpha
        ended: list[Ended] = []
        for day in range(self._rules.longest_days + 1):
            self._work()
            ended += self._look(day)
        return ended

    def _begin(self, day: int, rates: Rates) -> None:
        idle = self._began < 0
        self._give_back(idle & self._owes)
        self._rates = self._rates.replaced(idle, rates)
        staked = promotion.stake(self._rules, [(self._rules.alpha_per_year - self._left, 0.0)])
        self._alpha = np.where(idle, staked, self._alpha)
        self._left = np.where(idle, self._left - staked, self._left)
        self._began[idle] = day
        self._wealth[:, idle] = 0.0
        self._highest[:, idle] = -np.inf
        self._judged[idle] = 0
        for kept in self._window.values():
            kept[idle] = 0

    def _work(self) -> None:
        """The oldest day of the window is over; a new one is done."""
        today = _happened(self._random, self._rates, self._began >= 0, self._station.leak_share)
        if not self._window:
            self._window = {name: np.zeros((self._number, WINDOW), np.int64) for name in today}
        over = _counts({name: kept[:, :1] for name, kept in self._window.items()}, np.array([WINDOW]))
        self._wealth += paired.logs(over, self._margins)[..., 0, :]
        self._judged += _moved(over)
        for name, kept in self._window.items():
            kept[:, :-1] = kept[:, 1:]
            kept[:, -1] = today[name]

    def _look(self, day: int) -> list[Ended]:
        """What the page would say this evening; runs that are decided end."""
        counts = _counts(self._window, AGES)
        found = paired.values(self._wealth[:, :, None] + np.cumsum(paired.logs(counts, self._margins), axis=-2))
        self._highest = np.maximum(self._highest, [found.misses.max(axis=-1), found.better.max(axis=-1)])
        highest = Values(self._highest[0], self._highest[1], found.worse[:, -1])
        days = np.where(self._began < 0, 0, day - self._began + 1)
        words = promotion.state(highest, self._times(counts, days), self._rules, alpha=_safe(self._alpha), days=days)
        if self._station.impatient:
            dull = (words == "running") & (days == TRIAL) & (found.misses[:, -JUDGED_AFTER] < 0)
            words = np.where(dull, "stopped", words)
        over = (self._began >= 0) & (words != "running")
        judged = self._judged + _moved(counts)
        self._owes = np.where(over, words != "won", self._owes)
        self._began[over] = -1
        wrong = self._rates.is_wrong(self._rules)
        return [
            Ended(int(lane), str(words[lane]), bool(wrong[lane]), int(days[lane]), int(judged[lane]))
            for lane in np.flatnonzero(over)
        ]

    def _give_back(self, ended: np.ndarray) -> None:
        """By what experts have judged since those runs ended."""
        if not ended.any():
            return
        logs = paired.logs(_counts(self._window, AGES), self._margins)
        found = paired.values(self._wealth + logs.sum(axis=-2))
        back = promotion.given_back(self._alpha, found.misses / LN10, found.better / LN10)
        self._left = np.where(ended, self._left + back, self._left)

    def _times(self, counts: Counts, days: np.ndarray) -> np.ndarray:
        """Once a week, of those for which it matters."""
        times = np.ones(self._number)
        asked = (days >= self._rules.fewest_days) & (days % WEEK == 0)
        if asked.any():
            total = self._wealth[:, asked] + paired.logs(_judged_only(counts, asked), self._margins).sum(axis=-2)
            times[asked] = promotion.times_as_much(total, self._alpha[asked])
        return times


def _moved(counts: Counts) -> np.ndarray:
    """Units judged that moved the evidence, by lane, roughly: what differs in two ways counts twice."""
    differing = counts.missed_more + counts.missed_less + counts.alarmed_more + counts.alarmed_less
    return (differing + counts.answered_more + counts.answered_less).sum(axis=-1) + sum(
        leaks.sum(axis=-1) for _, leaks in counts.alike
    )


def _safe(alpha: np.ndarray) -> np.ndarray:
    return np.where(alpha > 0, alpha, 1e-300)


def _happened(
    random: np.random.Generator, rates: Rates, running: np.ndarray, leak_share: float
) -> dict[str, np.ndarray]:
    """One day of each lane; nothing where none runs."""
    leaks = random.binomial(UNITS, leak_share, len(running))
    good = UNITS - leaks
    more = random.binomial(leaks, rates.missed_more)
    less = random.binomial(leaks - more, rates.missed_less / (1 - rates.missed_more))
    alike = leaks - more - less
    seen = random.binomial(alike, ALWAYS_SEEN)
    today = {
        "units": np.full(len(running), UNITS),
        "missed_more": more,
        "missed_less": less,
        "seen": seen,
        "drawn": random.binomial(alike - seen, AUDIT * (1 - NEVER_JUDGED)),
        "delay": random.integers(1, 6, len(running)),
        "audit_delay": random.integers(1, WINDOW, len(running)),
    }
    for name in ("alarmed_more", "alarmed_less", "answered_more", "answered_less"):
        today[name] = random.binomial(good, getattr(rates, name))
    return {name: value * running for name, value in today.items()}


def _counts(window: dict[str, np.ndarray], ages: np.ndarray) -> Counts:
    """As they are known when the days are so old."""
    known = ages >= window["delay"]
    audited = ages >= window["audit_delay"]
    # An answer more is an ok more, an alarm less too: until somebody has looked, it may be a miss.
    may_miss = window["missed_more"] + window["answered_more"] + window["alarmed_less"]
    may_catch = window["missed_less"] + window["answered_less"] + window["alarmed_more"]
    return Counts(
        units=window["units"],
        missed_more=window["missed_more"] * known,
        missed_less=window["missed_less"] * known,
        alarmed_more=window["alarmed_more"] * known,
        alarmed_less=window["alarmed_less"] * known,
        answered_more=window["answered_more"],
        answered_less=window["answered_less"],
        missed_more_waiting=may_miss * ~known,
        missed_less_waiting=may_catch * ~known,
        alarmed_more_waiting=(window["alarmed_more"] + window["missed_less"]) * ~known,
        alarmed_less_waiting=(window["alarmed_less"] + window["missed_more"]) * ~known,
        untold=np.zeros_like(window["units"]),
        alike=((AUDIT, window["drawn"] * audited), (1.0, window["seen"] * known)),
    )


def _judged_only(counts: Counts, lanes: np.ndarray) -> Counts:
    """Of these lanes, without what waits."""
    kept = {
        name: getattr(counts, name)[lanes] * (0 if name.endswith("waiting") else 1)
        for name in Counts.__slots__
        if name != "alike"
    }
    return Counts(**kept, alike=tuple((probability, leaks[lanes]) for probability, leaks in counts.alike))
