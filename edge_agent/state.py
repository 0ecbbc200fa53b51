"""What `agent inspect` says of itself <-> state.json, for the processes beside it; it never waits for them."""

import os
from pathlib import Path

import msgspec

from edge_agent import durable
from edge_agent.messages import Alarm, Desired, Disposition, InputMetrics, OutputMetrics, UpdateReport
from edge_agent.records import BundleRef, DueWord, Mode


class ShownWord(msgspec.Struct, frozen=True):
    """The machine's word on a unit, for the screen."""

    case_id: str
    word: DueWord


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
    """Those that are active."""
    disposition: Disposition | None = None
    """The last one given to the line."""
    shown: ShownWord | None = None
    """Only where the mode lets the screen show it."""


def write(path: Path, state: DeviceState) -> None:
    """Replaces the file; not synced, because it is worth nothing after a power cut. Raises StoreError."""
    temporary = path.with_name(path.name + durable.TEMPORARY)
    try:
        temporary.write_bytes(msgspec.json.encode(state))
        os.replace(temporary, path)
    except OSError as error:
        raise durable.failure(path, error) from error


def read(path: Path) -> DeviceState | None:
    """The newest state; None where none was ever written or it cannot be read."""
    return _read(path, DeviceState)


def desired(path: Path) -> Desired | None:
    """The newest `desired` message that the uplink kept; None where there was none."""
    return _read(path, Desired)


def _read(path: Path, kind: type):
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
