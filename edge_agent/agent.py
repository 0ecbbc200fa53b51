"""`agent inspect`: camera -> cases -> outbox, for ever. Nothing here waits for the network, the screen or the cloud.

Without a station profile it shows pictures and inspects nothing; one that changes is taken over between two units.
"""

import argparse
import contextlib
import secrets
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from edge_agent import codes, locks, profile_history, state, station, trial_run
from edge_agent import config as configuration
from edge_agent.alarm_keeper import AlarmKeeper
from edge_agent.camera import Camera, open_camera
from edge_agent.config import DeviceConfig
from edge_agent.drift_keeper import DriftKeeper
from edge_agent.ending import end_now, with_its_threads, within
from edge_agent.errors import LinkError, StationError, StoreError
from edge_agent.idle import IdleWatch
from edge_agent.immersion import TriggeredImmersions
from edge_agent.inspection import Opener, working_view
from edge_agent.keeper import Keeper
from edge_agent.live import NICE, TURN_S, Publisher
from edge_agent.machine import resident_mb
from edge_agent.mode_keeper import ModeKeeper
from edge_agent.notify import Notifier
from edge_agent.on_screen import OnScreen
from edge_agent.outbox import Outbox, PendingCases
from edge_agent.pipeline import Inspector
from edge_agent.profile_check import InPlace
from edge_agent.profile_history import ProfilePlace
from edge_agent.records import Case, Frame
from edge_agent.rhythm import Patient, asking, every
from edge_agent.selfreport import SelfReport
from edge_agent.station_inspector import Gear, clips_with, inspector_with, loader, warn
from edge_agent.station_watch import HeldProfile, StationWatch
from edge_agent.switch import LOADING_S, NetHangs, Pair, Switch, first_pair
from edge_agent.telling import Telling
from edge_agent.water_trend import Need, WaterWatch

REPORT_EVERY_S = 0.25
"""A camera that falls silent shows in the state within 2 s."""
TRIGGER_EVERY_S = 0.1
WAIT_S = 0.25
"""Longest wait for a frame of a live camera before the clock is looked at."""
LOOK_EVERY_S = 0.5
"""For other bundles, and at the champion's costs."""
NOTICE_EVERY_S = 10.0
"""A profile that was changed by hand is in the history not long after."""
BEHIND_FRAMES = 3
"""Of the four that a live camera keeps: with one more a frame is lost, and before that the challenger goes."""
CATCH_UP_CASES = 500
"""Read at once from the outbox at start."""
NO_FRAME_S = 10.0
"""A camera that gives nothing for so long at start is reported, and waited for: the service itself is ready."""


@dataclass(frozen=True, slots=True)
class Lasting:
    """What stays as it is when another profile is taken over."""

    device: DeviceConfig
    camera: Camera
    outbox: Outbox
    keeper: Keeper
    report: SelfReport
    mode: ModeKeeper
    alarms: AlarmKeeper
    watch: StationWatch
    told: Notifier


@dataclass(frozen=True, slots=True)
class Run:
    """What the frame loop works with under one profile."""

    gear: Gear
    lasting: Lasting
    inspector: Inspector
    switch: Switch
    telling: Telling
    in_place: InPlace
    idle: IdleWatch

    @property
    def report(self) -> SelfReport:
        return self.gear.report


def agent_inspect(argv: list[str], openers: Mapping[str, Opener] | None = None) -> int:
    """`tankwatch agent inspect --config device.toml`: one log line a case on stdout; ends when a recording ends."""
    parser = argparse.ArgumentParser("tankwatch agent inspect", description="Camera to outbox, for ever.")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="device.toml")
    device = configuration.load(parser.parse_args(argv).config)
    asked: list[int] = []
    with asking(asked), with_its_threads():
        try:
            inspect_device(device, lambda: bool(asked), openers=openers)
        except NetHangs as error:
            end_now(str(error))
    return 128 + signal.SIGINT if signal.SIGINT in asked else 0


