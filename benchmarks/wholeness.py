"""Are the device's files whole? Of the spool each one, of the state files each reading, whenever it is done.

A name that ends in `.tmp` is allowed while a device runs, and after a kill until its next start.
"""

import multiprocessing
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

import msgspec

from edge_agent import clips, durable, wire
from edge_agent.config import DeviceConfig
from edge_agent.errors import LinkError, StoreError
from edge_agent.messages import CLIP_SUFFIX
from edge_agent.records import Case
from edge_agent.spool import CASE_SUFFIX

LOOK_S = 0.005
_FORK = multiprocessing.get_context("fork")


def half_written(spool: Path) -> list[str]:
    """Files of a spool that are not what their name says, or not finished, with a word why."""
    return [f"{path.name}: {fault}" for path in sorted(spool.iterdir()) if (fault := _fault(path))]


def unfinished(folder: Path) -> list[str]:
    """Temporary files anywhere below; none where everything has started again since the last kill."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*" + durable.TEMPORARY))


def _fault(path: Path) -> str:
    if path.suffix == CASE_SUFFIX:
        return _case_fault(path)
    if path.suffix == CLIP_SUFFIX:
        return _clip_fault(path)
    return "" if path.name == "install-id" else "left over"


def _case_fault(path: Path) -> str:
    try:
        case = wire.decode(path.read_bytes(), Case)
    except LinkError as error:
        return f"no whole case ({error})"
    return "" if case.case_id == path.stem else f"holds case {case.case_id}"


def _clip_fault(path: Path) -> str:
    data = path.read_bytes()
    if wire.sha256_of(data) != path.stem:
        return "its bytes are not those that its name says"
    try:
        return "" if clips.read(data).whole else "breaks off"
    except StoreError as error:
        return str(error)


class StateReader:
    """Reads every state file of a device again and again, in a process of its own; each has to be whole JSON."""

    def __init__(self, device: DeviceConfig, notes: Path) -> None:
        """`notes`: where it writes what was not whole."""
        self._device, self._notes = device, notes
        self._reads = _FORK.Value("q", 0)
        self._process: BaseProcess = _FORK.Process(target=self._read_on, daemon=True)
        self._process.start()

    @property
    def reads(self) -> int:
        """So many times a file was read."""
        return self._reads.value

    @property
    def torn(self) -> list[str]:
        return self._notes.read_text().splitlines() if self._notes.is_file() else []

    def stop(self) -> None:
        self._process.kill()
        self._process.join()

    def _read_on(self) -> None:
        seen: dict[Path, tuple[int, int]] = {}
        while True:
            for path in state_files(self._device):
                self._read(path, seen)
            time.sleep(LOOK_S)

    def _read(self, path: Path, seen: dict[Path, tuple[int, int]]) -> None:
        """Once after each change."""
        try:
            now = path.stat()
            if seen.get(path) == (now.st_ino, now.st_mtime_ns):
                return
            seen[path] = now.st_ino, now.st_mtime_ns
            msgspec.json.decode(path.read_bytes())
            self._reads.value += 1
        except FileNotFoundError:
            return
        except msgspec.DecodeError as error:
            with open(self._notes, "a") as notes:
                notes.write(f"{path.name}: {error}\n")


def state_files(device: DeviceConfig) -> Iterator[Path]:
    """All that a device says or keeps of itself as JSON, as far as it is there."""
    yield from (device.state_path, device.uplink_path, device.desired_path, device.mode_path, device.drift_path)
    yield from device.alarms_path.glob("*.json")
    yield device.folder / "bundles" / "champion"
