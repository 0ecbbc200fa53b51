"""`bench water`: the water gauge and its alarm at simulated stations that get murkier.

Clarity has to fall with the true haze of one station. The alarm has to come before the device's own gauge says that the
required leak could no longer be seen (`bench sight` holds that gauge against the truth), not in fresh water, to stay
while the water is murky, and to name the hours that are left.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from scipy.stats import spearmanr
from tqdm import tqdm

from benchmarks.water_tank import Reading, Tank
from edge_agent.bundle import Bundle, open_bundle
from edge_agent.inspection import shipped_bundle
from edge_agent.water_trend import LEAD_H, Need, WaterOutlook, WaterWatch

HAZES = np.exp(np.linspace(np.log(0.03), np.log(6.0), 16))
"""As water nets are taught."""
IMMERSIONS = 49
PACES_S = {"8 h": 600.0, "48 h": 3600.0}
"""From immersion to immersion: the same pictures, as if the water were spent in one shift or in two days."""
FRESH_HAZE, SPENT_HAZE = (0.05, 0.3), 3.2
WANDER = 0.1
"""Share by which an immersion's haze lies beside the line, as the twin's own scenes have it."""
LIMIT_IMMERSIONS = 24
LEAST_SPEARMAN, LEAST_ALARMED = 0.98, 0.95
MOST_AT_ONCE = 0.05
"""Share of the stations whose fresh water may be alarmed."""
MOST_CLEARED = 0
"""Times that water which wanders around the limit may be called clear again."""


@dataclass(frozen=True, slots=True)
class Shift:
    """What the device read of one shift, and what it said after each immersion."""

    readings: list[Reading]
    outlooks: list[WaterOutlook]
    required: float
    every_s: float

    @property
    def lost_at(self) -> int | None:
        """The first immersion in which the required leak could not have been seen; None where there was none."""
        lost = (at for at, one in enumerate(self.readings) if (one.smallest_leak or 0.0) > self.required)
        return next(lost, None)

    @property
    def at_once(self) -> bool:
        """The fresh water was alarmed already, although the leak could be seen in it."""
        first = self.readings[0].smallest_leak
        return bool(first is not None and first <= self.required and any(one.words for one in self.outlooks[:3]))

    @property
    def in_time(self) -> bool:
        """The alarm stood after the immersion before that one."""
        return bool(self.lost_at and self.outlooks[self.lost_at - 1].words)


def run(argv: list[str]) -> int:
    """`tankwatch bench water`: 1 where a target is missed."""
    parser = argparse.ArgumentParser("tankwatch bench water", description=__doc__.splitlines()[0])
    parser.add_argument("--stations", type=int, default=30, help="whose clarity is held against the haze (default 30)")
    parser.add_argument("--shifts", type=int, default=24, help="stations that get murky over a shift (default 24)")
    parser.add_argument("--limits", type=int, default=8, help="stations that wander around the limit (default 8)")
    parser.add_argument("--seed", type=int, default=2_950_000, help="of the first station (default 2950000)")
    parser.add_argument("--bundle", metavar="FILE", help="default: the shipped one")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    cv2.setNumThreads(1)
    bundle = open_bundle(options.bundle or shipped_bundle())
    figures = measure(bundle, options.seed, options.stations, options.shifts, options.limits)
    print(json.dumps(figures, indent=None if options.json else 1), file=sys.stdout if options.json else sys.stderr)
    for words in figures["missed"]:
        print(f"tankwatch bench water: {words}", file=sys.stderr)
    return 1 if figures["missed"] else 0


def measure(bundle: Bundle, seed: int, stations: int, shifts: int, limits: int) -> dict:
    """All figures; `missed` names the targets that were. Each part has stations of its own, 10,000 seeds apart."""
    figures = {
        "bench": "water",
        "bundle": bundle.ref.sha256[:12],
        "first_seed": seed,
        "monotone": monotone(bundle, range(seed, seed + stations)),
        "alarm": alarm(bundle, range(seed + 10_000, seed + 10_000 + shifts)),
        "hysteresis": hysteresis(bundle, range(seed + 20_000, seed + 20_000 + limits)),
    }
    return figures | {"missed": missed(figures)}


def missed(figures: dict) -> list[str]:
    """One line for each target that was missed."""
    within = figures["monotone"]["one_unit"]["p05"]
    cleared = figures["hysteresis"]["cleared"]
    lines = [
        (within >= LEAST_SPEARMAN, f"Spearman within a station is {within}, {LEAST_SPEARMAN} is wanted"),
        (cleared <= MOST_CLEARED, f"water at the limit was called clear again {cleared} times"),
        (
            figures["hysteresis"]["called_murky"] == figures["hysteresis"]["stations"],
            f"at {figures['hysteresis']['stations'] - figures['hysteresis']['called_murky']} stations water at the "
            "limit was never called murky",
        ),
    ]
    for pace, told in figures["alarm"].items():
        at_once, shifts = told["at_once"], told["shifts"]
        lines.append((at_once <= MOST_AT_ONCE * shifts, f"{at_once} of {shifts} stations were alarmed in fresh water"))
        lines.append((told["lost"] > 0, f"no shift lost its leak, water spent in {pace}: give more --shifts"))
        for what, good, of in (("shifts", "in_time", "lost"), ("murky immersions", "murky_alarmed", "murky")):
            words = f"{told[good]} of {told[of]} {what} were alarmed in time, water spent in {pace}"
            lines.append((told[good] >= LEAST_ALARMED * told[of], f"{words}, {LEAST_ALARMED:.0%} are wanted"))
    return [words for kept, words in lines if not kept]


def monotone(bundle: Bundle, seeds: range) -> dict:
    """Spearman of clarity and clear water: within each station, with one unit and with another each time, and mixed."""
    tanks = [Tank(seed, bundle) for seed in tqdm(seeds, desc="stations", disable=None)]
    same = [tank.same_unit(HAZES) for tank in tqdm(tanks, desc="one unit", disable=None)]
    other = [tank.other_units(HAZES) for tank in tqdm(tanks, desc="other units", disable=None)]
    return {
        "stations": len(seeds),
        "hazes": len(HAZES),
        "one_unit": _spread([spearman(readings) for readings in same]),
        "other_units": _spread([spearman(readings) for readings in other]),
        "mixed": round(spearman([reading for readings in other for reading in readings]), 4),
    }


def spearman(readings: Sequence[Reading]) -> float:
    """1 where clarity falls whenever the haze rises."""
    return float(spearmanr([one.clarity for one in readings], [-one.haze for one in readings]).statistic)


def alarm(bundle: Bundle, seeds: range) -> dict:
    """By pace what was said before the required leak was lost, how long before, and how right the forecasts were."""
    spent = [_spent(Tank(seed, bundle), seed) for seed in tqdm(seeds, desc="shifts", disable=None)]
    return {
        pace: told_of(
            [Shift(readings, follow(readings, required, bundle, s), required, s) for readings, required in spent], seeds
        )
        for pace, s in PACES_S.items()
    }


def told_of(shifts: Sequence[Shift], seeds: Sequence[int]) -> dict:
    """The counts over the shifts of one pace."""
    lost = [shift for shift in shifts if shift.lost_at]
    murky = [
        bool(shift.outlooks[at].words)
        for shift in lost
        for at, one in enumerate(shift.readings)
        if (one.smallest_leak or 0.0) > shift.required
    ]
    ahead = [_ahead_h(shift) for shift in lost if shift.in_time]
    return {
        "shifts": len(shifts),
        "lost": len(lost),
        "never_seen": sum(shift.lost_at == 0 for shift in shifts),
        "at_once": sum(shift.at_once for shift in shifts),
        "in_time": sum(shift.in_time for shift in lost),
        "late": [seed for seed, shift in zip(seeds, shifts, strict=True) if shift.lost_at and not shift.in_time],
        "murky": len(murky),
        "murky_alarmed": sum(murky),
        "hours_ahead": _quantiles(ahead),
        "taken_back": sum(taken_back(shift.outlooks) for shift in shifts),
        "forecast": forecast(shifts),
    }


def taken_back(outlooks: Sequence[WaterOutlook]) -> int:
    """How often an alarm went although nobody changed the water."""
    return sum(bool(before.words) and not after.words for before, after in pairwise(outlooks))


def forecast(shifts: Sequence[Shift]) -> dict:
    """Forecasts within the alarm's lead, against the hour at which the device itself called the water murky."""
    errors, held = [], []
    for shift in shifts:
        murky_at = next((at for at, one in enumerate(shift.outlooks) if one.status == "murky"), 0)
        for at, one in enumerate(shift.outlooks[:murky_at]):
            left_h = (murky_at - at) * shift.every_s / 3600
            if one.due and left_h <= LEAD_H:
                errors.append(one.due.hours - left_h)
                held.append(one.due.least_hours <= left_h <= one.due.most_hours)
    absolute = np.abs(errors).tolist()
    return {
        "count": len(errors),
        "error_h": _quantiles(errors),
        "absolute_h": _quantiles(absolute),
        "interval_held": round(float(np.mean(held)), 3) if held else None,
    }


