"""`drill canary`: bundles that must never speak are published, signed and rolled out; one device meets each of them.

What the trial sees never starts; what shows itself only before a tank is back within a minute of its start. Either way
the rollout takes the bundle back by itself, and the former one goes on.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import cv2
import msgspec

from benchmarks import canary_device, canary_plant
from benchmarks.canary_device import ByHand, Line
from benchmarks.canary_plant import Plant
from benchmarks.hostile_bundles import KINDS, hostile
from benchmarks.hostile_run import inspects
from benchmarks.update_lab import Server, smaller
from edge_agent import slots, update_report
from edge_agent.bundle import Bundle, Certificate, open_bundle, write_bundle
from edge_agent.config import DeviceConfig
from edge_agent.inspection import shipped_bundle

UNCERTIFIED = "no-certificate"
ALL = (*KINDS, UNCERTIFIED)
NEVER_START = ("always-ok", "always-leak", UNCERTIFIED)
SHORT_LIVE = ("no-number", "always-leak")
"""Those that meet the device's processes in the short form: one of each end."""
DEVICES = 5
LONGEST_RETURN_S = 60.0
LONGEST_S = 180.0
"""Of one kind, from its publication until its rollout is back."""
LONGEST_TURN_S = 120.0
"""Until the agent inspects, and until it has judged one more case."""
PAUSE_S = 0.2
VERSION = 7


@dataclass(frozen=True, slots=True)
class Plan:
    """Which bundles, which of them before the device's processes, and whose twin."""

    kinds: tuple[str, ...]
    live: tuple[str, ...]
    seed: int


@dataclass
class Met:
    """What became of one hostile bundle."""

    kind: str
    end: Literal["", "refused", "returned"] = ""
    words: str = ""
    began_s: float | None = None
    """When it was put in its place, on the monotonic clock; None where it never was."""
    back_s: float | None = None
    """When the former one inspected again."""
    rollout: str = ""
    devices: int = 0
    elsewhere: int = 0
    """Stations, other than the real one, that were asked to run it."""

    @property
    def seconds(self) -> float | None:
        return None if self.began_s is None or self.back_s is None else round(self.back_s - self.began_s, 1)


@dataclass
class Scene:
    """The cloud, the device, and what moves both on."""

    plant: Plant
    device: DeviceConfig
    line: Line
    folder: Path
    met: list[Met] = field(default_factory=list)

    def until(self, is_so: Callable[[], bool], agent: canary_device.Agent | ByHand, within_s: float) -> bool:
        """Everybody goes on until it is so; False where it has not come to be."""
        until_s = time.monotonic() + within_s
        while not is_so():
            if time.monotonic() > until_s:
                return False
            agent.keep_alive()
            self.line.turn()
            self.plant.turn()
            time.sleep(PAUSE_S)
        return True


def run(argv: list[str]) -> int:
    """`tankwatch drill canary`; ends with 1 if a bundle stayed, met a second device, or a case was lost."""
    parser = argparse.ArgumentParser("tankwatch drill canary", description="Rollouts of bundles that do harm.")
    parser.add_argument("--seed", type=int, default=31)
    parser.add_argument("--full", action="store_true", help="every kind before the device's processes")
    parser.add_argument("--json", action="store_true", help="only the ledger, as one JSON object")
    options = parser.parse_args(argv)
    plan = Plan(ALL, ALL if options.full else SHORT_LIVE, options.seed)
    with tempfile.TemporaryDirectory(prefix="tankwatch-drill-") as folder:
        ledger = drill(plan, Path(folder), lambda words: print(words, file=sys.stderr))
    print(json.dumps(ledger) if options.json else _words(ledger))
    return 0 if is_good(ledger) else 1


def is_good(ledger: dict) -> bool:
    """Whether it kept every promise."""
    refused, returned, told = (set(ledger[name]) for name in ("refused", "returned", "returned_by_hand"))
    return (
        not set(ledger["started"]) & set(NEVER_START)
        and len(refused | returned | told) == ledger["bundles"]
        and all(seconds <= LONGEST_RETURN_S for seconds in ledger["returned"].values())
        and all(count == 1 for count in ledger["devices_touched"].values())
        and not any(ledger[name] for name in ("elsewhere", "lost", "duplicated"))
        and ledger["rolled_back"]
        and ledger["went_on"]
    )


