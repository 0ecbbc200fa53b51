"""Simulated stations, a day at a time: what their daily figures are like while all is well, and after a shift.

Units come in batches, and a batch's units are alike; light and water have their own days, nights, weeks and seasons.
Figures are those of `edge_agent.drift_quantities`.
"""

from dataclasses import dataclass, field

import numpy as np

BATCHES = 8
"""A day."""
YEAR_DAYS = 365


@dataclass(frozen=True, slots=True)
class World:
    """How alike neighbouring days are. `day`: correlation of one day's level with the next; `batch`: the same for
    batches; `spread`: how far days and batches differ, 1 = as far as is usual; `season`: share by which light and
    water swing over a year."""

    name: str
    day: float
    batch: float = 0.6
    spread: float = 1.0
    season: float = 0.0
    saturdays: bool = False


WORLDS = (
    World("days alike, units in batches", 0.0),
    World("a day like the day before (0.3), batches", 0.3),
    World("the same (0.5), Saturdays, seasons of 3 %", 0.5, season=0.03, saturdays=True),
    World("weeks long waves (0.8), seasons of 5 %", 0.8, season=0.05, saturdays=True),
    World("weeks long waves (0.8), twice as high", 0.8, spread=2.0, season=0.05, saturdays=True),
)


@dataclass(frozen=True, slots=True)
class Shift:
    """What changes for good on one day: factors and steps by quantity; `odds`: of shares."""

    name: str
    factors: dict[str, float]
    steps: dict[str, float]
    rates: dict[str, float]
    """The share from then on."""
    before: dict[str, float] = field(default_factory=dict)
    """The share until then, where it is not the usual one."""


SHIFTS = (
    Shift("light -10 %", {"light": 0.9}, {}, {}),
    Shift("light -20 %", {"light": 0.8}, {}, {}),
    Shift("light -30 %", {"light": 0.7}, {}, {}),
    Shift("haze: clarity -0.10, contrast -10 %", {"contrast": 0.9}, {"clarity": -0.10}, {}),
    Shift("camera noise +30 %", {"noise": 1.3}, {}, {}),
    Shift("scores +0.75 log odds", {}, {"score": 0.75}, {}),
    Shift("agreement 97 to 93 %", {}, {}, {"agreement": 0.93}),
    Shift("unsure 3 to 6 %", {}, {}, {"unsure": 0.06}),
    Shift("leaks 1 to 2 %", {}, {}, {"leaks": 0.02}),
    Shift("leaks 3 to 6 %", {}, {}, {"leaks": 0.06}, {"leaks": 0.03}),
    Shift("unlike the training data 1 to 8 %", {}, {}, {"novel": 0.08}),
)
LEVELS = {
    "light": (90.0, 0.015),
    "contrast": (105.0, 0.015),
    "noise": (1.3, 0.03),
    "blur": (0.8, 0.03),
}
"""Usual value, and share by which days differ (standard deviation)."""
RATES = {
    "unsure": (0.03, 0.15),
    "not_tested": (0.005, 0.3),
    "agreement": (0.97, 0.15),
    "leaks": (0.01, 0.25),
    "novel": (0.01, 0.2),
    "beyond_light": (0.02, 0.3),
    "beyond_noise": (0.02, 0.3),
    "beyond_clarity": (0.02, 0.3),
}
"""Usual share, and by how much its log odds differ between days and again between batches (standard deviation)."""


@dataclass(frozen=True, slots=True)
class Course:
    """`units`: (stations,) a day of each; `random`: where chance comes from."""

    world: World
    days: int
    units: np.ndarray
    random: np.random.Generator

    def values(self, shift: Shift | None = None, since: int = 0) -> dict[str, np.ndarray]:
        """Quantity -> (stations, days) daily figures. From the day `since` on they are shifted."""
        found = {name: self._level(*level) for name, level in LEVELS.items()}
        found["light"] *= 1 + self.world.season * self._season()
        found["clarity"] = self._clarity()
        found["shift"] = np.abs(0.8 + 0.25 * self._waves())
        units = self._units()
        found["score"] = -4 + 0.08 * self._waves() + self._batches().mean(axis=2) * 0.1
        found["score"] += self.random.normal(size=units.shape) * 2 / np.sqrt(units)
        if shift:
            for name, factor in shift.factors.items():
                found[name][:, since:] *= factor
            for name, step in shift.steps.items():
                found[name][:, since:] += step
        rates, before = (shift.rates, shift.before) if shift else ({}, {})
        for name, (share, spread) in RATES.items():
            found[name] = self._share(before.get(name, share), spread, rates.get(name), since)
        return found

    def _level(self, usual: float, spread: float) -> np.ndarray:
        """Days by waves, nights a little different, batches by what lies in the tank."""
        batches = (self._batches() * spread * 0.5).mean(axis=2)
        return usual * (1 + spread * self._waves() + batches)

    def _clarity(self) -> np.ndarray:
        """It falls from one change of the water to the next, every three to seven days."""
        stations = len(self.units)
        age, found = np.zeros(stations), np.empty((stations, self.days))
        lives = self.random.integers(3, 8, stations)
        for day in range(self.days):
            found[:, day] = 0.85 - 0.015 * age
            age = np.where(age >= lives, 0, age + 1)
            lives = np.where(age == 0, self.random.integers(3, 8, stations), lives)
        return found + 0.012 * self._waves() + self.world.season * 0.3 * self._season()

    def _share(self, share: float, spread: float, later: float | None, since: int) -> np.ndarray:
        odds = np.full((len(self.units), self.days, 1), _log_odds(share))
        if later is not None:
            odds[:, since:] = _log_odds(later)
        odds = odds + spread * (self._waves()[:, :, None] + self._batches())
        chance = 1 / (1 + np.exp(-odds))
        units = np.maximum(1, self._units() // BATCHES)[:, :, None]
        return self.random.binomial(units, chance).sum(axis=2) / (units[:, :, 0] * BATCHES)

    def _units(self) -> np.ndarray:
        """(stations, days): a third on Saturdays."""
        saturday = (np.arange(self.days) % 6 == 5) & self.world.saturdays
        return (self.units[:, None] * np.where(saturday, 0.34, 1.0)[None, :]).astype(int)

    def _season(self) -> np.ndarray:
        start = self.random.uniform(0, YEAR_DAYS, (len(self.units), 1))
        return np.sin(2 * np.pi * (start + np.arange(self.days)) / YEAR_DAYS)

    def _waves(self) -> np.ndarray:
        """(stations, days) of a level that stays a while, standard deviation `spread`."""
        return self.world.spread * _chain(self.random.normal(size=(len(self.units), self.days)), self.world.day)

    def _batches(self) -> np.ndarray:
        """(stations, days, BATCHES) likewise; the first batch follows yesterday's last."""
        steps = self.random.normal(size=(len(self.units), self.days * BATCHES))
        return self.world.spread * _chain(steps, self.world.batch).reshape(len(self.units), self.days, BATCHES)


def _chain(steps: np.ndarray, alike: float) -> np.ndarray:
    """First-order autoregression with standard deviation 1. Works along the second axis, in place."""
    for number in range(1, steps.shape[1]):
        steps[:, number] = alike * steps[:, number - 1] + (1 - alike**2) ** 0.5 * steps[:, number]
    return steps


def _log_odds(share: float) -> float:
    return float(np.log(share / (1 - share)))
