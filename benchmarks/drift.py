"""`bench drift`: how often do the device's drift tests alarm while nothing is wrong, and how soon when something is?

Simulated stations learn their good weeks and are then watched by `edge_agent.drift`, day by day, as a device would.
"""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec
import numpy as np
from tqdm import tqdm

from benchmarks.drift_stations import SHIFTS, WORLDS, Course, Shift, World
from benchmarks.promotions import STYLE
from edge_agent import drift
from edge_agent.drift import REFERENCE_BLOCKS, Quantity, Track
from edge_agent.drift_quantities import BY_NAME, QUANTITIES
from edge_agent.drift_station import LIMIT
from models.charts import Axis, Chart

WATCHED_DAYS = 90
CHANGE_DAY = 30
"""Of the watched ones, on which a shift begins."""
SOON_DAYS = 30
MOST_ALARMS = 1.0
"""Expected of a station in WATCHED_DAYS."""
PROMISED = 3
"""So many of WORLDS are held to MOST_ALARMS; the others show where it ends."""
LEAST_UNITS, MOST_UNITS = 200, 800


@dataclass(frozen=True, slots=True)
class Quiet:
    """What stations of one world did in 90 days without a shift."""

    world: str
    stations: int
    alarms: int
    alarms_per_90_days: float
    stations_with_any: float
    worst: str
    """The quantity that alarmed most often, and how often."""


@dataclass(frozen=True, slots=True)
class Found:
    """How soon a shift was found; days from its beginning, None = later than was watched."""

    shift: str
    world: str
    stations: int
    median_days: int | None
    p90_days: int | None
    in_30_days: float


def run(argv: list[str]) -> int:
    """Two tables; 1 where stations that are promised one alarm in 90 days have more."""
    parser = argparse.ArgumentParser("tankwatch bench drift", description="False alarms and delays of drift tests.")
    parser.add_argument("--stations", type=int, default=1000, help="of each world (default 1000)")
    parser.add_argument("--shifted", type=int, default=300, help="stations of each shift (default 300)")
    parser.add_argument("--seed", type=int, default=6)
    parser.add_argument("--json", action="store_true", help="a JSON line for each row")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="evidence of one shift, as SVG")
    options = parser.parse_args(argv)
    quiet = [watched(world, options.stations, seed=[options.seed, number]) for number, world in enumerate(WORLDS)]
    pairs = [(world, shift) for world in (WORLDS[0], WORLDS[2]) for shift in SHIFTS]
    found = [
        delays(world, shift, options.shifted, seed=[options.seed, 100 + number])
        for number, (world, shift) in enumerate(tqdm(pairs, leave=False))
    ]
    if options.json:
        rows = [asdict(row) for row in quiet] + [asdict(one) for one in found]
        print("\n".join(json.dumps(row) for row in rows))
    else:
        _print(quiet, found)
    if options.plot:
        options.plot.write_text(plot(options.seed), encoding="utf-8")
    return int(any(row.alarms_per_90_days > MOST_ALARMS for row in quiet[:PROMISED]))


def watched(world: World, stations: int, *, seed: list[int]) -> Quiet:
    """Alarms of each station in the 90 days after its learning."""
    values = _course(world, stations, seed).values()
    counts = np.zeros(stations, int)
    by_quantity: dict[str, int] = {}
    for quantity in tqdm(QUANTITIES, leave=False, desc=world.name):
        each = np.array([len(alarms(quantity, series)) for series in values[quantity.name]])
        counts += each
        by_quantity[quantity.name] = int(each.sum())
    worst = max(by_quantity, key=by_quantity.__getitem__)
    return Quiet(
        world=world.name,
        stations=stations,
        alarms=int(counts.sum()),
        alarms_per_90_days=round(float(counts.mean()), 4),
        stations_with_any=round(float((counts > 0).mean()), 4),
        worst=f"{worst} {by_quantity[worst]}",
    )


