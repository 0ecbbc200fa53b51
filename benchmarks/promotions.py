"""`bench promotions`: a thousand simulated years of challengers: how many years hold a wrong promotion, and how fast a
right one comes.

Wrong is who misses more than the margin, or is better in nothing. Plants at which every challenger is just not good
enough are the hardest for the budget; one with all kinds shows what a year is like.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.promotion_years import Challengers, Rates, Station, Years
from cloud_sync.policy import Promotion
from edge_agent import durable
from models.bounds import at_least, at_most
from models.charts import Axis, Chart

SEED, YEARS = 20261129, 1000
RULES = Promotion()
PATIENT = msgspec.structs.replace(RULES, patience=float("inf"), alpha_lost=1e-9)
"""Every run lasts as long as it may: the hardest for the budget."""
IMPROVEMENTS = (0.0, 0.005, 0.01, 0.02, 0.03, 0.04, 0.06, 0.08, 0.1)
"""Of leaking units: so many fewer misses."""
PLACES = {"first of a year": 0.005, "25th of a year": 0.0004}
"""What they stake where nothing was given back."""
DRAWINGS = {"days": "docs/images/promotion-days.svg", "judged": "docs/images/promotion-judged.svg"}
STYLE = (
    "svg{background:#fff}text{fill:#45555e;font:11px sans-serif}.grid{stroke:#d5dde1}.dot{fill:#0b6e75}"
    "polyline{fill:none;stroke:#0b6e75;stroke-width:2}.guide{stroke:#b3261e;stroke-dasharray:5 4}"
)


@dataclass(frozen=True, slots=True)
class Plant:
    """What challengers are like, and where."""

    words: str
    challengers: Challengers
    station: Station = Station()
    rules: Promotion = RULES


def run(argv: list[str]) -> int:
    """1 where more years than the budget allows hold a wrong promotion."""
    parser = argparse.ArgumentParser("tankwatch bench promotions", description=__doc__.splitlines()[0])
    parser.add_argument("--years", type=int, default=YEARS, help="of each plant")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--draw", action="store_true", help="the power curves anew, into docs/images/")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    rows = [ledger(name, options.years, options.seed) for name in PLANTS]
    curve = power(max(options.years // 4, 1), options.seed)
    if options.draw:
        for what, path in DRAWINGS.items():
            durable.write(Path(path), drawing(curve, what).encode())
    if options.json:
        print(json.dumps({"bench": "promotions", "seed": options.seed, "ledger": rows, "power": curve}))
    else:
        print("\n".join([*map(_row_words, rows), *map(_power_words, curve)]), file=sys.stderr)
    return 1 if any(row["wrong_share_at_least"] > RULES.alpha_per_year for row in rows) else 0


def ledger(name: str, years: int, seed: int) -> dict:
    """Of one plant: what came of its runs, and the years with a wrong promotion with their 95 % interval."""
    plant = PLANTS[name]
    ended = Years(years, plant.rules, seed, station=plant.station).run(plant.challengers)
    wrong = len({one.year for one in ended if one.word == "won" and one.wrong})
    right = [one for one in ended if not one.wrong]
    low, high = at_least(wrong, years, 0.975), at_most(wrong, years, 0.975)
    return {
        "plant": name,
        "years": years,
        "runs": len(ended),
        "ended": dict(sorted(Counter(one.word for one in ended).items())),
        "right": len(right),
        "right_won": sum(one.word == "won" for one in right),
        "years_wrong": wrong,
        "wrong_share": wrong / years,
        "wrong_share_at_least": low,
        "wrong_share_at_most": high,
    }


def power(runs: int, seed: int) -> list[dict]:
    """By place in the year and true improvement: how many win, after how many days and judged units."""
    return [
        _race_row(place, alpha, improvement, runs=runs, seed=seed)
        for place, alpha in PLACES.items()
        for improvement in IMPROVEMENTS
    ]


def drawing(curve: Sequence[dict], what: str) -> str:
    """Median `days` or `judged` to promotion where half or more of the challengers win: SVG with its own style."""
    title = {"days": "days until it has won", "judged": "judged units until it has won"}[what]
    shown = [row for row in curve if row["won_share"] >= 0.5]
    top = max((row[what] for row in shown), default=1)
    step = 20 if what == "days" else 500
    ticks = tuple(float(step * number) for number in range(int(top // step) + 2))
    chart = Chart(title, Axis("fewer misses, % of leaking units", (0.0, 2.0, 4.0, 6.0, 8.0, 10.0)), Axis(title, ticks))
    for place, kind in zip(PLACES, ("line", "guide"), strict=True):
        points = [(100 * row["fewer_misses"], row[what]) for row in shown if row["place"] == place]
        chart.line(points, kind)
        for x, y in points:
            chart.dot(x, y, radius=3, words=f"{place}: {y:g}")
    # A picture that stands alone brings its own style.
    return (
        chart.svg()
        .replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
        .replace("<clipPath", f"<style>{STYLE}</style><clipPath", 1)
    )


def _race_row(place: str, alpha: float, improvement: float, *, runs: int, seed: int) -> dict:
    ended = Years(runs, RULES, seed).race(_improved(improvement, runs), alpha)
    won = [one for one in ended if one.word == "won"]
    return {
        "place": place,
        "alpha": alpha,
        "fewer_misses": improvement,
        "runs": runs,
        "won_share": len(won) / runs,
        "days": _median([one.days for one in won]),
        "judged": _median([one.judged for one in won]),
    }


def _improved(improvement: float, number: int) -> Rates:
    """One leak in 200 is missed anew; a few more units are answered."""
    one = np.ones(number)
    return Rates(0.005 * one, (0.005 + improvement) * one, 0.002 * one, 0.004 * one, 0.01 * one, 0.006 * one)


def _at_the_margin(random: np.random.Generator, number: int) -> Rates:
    """Misses just so many more that it may not win, far better in the rest."""
    base = np.where(random.random(number) < 0.5, 0.0, 0.01)
    one = np.ones(number)
    return Rates(base + RULES.miss_margin, base, 0.001 * one, 0.004 * one, 0.012 * one, 0.004 * one)


def _trading(random: np.random.Generator, number: int) -> Rates:
    """Two more misses in a hundred leaks, for 3 % more answers."""
    one = np.ones(number)
    return Rates(0.025 * one, 0.005 * one, 0.001 * one, 0.004 * one, 0.035 * one, 0.005 * one)


def _alike(random: np.random.Generator, number: int) -> Rates:
    """Nothing better, nothing worse; on misses next to never another word."""
    one = np.ones(number)
    return Rates(0.0002 * one, 0.0002 * one, 0.003 * one, 0.003 * one, 0.006 * one, 0.006 * one)


def _all_kinds(random: np.random.Generator, number: int) -> Rates:
    """A third is worse on misses, a third much the same, a third better; alarms and answers go either way."""
    kind = random.integers(0, 3, number)
    change = np.select(
        [kind == 0, kind == 1], [random.uniform(0.005, 0.04, number), 0.0], -random.uniform(0, 0.08, number)
    )
    noise = random.uniform(0, 0.01, number)
    alarms, answers = random.uniform(-0.002, 0.002, number), random.uniform(-0.01, 0.01, number)
    return Rates(
        noise + np.maximum(change, 0),
        noise + np.maximum(-change, 0),
        0.003 + np.maximum(alarms, 0),
        0.003 + np.maximum(-alarms, 0),
        0.006 + np.maximum(answers, 0),
        0.006 + np.maximum(-answers, 0),
    )


PLANTS = {
    "all kinds": Plant("a third worse on misses, a third alike, a third better", _all_kinds),
    "at the margin": Plant("every one exactly at the margin on misses, better in the rest", _at_the_margin),
    "at the margin, impatient": Plant(
        "the same; stopped after two weeks without evidence, to try the next", _at_the_margin, Station(impatient=True)
    ),
    "at the margin, 10 % leaking": Plant(
        "the same, with ten times the evidence and none given up", _at_the_margin, Station(0.1), PATIENT
    ),
    "trading misses for answers": Plant("2 points more misses, 3 points more answers", _trading),
    "alike, 10 % leaking": Plant(
        "better in nothing, and soon proven no worse on misses; none given up", _alike, Station(0.1), PATIENT
    ),
}


def _median(values: Sequence[float]) -> float | None:
    return float(np.median(values)) if values else None


def _row_words(row: dict) -> str:
    ended = ", ".join(f"{count} {word}" for word, count in row["ended"].items())
    return (
        f"{row['plant']}: {row['years_wrong']} of {row['years']} years with a wrong promotion "
        f"({row['wrong_share_at_least']:.1%} to {row['wrong_share_at_most']:.1%}; allowed {RULES.alpha_per_year:.0%}); "
        f"{row['runs']} runs: {ended}; {row['right_won']} of {row['right']} that deserved it won"
    )


def _power_words(row: dict) -> str:
    when = f" after {row['days']:.0f} days and {row['judged']:.0f} judged units" if row["days"] else ""
    return f"{row['place']}, {row['fewer_misses']:.1%} fewer misses: {row['won_share']:.0%} win{when}"
