"""`drill clock`: the device's clock is set, forward and back, in the middle of its work; nothing may be lost by it.

What is decided goes by the clock that nobody sets. Parts meet every jump with clocks that are handed in; a whole
station lives through some of them with a clock that libfaketime fakes, where it is installed.
"""

import argparse
import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import clock_jumps, clock_station
from benchmarks.clock_jumps import JUMPS, Jump
from benchmarks.clock_station import Result
from edge_agent import utc
from edge_agent.records import Case

SHORT = ("1 min forward", "31 days forward", "1970", "after it")
"""What the whole station meets in the short form: NTP's step, retention's limit, an empty battery, 2038."""
NEAR_S = 0.01
"""UTC is written in milliseconds, at both ends of a case."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Jumps that the parts meet, and those that a whole station lives through."""

    parts: tuple[Jump, ...]
    station: tuple[Jump, ...]
    seed: int


def run(argv: list[str]) -> int:
    """`tankwatch drill clock`; ends with 1 if a verdict changed, anything was lost, or a promise did not hold."""
    parser = argparse.ArgumentParser("tankwatch drill clock", description="The device's clock is set under way.")
    parser.add_argument("--seed", type=int, default=31)
    parser.add_argument("--full", action="store_true", help="a whole station lives through every jump")
    parser.add_argument("--json", action="store_true", help="only the ledger, as one JSON object")
    options = parser.parse_args(argv)
    # What its broker and its cloud say of a connection that ends is none of the drill's words.
    logging.disable(logging.WARNING)
    lived = JUMPS if options.full else tuple(jump for jump in JUMPS if jump.name in SHORT)
    with tempfile.TemporaryDirectory(prefix="tankwatch-drill-") as folder:
        plan = Plan(JUMPS, lived, options.seed)
        ledger = drill(plan, Path(folder), lambda words: print(words, file=sys.stderr))
    logging.disable(logging.NOTSET)
    print(json.dumps(ledger) if options.json else _words(ledger))
    return 0 if is_good(ledger) else 1


def is_good(ledger: dict) -> bool:
    """Whether it kept every promise."""
    counts = ("changed", "times_wrong", "lost", "duplicated", "out_of_order", "waiting")
    return not any(ledger[name] for name in (*counts, "broken", "crashed")) and ledger["cases"] >= ledger["lived"]


def drill(plan: Plan, folder: Path, say: Callable[[str], None] = lambda _: None) -> dict:
    """Runs the plan in `folder` and gives the ledger."""
    began_s, library = time.monotonic(), clock_station.library()
    broken = [words for n, jump in enumerate(plan.parts) for words in clock_jumps.broken(jump, folder / str(n))]
    say(f"{len(plan.parts)} jumps before parts of the device: {'; '.join(broken) or 'all as documented'}")
    if library is None:
        say("libfaketime is not installed: the station's frames jump, its processes' clock does not (package faketime)")
    jumps = tuple(jump.by_s for jump in plan.station)
    steady, result = clock_station.run(folder / "station", jumps, seed=plan.seed, faketime=library)
    return {
        "drill": "clock",
        "faketime": library is not None,
        "jumps": len(plan.parts),
        "broken": broken,
        "lived": len(plan.station),
        **make_ledger(steady, result),
        "seed": plan.seed,
        "seconds": round(time.monotonic() - began_s, 1),
    }


def make_ledger(steady: list[Case], result: Result) -> dict:
    """What the station said under a clock that jumped, against what it says under one that does not."""
    kept, held = result.by_station, result.by_cloud
    sequences = [case.sequence for case in kept]
    pairs = list(zip(steady, kept, strict=False))
    return {
        "cases": len(kept),
        "changed": sum(_said(one) != _said(other) for one, other in pairs) + abs(len(steady) - len(kept)),
        "times_wrong": sum(not _is_timed(case) for case in kept),
        "lost": len({case.case_id for case in kept} - held.keys()) + (not result.unchanged),
        "duplicated": len(held.keys() - {case.case_id for case in kept}),
        "out_of_order": int(sequences != list(range(1, len(kept) + 1))),
        "waiting": result.waiting,
        "crashed": result.crashed,
    }


def _said(case: Case) -> tuple:
    """All that may not depend on UTC."""
    return (case.verdict, case.score, case.reason, case.decision, case.outcome, case.usable_s, case.ended_s)


def _is_timed(case: Case) -> bool:
    """A step in the middle of a case makes it neither negative nor years long."""
    began, ended = utc.seconds(case.started_at), utc.seconds(case.ended_at)
    if began is None or ended is None:
        return False
    return abs((ended - began) - (case.ended_s - case.started_s)) < NEAR_S


def _words(ledger: dict) -> str:
    faked = (
        "a clock faked by libfaketime" if ledger["faketime"] else "handed-in clocks only (package faketime is missing)"
    )
    broken = "; ".join([*ledger["broken"], *ledger["crashed"]]) or "none broken, no crash"
    return (
        f"{ledger['jumps']} jumps before parts of the device, {ledger['lived']} before a whole station with {faked}: "
        f"{ledger['cases']} cases, {ledger['changed']} changed, {ledger['times_wrong']} with wrong times, "
        f"{ledger['lost']} lost, {ledger['duplicated']} duplicated, {ledger['out_of_order']} out of order, "
        f"{ledger['waiting']} without a receipt; promises: {broken}; {ledger['seconds']} s"
    )
