"""`drill link`: seeded schedules of faults on both links, device to broker and broker to cloud; nothing lost or twice.

A few installations run beside each other, since most of a schedule is waiting; each lives through one schedule after
the other. A schedule that went wrong is named with its faults and comes again with `--seed` and `--only`.
"""

import argparse
import dataclasses
import logging
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import cv2

from benchmarks import hosts, ledger
from benchmarks.exercise import Exercise
from benchmarks.hosts import Hosts
from benchmarks.link_faults import KINDS, SIDES, Fault
from benchmarks.link_lane import Lane, Outcome

CASES = 20
NOTICED_WITHIN_S = {"device": 40.0, "cloud": 75.0}
"""The uplink: metrics are due every 10 s, 2 s later nothing new goes out, and 15 s after the last byte has moved it is
over. The cloud's side: two keepalives of 30 s. The rest is for a busy machine."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Which schedules, of which seed, and how many installations share them."""

    schedules: tuple[int, ...]
    seed: int
    lanes: int
    hosts: bool = False
    chosen: bool = False
    """By name: not every kind of fault has to be among them."""
    cases: int = CASES


def run(argv: list[str]) -> int:
    """`tankwatch drill link`; ends with 1 if anything is lost or there twice."""
    return EXERCISE.run(argv)


def drill(plan: Plan, folder: Path, say: Callable[[str], None] = lambda _: None) -> dict:
    """Runs the plan in `folder` and gives the ledger."""
    cv2.setNumThreads(1)
    # What connections that break have to say is in the installations' own logs.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    began_s, against = time.monotonic(), hosts.reason_against() if plan.hosts else "not asked for"
    if plan.hosts and against:
        say(f"no hosts of their own: {against}; both sides share this machine's loopback")
    with ExitStack() as stack:
        lanes = [stack.enter_context(_lane(stack, plan, folder / str(n), not against)) for n in range(plan.lanes)]
        for lane in lanes:
            lane.prepare()
        for lane in lanes:
            lane.open()
        outcomes = _live(plan, lanes, say)
        found = _sum(lane.last_word() for lane in lanes)
        broker = lanes[0].broker
    return {
        "drill": "link",
        "hosts": "two, by network namespaces" if not against else f"none: {against}",
        **make_ledger(plan, outcomes, found),
        "lanes": plan.lanes,
        "broker": broker,
        "seed": plan.seed,
        "seconds": round(time.monotonic() - began_s, 1),
    }


def make_ledger(plan: Plan, outcomes: list[Outcome], found: dict[str, int]) -> dict:
    """What came of the schedules, and of every case in them."""
    happened = Counter((fault.kind, fault.side) for outcome in outcomes for fault in outcome.happened)
    noticed = [noticed for outcome in outcomes for noticed in outcome.noticed]
    return {
        "asked": len(plan.schedules),
        "schedules": len(outcomes),
        "failed": [_named(outcome, plan) for outcome in outcomes if not outcome.is_good],
        **found,
        "happened": {kind: {side: happened[kind, side] for side in SIDES} for kind, _ in sorted(happened)},
        "found_no_packet": sum(len(outcome.planned) - len(outcome.happened) for outcome in outcomes),
        "noticed_s": {side: max((one.after_s for one in noticed if one.side == side), default=None) for side in SIDES},
        "slowest_s": max((outcome.took_s for outcome in outcomes), default=None),
        "every_kind": plan.chosen or {kind for kind, _ in happened} >= set(KINDS),
    }


def is_good(found: dict) -> bool:
    """Every schedule lived through, every kind of fault met, every dead link noticed in time, nothing lost or twice."""
    in_time = all(
        found["noticed_s"][side] is None or found["noticed_s"][side] <= NOTICED_WITHIN_S[side] for side in SIDES
    )
    lived = found["schedules"] == found["asked"] and not found["failed"]
    return lived and ledger.is_clean(found) and found["every_kind"] and in_time


def _lane(stack: ExitStack, plan: Plan, folder: Path, on_hosts: bool) -> Lane:
    pair = stack.enter_context(Hosts()) if on_hosts else None
    return Lane(folder, seed=plan.seed, cases=plan.cases, hosts=pair)


def _live(plan: Plan, lanes: list[Lane], say: Callable[[str], None]) -> list[Outcome]:
    """Each lane takes the next schedule; one that went wrong ends its lane, since what it left behind is not clean."""
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in plan.schedules:
        waiting.put(number)
    outcomes: list[Outcome] = []

    def live(lane: Lane) -> None:
        while (number := _next(waiting)) is not None:
            outcomes.append(lane.run(number))
            if not outcomes[-1].is_good:
                say(f"schedule {outcomes[-1].number} went wrong: {_named(outcomes[-1], plan)}")
                return
            if len(outcomes) % 10 == 0:
                say(f"{len(outcomes)} of {len(plan.schedules)} schedules")

    threads = [threading.Thread(target=live, args=(lane,)) for lane in lanes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def _next(waiting: "queue.SimpleQueue[int]") -> int | None:
    try:
        return waiting.get_nowait()
    except queue.Empty:
        return None


def _named(outcome: Outcome, plan: Plan) -> dict:
    """Enough to do it again."""
    return {
        "again": f"--seed {plan.seed} --only {outcome.number}" + (" --hosts" if plan.hosts else ""),
        "faults": [_in_words(fault, outcome) for fault in outcome.planned],
        "waiting": outcome.waiting,
        "took_s": outcome.took_s,
        **{name: outcome.found[name] for name in ledger.FAULTS if outcome.found[name]},
    }


def _in_words(fault: Fault, outcome: Outcome) -> dict:
    return dataclasses.asdict(fault) | {"happened": fault in outcome.happened}


def _sum(ledgers: Iterable[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in ledgers:
        total.update(one)
    return dict(total)


def _plan(full: bool, seed: int) -> Plan:
    return Plan(tuple(range(1000 if full else len(KINDS))), seed, lanes=8 if full else 3, hosts=full)


def _ask(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", metavar="N,...", help="these schedules alone, each on an installation of its own")
    parser.add_argument("--schedules", type=int, metavar="N", help="so many instead of 12, or 1000 with --full")
    parser.add_argument("--hosts", action="store_true", help="device and cloud on hosts of their own (root); in --full")


def _heed(plan: Plan, options: argparse.Namespace) -> Plan:
    plan = dataclasses.replace(plan, hosts=plan.hosts or options.hosts)
    if options.only:
        chosen = tuple(int(number) for number in options.only.split(","))
        return dataclasses.replace(plan, schedules=chosen, lanes=len(chosen), chosen=True)
    if options.schedules:
        return dataclasses.replace(plan, schedules=tuple(range(options.schedules)))
    return plan


EXERCISE: Exercise[Plan] = Exercise(
    "link", "Seeded schedules of link faults.", _plan, drill, is_good, ask=_ask, heed=_heed
)
