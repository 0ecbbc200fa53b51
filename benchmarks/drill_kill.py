"""`drill kill`: agent and uplink are killed again and again; the cloud must hold each case exactly once, no file half.

The first cases come from the whole agent, camera to outbox; then it dies at the named points, then at random moments,
over made cases with short clips. Outbox, uplink, broker and intake are the real ones. What counts as said is what the
agent's log or a journal holds, which is synced after `put` has returned, and all that was ever in the spool.
"""

import functools
import random
import time
from pathlib import Path

import cv2

from benchmarks import feeding, kill_frames, kill_named, kill_site, ledger, wholeness
from benchmarks.exercise import Exercise, Ledger, Say
from benchmarks.installation import until
from benchmarks.kill_points import POINTS, Plan, Point
from benchmarks.kill_site import Site

PACE_S = 0.03
"""Between two cases: without it the uplink would be killed before it has said anything."""
LOOK_S = 0.005
FIRST = 10_000
"""Number of the first case of the random part; the named points use those below."""
OTHERS_EVERY = 20
"""So many kills of the device's processes for one of the broker or of the intake."""
FAULTS = (*ledger.FAULTS, "half_written", "torn", "unfinished")


def run(argv: list[str]) -> int:
    """`tankwatch drill kill`; 1 if anything is lost, there twice, or half written."""
    return Exercise("kill", "SIGKILL at named and at random moments.", plan_of, drill, is_good).run(argv)


def plan_of(full: bool, seed: int) -> Plan:
    """All named points in both forms."""
    if full:
        return Plan(10_000, frames=100, kills=1000, frame_kills=50, points=POINTS, seed=seed, others=True)
    return Plan(120, frames=1, kills=12, frame_kills=1, points=POINTS, seed=seed)


def is_good(found: Ledger) -> bool:
    """Nothing lost, nothing twice, nothing half, and as much was done as was asked for."""
    if any(found[name] for name in FAULTS) or found["broken"]:
        return False
    return (
        found["cases"] >= found["asked"] and found["random_kills"] >= found["asked_kills"] and found["state_reads"] > 0
    )


def drill(plan: Plan, folder: Path, say: Say = lambda _: None) -> Ledger:
    """Runs the plan in `folder` and gives the ledger."""
    # Before the first picture: OpenCV's threads do not live through a fork, and who waits for them waits for ever.
    cv2.setNumThreads(1)
    began_s = time.monotonic()
    with kill_site.site(folder, plan.seed) as site:
        broken = _named(site, [point for point in plan.points if point.scene == "new device"], say)
        broken |= kill_frames.run(site, plan, say)
        rest = [point for point in plan.points if point.scene != "new device" and point.process != "agent"]
        broken |= _named(site, rest, say)
        random_kills = plan.frame_kills + _at_random(site, plan, say)
        broken |= _words("the end", site.faults())
        found = make_ledger(site, plan)
    return found | {
        "named": len(plan.points),
        "broken": broken,
        "random_kills": random_kills,
        "broker": site.broker.name,
        "seconds": round(time.monotonic() - began_s, 1),
    }


def make_ledger(site: Site, plan: Plan) -> Ledger:
    """What was said against what is held, and the files of the device."""
    folders = [site.device.folder, *site.folder.glob("new-*")]
    until(lambda: not any(map(wholeness.unfinished, folders)), 5.0)
    return {
        "drill": "kill",
        "asked": plan.cases,
        "frames": len(kill_site.said_by_agent(site.agent_log)),
        **site.compare(site.store),
        "half_written": len(wholeness.half_written(site.device.spool_path)),
        "unfinished": sum(len(wholeness.unfinished(folder)) for folder in folders),
        "torn": len(site.reader.torn),
        "state_reads": site.reader.reads,
        "asked_kills": plan.kills,
        "killed": dict(sorted(site.processes.killed.items())),
        "seed": plan.seed,
    }


def _named(site: Site, points: list[Point], say: Say) -> dict[str, list[str]]:
    broken: dict[str, list[str]] = {}
    for point in points:
        found = _words(point.words, kill_named.strike(site, point, POINTS.index(point) + 1))
        say(f"{point.process}: {point.words}: {found.get(point.words, 'all holds')}")
        broken |= found
    return broken


def _words(name: str, faults: list[str]) -> dict[str, list[str]]:
    return {name: faults} if faults else {}


def _at_random(site: Site, plan: Plan, say: Say) -> int:
    """Kills spread over the cases that are still to be made, each at a random moment; how many."""
    cases, kills = max(plan.cases - len(site.know()), plan.kills), plan.kills - plan.frame_kills
    chance, processes = random.Random(plan.seed), site.processes
    processes.starts["inspect"] = functools.partial(_make_cases, site, cases)
    processes.start("inspect")
    for number in range(kills):
        _wait_for_cases(site, (number + 1) * cases // (kills + 1))
        # Two of three fall into the making of a case, the others into the quiet between.
        time.sleep(PACE_S + chance.uniform(-0.005, 0.02) if chance.random() < 0.67 else chance.uniform(0, PACE_S))
        victim = ("inspect", "uplink")[number % 2]
        processes.kill(victim)
        processes.start(victim)
        if plan.others and number % OTHERS_EVERY == 0:
            _kill_another(site, chance)
        if number % 10 == 9:
            say(f"{number + 1} of {kills} kills, {_made(site)} of {cases} cases")
    processes.alive["inspect"].join()
    return kills


def _kill_another(site: Site, chance: random.Random) -> None:
    if chance.random() < 0.5:
        site.processes.kill("ingest")
        site.processes.start("ingest")
        return
    site.broker.kill()
    site.processes.killed["broker"] += 1
    time.sleep(chance.uniform(0, 0.5))
    site.broker.start()


def _make_cases(site: Site, cases: int) -> None:
    site.feeding(range(FIRST + _made(site), FIRST + cases), pace_s=PACE_S)()


def _wait_for_cases(site: Site, wanted: int) -> None:
    while (made := _made(site)) < wanted:
        making = site.processes.alive["inspect"]
        if not making.is_alive() and _made(site) == made:
            raise RuntimeError(f"the process that makes cases ended by itself with status {making.exitcode}")
        time.sleep(LOOK_S)


def _made(site: Site) -> int:
    """Cases of the random part that were said: they come in the order of their numbers."""
    last = feeding.last_said(site.journal)
    return max(0, int(last[-6:]) - FIRST + 1) if last else 0
