"""`bench certificates`: are bounds that are looked at every day true, and when does a station earn a mode?

Simulated stations whose rates are known; their units are drawn, judged the same day and tallied as ingest would tally
them, and `certify` measures each station at the end of every day.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from cloud_sync import certify
from cloud_sync.certify import Challenge
from cloud_sync.estimates import Tally
from cloud_sync.policy import Automation

UNITS_A_DAY, LEAKING = 400, 0.03
UNCERTAIN = 0.03
INSPECTOR_MISSES, INSPECTOR_ALARMS = 0.15, 0.01
DAYS = 30
MOST_LIES = 0.05


@dataclass(frozen=True, slots=True)
class Station:
    """One kind of station: the machine's true rates, how agreements are audited, and challenge leaks a day."""

    name: str
    misses: float
    alarms: float
    audit: float
    parts: int


STATIONS = (
    Station("good, few audits, 10 parts a day", 0.002, 0.002, 0.02, 10),
    Station("good, every second unit audited", 0.002, 0.002, 0.5, 0),
    Station("good, all audited", 0.002, 0.002, 1.0, 0),
    Station("just too many misses, 10 parts a day", 0.021, 0.002, 0.02, 10),
    Station("just too many misses, all audited", 0.021, 0.002, 1.0, 0),
    Station("just too many false alarms, all audited", 0.002, 0.051, 1.0, 10),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What 30 days of one station came to."""

    lied: bool
    """On at least one day a bound was below the truth."""
    certified_on: int | None
    """Day on which `partial` was first certified."""
    by_units: float
    by_parts: float


def run(argv: list[str]) -> int:
    """A row for each kind of station; 1 where bounds fail more often than they may."""
    parser = argparse.ArgumentParser("tankwatch bench certificates", description="Are daily bounds true?")
    parser.add_argument("--stations", type=int, default=200, help="of each kind (default 200)")
    parser.add_argument("--seed", type=int, default=5)
    options = parser.parse_args(argv)
    print("| station | told too little | certified `partial` | on day | misses by units | by parts |")
    print("|---|---|---|---|---|---|")
    failed = False
    for number, station in enumerate(STATIONS):
        random = np.random.default_rng([options.seed, number])
        found = [month(station, random) for _ in tqdm(range(options.stations), leave=False)]
        print(row(station, found))
        lies, most = sum(one.lied for one in found), MOST_LIES * len(found)
        failed |= lies > most + 3 * (most * (1 - MOST_LIES)) ** 0.5
    return int(failed)


def month(station: Station, random: np.random.Generator, days: int = DAYS) -> Outcome:
    """One station, looked at every day."""
    tallies: list[Tally] = []
    lied, certified_on, leaky, missed = False, None, 0, 0
    for day in range(1, days + 1):
        tallies += a_day(station, day, random)
        leaky, missed = leaky + station.parts, missed + int(random.binomial(station.parts, station.misses))
        measured = certify.measure(tallies, Challenge(leaky=leaky, missed=missed, parts=leaky))
        lied |= (
            measured.miss_rate_upper < station.misses
            or measured.false_alarm_rate_upper < station.alarms
            or measured.challenge_miss_rate_upper < station.misses
        )
        if certified_on is None and certify.missing(measured, Automation().partial, least_parts=1).is_nothing:
            certified_on = day
    return Outcome(lied, certified_on, measured.miss_rate_upper, measured.challenge_miss_rate_upper)


def a_day(station: Station, day: int, random: np.random.Generator) -> list[Tally]:
    """400 units, by what was said of them and how they were drawn."""
    leaks = random.random(UNITS_A_DAY) < LEAKING
    machine = leaks ^ (random.random(UNITS_A_DAY) < np.where(leaks, station.misses, station.alarms))
    inspector = leaks ^ (random.random(UNITS_A_DAY) < np.where(leaks, INSPECTOR_MISSES, INSPECTOR_ALARMS))
    unsure = random.random(UNITS_A_DAY) < UNCERTAIN
    chance = np.where(unsure | (machine != inspector), 1.0, station.audit)
    drawn = random.random(UNITS_A_DAY) < chance
    kinds = np.stack([leaks, machine, inspector, unsure, chance == 1.0, drawn], axis=1)
    found, counts = np.unique(kinds, axis=0, return_counts=True)
    return [_tally(station, day, kind, int(units)) for kind, units in zip(found, counts, strict=True)]


def row(station: Station, found: Sequence[Outcome]) -> str:
    """A line of the table in docs/automation.md."""
    certified = sorted(one.certified_on for one in found if one.certified_on is not None)
    lied = 100 * sum(one.lied for one in found) / len(found)
    middle = certified[len(certified) // 2] if certified else "–"
    units, parts = (100 * float(np.median(rates)) for rates in _rates(found))
    share = 100 * len(certified) / len(found)
    return f"| {station.name} | {lied:.1f} % | {share:.0f} % | {middle} | {units:.1f} % | {parts:.1f} % |"


def _rates(found: Sequence[Outcome]) -> tuple[list[float], list[float]]:
    return [one.by_units for one in found], [one.by_parts for one in found]


def _tally(station: Station, day: int, kind: np.ndarray, units: int) -> Tally:
    leaks, machine, inspector, unsure, always, drawn = (bool(one) for one in kind)
    words = {True: "leak", False: "ok"}
    return Tally(
        day=day,
        verdict="uncertain" if unsure else words[machine],
        decision=words[inspector],
        drawn=drawn,
        probability=1.0 if always else station.audit,
        truth=words[leaks] if drawn else None,
        units=units,
    )
