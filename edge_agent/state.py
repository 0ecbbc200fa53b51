"""What `agent inspect` and `agent uplink` say of themselves <-> state.json, uplink.json, for the processes beside them.

Whoever writes never waits for whoever reads.
"""

import os
from pathlib import Path

import msgspec

from edge_agent import durable
from edge_agent.messages import (
    Alarm,
    Desired,
    Disposition,
    InputMetrics,
    OutputMetrics,
    SoftwareMetrics,
    UpdateReport,
)
from edge_agent.records import (
    BundleRef,
    DecisionWord,
    DueWord,
    FramingStatus,
    Mode,
    OutcomeWord,
    Phase,
    VerdictWord,
)
from edge_agent.station import Point


class ShownWord(msgspec.Struct, frozen=True):
    """The machine's word on a unit, for the screen."""

    case_id: str
    word: DueWord


class Watched(msgspec.Struct, frozen=True):
    """The immersion as it stands, for the screen's ring."""

    phase: Phase
    case_id: str | None = None
    usable_s: float = 0.0
    required_s: float | None = None
    """None = unknown."""
    words: str = ""
    """Why the usable seconds do not grow just now; empty while they do, or while no unit is watched."""


class LastCase(msgspec.Struct, frozen=True, kw_only=True):
    """The unit that was watched last, as far as the screen may tell of it."""

    case_id: str
    ended_at: str
    """UTC, ISO 8601."""
    verdict: VerdictWord | None
    """None where the mode keeps the machine's word from the inspector; `not_tested` is always told."""
    reason: str
    """As in the case; empty where the verdict is not told."""
    decision: DecisionWord
    outcome: OutcomeWord | None
    """None where the verdict is not told."""
    usable_s: float
    required_s: float | None


class Aim(msgspec.Struct, frozen=True, kw_only=True):
    """How the camera is aimed, by the newest frame."""

    frame_size_px: tuple[int, int]
    """Width and height of the camera's picture."""
    tank_px: tuple[Point, Point, Point, Point]
    """Corners of the tank view, TL, TR, BR, BL, in that picture."""
    status: FramingStatus
    corners_seen: int
    rotation_deg: float | None
    words: str
    """What is wrong and the cure; empty while all is well."""


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """What a process of ours takes."""

    started_at: str
    """UTC, ISO 8601."""
    cpu_s: float
    """Since its start."""
    resident_mb: float


class DeviceState(msgspec.Struct, frozen=True, kw_only=True):
    """The newest state; the file is replaced whole."""

    schema: str = "tankwatch/state/1"
    at: str
    """UTC, ISO 8601."""
    boot_id: str
    mode: Mode
    mode_words: str = ""
    """Why this mode is in force, for the operator's screen."""
    bundle: BundleRef | None = None
    challenger: BundleRef | None = None
    update: UpdateReport | None = None
    """How it goes with the last bundle that was put in the champion's place."""
    inspect_starts: int = 0
    """Of the inspection since this bundle speaks, less those that ended as wanted."""
    input: InputMetrics = InputMetrics()
    output: OutputMetrics = OutputMetrics()
    alarms: tuple[Alarm, ...] = ()
    """Those that are active, the gravest first."""
    alarms_aside: tuple[Alarm, ...] = ()
    """Shelved, suppressed, out of service, or gone before anybody acknowledged them."""
    disposition: Disposition | None = None
    """The last one given to the line."""
    shown: ShownWord | None = None
    """Only where the mode lets the screen show it."""
    station: str = ""
    profile_sha256: str | None = None
    """None = the station has not been set up."""
    watched: Watched | None = None
    """None before the first frame."""
    last_case: LastCase | None = None
    aim: Aim | None = None
    process: Process | None = None
    """Of the inspection."""


class UplinkReport(msgspec.Struct, frozen=True, kw_only=True):
    """What `agent uplink` says of itself, every second; the file is replaced whole."""

    schema: str = "tankwatch/uplink-state/1"
    at: str
    """UTC, ISO 8601."""
    connected: bool
    """To the broker."""
    since: str
    """UTC, ISO 8601: since when it is so."""
    receipt_at: str | None = None
    """When the cloud last confirmed anything, in this run."""
    software: SoftwareMetrics
    waiting_bytes: int = 0
    """Of cases and clips that wait for their receipt."""
    alarms: tuple[Alarm, ...] = ()
    """Those that are active."""
    alarms_aside: tuple[Alarm, ...] = ()
    """Shelved, suppressed, out of service, or gone before anybody acknowledged them."""
    process: Process | None = None
    """Of the uplink."""


def write(path: Path, state: DeviceState | UplinkReport) -> None:
    """Replaces the file; not synced, because it is worth nothing after a power cut. Raises StoreError."""
    temporary = path.with_name(path.name + durable.TEMPORARY)
    data = msgspec.json.encode(state)
    try:
        try:
            temporary.write_bytes(data)
        except FileNotFoundError:  # looked for only then: it is written four times a second
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(data)
        os.replace(temporary, path)
    except OSError as error:
        raise durable.failure(path, error) from error


def read(path: Path) -> DeviceState | None:
    """The newest state; None where none was ever written or it cannot be read."""
    return _read(path, DeviceState)


def read_uplink(path: Path) -> UplinkReport | None:
    """The newest word of the uplink; None where none was ever written or it cannot be read."""
    return _read(path, UplinkReport)


def desired(path: Path) -> Desired | None:
    """The newest `desired` message that the uplink kept; None where there was none."""
    return _read(path, Desired)


def _read(path: Path, kind: type):
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
