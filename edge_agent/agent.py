"""`agent inspect`: camera -> cases -> outbox, for ever. Nothing here waits for the network, the screen or the cloud."""

import argparse
import contextlib
import os
import random
import secrets
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from edge_agent import config as configuration
from edge_agent import locks, state, station, trial_run
from edge_agent.bundle import Bundle
from edge_agent.camera import Camera, open_camera
from edge_agent.case import Identity
from edge_agent.challenger import Beside, Challenger, InTurn
from edge_agent.config import DeviceConfig
from edge_agent.drift_keeper import DriftKeeper
from edge_agent.due import PATIENCE_S
from edge_agent.errors import LinkError, StationError, StoreError
from edge_agent.filming import Film, film_in
from edge_agent.immersion import TriggeredImmersions
from edge_agent.inspection import Opener, make_inspector, seat, working_view
from edge_agent.judge import Judge
from edge_agent.keeper import Keeper
from edge_agent.mode_keeper import ModeKeeper
from edge_agent.outbox import Outbox, PendingCases
from edge_agent.pipeline import Inspector, Sampling, Seated
from edge_agent.records import Case, Frame
from edge_agent.rhythm import Patient, asking, every
from edge_agent.selfreport import SelfReport
from edge_agent.station import StationProfile
from edge_agent.switch import NetHangs, Pair, Switch, first_pair
from edge_agent.telling import Telling
from edge_agent.water_trend import Need, WaterWatch

REPORT_EVERY_S = 0.25
"""A camera that falls silent shows in the state within 2 s."""
TRIGGER_EVERY_S = 0.1
WAIT_S = 0.25
"""Longest wait for a frame of a live camera before the clock is looked at."""
LOOK_EVERY_S = 0.5
"""For other bundles, and at the champion's costs."""
BEHIND_FRAMES = 3
"""Of the four that a live camera keeps: with one more a frame is lost, and before that the challenger goes."""
CATCH_UP_CASES = 500
"""Read at once from the outbox at start."""
EXIT_STUCK = 75
"""Exit status where a net does not come back (EX_TEMPFAIL): the supervisor starts the program again."""


@dataclass(frozen=True, slots=True)
class Gear:
    """What the device file names, opened and checked before the camera is."""

    device: DeviceConfig
    profile: StationProfile
    profile_sha256: str
    pair: Pair
    """The champion, and the challenger if one is named."""


@dataclass(frozen=True, slots=True)
class Run:
    """What the frame loop works with."""

    gear: Gear
    camera: Camera
    outbox: Outbox
    keeper: Keeper
    report: SelfReport
    inspector: Inspector
    switch: Switch
    telling: Telling


def agent_inspect(argv: list[str], openers: Mapping[str, Opener] | None = None) -> int:
    """`tankwatch agent inspect --config device.toml`: one log line a case on stdout; ends when a recording ends."""
    parser = argparse.ArgumentParser("tankwatch agent inspect", description="Camera to outbox, for ever.")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="device.toml")
    device = configuration.load(parser.parse_args(argv).config)
    asked: list[int] = []
    with asking(asked):
        try:
            inspect_device(device, lambda: bool(asked), openers=openers)
        except NetHangs as error:
            _end_now(str(error))
    return 128 + signal.SIGINT if signal.SIGINT in asked else 0


def inspect_device(
    device: DeviceConfig, stopped: Callable[[], bool], openers: Mapping[str, Opener] | None = None
) -> None:
    """Runs until the recording ends or `stopped`; the open case is then said only if the line was told of it."""
    gear = _gear(device)
    with ExitStack() as stack:
        outbox = Outbox.open(device.outbox_path, device.spool_path)
        stack.callback(outbox.close)
        _warn_of_notes(outbox)
        stack.enter_context(locks.lock_camera(device.camera))
        camera = open_camera(device.camera, openers=openers, patience_s=None, say=_warn)
        stack.callback(camera.close)
        _run(gear, camera, outbox, stopped)


def log_line(case: Case) -> str:
    """key=value, the same keys always."""
    score = "-" if case.score is None else f"{case.score:.3f}"
    second = case.challenger.verdict if case.challenger else "-"
    return (
        f"case={case.case_id} sequence={case.sequence} verdict={case.verdict} score={score} decision={case.decision} "
        f"outcome={case.outcome} usable_s={case.usable_s:.1f} for={case.sampled.reason} challenger={second} "
        f'reason="{case.reason}"'
    )


def _gear(device: DeviceConfig) -> Gear:
    profile, profile_sha256 = station.load(Path(device.station))
    return Gear(device, profile, profile_sha256, first_pair(device, _warn))