def inspect_device(
    device: DeviceConfig, stopped: Callable[[], bool], openers: Mapping[str, Opener] | None = None
) -> None:
    """Runs until the recording ends or `stopped`; the open case is then said only if the line was told of it."""
    pair = first_pair(device, warn)
    with ExitStack() as stack:
        outbox = Outbox.open(device.outbox_path, device.spool_path)
        stack.callback(outbox.close)
        _warn_of_notes(outbox)
        stack.enter_context(locks.lock_camera(device.camera))
        camera = open_camera(device.camera, openers=openers, patience_s=None, say=warn)
        stack.callback(camera.close)
        _run(device, pair, camera, outbox, stopped)


def log_line(case: Case) -> str:
    """key=value, the same keys always."""
    score = "-" if case.score is None else f"{case.score:.3f}"
    second = case.challenger.verdict if case.challenger else "-"
    return (
        f"case={case.case_id} sequence={case.sequence} verdict={case.verdict} score={score} decision={case.decision} "
        f"outcome={case.outcome} usable_s={case.usable_s:.1f} for={case.sampled.reason} challenger={second} "
        f'reason="{case.reason}"'
    )


def _run(device: DeviceConfig, pair: Pair, camera: Camera, outbox: Outbox, stopped: Callable[[], bool]) -> None:
    pending, publisher = PendingCases(outbox), Publisher(device.live_path)
    report = SelfReport(f"{outbox.spool.install_id()}-{secrets.token_hex(4)}", device.mode, camera, pending)
    report.screen, report.bundle = OnScreen(shows_before=device.assist_shows == "before"), pair.champion.ref
    mode, watch, told = ModeKeeper(device, "", None), StationWatch(Path(device.station)), Notifier()
    place = ProfilePlace(Path(device.station), device.folder / "profiles")
    alarms = AlarmKeeper("inspect", device.alarms_path, device.alarm_settings_path, say=warn)
    report.drift = _drift(device, pair, outbox)

    def look() -> None:
        watch.look()
        report.setup_words = watch.words
        report.standing = mode.look(report.circumstances())
        told.status(_status(_tell_state(device, report, alarms)))

    with ExitStack() as stack:
        write, keep_check = Patient(look, warn), Patient(mode.keep_check, warn)
        stack.callback(told.stopping)
        stack.callback(write)
        stack.callback(keep_check)
        stack.enter_context(every(REPORT_EVERY_S, write))
        stack.enter_context(every(LOOK_EVERY_S, keep_check))
        stack.enter_context(every(NOTICE_EVERY_S, Patient(lambda: profile_history.notice(place, time.time()), warn)))
        stack.enter_context(every(WAIT_S, lambda: _close_if(stopped(), camera)))
        stack.enter_context(every(TURN_S, Patient(publisher.turn, warn), nice=NICE))
        keeper = Keeper(pending, said=lambda case: _say(case, report, outbox, mode), warn=warn, took=report.figures.put)
        stack.callback(keeper.close)
        lasting = Lasting(device, camera, outbox, keeper, report, mode, alarms, watch, told)
        _inspect_all(lasting, pair, _shown(_frames(camera, stopped), publisher, told), stopped)


def _drift(device: DeviceConfig, pair: Pair, outbox: Outbox) -> DriftKeeper:
    """As far as the outbox has come."""
    drift = DriftKeeper(device.drift_path, warn=warn)
    drift.know(pair.champion.sha256, pair.champion.manifest.training_range)
    try:
        while later := outbox.cases_after(drift.sequence, CATCH_UP_CASES):
            drift.catch_up(later)
    except (LinkError, StoreError) as error:
        # Drift waits for the next case; it is never a reason to inspect nothing.
        warn(f"drift has not read the last cases again: {error}")
    return drift


def _inspect_all(lasting: Lasting, pair: Pair, frames: Iterator[Frame | float], stopped: Callable[[], bool]) -> None:
    """Under one profile after the other, from the first one that can be used on."""
    run: Run | None = None
    held, first = _awaited(lasting, frames)
    if first is None and not stopped():
        raise StationError(f"camera {lasting.device.camera} has given no frame: check it with 'doctor'")
    begun: Iterator[Frame | float] = chain([first] if first else [], frames)
    while held is not None:
        gear = Gear(lasting.device, held, pair, lasting.camera, lasting.outbox, lasting.report)
        with ExitStack() as stack:
            run = _settled(gear, lasting, stack, run)
            held = _inspect(run, begun)
            if held is None and (not stopped() or run.inspector.told_on_open_case):
                _keep(run.inspector.finish(), run)
        pair, begun = replace(run.switch.pair, record=run.switch.record), frames
    if run is not None:
        Patient(run.switch.stopped, warn)()


