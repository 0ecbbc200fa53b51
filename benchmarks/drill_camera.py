"""`drill camera`: each fault that a camera can have, shown to the running agent; what it finds, says and resumes.

The agent is the real one (`inspect_device`, outbox and state in a folder of their own), and so is the capture thread.
Time is the show's own: seconds in the ledger are what they would be at a tank.
"""

import argparse
import contextlib
import io
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2

from benchmarks.camera_faults import BLOCKED, FPS, KINDS, FaultyCamera, Moment, Place, Tape, Window, film
from benchmarks.drill_swap import make_device
from calibration.scene import draw_scene, draw_station
from edge_agent import agent, state, wire
from edge_agent.config import DeviceConfig
from edge_agent.inspection import shipped_bundle
from edge_agent.records import Case

FOUND_S, DRIFT_FOUND_S, RESUMED_S = 2.0, 60.0, 5.0
FAULT_S, BLOCKED_S = 4.0, 4.5
"""What is left of the rest is less than the hold, even where the fault is found as late as is allowed. A blocked read
is given up after 4 s: the next one blocks as well, and for good."""
HOLD_S, GAP_S, FULL_GAP_S = 6.5, 2.5, 12.0
"""The long gap holds a fault that shows before or after the unit, and the time to take up work again."""
BEFORE_S, WITHIN_S, AFTER_S = 1.5, 0.6, 1.0
"""After the empty tank is shown, after the unit rests, after the lamp."""
SLOW_IMMERSIONS = 3
"""So many does a drift of the exposure go on for."""
EXPOSURE = "exposure"
PLACES: tuple[Place, ...] = ("before", "within", "after")
FULL_SEEDS = 3
JUDGED = ("ok", "leak")


@dataclass(frozen=True, slots=True)
class Plan:
    """Which faults where; `gap_s`: of empty tank before each unit."""

    faults: tuple[str, ...]
    places: tuple[Place, ...]
    seed: int
    gap_s: float


@dataclass(frozen=True, slots=True)
class Turn:
    """One immersion of the show; `window`: the fault that shows in it or goes on, None where all is well."""

    leaky: bool
    window: Window | None
    is_last_of_window: bool


def run(argv: list[str]) -> int:
    """`tankwatch drill camera`; ends with 1 if a fault is found late, a unit of it judged, or a case lost."""
    parser = argparse.ArgumentParser("tankwatch drill camera", description="Every fault a camera can have.")
    parser.add_argument("--seed", type=int, default=31)
    parser.add_argument("--full", action="store_true", help="each fault before, in and after a unit, at more stations")
    parser.add_argument("--json", action="store_true", help="only the ledger, as one JSON object")
    options = parser.parse_args(argv)
    ledger = drills(plans(options.seed, full=options.full), lambda words: print(words, file=sys.stderr))
    print(json.dumps(ledger) if options.json else _words(ledger))
    return 0 if is_good(ledger) else 1


def plans(seed: int, *, full: bool) -> list[Plan]:
    """The short form shows each fault once, while a unit rests."""
    if not full:
        return [Plan(tuple(KINDS), ("within",), seed, GAP_S)]
    return [Plan(tuple(KINDS), PLACES, seed + number, FULL_GAP_S) for number in range(FULL_SEEDS)]


