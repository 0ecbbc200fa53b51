"""`agent inspect`: camera -> cases -> outbox, for ever. Nothing here waits for the network, the screen or the cloud."""

import argparse
import random
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from edge_agent import config as configuration
from edge_agent import locks, state, station
from edge_agent.bundle import Bundle, open_bundle
from edge_agent.camera import Camera, open_camera
from edge_agent.capture import LiveCapture
from edge_agent.case import Identity
from edge_agent.config import DeviceConfig
from edge_agent.due import PATIENCE_S
from edge_agent.errors import StationError, StoreError
from edge_agent.filming import film_in
from edge_agent.immersion import TriggeredImmersions
from edge_agent.inspection import Opener, make_inspector, shipped_bundle, working_view
from edge_agent.keeper import Keeper
from edge_agent.mode_keeper import ModeKeeper
from edge_agent.outbox import Outbox, PendingCases
from edge_agent.pipeline import Inspector, Sampling
from edge_agent.records import Case, Frame
from edge_agent.selfreport import SelfReport
from edge_agent.state import ShownWord
from edge_agent.station import StationProfile
from edge_agent.water_trend import Need, WaterWatch

if TYPE_CHECKING:
    from edge_agent.line_talk import LineTalk

VALID_S = 30.0
"""Of a disposition that only MQTT hears of: without `[line]` nothing takes it."""
REPORT_EVERY_S = 0.25
"""A camera that falls silent shows in the state within 2 s."""
TRIGGER_EVERY_S = 0.1
WAIT_S = 0.25
"""Longest wait for a frame of a live camera before the clock is looked at."""


@dataclass(frozen=True, slots=True)
class Gear:
    """What the device file names, opened and checked before the camera is."""

    device: DeviceConfig
    profile: StationProfile
    profile_sha256: str
    champion: Bundle
    challenger: Bundle | None


def agent_inspect(argv: list[str], openers: Mapping[str, Opener] | None = None) -> int:
    """`tankwatch agent inspect --config device.toml`: one log line a case on stdout; ends when a recording ends."""
    parser = argparse.ArgumentParser("tankwatch agent inspect", description="Camera to outbox, for ever.")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="device.toml")
    device = configuration.load(parser.parse_args(argv).config)
    asked: list[int] = []
    with _signals(asked):
        inspect_device(device, lambda: bool(asked), openers=openers)
    return 128 + signal.SIGINT if signal.SIGINT in asked else 0


def inspect_device(
    device: DeviceConfig, stopped: Callable[[], bool], openers: Mapping[str, Opener] | None = None
) -> None:
    """Runs until the recording ends or `stopped`; the open case is not said then, all others are on the disk."""
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
    champion = open_bundle(device.bundle or shipped_bundle())
    challenger = open_bundle(device.challenger) if device.challenger else None
    return Gear(device, profile, profile_sha256, champion, challenger)


def _run(gear: Gear, camera: Camera, outbox: Outbox, stopped: Callable[[], bool]) -> None:
    pending = PendingCases(outbox)
    report = SelfReport(f"{outbox.spool.install_id()}-{secrets.token_hex(4)}", gear.device.mode, camera, pending)
    report.bundle, report.challenger = gear.champion.ref, gear.challenger.ref if gear.challenger else None
    manifest, required = gear.champion.manifest, gear.profile.required_sensitivity_std_cm3_s
    need = Need(required, manifest.sensitivity) if required else None
    report.water = WaterWatch(manifest.thresholds.murky_below, need)
    mode = ModeKeeper(gear.device, gear.profile.station, gear.profile_sha256)

    def look() -> None:
        report.standing = mode.look(report.circumstances())
        state.write(gear.device.state_path, report.state())

    with ExitStack() as stack:
        write = _Patient(look)
        stack.callback(write)
        stack.enter_context(_every(REPORT_EVERY_S, write))
        stack.enter_context(_every(WAIT_S, lambda: _close_if(stopped(), camera)))
        keeper = Keeper(pending, said=lambda case: _say(case, report, outbox, mode), warn=_warn)
        stack.callback(keeper.close)
        frames = _frames(camera, stopped)
        first = next((frame for frame in frames if isinstance(frame, Frame)), None)
        if first is None:
            if stopped():
                return
            raise StationError(f"camera {gear.device.camera} has given no frame: check it with 'doctor'")
        triggered = TriggeredImmersions() if gear.device.trigger == "command" else None
        if triggered:
            stack.enter_context(_every(TRIGGER_EVERY_S, _Patient(lambda: _hand_over(outbox, triggered))))
        inspector = _inspector(gear, first, report, outbox, triggered)
        stack.callback(inspector.abandon)
        talk = _line_talk(gear.device, mode, triggered)
        if talk:
            stack.callback(talk.close)
        _obey(gear.device, inspector)
        speaking = Speaking(gear.device, inspector, report, mode, talk)
        _inspect(inspector, chain([first], frames), keeper, report, speaking)
        if not stopped():
            _keep(inspector.finish(), inspector, keeper)


