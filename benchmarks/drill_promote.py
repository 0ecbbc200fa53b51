"""`drill promote`: three challengers run beside a champion at twin stations, in logical time, and the cloud decides.

One calls weak leaks ok, and so answers more; one is the champion under another version; one answers more and misses no
more. Only the last may come to speak, and then at every station. `promotion_story` says what is real in it.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import twin_units
from benchmarks.promotion_story import Plan, Story
from benchmarks.twin_devices import Line
from benchmarks.twin_units import Unit
from cloud_sync import policy, policy_file
from cloud_sync.config import CloudConfig
from cloud_sync.policy import Policy, Promotion
from edge_agent.bundle import open_bundle
from edge_agent.inspection import shipped_bundle

CONTESTS = {"worse": False, "equal": False, "better": True}
"""Challengers in the order in which they run, and which of them deserves to be promoted."""
NOT_RUN = {"promoted": False, "state": "not_run", "days": 0, "judged": 0}


def short_plan(seed: int) -> Plan:
    """Ends within seconds: many leaks, and twice the shipped margins, for which half as many suffice."""
    rules = Promotion(miss_margin=0.01, false_alarm_margin=0.01, fewest_days=5)
    return Plan(seed, Line(leaky=0.5), 16, Policy(version=1, promotion=rules), 60)


def full_plan(seed: int) -> Plan:
    """A plant as it is: 1,000 units a day at each station, 2 % of them leaking, the shipped rules."""
    rules = policy.decode(policy_file.SHIPPED.read_bytes())
    return Plan(seed, Line(leaky=0.02), 333, rules, rules.promotion.longest_days)


def run(argv: list[str]) -> int:
    """`tankwatch drill promote`; ends with 1 if one is promoted that must not be, or the good one is not everywhere."""
    parser = argparse.ArgumentParser("tankwatch drill promote", description="Challengers of three kinds in a plant.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--full", action="store_true", help="1,000 units a day, 2 %% leaking, the shipped rules")
    parser.add_argument("--films", type=int, help="units filmed at twin stations, too: default 0, with --full 120")
    parser.add_argument("--json", action="store_true", help="only the ledger, as one JSON object")
    options = parser.parse_args(argv)
    films = options.films if options.films is not None else (120 if options.full else 0)
    plan = (full_plan if options.full else short_plan)(options.seed)
    shipped = open_bundle(shipped_bundle())
    units = twin_units.fitted(shipped) + twin_units.filmed(shipped, films, options.seed, _cache())
    with tempfile.TemporaryDirectory(prefix="tankwatch-drill-") as folder:
        ledger = drill(plan, units, Path(folder), say=lambda words: print(words, file=sys.stderr))
    print(json.dumps(ledger) if options.json else _words(ledger))
    return 0 if is_good(ledger) else 1


def is_good(ledger: dict) -> bool:
    """Everything is as it must be."""
    counted = ("lost", "duplicated", "refused", "stale_wishes_taken", "newer_wishes_ignored")
    return (
        not any(ledger[name] for name in counted)
        and all(ledger[name]["promoted"] is ledger[name]["deserves"] is wanted for name, wanted in CONTESTS.items())
        and ledger["rolled_out_everywhere"]
    )


def drill(
    plan: Plan,
    units: Sequence[Unit],
    folder: Path,
    *,
    kind: Callable[[CloudConfig], CloudConfig] = lambda config: config,
    say: Callable[[str], None] = lambda _: None,
) -> dict:
    """Runs the plan in `folder` and gives the ledger. `kind`: the same cloud on another database and store."""
    began_s = time.monotonic()
    story = Story.begin(plan, units, folder, kind(CloudConfig(data_dir=str(folder / "cloud"))))
    found = {name: story.truth(name) | NOT_RUN for name in CONTESTS}
    for name, wanted in CONTESTS.items():
        found[name] |= story.outcome(name, story.contest(name))
        say(f"{name}: {json.dumps(found[name])}")
        if found[name]["promoted"] and not wanted:
            break  # the plant is not what it was: nothing that comes after it would tell anything
    ledger = {"drill": "promote", "seed": plan.seed, **story.plant.ledger(), **found}
    ledger |= {
        "rolled_out_everywhere": story.is_everywhere("better"),
        "days": story.day,
        "units": len(units),
        "filmed": sum(unit.clip is not None for unit in units),
        "judgements": story.plant.counts.judged,
        "wishes": story.plant.counts.wishes,
        "stale_wishes_taken": story.plant.counts.stale_taken,
        "newer_wishes_ignored": story.plant.counts.newer_ignored,
        "seconds": round(time.monotonic() - began_s, 1),
    }
    story.close()
    return ledger


def _words(ledger: dict) -> str:
    told = "; ".join(
        f"{name} {'promoted' if ledger[name]['promoted'] else 'not promoted'} ({ledger[name]['state']} after "
        f"{ledger[name]['days']} days, {ledger[name]['judged']} judged cases that count)"
        for name in CONTESTS
    )
    where = "at every station" if ledger["rolled_out_everywhere"] else "NOT at every station"
    return (
        f"drill promote, seed {ledger['seed']}: {told}; the better one is {where}; {ledger['cases']} cases in "
        f"{ledger['days']} days, {ledger['lost']} lost, {ledger['duplicated']} there twice ({ledger['seconds']} s)"
    )


def _cache() -> Path:
    """Films stay here between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tankwatch"