def drill(plan: Plan, folder: Path, say: Callable[[str], None] = lambda _: None) -> dict:
    """Runs the plan in `folder` and gives the ledger."""
    cv2.setNumThreads(1)
    began_s = time.monotonic()
    champion = folder / "champion.bundle"
    smaller(champion, open_bundle(shipped_bundle()), VERSION)
    device, name = canary_device.make_device(folder / "real", plan.seed, champion)
    others = [(canary_plant.SITE, f"MADE-{number}") for number in range(1, DEVICES)]
    plant = Plant(folder / "cloud", champion, (canary_plant.SITE, name), others)
    with Server(plant.config.updates_path).running() as url:
        device = canary_device.joined(device, url, plant.root)
        scene = Scene(plant, device, Line(device, plant), folder)
        went_on = _before_processes(scene, [kind for kind in plan.kinds if kind in plan.live], say)
        _by_hand(scene, [kind for kind in plan.kinds if kind not in plan.live], say)
    ledger = make_ledger(plan, scene)
    scene.line.outbox.close()
    plant.engine.dispose()
    return ledger | {"went_on": went_on, "seed": plan.seed, "seconds": round(time.monotonic() - began_s, 1)}


def _before_processes(scene: Scene, kinds: list[str], say: Callable[[str], None]) -> bool:
    """The device runs as it does in a hall; whether the former bundle judged one more case at the end."""
    if not kinds:
        return True
    with canary_device.running(scene.device) as agent:
        _awake(scene, agent)
        for kind in kinds:
            say(_told(_meet(scene, kind, agent)))
        return _goes_on(scene, agent)


def _by_hand(scene: Scene, kinds: list[str], say: Callable[[str], None]) -> None:
    """No process of the device runs any more; then whatever waits in its outbox goes."""
    agent = ByHand(scene.device, scene.plant.real[1], scene.plant.sound.ref)
    for kind in kinds:
        say(_told(_meet(scene, kind, agent)))
    scene.until(lambda: not scene.line.outbox.backlog().cases, agent, LONGEST_TURN_S)


def make_ledger(plan: Plan, scene: Scene) -> dict:
    """What became of the bundles, and of the real device's cases."""
    cases = scene.plant.cases()
    numbers = [case.sequence for case in cases]
    spooled = {path.stem for path in scene.device.spool_path.glob("*.json")}
    on_trial = [case for case in cases if case.bundle_sha256 != scene.plant.sound.sha256]
    live = {met.kind: met.seconds for met in scene.met if met.seconds is not None and met.kind in plan.live}
    return {
        "drill": "canary",
        "bundles": len(scene.met),
        "started": [met.kind for met in scene.met if met.began_s is not None],
        "refused": [met.kind for met in scene.met if met.end == "refused"],
        "returned": live,
        "returned_by_hand": [met.kind for met in scene.met if met.end == "returned" and met.kind not in plan.live],
        "devices_touched": {met.kind: met.devices for met in scene.met},
        "elsewhere": sum(met.elsewhere for met in scene.met),
        "cases": len(cases),
        "cases_by_hostile": len(on_trial),
        "lost": max(numbers, default=0) - len(set(numbers)) + len(spooled - {case.case_id for case in cases}),
        "duplicated": len(numbers) - len(set(numbers)),
        "rolled_back": all(met.rollout == "rolled_back" for met in scene.met),
        "words": {met.kind: met.words for met in scene.met},
    }


def made(kind: str, sound: Bundle, path: Path) -> Bundle:
    """A hostile bundle with a certificate, which nobody here doubts; or a sound one without."""
    if kind == UNCERTIFIED:
        manifest = msgspec.structs.replace(sound.manifest, version=VERSION + 1, name=kind)
        return write_bundle(path, manifest, sound.nets, golden=sound.golden)
    opened = hostile(kind, sound, path)
    manifest = msgspec.structs.replace(opened.manifest, certificates=(_certificate(opened),))
    return write_bundle(path, manifest, opened.nets, golden=opened.golden)