def hysteresis(bundle: Bundle, seeds: range) -> dict:
    """Water whose haze wanders around the one at which the station's clarity meets the limit."""
    limit = bundle.manifest.thresholds.murky_below
    cleared = called = 0
    for seed in tqdm(seeds, desc="at the limit", disable=None):
        tank, rng = Tank(seed, bundle), np.random.default_rng([seed, 98])
        clarities = [one.clarity for one in tank.same_unit(HAZES)]
        at_limit = float(np.exp(np.interp(-limit, -np.array(clarities), np.log(HAZES))))
        hazes = at_limit * rng.uniform(1 - WANDER, 1 + WANDER, LIMIT_IMMERSIONS)
        words = [one.status for one in follow(tank.other_units(hazes.tolist()), tank.required, bundle, 600.0)]
        called += "murky" in words
        cleared += sum(pair == ("murky", "clear") for pair in pairwise(words))
    return {"stations": len(seeds), "immersions": LIMIT_IMMERSIONS, "called_murky": called, "cleared": cleared}


def follow(readings: Sequence[Reading], required: float, bundle: Bundle, every_s: float) -> list[WaterOutlook]:
    """What the device says after each immersion."""
    manifest = bundle.manifest
    watch = WaterWatch(manifest.thresholds.murky_below, Need(required, manifest.sensitivity))
    return [watch.see(one.clarity, number * every_s, one.smallest_leak) for number, one in enumerate(readings)]


def _spent(tank: Tank, seed: int) -> tuple[list[Reading], float]:
    """Readings while the water goes from fresh to spent, and the leak that has to be found."""
    rng = np.random.default_rng([seed, 97])
    hazes = np.linspace(rng.uniform(*FRESH_HAZE), SPENT_HAZE, IMMERSIONS)
    hazes *= rng.uniform(1 - WANDER, 1 + WANDER, IMMERSIONS)
    return tank.other_units(hazes.tolist()), tank.required


def _ahead_h(shift: Shift) -> float:
    first = next(at for at, one in enumerate(shift.outlooks) if one.words)
    return ((shift.lost_at or 0) - first) * shift.every_s / 3600


def _spread(values: Sequence[float]) -> dict:
    return {"median": round(float(np.median(values)), 4), "p05": round(float(np.quantile(values, 0.05)), 4)}


def _quantiles(values: Sequence[float]) -> list[float]:
    """The 5th, 50th and 95th percentile; empty where there is nothing."""
    return np.round(np.quantile(values, (0.05, 0.5, 0.95)), 2).tolist() if len(values) else []
