"""`calibrate fit`, `check`, `read`: frames of a set-up station -> station.toml, and in words what is unfit or moved."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import msgspec

from calibration import fitting
from calibration.markers import markers
from calibration.twin import open_twin
from edge_agent import codes, durable, framing, station
from edge_agent.camera import open_camera
from edge_agent.capture import quiet_opencv
from edge_agent.errors import ConfigError, StationError
from edge_agent.records import Frame, Framing
from edge_agent.station import Lamp

CHECKED_PICTURES = 15
CHECK_EVERY_S = 0.1


def calibrate(argv: list[str]) -> int:
    """`tankwatch calibrate ...`: picks the sub-command."""
    commands: dict[str, Callable[[list[str]], int]] = {"markers": markers, "fit": fit, "check": check, "read": read}
    parser = argparse.ArgumentParser(prog="tankwatch calibrate", description="Set a station up.")
    words = "the sheet to print; the station's profile; what has moved since; every code in pictures (each with --help)"
    parser.add_argument("command", choices=commands, help=words)
    if not argv or argv[0] not in commands:
        parser.parse_args(argv[:1])
    return commands[argv[0]](argv[1:])


def fit(argv: list[str]) -> int:
    """`calibrate fit`: writes the profile; what is unfit goes to stderr in words."""
    parser = argparse.ArgumentParser(
        prog="tankwatch calibrate fit",
        description="Make a station's profile. The tank must stand empty in the first second.",
    )
    parser.add_argument("source", metavar="SOURCE", help="recording, folder, rtsp://…, /dev/videoN or twin:…")
    parser.add_argument("--station", required=True, metavar="ID", help="as printed on the markers, e.g. TANK1")
    parser.add_argument(
        "--lamp",
        action="append",
        default=[],
        metavar="ok|leak:x,y,w,h",
        help="what it means, and where it is in the picture",
    )
    parser.add_argument("--marker-mm", type=float, metavar="M", help="side of the printed codes: gives the scale")
    parser.add_argument("--out", required=True, type=Path, metavar="station.toml")
    options = parser.parse_args(argv)
    lamps = tuple(lamp_of(text) for text in options.lamp)
    profile, report = fitting.fit(
        _frames(options.source),
        options.station,
        lamps,
        marker_mm=options.marker_mm,
        rtsp=options.source.startswith("rtsp"),
    )
    durable.write(options.out, station.dump(profile))
    for line in (*report.found, *report.unfit):
        print(line, file=sys.stderr)
    return 0


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