def _meet(scene: Scene, kind: str, agent: canary_device.Agent | ByHand) -> Met:
    """The bundle is published and rolled out, until the rollout has come to an end and the former one speaks."""
    plant, met, path = scene.plant, Met(kind), scene.folder / f"{kind}.bundle"
    bundle = plant.publish(made(kind, plant.sound, path), path)
    for place in plant.others:
        plant.work(place, 1)
    number = plant.begin(bundle)

    def is_over() -> bool:
        _watch(scene, number, bundle, met)
        back = met.end != "returned" or isinstance(agent, ByHand) or inspects(scene.device, plant.sound.sha256)
        if met.end == "returned" and back and met.back_s is None:
            met.back_s = time.monotonic()
        return bool(met.end) and back and plant.kept(number).rollout.state in ("rolled_back", "done")

    scene.until(is_over, agent, LONGEST_S)
    met.rollout, met.devices = plant.kept(number).rollout.state, plant.touched(number)
    scene.met.append(met)
    return met


def _watch(scene: Scene, number: int, bundle: Bundle, met: Met) -> None:
    if canary_device.in_place(scene.device, bundle) and met.began_s is None:
        met.began_s = time.monotonic()
    wished = scene.plant.wished()
    met.elsewhere = max(met.elsewhere, sum(wished.get(place) == bundle.ref for place in scene.plant.others))
    _note_end(scene, number, bundle, met)


def _note_end(scene: Scene, number: int, bundle: Bundle, met: Met) -> None:
    """Refused by its trial, back from its place by itself, or taken out of it by its rollout, whichever was first."""
    device = scene.device
    failed = slots.speaking(device).failed
    if failed is not None and failed.bundle.sha256 == bundle.sha256:
        met.end, met.words = "returned", failed.words
        met.began_s = met.began_s or time.monotonic()
        return
    if met.began_s is not None and not canary_device.in_place(device, bundle):
        met.end, met.words = "returned", scene.plant.breach(number)
    told = update_report.read(device.update_path).champion
    if told is not None and told.report.bundle.sha256 == bundle.sha256 and told.report.state == "refused":
        met.end, met.words = "refused", told.report.words


def _awake(scene: Scene, agent: canary_device.Agent) -> None:
    """The device inspects, and has judged a first case."""
    sound = scene.plant.sound.sha256
    scene.until(lambda: inspects(scene.device, sound) and bool(scene.plant.cases()), agent, LONGEST_TURN_S)


def _goes_on(scene: Scene, agent: canary_device.Agent) -> bool:
    """One more case, by the former bundle."""
    sound, known = scene.plant.sound.sha256, len(scene.plant.cases())
    more = lambda: any(case.bundle_sha256 == sound for case in scene.plant.cases()[known:])  # noqa: E731
    return scene.until(more, agent, LONGEST_TURN_S)


def _certificate(bundle: Bundle) -> Certificate:
    limits = bundle.manifest.thresholds
    return Certificate(
        data="drill",
        data_sha256="0" * 64,
        measured_at="2026-11-20T14:00:00Z",
        ok_below=limits.ok_below,
        leak_above=limits.leak_above,
        confidence=0.95,
        cases=1000,
        silent=0,
        coverage=1.0,
        leaks=500,
        missed=0,
        miss_rate_upper=0.006,
        miss_rate_estimate=0.001,
        goods=500,
        false_alarms=0,
        false_alarm_rate_upper=0.006,
        false_alarm_rate_estimate=0.001,
    )


def _told(met: Met) -> str:
    after = f" after {met.seconds} s" if met.seconds else ""
    return f"{met.kind}: {met.end or 'it stayed'}{after}, rollout {met.rollout}, {met.devices} device: {met.words}"


def _words(ledger: dict) -> str:
    returned = ", ".join(f"{kind} {seconds} s" for kind, seconds in ledger["returned"].items())
    by_hand = f", by hand {', '.join(ledger['returned_by_hand'])}" if ledger["returned_by_hand"] else ""
    return (
        f"{ledger['bundles']} hostile bundles: refused by the trial {', '.join(ledger['refused'])}; back after "
        f"{returned}{by_hand}; devices asked {sorted(set(ledger['devices_touched'].values()))}, "
        f"{ledger['elsewhere']} elsewhere; {ledger['cases']} cases, {ledger['lost']} lost, "
        f"{ledger['duplicated']} duplicated; every rollout taken back: {ledger['rolled_back']}; {ledger['seconds']} s"
    )
