"""`calibrate history`, `undo`, `compare`, `report`: a station's history, as the commissioning pages show it."""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from calibration import profile_difference, setup_progress, setup_report
from calibration.setup_device import SetupDevice
from edge_agent import durable, profile_history, sudo, utc
from edge_agent.errors import ConfigError
from edge_agent.profile_history import Change, Entry, Trail

DeviceOf = Callable[[Path], SetupDevice]
DAY_S = 86_400.0
LEAST_LETTERS = 6
"""Of a hash, to name a profile."""


def history(argv: list[str], device_of: DeviceOf) -> int:
    """`calibrate history`: a line for each change, the oldest first; ends with 1 where it was tampered with."""
    options = _options("history", "Every profile that ever held, who changed it and why.").parse_args(argv)
    trail = _noticed(device_of(options.config))
    for entry in trail.entries:
        print(msgspec.json.encode(entry).decode() if options.json else _line(entry))
    if trail.fault:
        print(trail.fault, file=sys.stderr)
    return 1 if trail.fault else 0


def undo(argv: list[str], device_of: DeviceOf) -> int:
    """`calibrate undo`: the profile before holds again, or the one named by `--to`."""
    parser = _options("undo", "Take the last change of the profile back; nothing is removed from the history.")
    parser.add_argument("--to", metavar="HASH", help="let this profile hold again (its first letters)")
    parser.add_argument("--reason", default="", help="for the record")
    options = parser.parse_args(argv)
    place, now = device_of(options.config).place, time.time()
    profile_history.notice(place, now)
    trail = profile_history.trail(place)
    change = Change(
        who=sudo.person(),
        through="command line",
        reason=options.reason or ("restored" if options.to else "undone"),
    )
    if options.to:
        wanted = _named(trail, options.to)
        sha256 = profile_history.restore(place, wanted, change, expected=trail.holds, now=now)
    else:
        sha256 = profile_history.undo(place, change, expected=trail.holds, now=now)
    told = {"holds": sha256, "before": trail.holds}
    print(msgspec.json.encode(told).decode() if options.json else f"profile {sha256[:12]} holds from now on")
    return 0


def compare(argv: list[str], device_of: DeviceOf) -> int:
    """`calibrate compare`: what has changed since yesterday, or between two profiles; ends with 0 either way."""
    parser = _options("compare", "What changed from one profile to another; from yesterday's to the present one.")
    parser.add_argument("--old", metavar="HASH", help="its first letters; without it the one that held yesterday")
    parser.add_argument("--new", metavar="HASH", help="its first letters; without it the one that holds")
    options = parser.parse_args(argv)
    device = device_of(options.config)
    trail = _noticed(device)
    old = _named(trail, options.old) if options.old else trail.held_at(utc.text(time.time() - DAY_S))
    new = _named(trail, options.new) if options.new else trail.holds
    if old is None or new is None:
        raise ConfigError("no profile held then: name two with --old and --new, 'calibrate history' lists them")
    before, after = profile_history.kept(device.place, old), profile_history.kept(device.place, new)
    difference = profile_difference.between(before, after)
    if options.json:
        print(msgspec.json.encode({"old": old, "new": new} | msgspec.to_builtins(difference)).decode())
    else:
        print("\n".join(difference.words) or f"nothing has changed from {old[:12]} to {new[:12]}")
    return 0


def report(argv: list[str], device_of: DeviceOf) -> int:
    """`calibrate report`: the report of the profile that holds; made where there is none yet, or with `--anew`."""
    parser = _options("report", "The report of a set-up: figures, cycles, and what remains to improve.")
    parser.add_argument("--anew", action="store_true", help="look once more, though a report is there")
    parser.add_argument("--out", type=Path, metavar="FILE.html", help="write it as one file, with its picture")
    options = parser.parse_args(argv)
    device = device_of(options.config)
    trail = _noticed(device)
    found = None if options.anew or trail.holds is None else setup_report.stored(device, trail.holds)
    if found is None:
        found = setup_report.make(device, _progress(device, trail), time.time())
    if options.out:
        data = (device.reports / f"{found.profile_sha256}.html").read_bytes()
        durable.write(options.out, data)
    print(msgspec.json.encode(found).decode() if options.json else "\n".join(_words(found)))
    return 0


def _options(name: str, words: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"tankwatch calibrate {name}", description=words)
    parser.add_argument("--config", type=Path, required=True, metavar="device.toml")
    parser.add_argument("--json", action="store_true", help="JSON lines on stdout")
    return parser


def _noticed(device: SetupDevice) -> Trail:
    """The trail, with what was changed by hand since."""
    profile_history.notice(device.place, time.time())
    return profile_history.trail(device.place)


def _named(trail: Trail, letters: str) -> str:
    hashes = dict.fromkeys(entry.new for entry in trail.entries if entry.new)
    found = [sha256 for sha256 in hashes if sha256.startswith(letters)]
    if len(letters) < LEAST_LETTERS or len(found) != 1:
        raise ConfigError(
            f"{letters!r} names {len(found)} profiles: give at least {LEAST_LETTERS} letters of one hash, "
            "'calibrate history' lists them"
        )
    return found[0]


def _progress(device: SetupDevice, trail: Trail) -> setup_progress.Progress:
    """As the pages kept it; where the profile came by another way, the cases since it holds are the real cycles."""
    kept = setup_progress.load(device)
    if kept.saved == trail.holds and kept.saved is not None:
        return kept
    came = next((entry for entry in reversed(trail.entries) if entry.new == trail.holds), None)
    fresh = setup_progress.fresh(device.place)
    return msgspec.structs.replace(fresh, who=came.who if came else "", real_since=came.at if came else None)


def _line(entry: Entry) -> str:
    new = entry.new[:12] if entry.new else "none"
    return f"{entry.at}  {new:12}  {entry.who} ({entry.through}): {entry.reason}"


def _words(found: setup_report.SetupReport) -> list[str]:
    cycles = found.cycles
    return [
        f"{found.station}, profile {found.profile_sha256[:12]}, report of {found.at} by {found.who or 'unknown'}",
        *found.found,
        f"{cycles.empty_done} of {cycles.wanted} empty cycles, {cycles.empty_cases} cases made of them; "
        f"{cycles.good} of {cycles.wanted} real ones watched whole",
        *(f"to improve: {line}" for line in found.improve),
        *(() if found.improve else ("nothing remains to improve",)),
    ]
