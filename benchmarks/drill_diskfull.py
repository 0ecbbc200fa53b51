"""`drill diskfull`: a device whose disk is full goes on deciding, says so, frees in the written order and recovers.

Every k-th write of its parts is refused, for one k after the other; then a whole station lives on a disk of a few
megabytes that fills up by itself, is taken by something else, and is given back.
"""

import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks import ledger, refused_writes, small_disk
from benchmarks.exercise import Exercise, Ledger, Say
from benchmarks.refused_writes import Refusals

MB = 56
"""Five or six of the twin's clips."""
LONGEST_RECOVERY_S = 10.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Which refusals, and how many units are decided while the disk takes nothing; 0: no whole station."""

    refusals: Refusals
    decided: int
    seed: int


def plan(full: bool, seed: int) -> Plan:
    """The short form is short enough for every change."""
    if full:
        return Plan(Refusals(tuple(range(1, 401)), cases=12, seed=seed), decided=20, seed=seed)
    return Plan(Refusals((*range(1, 13), 17, 23, 31, 43, 59, 79), cases=4, seed=seed), decided=2, seed=seed)


def drill(plan: Plan, folder: Path, say: Say) -> Ledger:
    """Runs the plan in `folder`."""
    began_s = time.monotonic()
    found: Ledger = {"drill": "diskfull", "refusals": refused_writes.under_refusals(plan.refusals, folder, say)}
    if plan.decided:
        say(f"a whole station on {MB} MB")
        asked = {"seed": plan.seed, "decided": plan.decided}
        small = small_disk.on_small_disk("benchmarks.disk_filling", folder, MB, asked)
        if small is None:
            say(f"{small_disk.NOBODY_MOUNTS}: no small disk was filled")
        found |= {"mounted": small is not None, "station": small}
    return found | {"seed": plan.seed, "seconds": round(time.monotonic() - began_s, 1)}


def is_good(found: Ledger) -> bool:
    """Every promise that could be tried was kept."""
    refusals, one = found["refusals"], found.get("station")
    refused = not (refusals["crashed"] or refusals["bad"]) and refusals["refused"] > 0
    return refused and (one is None or _lived(one))


def _lived(one: dict) -> bool:
    return (
        ledger.is_clean(one)
        and one["disorder"] == one["refused_by_clips"] == 0
        and one["recovered_s"] <= LONGEST_RECOVERY_S
        and one["decided_without_disk"] > 0
        and {"disk", "disk-space"} <= one["alarms"].keys()
    )


EXERCISE = Exercise("diskfull", "The device's disk is full.", plan, drill, is_good)
run = EXERCISE.run
