"""`drill cloudfull`: a cloud without room gives no receipts, loses nothing, says why, and goes on once there is room.

Its disk is taken by something else, its bucket is full, or away; and one station has as many clips there as it may,
while its cases and everything of another station come in.
"""

import logging
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks import cloud_filling, ledger, small_disk
from benchmarks.exercise import Exercise, Ledger, Say

MB = 48
"""A database, its log, and a few dozen of the short clips."""


@dataclass(frozen=True, slots=True)
class Plan:
    """So many cases before there is no room, and twice as many while there is none."""

    cases: int
    seed: int


def plan(full: bool, seed: int) -> Plan:
    """The short form is short enough for every change."""
    return Plan(cases=300 if full else 12, seed=seed)


def drill(plan: Plan, folder: Path, say: Say) -> Ledger:
    """Runs the plan in `folder`."""
    began_s = time.monotonic()
    # What the pages say of a store that is away is what is asked for here.
    logging.disable(logging.ERROR)
    found: Ledger = {"drill": "cloudfull"}
    asked = {"count": plan.cases, "seed": plan.seed}
    (folder / "disk").mkdir()
    small = small_disk.on_small_disk("benchmarks.cloud_filling", folder / "disk", max(MB, plan.cases), asked)
    if small is None:
        say(f"{small_disk.NOBODY_MOUNTS}: no small disk was filled")
    found |= {"mounted": small is not None, "disk": small}
    for mood in ("full", "away"):
        say(f"a bucket that is {mood}")
        found[f"bucket_{mood}"] = cloud_filling.bucket(folder / mood, plan.cases, plan.seed, mood)
    say("a station with as many clips as it may have")
    found["quota"] = cloud_filling.quota(folder / "quota", plan.cases, plan.seed)
    logging.disable(logging.NOTSET)
    return found | {"seed": plan.seed, "seconds": round(time.monotonic() - began_s, 1)}


def is_good(found: Ledger) -> bool:
    """Every promise that could be tried was kept."""
    rooms = [found[name] for name in ("disk", "bucket_full", "bucket_away") if found[name] is not None]
    return all(map(_went_on, rooms)) and _was_limited(found["quota"])


def _went_on(one: dict) -> bool:
    said = bool(one["readyz"]) and one["store_up"] == 0 and one["ready_again"] == 1
    return ledger.is_clean(one) and one["waited"] > 0 and one["unfounded"] == 0 and said


def _was_limited(one: dict) -> bool:
    kept = one["waited"] > 0 and one["over_limit"] == one["others_refused"] == 0
    return ledger.is_clean(one) and kept and bool(one["words"])


EXERCISE = Exercise("cloudfull", "The cloud has no room.", plan, drill, is_good)
run = EXERCISE.run