def delays(world: World, shift: Shift, stations: int, *, seed: list[int]) -> Found:
    """Days until the first alarm of a quantity that was shifted."""
    since = REFERENCE_BLOCKS + CHANGE_DAY
    values = _course(world, stations, seed).values(shift, since)
    moved = [BY_NAME[name] for name in (*shift.factors, *shift.steps, *shift.rates)]
    never = WATCHED_DAYS + 1
    firsts = np.full(stations, never)
    for quantity in moved:
        for number, series in enumerate(values[quantity.name]):
            days = [day - CHANGE_DAY + 1 for day in alarms(quantity, series) if day >= CHANGE_DAY]
            firsts[number] = min(firsts[number], *days, never) if days else firsts[number]
    median, late = (int(np.quantile(firsts, part, method="higher")) for part in (0.5, 0.9))
    return Found(
        shift=shift.name,
        world=world.name,
        stations=stations,
        median_days=None if median == never else median,
        p90_days=None if late == never else late,
        in_30_days=round(float((firsts <= SOON_DAYS).mean()), 4),
    )


def alarms(quantity: Quantity, series: np.ndarray) -> list[int]:
    """Daily figures -> on which days after the learning an alarm began, either way."""
    return [day for day, (begun, _) in enumerate(_days(quantity, series)) if begun]


def plot(seed: int) -> str:
    """Evidence on light at two stations: one loses a tenth of its light, at the other nothing changes."""
    light, since = BY_NAME["light"], REFERENCE_BLOCKS + CHANGE_DAY
    days = tuple(float(day) for day in range(0, WATCHED_DAYS + 1, 15))
    chart = Chart(
        "Evidence that light has moved", Axis("days watched", days), Axis("log10 of evidence", (0, 1, 2, 3, 4))
    )
    for shift in (None, SHIFTS[0]):
        series = _course(WORLDS[2], 1, [seed, 200]).values(shift, since)["light"][0]
        course = [float(np.log10(max(1.0, strength))) for _, strength in _days(light, series)]
        chart.line(enumerate(course), "line" if shift else "other")
    chart.line([(0, np.log10(LIMIT)), (WATCHED_DAYS, np.log10(LIMIT))], "guide")
    # A picture that stands alone brings its own style.
    return (
        chart.svg()
        .replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
        .replace("<clipPath", f"<style>{STYLE}.other{{stroke:#8a979e}}</style><clipPath", 1)
    )


def _days(quantity: Quantity, series: np.ndarray) -> list[tuple[bool, float]]:
    """Each day after the learning: whether an alarm began, and the larger evidence of the two sides."""
    track, found = Track(), []
    # Against the training data the first day counts; it is watched from the same day on as the rest.
    values = series[REFERENCE_BLOCKS:] if quantity.tolerated is not None else series
    for value in values:
        before = {side for side, watch in track.watches.items() if watch.alarmed}
        track = msgspec.structs.replace(track, began="2026-01-01", total=float(value), cases=1)
        track = drift.closed(track, quantity, most=LIMIT)
        if track.watches:
            begun = any(watch.alarmed and side not in before for side, watch in track.watches.items())
            found.append((begun, max(watch.strength for watch in track.watches.values())))
    return found


def _course(world: World, stations: int, seed: list[int]) -> Course:
    random = np.random.default_rng(seed)
    units = random.integers(LEAST_UNITS, MOST_UNITS + 1, stations)
    return Course(world, REFERENCE_BLOCKS + WATCHED_DAYS, units, random)


def _print(quiet: list[Quiet], found: list[Found]) -> None:
    print("| world | stations | alarms in 90 days, each | stations with any | most often |\n|---|---|---|---|---|")
    for row in quiet:
        any_of = f"{100 * row.stations_with_any:.1f} %"
        print(f"| {row.world} | {row.stations} | {row.alarms_per_90_days:.3f} | {any_of} | {row.worst} |")
    print("\n| shift | world | median, days | 90 % within | found in 30 days |\n|---|---|---|---|---|")
    for one in found:
        median, late = (days if days else f"> {WATCHED_DAYS - CHANGE_DAY}" for days in (one.median_days, one.p90_days))
        print(f"| {one.shift} | {one.world} | {median} | {late} | {100 * one.in_30_days:.0f} % |")
