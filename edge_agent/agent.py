"""`agent inspect`: camera -> cases -> outbox, for ever. Nothing here waits for the network, the screen or the cloud."""

import argparse
import fcntl
import hashlib
import random
import secrets
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path

from edge_agent import config as configuration
from edge_agent import slots, state, station
from edge_agent.bundle import Bundle, open_bundle
from edge_agent.camera import Camera, open_camera
from edge_agent.case import Identity
from edge_agent.config import DeviceConfig
from edge_agent.errors import ConfigError, StationError
from edge_agent.filming import film_in
from edge_agent.inspection import Opener, make_inspector, working_view
from edge_agent.outbox import Outbox, PendingCases
from edge_agent.pipeline import Inspector, Sampling
from edge_agent.records import Case, Frame
from edge_agent.selfreport import SelfReport

REPORT_EVERY_S = 1.0


def agent_inspect(argv: list[str], openers: Mapping[str, Opener] | None = None) -> int:
    """`tankwatch agent inspect --config device.toml`: one log line a case on stdout; ends when a recording ends."""
    parser = argparse.ArgumentParser("tankwatch agent inspect", description="Camera to outbox, for ever.")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="device.toml")
    device = configuration.load(parser.parse_args(argv).config)
    outbox = Outbox.open(device.outbox_path, device.spool_path)
    for note in outbox.notes:
        _warn(note)
    signal.signal(signal.SIGTERM, _interrupt)
    lock = _lock_camera(device.camera)
    camera = open_camera(device.camera, openers=openers, patience_s=None, say=_warn)
    try:
        _run(device, camera, outbox)
    finally:
        camera.close()
        outbox.close()
        lock.close()
    return 0


def _run(device: DeviceConfig, camera: Camera, outbox: Outbox) -> None:
    pending = PendingCases(outbox)
    report = SelfReport(f"{outbox.spool.install_id()}-{secrets.token_hex(4)}", device.mode, camera, pending)
    stop = threading.Event()
    reporter = threading.Thread(target=_report, args=(device, report, stop), daemon=True)
    reporter.start()
    try:
        frames = iter(camera.frames())
        first = next(frames, None)
        if first is None:
            raise StationError(f"camera {device.camera} has given no frame: check it with 'doctor'")
        inspector = _inspector(device, first, report, outbox)
        _inspect(inspector, chain([first], frames), pending, report)
    finally:
        stop.set()
        reporter.join()
        _write_report(device, report)


def _inspector(device: DeviceConfig, first: Frame, report: SelfReport, outbox: Outbox) -> Inspector:
    profile, profile_sha256 = station.load(Path(device.station))
    champion = open_bundle(slots.champion(device))
    challenger = _challenger(device.challenger)
    report.bundle, report.challenger = champion.ref, challenger.ref if challenger else None
    size, _ = working_view(profile, champion.manifest.preprocessing)
    return make_inspector(
        first,
        Identity(device.site, profile.station, report.boot_id, device.mode, profile_sha256),
        profile,
        champion,
        sampling=Sampling(device.audit.floor, _random(device).random),
        challenger=challenger,
        open_clip=film_in(outbox.spool.draft, size, profile, bundle=champion.ref, profile_sha256=profile_sha256),
    )


def _inspect(inspector: Inspector, frames: Iterable[Frame], pending: PendingCases, report: SelfReport) -> None:
    for frame in frames:
        began = time.thread_time()
        cases = inspector.step(frame)
        report.stepped(inspector.sight, time.thread_time() - began)
        _keep(cases, pending, report, inspector)
    _keep(inspector.finish(), pending, report, inspector)


def _keep(cases: list[Case], pending: PendingCases, report: SelfReport, inspector: Inspector) -> None:
    """Into the outbox, and said only then: what is on the disk will reach the cloud."""
    stored: list[Case] = pending.retry() if pending.fault and not cases else []
    for case in cases:
        stored += pending.put(case, inspector.clip_path(case))
    if cases and pending.fault:
        _warn(f"{len(pending)} cases wait in memory: {pending.fault}")
    for case in stored:
        report.said(case)
        print(log_line(case), flush=True)


def log_line(case: Case) -> str:
    """key=value, the same keys always."""
    score = "-" if case.score is None else f"{case.score:.3f}"
    second = case.challenger.verdict if case.challenger else "-"
    return (
        f"case={case.case_id} sequence={case.sequence} verdict={case.verdict} score={score} decision={case.decision} "
        f"outcome={case.outcome} usable_s={case.usable_s:.1f} for={case.sampled.reason} challenger={second} "
        f'reason="{case.reason}"'
    )


def _challenger(path: str | None) -> Bundle | None:
    return open_bundle(path) if path else None


def _random(device: DeviceConfig) -> random.Random:
    return random.SystemRandom() if device.seed is None else random.Random(device.seed)


def _report(device: DeviceConfig, report: SelfReport, stop: threading.Event) -> None:
    while not stop.wait(REPORT_EVERY_S):
        _write_report(device, report)


def _write_report(device: DeviceConfig, report: SelfReport) -> None:
    try:
        state.write(device.state_path, report.state())
    except Exception as error:  # noqa: BLE001 - outermost in its thread; inspection goes on whatever happens here
        _warn(f"the device's state was not written: {error}")


def _lock_camera(source: str):
    """One agent a camera: a second one would steal its frames."""
    name = hashlib.sha256(source.encode()).hexdigest()[:16]
    path = Path(tempfile.gettempdir()) / f"tankwatch-camera-{name}.lock"
    try:
        file = open(path, "a")  # noqa: SIM115 - held as long as the process lives
    except OSError as error:
        raise ConfigError(f"lock {path} cannot be opened ({error.strerror}): remove it or run as its owner") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise StationError(f"camera {source} is in use by another agent: stop it first") from error
    return file


def _interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _warn(words: str) -> None:
    print(f"WARNING {words}", file=sys.stderr, flush=True)
