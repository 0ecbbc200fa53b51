"""`calibrate fit`, `check`, `read`: frames of a set-up station -> station.toml, and in words what is unfit or moved."""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import msgspec

from calibration import fitting, history_command, setup_fit
from calibration.history_command import DeviceOf
from calibration.markers import markers
from calibration.setup_device import SetupDevice, for_seconds
from calibration.twin import open_twin
from edge_agent import codes, durable, framing, profile_history, station, sudo
from edge_agent.camera import open_camera
from edge_agent.capture import quiet_opencv
from edge_agent.errors import ConfigError, StationError
from edge_agent.profile_history import Change
from edge_agent.records import Frame, Framing
from edge_agent.station import Lamp, StationProfile

CHECKED_PICTURES = 15
CHECK_EVERY_S = 0.1


def calibrate(argv: list[str], device_of: DeviceOf | None = None) -> int:
    """`tankwatch calibrate ...`: picks the sub-command. `device_of`: device.toml -> what commissioning knows of it."""
    known = device_of or _no_device
    commands: dict[str, Callable[[list[str]], int]] = {
        "markers": markers,
        "fit": lambda rest: fit(rest, known),
        "check": check,
        "read": read,
        "history": lambda rest: history_command.history(rest, known),
        "undo": lambda rest: history_command.undo(rest, known),
        "compare": lambda rest: history_command.compare(rest, known),
        "report": lambda rest: history_command.report(rest, known),
    }
    parser = argparse.ArgumentParser(prog="tankwatch calibrate", description="Set a station up.")
    words = (
        "the sheet to print; the station's profile; what has moved since; every code in pictures; all profiles that "
        "ever held; the last change taken back; two profiles side by side; the report (each with --help)"
    )
    parser.add_argument("command", choices=commands, help=words)
    if not argv or argv[0] not in commands:
        parser.parse_args(argv[:1])
    return commands[argv[0]](argv[1:])


def fit(argv: list[str], device_of: DeviceOf) -> int:
    """`calibrate fit`: writes the profile; what is unfit goes to stderr in words."""
    options = _fit_options().parse_args(argv)
    device = device_of(options.config) if options.config else None
    if device is None and (options.source is None or options.out is None):
        raise ConfigError(
            "give SOURCE and --out, or --config: then the device's pictures are looked at, and its profile"
        )
    holds = profile_history.present(device.place) if device else None
    lamps = tuple(lamp_of(text) for text in options.lamp)
    network = options.source.startswith("rtsp") if options.source else bool(device and device.network)
    frames = for_seconds(device, setup_fit.LOOKED_S) if device and options.source is None else _frames(options.source)
    profile, report = fitting.fit(frames, options.station, lamps, marker_mm=options.marker_mm, rtsp=network)
    if device:
        profile = _required(setup_fit.as_before(profile, device), options)
        change = Change(who=sudo.person(), through="command line", reason=options.reason)
        profile_history.save(device.place, profile, change, expected=holds, now=time.time())
    if options.out:
        durable.write(options.out, station.dump(_required(profile, options)))
    for line in (*report.found, *report.unfit):
        print(line, file=sys.stderr)
    return 0


def _fit_options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tankwatch calibrate fit",
        description="Make a station's profile. The tank must stand empty in the first second.",
    )
    source = "recording, folder, rtsp://…, /dev/videoN or twin:…; with --config the device's running inspection"
    parser.add_argument("source", metavar="SOURCE", nargs="?", help=source)
    parser.add_argument("--station", required=True, metavar="ID", help="as printed on the markers, e.g. TANK1")
    parser.add_argument(
        "--lamp",
        action="append",
        default=[],
        metavar="ok|leak:x,y,w,h",
        help="what it means, and where it is in the picture",
    )
    parser.add_argument("--marker-mm", type=float, metavar="M", help="side of the printed codes: gives the scale")
    parser.add_argument("--hold-s", type=float, metavar="S", help="a unit watched for less is not tested")
    parser.add_argument("--sensitivity", type=float, metavar="Q", help="smallest leak that must be seen, std cm3/s")
    parser.add_argument("--out", type=Path, metavar="station.toml")
    parser.add_argument("--config", type=Path, metavar="device.toml", help="save it as this device's, with a record")
    parser.add_argument("--reason", default="set up anew", help="for the record (default %(default)s)")
    return parser


def _required(profile: StationProfile, options: argparse.Namespace) -> StationProfile:
    """What was asked for in the options, checked as the file would be."""
    if options.hold_s is not None:
        profile = msgspec.structs.replace(profile, required_hold_s=options.hold_s)
    if options.sensitivity is not None:
        profile = msgspec.structs.replace(profile, required_sensitivity_std_cm3_s=options.sensitivity)
    return station.parse(station.dump(profile), "of these options")