def _run(gear: Gear, camera: Camera, outbox: Outbox, stopped: Callable[[], bool]) -> None:
    device, pending = gear.device, PendingCases(outbox)
    report = SelfReport(f"{outbox.spool.install_id()}-{secrets.token_hex(4)}", device.mode, camera, pending)
    switch = Switch(device, gear.pair, _loader(gear, camera, report), say=_warn, resident_mb=resident_mb)
    report.drift = _drift(gear, outbox)
    _introduce(report, gear, switch)
    mode = ModeKeeper(device, gear.profile.station, gear.profile_sha256)

    def look() -> None:
        report.standing = mode.look(report.circumstances())
        state.write(device.state_path, report.state())

    with ExitStack() as stack:
        write = Patient(look, _warn)
        stack.callback(write)
        stack.enter_context(every(REPORT_EVERY_S, write))
        stack.enter_context(every(WAIT_S, lambda: _close_if(stopped(), camera)))
        keeper = Keeper(pending, said=lambda case: _say(case, report, outbox, mode), warn=_warn)
        stack.callback(keeper.close)
        frames = _frames(camera, stopped)
        first = next((frame for frame in frames if isinstance(frame, Frame)), None)
        if first is None and not stopped():
            raise StationError(f"camera {device.camera} has given no frame: check it with 'doctor'")
        if first is not None:
            triggered = TriggeredImmersions() if device.trigger == "command" else None
            if triggered:
                stack.enter_context(every(TRIGGER_EVERY_S, Patient(lambda: _hand_over(outbox, triggered), _warn)))
            inspector = _inspector(gear, camera, first, report, outbox=outbox, immersions=triggered)
            stack.callback(inspector.close)
            telling = Telling(device, inspector, report=report, mode=mode, triggered=triggered)
            stack.callback(telling.close)
            run = Run(gear, camera, outbox, keeper, report, inspector, switch, telling)
            stack.enter_context(every(LOOK_EVERY_S, Patient(lambda: _look(run), _warn)))
            stack.enter_context(every(LOOK_EVERY_S, lambda: _watch(run)))
            _obey(run)
            _inspect(run, chain([first], frames))
            if not stopped() or inspector.told_on_open_case:
                _keep(inspector.finish(), inspector, keeper)
        Patient(switch.stopped, _warn)()


def _drift(gear: Gear, outbox: Outbox) -> DriftKeeper:
    """As far as the outbox has come."""
    drift = DriftKeeper(gear.device.drift_path, warn=_warn)
    champion = gear.pair.champion
    drift.know(champion.sha256, champion.manifest.training_range)
    try:
        while later := outbox.cases_after(drift.sequence, CATCH_UP_CASES):
            drift.catch_up(later)
    except (LinkError, StoreError) as error:
        # Drift waits for the next case; it is never a reason to inspect nothing.
        _warn(f"drift has not read the last cases again: {error}")
    return drift


def _inspector(
    gear: Gear,
    camera: Camera,
    first: Frame,
    report: SelfReport,
    *,
    outbox: Outbox,
    immersions: TriggeredImmersions | None,
) -> Inspector:
    device, profile, pair = gear.device, gear.profile, gear.pair
    size, _ = working_view(profile, pair.champion.manifest.preprocessing)
    return make_inspector(
        first,
        Identity(
            device.site,
            profile.station,
            report.boot_id,
            "human_only",
            gear.profile_sha256,
            shows_before=device.assist_shows == "before",
        ),
        profile,
        pair.champion,
        sampling=Sampling(device.audit.floor, _random(device).random),
        challenger=pair.challenger,
        immersions=immersions,
        patience_s=device.line.patience_s if device.line else PATIENCE_S,
        open_clip=_film(gear, size, pair.champion, report, outbox),
        beside=_beside(camera, report),
    )


def _film(
    gear: Gear, size_px: tuple[int, int], champion: Bundle, report: SelfReport, outbox: Outbox
) -> Callable[[str], Film]:
    return film_in(
        outbox.spool.draft,
        size_px,
        gear.profile,
        bundle=champion.ref,
        profile_sha256=gear.profile_sha256,
        say=lambda words: _complain(words, report),
    )


def _beside(camera: Camera, report: SelfReport) -> Callable[[Judge], Challenger]:
    """A recording waits for the challenger, and gives the same result every time; a live camera does not wait."""
    return (lambda judge: Beside(judge, say_cut=lambda words: _cut(words, report))) if camera.live else InTurn


def _loader(gear: Gear, camera: Camera, report: SelfReport) -> Callable[[Bundle, Bundle | None], Seated]:
    def load(champion: Bundle, challenger: Bundle | None) -> Seated:
        seated = seat(champion, challenger, gear.profile, beside=_beside(camera, report))
        seated.champion.warm_up()
        seated.eyes.warm_up()
        return seated

    return load


def _inspect(run: Run, frames: Iterator[Frame | float]) -> None:
    for frame in frames:
        began_s = time.monotonic()
        cases = run.inspector.missing(frame) if isinstance(frame, float) else _step(run, frame, began_s)
        run.report.ended(cases, began_s)
        run.telling.turn()
        _keep(cases, run.inspector, run.keeper)
        if cases:
            run.switch.vigil.said(len(cases))
            _obey(run)
        if run.inspector.between_cases:
            _change_judges(run)


