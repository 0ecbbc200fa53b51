"""How long after the last frame a case is said, with nothing beside it, without a broker, with a full outbox, while one
drains: the same immersions under each condition in turn.

Inspector, film, keeper and outbox as the agent has them, in this process; uplink and ingest are processes of their own,
stopped by SIGSTOP outside their turn. Pictures come as fast as they are taken: a core is never more wanted than so.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import SimpleQueue

import numpy as np

from benchmarks.installation import Processes, make_configs, sending, taking_in, until
from benchmarks.outbox_filling import copy, fill
from benchmarks.retaken import Sensor
from calibration.scene import draw_scene, draw_station
from calibration.twin import Twin, profile_of
from cloud_sync.broker import EmbeddedBroker
from edge_agent.bundle import open_bundle
from edge_agent.case import Identity
from edge_agent.config import DeviceConfig
from edge_agent.filming import film_in
from edge_agent.inspection import make_inspector, shipped_bundle, working_view
from edge_agent.keeper import Keeper
from edge_agent.outbox import Outbox, PendingCases
from edge_agent.pipeline import Inspector, Sampling
from edge_agent.records import Case, Frame

CONDITIONS = ("quiet", "broker_down", "outbox_full", "draining")
LIMIT_MS = 5.0
SEED, FPS = 31, 15.0
SCENES = 2
UPLINK_NICE = 10
"""Below the inspection, as the two units of systemd have it."""
ELSEWHERE_NICE = 19
"""Broker and ingest run on another machine in a plant, and shall take what nobody here wants."""
COMES_S = 120.0
KEPT_S = 60.0


@dataclass(frozen=True, slots=True)
class Taken:
    """The step that completed a case, and until the case was on the disk; ms."""

    step_ms: float
    cpu_ms: float
    kept_ms: float


@dataclass(frozen=True, slots=True)
class Station:
    """One inspection with its outbox, and which processes run in its turn."""

    inspector: Inspector
    outbox: Outbox
    keeper: Keeper
    kept: SimpleQueue
    beside: tuple[str, ...]


@dataclass(slots=True)
class Rounds:
    """What was measured, round by round, and what the drain did meanwhile."""

    taken: dict[str, list[Taken]] = field(default_factory=lambda: {name: [] for name in CONDITIONS})
    drained: list[int] = field(default_factory=list)
    drained_per_s: list[float] = field(default_factory=list)
    refilled: int = 0
    loads: list[float] = field(default_factory=list)


def measure(folder: Path, rounds: int, waiting: int, full: DeviceConfig | None = None) -> dict:
    """`rounds` of one immersion under each condition. `full`: an outbox in which `waiting` cases are, made if None."""
    with ExitStack() as stack:
        broker = EmbeddedBroker(0, folder / "broker")
        devices, processes = _installations(folder, broker, full, waiting)
        stack.callback(processes.stop)
        for name in processes.starts:
            processes.start(name)
            pause(processes, name)
        # Only now: who is forked shall have nothing of it.
        broker.start()
        stack.callback(broker.stop)
        if broker._process:
            os.setpriority(os.PRIO_PROCESS, broker._process.pid, ELSEWHERE_NICE)
        stations = {name: stack.enter_context(_station(name, device)) for name, device in devices.items()}
        measured = _rounds(stations, processes, rounds, waiting)
    return figures(measured, waiting)


def figures(measured: Rounds, waiting: int) -> dict:
    """Medians and quartiles of each condition, and of its differences to quiet of the same round."""
    quiet = measured.taken["quiet"]
    return {
        "rounds": len(quiet),
        "waiting": waiting,
        "step_ms": {name: _quartiles([one.step_ms for one in taken]) for name, taken in measured.taken.items()},
        "cpu_ms": {name: _quartiles([one.cpu_ms for one in taken]) for name, taken in measured.taken.items()},
        "kept_ms": {name: _quartiles([one.kept_ms for one in taken]) for name, taken in measured.taken.items()},
        "more_ms": {name: _more(measured.taken[name], quiet, "step_ms") for name in CONDITIONS[1:]},
        "more_cpu_ms": {name: _more(measured.taken[name], quiet, "cpu_ms") for name in CONDITIONS[1:]},
        "drained_in_turn": {"least": min(measured.drained), "sum": sum(measured.drained)},
        "drained_per_s": _quartiles(measured.drained_per_s),
        "refilled": measured.refilled,
        "load": _quartiles(measured.loads),
    }


def is_good(figures: dict) -> bool:
    """The medians of the differences within the limit, and the outbox did drain in each of its turns."""
    near = all(abs(figures["more_ms"][name]["p50"]) <= LIMIT_MS for name in CONDITIONS[1:])
    return near and figures["drained_in_turn"]["least"] > 0


def pause(processes: Processes, name: str) -> None:
    """It takes nothing until it may go on."""
    os.kill(processes.alive[name].pid or 0, signal.SIGSTOP)


def go_on(processes: Processes, name: str) -> None:
    os.kill(processes.alive[name].pid or 0, signal.SIGCONT)


def _rounds(stations: dict[str, Station], processes: Processes, rounds: int, waiting: int) -> Rounds:
    scenes, sensor, measured = _immersions(), Sensor(), Rounds()
    began_s = 0.0
    # The first round warms up caches and nets, and is not counted.
    for number in range(-1, rounds):
        frames = _retaken(scenes[number % len(scenes)], sensor, began_s)
        for name, station in stations.items():
            with _beside(processes, station):
                if name == "draining":
                    taken = _while_it_drains(station, frames, waiting, measured)
                else:
                    taken = _one(station, frames)
            if number >= 0:
                measured.taken[name].append(taken)
        measured.loads.append(os.getloadavg()[0])
        began_s += len(frames) / FPS
    return measured


@contextmanager
def _beside(processes: Processes, station: Station) -> Iterator[None]:
    for name in station.beside:
        go_on(processes, name)
    try:
        yield
    finally:
        for name in station.beside:
            pause(processes, name)


def _while_it_drains(station: Station, frames: Sequence[Frame], waiting: int, measured: Rounds) -> Taken:
    before, began_s = _drain_begins(station, waiting, measured), time.monotonic()
    taken = _one(station, frames)
    # Its own case came to those that wait.
    measured.drained.append(before + 1 - station.outbox.backlog().cases)
    measured.drained_per_s.append(measured.drained[-1] / (time.monotonic() - began_s))
    return taken


def _drain_begins(station: Station, waiting: int, measured: Rounds) -> int:
    """Waits until receipts come; before the outbox is empty all that it holds is asked for again."""
    if station.outbox.backlog().cases < waiting // 5:
        station.outbox.send_again(since="0")
        measured.refilled += 1
    before = station.outbox.backlog().cases
    if not until(lambda: station.outbox.backlog().cases < before, COMES_S):
        raise SystemExit(f"no receipt has come in {COMES_S:.0f} s: see uplink.log and ingest.log")
    return station.outbox.backlog().cases


def _one(station: Station, frames: Sequence[Frame]) -> Taken:
    """An immersion, which is exactly one case."""
    found: list[Taken] = []
    for frame in frames:
        handed_s, cpu_s = time.perf_counter(), time.thread_time()
        cases = station.inspector.step(frame)
        step_s, cpu_s = time.perf_counter() - handed_s, time.thread_time() - cpu_s
        for case in cases:
            station.keeper.keep(case, station.inspector.clip_path(case))
            kept_s = station.kept.get(timeout=KEPT_S) - handed_s
            found.append(Taken(1000 * step_s, 1000 * cpu_s, 1000 * kept_s))
    if len(found) != 1:
        raise SystemExit(f"an immersion became {len(found)} cases, not 1")
    return found[0]


def _retaken(frames: Sequence[Frame], sensor: Sensor, began_s: float) -> list[Frame]:
    """The same immersion once more, as a camera would see it; changes the pictures in place."""
    first = round(began_s * FPS)
    return [
        replace(
            frame,
            image=sensor.take(frame.image, first + frame.sequence),
            sequence=first + frame.sequence,
            monotonic_s=began_s + frame.monotonic_s,
            taken_at=frame.taken_at + began_s,
        )
        for frame in frames
    ]


def _immersions() -> list[list[Frame]]:
    """Drawn before anything is timed."""
    look = draw_station(SEED, "demo")
    scenes = [replace(draw_scene(number, look, "demo"), hands=(), dips=()) for number in range(SCENES)]
    return [[frame for frame, _ in Twin(look, [scene], fps=FPS, seed=SEED, colour=True).frames()] for scene in scenes]


@contextmanager
def _station(name: str, device: DeviceConfig) -> Iterator[Station]:
    outbox = Outbox.open(device.outbox_path, device.spool_path)
    kept: SimpleQueue[float] = SimpleQueue()

    def said(case: Case) -> None:
        kept.put(time.perf_counter())

    keeper = Keeper(PendingCases(outbox), said=said, warn=lambda words: print(words, flush=True))
    beside = {"quiet": (), "draining": ("uplink-draining", "ingest")}.get(name, (f"uplink-{name}",))
    try:
        yield Station(_inspector(name, outbox), outbox, keeper, kept, beside)
    finally:
        keeper.close()
        outbox.close()


def _inspector(name: str, outbox: Outbox) -> Inspector:
    """Every agreement is drawn for audit: each case has a clip, which is closed in the step that is timed."""
    profile, bundle = profile_of(draw_station(SEED, "demo")), open_bundle(shipped_bundle())
    size, _ = working_view(profile, bundle.manifest.preprocessing)
    return make_inspector(
        None,
        Identity("bench", profile.station, f"{name}-{outbox.spool.install_id()}"),
        profile,
        bundle,
        sampling=Sampling(1.0, lambda: 0.0),
        open_clip=film_in(outbox.spool.draft, size, profile, bundle=bundle.ref, profile_sha256=None),
    )


def _installations(
    folder: Path, broker: EmbeddedBroker, full: DeviceConfig | None, waiting: int
) -> tuple[dict[str, DeviceConfig], Processes]:
    """A device for each condition, and the processes that run beside."""
    devices: dict[str, DeviceConfig] = {}
    nobody = EmbeddedBroker(0, folder / "nobody").port
    for name in CONDITIONS:
        (folder / name).mkdir()
        devices[name], cloud = make_configs(folder / name, broker.port if name == "draining" else nobody)
    if full is None:
        fill(devices["outbox_full"], waiting)
        copy(devices["outbox_full"], devices["draining"])
    else:
        copy(full, devices["outbox_full"])
        copy(full, devices["draining"])
    starts = {f"uplink-{name}": _niced(UPLINK_NICE, sending(devices[name], folder / name)) for name in CONDITIONS[1:]}
    return devices, Processes(starts | {"ingest": _niced(ELSEWHERE_NICE, taking_in(cloud, folder))})


def _niced(by: int, process: Callable[[], None]) -> Callable[[], None]:
    def run() -> None:
        os.nice(by)
        process()

    return run


def _more(taken: Sequence[Taken], quiet: Sequence[Taken], name: str) -> dict[str, float]:
    return _quartiles([getattr(one, name) - getattr(calm, name) for one, calm in zip(taken, quiet, strict=True)])


def _quartiles(values: Sequence[float]) -> dict[str, float]:
    return {f"p{share}": round(float(np.percentile(values, share)), 2) for share in (25, 50, 75)}