def _inspector(
    gear: Gear, first: Frame, report: SelfReport, outbox: Outbox, immersions: TriggeredImmersions | None
) -> Inspector:
    device, profile, champion = gear.device, gear.profile, gear.champion
    size, _ = working_view(profile, champion.manifest.preprocessing)
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
        champion,
        sampling=Sampling(device.audit.floor, _random(device).random),
        challenger=gear.challenger,
        immersions=immersions,
        patience_s=device.line.patience_s if device.line else PATIENCE_S,
        open_clip=film_in(
            outbox.spool.draft,
            size,
            profile,
            bundle=champion.ref,
            profile_sha256=gear.profile_sha256,
            say=lambda words: _complain(words, report),
        ),
    )


def _inspect(
    inspector: Inspector,
    frames: Iterator[Frame | float],
    keeper: Keeper,
    report: SelfReport,
    speaking: "Speaking",
) -> None:
    for frame in frames:
        if isinstance(frame, float):
            cases = inspector.missing(frame)
        else:
            began = time.thread_time()
            cases = inspector.step(frame)
            cpu_s = time.thread_time() - began
            report.stepped(inspector.sight, cpu_s, remains=inspector.immersion.remains)
        speaking.turn()
        _keep(cases, inspector, keeper)
        if cases:
            _obey(speaking.device, inspector)


def _keep(cases: list[Case], inspector: Inspector, keeper: Keeper) -> None:
    for case in cases:
        keeper.keep(case, inspector.clip_path(case))


def _obey(device: DeviceConfig, inspector: Inspector) -> None:
    """What the cloud desires to be sent; the mode is `mode_keeper`'s matter."""
    wish = state.desired(device.desired_path)
    if wish is not None:
        inspector.ordered(wish.audit_probability or device.audit.floor, wish.sampling)


@dataclass(slots=True)
class Speaking:
    """What is said while the unit is in the water: to the line, to the screen, over MQTT."""

    device: DeviceConfig
    inspector: Inspector
    report: SelfReport
    mode: ModeKeeper
    talk: "LineTalk | None"
    _begun: bool = False

    def turn(self) -> None:
        """After each frame. The first one settles the mode, which then is looked at beside the frames."""
        if not self._begun and self.inspector.sight is not None:
            self._begun, self.report.standing = True, self.mode.look(self.report.circumstances())
        self.inspector.in_mode(self.mode.mode)
        shown = self.inspector.shown
        valid_s = self.device.line.valid_s if self.device.line else VALID_S
        self.report.spoke(self.inspector.told, ShownWord(*shown) if shown else None, valid_s)
        if self.talk:
            self.talk.turn(self.inspector, self.report)


def _line_talk(device: DeviceConfig, mode: ModeKeeper, triggered: TriggeredImmersions | None) -> "LineTalk | None":
    """What is not configured is not imported."""
    if device.line is None:
        return None
    from edge_agent.line_talk import LineTalk

    return LineTalk(device.line, mode, triggered)


def _frames(camera: Camera, stopped: Callable[[], bool]) -> Iterator[Frame | float]:
    """The camera's frames until it is told to stop; the time, again and again, while a live one gives none."""
    frames = camera.frames_or_time(WAIT_S) if isinstance(camera, LiveCapture) else camera.frames()
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


def _close_if(stopped: bool, camera: Camera) -> None:
    """A loop that waits for a camera without frames does not see that it shall stop."""
    if stopped:
        camera.close()


def _hand_over(outbox: Outbox, immersions: TriggeredImmersions) -> None:
    if outbox.take_trigger():
        immersions.trigger()


class _Patient:
    """Does what a thread of its own repeats; says a fault of the disk once, and goes on."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._work, self._fault = work, ""

    def __call__(self) -> None:
        try:
            self._work()
            self._fault = ""
        except StoreError as error:
            if not self._fault:
                _warn(str(error))
            self._fault = str(error)


@contextmanager
def _every(seconds: float, work: Callable[[], None]) -> Iterator[None]:
    """Does `work` again and again in a thread of its own."""
    end = threading.Event()

    def repeat() -> None:
        while not end.wait(seconds):
            work()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


@contextmanager
def _signals(asked: list[int]) -> Iterator[None]:
    """SIGTERM and Ctrl-C ask for a clean end; the second one does not wait for it."""

    def ask(number: int, _frame: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    former = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _warn_of_notes(outbox: Outbox) -> None:
    while outbox.notes:
        _warn(outbox.notes.pop(0))


def _warn(words: str) -> None:
    print(f"WARNING {words}", file=sys.stderr, flush=True)