def _no_device(path: Path) -> SetupDevice:
    raise ConfigError(f"{path} is a device's file, which only the front door reads: call 'tankwatch calibrate'")


def check(argv: list[str]) -> int:
    """`calibrate check`: what has moved, in words; ends with 1 where anything has."""
    parser = argparse.ArgumentParser(prog="tankwatch calibrate check", description="Say what has moved since fit.")
    parser.add_argument("source", metavar="SOURCE")
    parser.add_argument("--station", required=True, type=Path, metavar="station.toml")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args(argv)
    profile, _ = station.load(options.station)
    seen = framing_of(_frames(options.source), profile)
    if options.json:
        told = {key: getattr(seen, key) for key in ("status", "corners_seen", "shift_px", "rotation_deg", "words")}
        print(json.dumps({"station": profile.station, **told}))
    else:
        print(seen.words or _all_well(seen, profile))
    return 0 if seen.status == "ok" else 1


def read(argv: list[str]) -> int:
    """`calibrate read`: every code in pictures, one line a picture."""
    parser = argparse.ArgumentParser(prog="tankwatch calibrate read", description="List every code read in pictures.")
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE")
    parser.add_argument("--json", action="store_true", help="JSON lines on stdout")
    options = parser.parse_args(argv)
    if codes.pyzbar_fault():
        print(codes.pyzbar_fault(), file=sys.stderr)
    quiet_opencv()
    unreadable = []
    for path in options.images:
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if image is None:
            unreadable.append(str(path))
            continue
        found = codes.read_hard(image)
        print(_as_json(path, found) if options.json else _as_text(path, found))
    if unreadable:
        raise StationError(f"no picture that can be read: {', '.join(unreadable)}: give PNG or JPEG files")
    return 0


def framing_of(frames: Iterator[Frame], profile: station.StationProfile) -> Framing:
    """What the median over the first pictures says; StationError where their size is not the profile's."""
    reader, checks, due_s = codes.MarkerReader(profile), [], float("-inf")
    for frame in frames:
        if frame.monotonic_s < due_s:
            continue
        framing.same_size(frame, profile)
        checks.append(reader(frame.image))
        due_s = frame.monotonic_s + CHECK_EVERY_S
        if len(checks) == CHECKED_PICTURES:
            break
    return framing.check(framing.median_of(checks), profile)


def lamp_of(text: str) -> Lamp:
    """`ok:x,y,w,h` -> Lamp; ConfigError where it is not of that form."""
    means, _, numbers = text.partition(":")
    try:
        x, y, width, height = (int(number) for number in numbers.split(","))
        lamp = msgspec.convert({"means": means, "rect_px": (x, y, width, height)}, Lamp)
    except (ValueError, msgspec.ValidationError):
        raise ConfigError(f"lamp {text!r} is not usable: write ok:x,y,w,h or leak:x,y,w,h in camera pixels") from None
    return lamp


def _frames(source: str) -> Iterator[Frame]:
    """Frames with times from 0; the camera is closed when the caller has seen enough."""
    camera = open_camera(source, {"twin:": open_twin}, say=lambda words: print(words, file=sys.stderr))
    first_s = None
    try:
        for frame in camera.frames():
            first_s = frame.monotonic_s if first_s is None else first_s
            yield replace(frame, monotonic_s=frame.monotonic_s - first_s)
    finally:
        camera.close()


def _all_well(seen: Framing, profile: station.StationProfile) -> str:
    shift_px, rotation_deg = seen.shift_px or 0.0, seen.rotation_deg or 0.0
    fact = f"all {seen.corners_seen} markers of {profile.station} are in place"
    fact = f"{fact}: {shift_px:.2f} px off, turned by {rotation_deg:+.3f} degrees"
    return f"{fact} (limits {profile.tolerance_shift_px:.1f} px, {profile.tolerance_rotation_deg:.2f} degrees)"


def _as_json(path: Path, found: list[codes.Code]) -> str:
    listed = [
        {
            "payload": code.payload,
            "corners_px": [[round(float(x), 2), round(float(y), 2)] for x, y in code.corners_px],
            "reader": code.reader,
        }
        for code in found
    ]
    return json.dumps({"image": str(path), "codes": listed}, ensure_ascii=False)


def _as_text(path: Path, found: list[codes.Code]) -> str:
    told = ", ".join(f"{code.payload!r} ({code.reader}, {code.module_px:.1f} px a module)" for code in found)
    return f"{path}: {told or 'no code found'}"
