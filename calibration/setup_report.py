"""A station that was set up -> its report: picture, figures, what was seen and what remains to improve, on the disk.

It is stored under the hash of the profile, as JSON, as a picture and as one HTML file that needs nothing else.
"""

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import jinja2
import msgspec

from calibration import profile_difference, setup_cycles, setup_pictures
from calibration.aiming import Aiming
from calibration.setup_cycles import CyclesSeen
from calibration.setup_device import SetupDevice, aimed
from calibration.setup_progress import CYCLES, Progress
from edge_agent import durable, profile_history, station, utc
from edge_agent.errors import StationError
from edge_agent.station import StationProfile

TEMPLATES = Path(__file__).parent / "templates"


class SetupReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was set up, by whom, and how well."""

    schema: Literal["tankwatch/setup-report/1"] = "tankwatch/setup-report/1"
    at: str
    """UTC, ISO 8601."""
    who: str
    station: str
    camera: str
    profile_sha256: str
    profile: StationProfile
    found: tuple[str, ...]
    """What the fit found."""
    improve: tuple[str, ...]
    """What remains to improve, each with its cure."""
    aiming: Aiming
    cycles: CyclesSeen
    changed: tuple[str, ...]
    """Against the profile that held before; empty where there was none."""


def cycles(device: SetupDevice, progress: Progress, profile: StationProfile) -> CyclesSeen:
    """What was watched so far."""
    empty = 0
    if progress.empty_since:
        ended = device.cases(progress.empty_since)
        until = progress.real_since
        empty = sum(1 for case in ended if until is None or case.ended_at <= until)
    real = device.cases(progress.real_since) if progress.real_since else ()
    return setup_cycles.seen(
        real,
        profile.required_hold_s,
        has_lamps=bool(profile.lamps),
        empty=(progress.empty_cycles, empty),
        wanted=CYCLES,
    )


def make(device: SetupDevice, progress: Progress, now: float) -> SetupReport:
    """Looks once more and stores the report of the profile that holds. Raises StationError, StoreError."""
    profile, sha256 = station.load(device.place.station)
    frame, aiming_now = aimed(device, profile.station)
    watched = cycles(device, progress, profile)
    report = SetupReport(
        at=utc.text(now),
        who=progress.who,
        station=profile.station,
        camera=device.camera,
        profile_sha256=sha256,
        profile=profile,
        found=progress.found,
        improve=_improve(progress, aiming_now, watched),
        aiming=aiming_now,
        cycles=watched,
        changed=_changed(device, sha256, profile),
    )
    _store(device.reports, report, setup_pictures.jpeg(setup_pictures.outlined(frame.image, profile)))
    return report


def stored(device: SetupDevice, sha256: str) -> SetupReport | None:
    """The report of a profile; None where none was made, or it cannot be read."""
    try:
        return msgspec.json.decode((device.reports / f"{sha256}.json").read_bytes(), type=SetupReport)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def _improve(progress: Progress, aiming_now: Aiming, watched: CyclesSeen) -> tuple[str, ...]:
    """Each once: the fit and the newest look may say the same of a marker in other figures."""
    said = [*progress.unfit, *aiming_now.faults, *(words for words in aiming_now.advice if not _said(words, progress))]
    return tuple(dict.fromkeys([*said, *_cycle_words(watched)]))


def _said(words: str, progress: Progress) -> bool:
    return any(words.partition(":")[0] == known.partition(":")[0] for known in progress.unfit)


def _cycle_words(watched: CyclesSeen) -> Sequence[str]:
    words = []
    if watched.empty_done < watched.wanted:
        words.append(f"{watched.empty_done} of {watched.wanted} empty cycles were run: run the others")
    if watched.empty_cases:
        words.append(f"{watched.empty_cases} cases were made of empty cycles: mark the tank anew while it stands empty")
    if watched.good < watched.wanted:
        words.append(f"{watched.good} of {watched.wanted} real cycles were watched whole: run more")
    return words


def _changed(device: SetupDevice, sha256: str, profile: StationProfile) -> tuple[str, ...]:
    entries = profile_history.trail(device.place).entries
    before = next((entry.old for entry in reversed(entries) if entry.new == sha256), None)
    if before is None:
        return ()
    try:
        return profile_difference.between(profile_history.kept(device.place, before), profile).words
    except StationError as error:
        return (f"the profile before cannot be compared: {error}",)


def _store(folder: Path, report: SetupReport, picture: bytes) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise durable.failure(folder, error) from error
    name = report.profile_sha256
    durable.write(folder / f"{name}.jpg", picture)
    durable.write(folder / f"{name}.html", page(report, picture).encode())
    durable.write(folder / f"{name}.json", msgspec.json.encode(report))


def page(report: SetupReport, picture: bytes) -> str:
    """The report as one HTML file, with its picture and its style inside."""
    templates = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True)
    return templates.get_template("setup_report_file.html").render(
        report=report, picture=setup_pictures.address(picture), name=html.escape(report.station)
    )