def _awaited(lasting: Lasting, frames: Iterator[Frame | float]) -> tuple[HeldProfile | None, Frame | None]:
    """The first profile that can be used, and the frame that it was found to fit; until then nothing is inspected.

    The newest frame alone where the camera has ended before. A recording does not wait: StationError.
    """
    frame, report, watch = None, lasting.report, lasting.watch
    watch.look()
    for seen in frames:
        if isinstance(seen, float):
            continue
        frame, held = seen, watch.take(seen)
        if held:
            return held, frame
        if not lasting.camera.live:
            station.load(Path(lasting.device.station))
            raise StationError(watch.words)
        report.stepped(None, 0.0)
        lasting.told.ready(watch.words)
    return None, frame


def _settled(gear: Gear, lasting: Lasting, stack: ExitStack, former: Run | None) -> Run:
    """All that works under this profile, until the stack is closed; it goes on from where the former one ended."""
    device, report, held = gear.device, gear.report, gear.held
    switch = Switch(device, gear.pair, loader(gear), say=warn, resident_mb=resident_mb)
    stack.callback(switch.close)
    _introduce(report, gear, switch)
    report.screen.set_up(held.profile, held.sha256)
    lasting.mode.set_up(held.profile.station, held.sha256)
    triggered = TriggeredImmersions() if device.trigger == "command" else None
    if triggered:
        stack.enter_context(every(TRIGGER_EVERY_S, Patient(lambda: _hand_over(gear.outbox, triggered), warn)))
    with within(LOADING_S, switch.hangs_at_start):
        inspector = inspector_with(gear, triggered)
    stack.callback(inspector.close)
    if former is not None:
        inspector.go_on_from(former.inspector)
        warn(f"the station's profile was changed: {held.sha256[:12]} holds from now on")
    telling = Telling(device, inspector, report=report, mode=lasting.mode, triggered=triggered)
    stack.callback(telling.close)
    run = Run(
        gear, lasting, inspector, switch, telling, InPlace(held.profile, codes.MarkerReader(held.profile)), IdleWatch()
    )
    stack.enter_context(every(LOOK_EVERY_S, Patient(lambda: _look(run), warn)))
    stack.enter_context(every(LOOK_EVERY_S, lambda: _watch(run)))
    _obey(run)
    return run


def _inspect(run: Run, frames: Iterator[Frame | float]) -> HeldProfile | None:
    """Until the frames end, or until a changed profile that fits is to be taken over, between two units."""
    for frame in frames:
        began_s = time.monotonic()
        if isinstance(frame, float):
            cases = run.inspector.missing(frame, _trouble(run.lasting.camera))
        else:
            cases = _step(run, frame, began_s)
        run.report.ended(cases, began_s)
        run.telling.turn()
        _keep(cases, run)
        if cases:
            run.switch.vigil.said(len(cases))
            _obey(run)
        if run.inspector.between_cases:
            _change_judges(run)
            held = run.lasting.watch.take(frame) if isinstance(frame, Frame) else None
            if held:
                return held
        run.lasting.told.ready()
    return None


def _trouble(camera: Camera) -> str:
    """Why a live camera gives nothing, where it knows."""
    return camera.health().words if hasattr(camera, "health") else ""