def drills(wanted: list[Plan], say: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Runs the plans and gives one ledger; of each fault the worst counts."""
    cv2.setNumThreads(1)
    began_s = time.monotonic()
    shows = []
    for plan in wanted:
        with tempfile.TemporaryDirectory(prefix="tankwatch-drill-") as folder:
            shows.append(drill(plan, Path(folder), say))
    return added(shows) | {"seed": wanted[0].seed, "seconds": round(time.monotonic() - began_s, 1)}


def drill(plan: Plan, folder: Path, say: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """One show in `folder` -> its ledger."""
    tapes = {leaky: _tape(plan, leaky=leaky) for leaky in (True, False)}
    turns = programme(plan, tapes[True])
    device = make_device(folder / "camera", plan.seed, shipped_bundle(), "show:")
    windows = list(dict.fromkeys(turn.window for turn in turns if turn.window))
    show = FaultyCamera(
        [tapes[turn.leaky] for turn in turns], windows, seed=plan.seed, state_tells=lambda: _told(device)
    )
    with contextlib.redirect_stdout(io.StringIO()):
        agent.inspect_device(device, lambda: False, openers={"show:": lambda _: show})
    ledger = make_ledger(turns, show.moments, _cases(device), tapes[True].length_s, show.told)
    for name, seen in ledger["faults"].items():
        say(f"{name}: found after {seen['found_s']} s as {seen['as']}, resumed after {seen['resumed_s']} s")
    return ledger


def programme(plan: Plan, tape: Tape) -> list[Turn]:
    """Two sound immersions, a tight unit and a leaky one; then the faults, sound ones after every third; two more."""
    turns = [Turn(leaky, None, is_last_of_window=False) for leaky in (False, True)]
    for number, (fault, place) in enumerate((fault, place) for fault in plan.faults for place in plan.places):
        if fault == EXPOSURE and place != plan.places[0]:
            continue
        length = SLOW_IMMERSIONS if fault == EXPOSURE else 1
        window = _window(fault, place, len(turns) * tape.length_s, tape)
        turns += [Turn(bool(len(turns) + at & 1), window, at == length - 1) for at in range(length)]
        if number % 3 == 2 or fault == EXPOSURE:
            turns.append(Turn(bool(len(turns) & 1), None, is_last_of_window=False))
    return [*turns, Turn(bool(len(turns) & 1), None, is_last_of_window=False)]


def _window(fault: str, place: Place, at_s: float, tape: Tape) -> Window:
    truth = tape.truth
    assert truth.decided_s is not None and truth.left_s is not None
    if fault == EXPOSURE:
        return Window(fault, "within", at_s, at_s + (SLOW_IMMERSIONS - 1) * tape.length_s + truth.left_s)
    from_s = {"before": BEFORE_S, "within": truth.settled_s + WITHIN_S, "after": truth.decided_s + AFTER_S}[place]
    return Window(fault, place, at_s + from_s, at_s + from_s + (BLOCKED_S if fault == BLOCKED else FAULT_S))


def make_ledger(
    turns: list[Turn], moments: list[Moment], cases: list[Case], length_s: float, told: dict[Window, str]
) -> dict[str, Any]:
    """What was found and said, against what was shown."""
    windows = list(dict.fromkeys(turn.window for turn in turns if turn.window))
    # A case's time counts from the first picture.
    at_turn: list[list[Case]] = [[] for _ in turns]
    for case in cases:
        at_turn[min(int((case.started_s + 1 / FPS) / length_s), len(turns) - 1)].append(case)
    sound = {turn.leaky: _verdict(at_turn[number]) for number, turn in enumerate(turns[:2])}
    in_fault = [
        case
        for turn, said in zip(turns, at_turn, strict=True)
        if turn.window and turn.window.place == "within" and turn.is_last_of_window
        for case in said
    ]
    found = [_found(window, moments, told) for window in windows]
    return {
        "drill": "camera",
        "faults": {
            name: _worst([one for window, one in zip(windows, found, strict=True) if window.fault == name])
            for name in dict.fromkeys(window.fault for window in windows)
        },
        "immersions": len(turns),
        "cases": len(cases),
        "lost": sum(not said for said in at_turn),
        "duplicated": sum(len(said) > 1 for said in at_turn) + len(cases) - len({case.case_id for case in cases}),
        "judged_in_fault": sum(case.verdict in JUDGED for case in in_fault),
        "false_alarms": _false_alarms(windows, moments),
        "otherwise": sum(
            _is_otherwise(turn, said, sound[turn.leaky]) for turn, said in zip(turns, at_turn, strict=True)
        ),
        "sound": {"ok": sound.get(False, ""), "leak": sound.get(True, "")},
    }


def is_good(ledger: dict[str, Any]) -> bool:
    """Whether every limit was kept."""
    counts = ("lost", "duplicated", "judged_in_fault", "false_alarms", "otherwise")
    sound = all(said == truth for truth, said in ledger["sound"].items())
    return sound and not any(ledger[name] for name in counts) and not broken(ledger)


def broken(ledger: dict[str, Any]) -> list[str]:
    """Faults that were found late, as something else, not in the device's state, or whose end was seen late."""
    return [name for name, seen in ledger["faults"].items() if not _is_within(name, seen)]


def _is_within(name: str, seen: dict[str, Any]) -> bool:
    limit_s = DRIFT_FOUND_S if name == EXPOSURE else FOUND_S
    found_s, resumed_s = seen["found_s"], seen["resumed_s"]
    in_time = found_s is not None and found_s <= limit_s and resumed_s is not None and resumed_s <= RESUMED_S
    return in_time and KINDS[name] in seen["as"] and seen["in_state"]


def added(ledgers: list[dict[str, Any]]) -> dict[str, Any]:
    """One ledger of several shows."""
    total = ledgers[0]
    for other in ledgers[1:]:
        counts = {name: total[name] + other[name] for name in total if isinstance(total[name], int)}
        names = {name: _worst([total["faults"][name], other["faults"][name]]) for name in total["faults"]}
        sound = {truth: said if said != truth else other["sound"][truth] for truth, said in total["sound"].items()}
        total = total | counts | {"faults": names, "sound": sound}
    return total


def _found(window: Window, moments: list[Moment], told: dict[Window, str]) -> dict[str, Any]:
    """The state follows the capture by so much more."""
    shown = [moment for moment in moments if window.from_s <= moment.now_s < window.until_s]
    later = [moment for moment in moments if moment.now_s >= window.until_s]
    found_s = next((moment.now_s - window.from_s for moment in shown if moment.fault), None)
    resumed_s = next((moment.now_s - window.until_s for moment in later if moment.used and not moment.fault), None)
    return {
        "found_s": None if found_s is None else round(found_s + agent.REPORT_EVERY_S, 2),
        "as": sorted({moment.fault for moment in shown if moment.fault}),
        "in_state": bool(told.get(window)),
        "resumed_s": None if resumed_s is None else round(resumed_s + agent.REPORT_EVERY_S, 2),
    }


def _worst(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The longest times, None where one was never reached; a kind counts where it was told every time."""
    times = {name: [one[name] for one in found] for name in ("found_s", "resumed_s")}
    longest = {name: None if None in all_s else max(all_s) for name, all_s in times.items()}
    told = Counter(kind for one in found for kind in one["as"])
    always = sorted(kind for kind, count in told.items() if count == len(found))
    return {"as": always, "in_state": all(one["in_state"] for one in found), **longest}


def _false_alarms(windows: list[Window], moments: list[Moment]) -> int:
    """How often a fault began to be told where none was shown, nor just before."""
    count, before = 0, ""
    for moment in moments:
        excused = any(window.from_s <= moment.now_s <= window.until_s + RESUMED_S for window in windows)
        now = "" if excused else moment.fault
        count += bool(now) and not before
        before = now
    return count


def _is_otherwise(turn: Turn, said: list[Case], sound: str) -> bool:
    """A unit of which all was seen has the verdict that it has without faults; near a fault it may be not tested."""
    if turn.window and turn.window.place == "within":
        return False
    allowed = (sound, "not_tested") if turn.window else (sound,)
    return any(case.verdict not in allowed for case in said)


def _verdict(said: list[Case]) -> str:
    return said[0].verdict if said else ""


@cache
def _tape(plan: Plan, *, leaky: bool) -> Tape:
    look = draw_station(plan.seed, "demo")
    scene = draw_scene(plan.seed, look, "demo", leaky=leaky)
    scene = replace(scene, hands=(), dips=(), gap_s=plan.gap_s, hold_s=HOLD_S, left_in=False, knock_px=0.0)
    return film(look, replace(scene, decision="leak" if leaky else "ok", both_lamps=False, lamp_on_s=1.5), plan.seed)


def _told(device: DeviceConfig) -> str:
    now = state.read(device.state_path)
    return now.input.camera_fault if now else ""


def _cases(device: DeviceConfig) -> list[Case]:
    cases = [wire.decode(path.read_bytes(), Case) for path in device.spool_path.glob("*.json")]
    return sorted(cases, key=lambda case: case.sequence)


def _words(ledger: dict[str, Any]) -> str:
    late = broken(ledger)
    return (
        f"{len(ledger['faults'])} faults, {ledger['immersions']} immersions, {ledger['cases']} cases: {ledger['lost']} "
        f"lost, {ledger['duplicated']} duplicated; {ledger['judged_in_fault']} judged from a faulted window, "
        f"{ledger['otherwise']} sound ones otherwise than without faults, {ledger['false_alarms']} false alarms; "
        f"beyond a limit: {', '.join(late) or 'none'}; {ledger['seconds']} s"
    )