def _step(run: Run, frame: Frame, began_s: float) -> list[Case]:
    inspector, vigil = run.inspector, run.switch.vigil
    vigil.stepping(began_s)
    began = time.thread_time()
    cases = inspector.step(frame)
    cpu_s = time.thread_time() - began
    now = inspector.immersion
    vigil.stepped(frame.sequence, frame.monotonic_s, cpu_s, watching=now.settled_s is not None and now.left_s is None)
    run.report.stepped(inspector.sight, cpu_s, remains=now.remains)
    run.switch.tell(inspector.fault, case_ended=bool(cases))
    waiting = getattr(run.camera, "waiting", 0)
    if waiting >= BEHIND_FRAMES:
        inspector.cut_challenger(f"{waiting} frames waited, limit {BEHIND_FRAMES}")
    return cases


def _change_judges(run: Run) -> None:
    """Between two cases others may sit down, loaded and warm: it takes no longer than a few assignments."""
    ready = run.switch.take()
    if ready is None:
        return
    seated = ready.seated
    film = _film(run.gear, seated.view_size_px, ready.pair.champion, run.report, run.outbox)
    run.inspector.exchange(seated, film)
    _introduce(run.report, run.gear, run.switch)
    run.telling.settle()


def _introduce(report: SelfReport, gear: Gear, switch: Switch) -> None:
    """Who speaks and who is heard, in the report; what the water may be is the champion's limit."""
    pair, required = switch.pair, gear.profile.required_sensitivity_std_cm3_s
    report.bundle, report.challenger = pair.champion.ref, pair.challenger.ref if pair.challenger else None
    manifest = pair.champion.manifest
    if report.drift:
        report.drift.know(pair.champion.sha256, manifest.training_range)
    need = Need(required, manifest.sensitivity) if required else None
    report.water = WaterWatch(manifest.thresholds.murky_below, need)
    _tell_trial(report, switch)


def _tell_trial(report: SelfReport, switch: Switch) -> None:
    report.update, report.inspect_starts = trial_run.report(switch.record), switch.record.starts
    report.bundle_words, report.challenger_words = switch.words, switch.challenger_words


def _look(run: Run) -> None:
    run.switch.look()
    _tell_trial(run.report, run.switch)


def _watch(run: Run) -> None:
    """A process whose frame does not come back inspects nothing: it ends, and is started again."""
    words = run.switch.watch(time.monotonic())
    if words:
        run.report.bundle_words = words
        with contextlib.suppress(StoreError):
            state.write(run.gear.device.state_path, run.report.state())
        _end_now(words)


def _end_now(words: str) -> None:
    """Threads that do not come back are not waited for; what is on the disk is whole at every moment."""
    _warn(f"the process ends: {words}")
    sys.stdout.flush()
    os._exit(EXIT_STUCK)


def resident_mb() -> float:
    """Memory that this process holds, in MB."""
    pages = int(Path("/proc/self/statm").read_bytes().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _keep(cases: list[Case], inspector: Inspector, keeper: Keeper) -> None:
    for case in cases:
        keeper.keep(case, inspector.clip_path(case))


def _obey(run: Run) -> None:
    """What the cloud desires to be sent; the mode is `mode_keeper`'s matter."""
    wish = state.desired(run.gear.device.desired_path)
    if wish is not None:
        floor = wish.audit_probability or run.gear.device.audit.floor
        run.inspector.ordered(floor, wish.sampling, challenge_serials=wish.challenge_serials)


def _frames(camera: Camera, stopped: Callable[[], bool]) -> Iterator[Frame | float]:
    """The camera's frames until it is told to stop; the time, again and again, while a live one gives none."""
    frames = camera.frames_or_time(WAIT_S) if hasattr(camera, "frames_or_time") else camera.frames()
    for frame in frames:
        if stopped():
            return
        yield frame


def _say(case: Case, report: SelfReport, outbox: Outbox, mode: ModeKeeper) -> None:
    _warn_of_notes(outbox)
    report.said(case)
    mode.said(case)
    print(log_line(case), flush=True)


def _random(device: DeviceConfig) -> random.Random:
    return random.SystemRandom() if device.seed is None else random.Random(device.seed)


def _complain(words: str, report: SelfReport) -> None:
    report.not_filmed(words)
    _warn(words)


def _cut(words: str, report: SelfReport) -> None:
    report.cut()
    _warn(words)


def _close_if(stopped: bool, camera: Camera) -> None:
    """A loop that waits for a camera without frames does not see that it shall stop."""
    if stopped:
        camera.close()


def _hand_over(outbox: Outbox, immersions: TriggeredImmersions) -> None:
    if outbox.take_trigger():
        immersions.trigger()


def _warn_of_notes(outbox: Outbox) -> None:
    while outbox.notes:
        _warn(outbox.notes.pop(0))


def _warn(words: str) -> None:
    print(f"WARNING {words}", file=sys.stderr, flush=True)