def _step(run: Run, frame: Frame, began_s: float) -> list[Case]:
    inspector, vigil = run.inspector, run.switch.vigil
    if run.gear.camera.live and run.idle.may_pass(frame):
        run.report.passed()
        return []
    vigil.stepping(began_s)
    began = time.thread_time()
    cases = inspector.step(frame)
    cpu_s = time.thread_time() - began
    _check_profile(run, frame)
    now = inspector.immersion
    vigil.stepped(frame.sequence, frame.monotonic_s, cpu_s, watching=now.settled_s is not None and now.left_s is None)
    run.report.stepped(inspector.sight, cpu_s, remains=now.remains)
    run.report.figures.stepped(time.monotonic() - began_s, *inspector.took_s)
    run.report.screen.saw(inspector)
    if inspector.sight is not None:
        run.idle.saw(inspector.sight, now, between_cases=inspector.between_cases)
        inspector.rest(calm=run.gear.camera.live and run.idle.is_calm)
    run.switch.tell(inspector.fault, case_ended=bool(cases))
    waiting = getattr(run.gear.camera, "waiting", 0)
    if waiting >= BEHIND_FRAMES:
        inspector.cut_challenger(f"{waiting} frames waited, limit {BEHIND_FRAMES}")
    return cases


def _check_profile(run: Run, frame: Frame) -> None:
    """A profile that nobody has seen in place yet is looked at until it is; the mode is found anew then."""
    if run.lasting.mode.profile_is_checked:
        return
    seen = run.in_place.see(frame)
    if seen is not None and seen.status == "ok":
        run.lasting.mode.profile_seen(seen)
        run.telling.settle()


def _change_judges(run: Run) -> None:
    """Between two cases others may sit down, loaded and warm: it takes no longer than a few assignments."""
    ready = run.switch.take()
    if ready is None:
        return
    seated = ready.seated
    run.inspector.exchange(seated, clips_with(run.gear, seated.view_size_px, ready.pair.champion))
    _introduce(run.report, run.gear, run.switch)
    run.telling.settle()


def _introduce(report: SelfReport, gear: Gear, switch: Switch) -> None:
    """Who speaks and who is heard, in the report; what the water may be is the champion's limit."""
    pair, required = switch.pair, gear.held.profile.required_sensitivity_std_cm3_s
    report.bundle, report.challenger = pair.champion.ref, pair.challenger.ref if pair.challenger else None
    manifest = pair.champion.manifest
    if report.drift:
        report.drift.know(pair.champion.sha256, manifest.training_range)
    need = Need(required, manifest.sensitivity) if required else None
    report.water = WaterWatch(manifest.thresholds.murky_below, need)
    report.pictures.measured_for(manifest.sensitivity, working_view(gear.held.profile, manifest.preprocessing)[1])
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
            _tell_state(run.gear.device, run.report, run.lasting.alarms)
        end_now(words)


def _tell_state(device: DeviceConfig, report: SelfReport, alarms: AlarmKeeper) -> state.DeviceState:
    report.board = alarms.look(report.conditions())
    now = report.state()
    state.write(device.state_path, now)
    return now


def _keep(cases: list[Case], run: Run) -> None:
    for case in cases:
        run.lasting.keeper.keep(case, run.inspector.clip_path(case))


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


def _shown(frames: Iterator[Frame | float], publisher: Publisher, told: Notifier) -> Iterator[Frame | float]:
    """The same; whoever looks sees the newest one, and systemd hears that the loop turns."""
    began_s = time.monotonic()
    for frame in frames:
        if isinstance(frame, Frame):
            publisher.frame = frame
        elif time.monotonic() - began_s > NO_FRAME_S:
            told.ready("the camera gives no pictures")
        told.alive()
        yield frame


def _status(now: state.DeviceState) -> str:
    """In one line: the mode, and what is wrong or what was done."""
    return f"{now.mode}: {now.alarms[0].text if now.alarms else f'{now.output.cases} cases'}"


def _say(case: Case, report: SelfReport, outbox: Outbox, mode: ModeKeeper) -> None:
    _warn_of_notes(outbox)
    report.said(case)
    mode.said(case)
    print(log_line(case), flush=True)


def _close_if(stopped: bool, camera: Camera) -> None:
    """A loop that waits for a camera without frames does not see that it shall stop."""
    if stopped:
        camera.close()


def _hand_over(outbox: Outbox, immersions: TriggeredImmersions) -> None:
    if outbox.take_trigger():
        immersions.trigger()


def _warn_of_notes(outbox: Outbox) -> None:
    while outbox.notes:
        warn(outbox.notes.pop(0))
