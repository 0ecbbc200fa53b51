"""station.toml -> every profile that ever held, by the hash of its bytes, and a trail of who changed it and why.

The one way to put a profile in its place. What somebody changed in the file by hand is noticed and kept as well.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from edge_agent import durable, station, utc
from edge_agent.errors import StationError, StoreError
from edge_agent.station import StationProfile

TRAIL = "trail.jsonl"
SUFFIX = ".toml"
Through = Literal["browser", "command line", "by hand"]
NOBODY = "unknown"
"""Who changed a file by hand."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the trail: a profile took the place of another."""

    schema: Literal["tankwatch/profile-change/1"] = "tankwatch/profile-change/1"
    at: str
    """UTC, ISO 8601."""
    who: str
    through: Through
    old: str | None
    """Hash of the profile that held before; None = there was none."""
    new: str | None
    """Hash of the one that holds from now on; None = it was taken away."""
    reason: str
    previous: str
    """Hash of the line before; empty in the first one."""


class Trail(msgspec.Struct, frozen=True):
    """All changes, the oldest first, and what is wrong with them; empty words while nothing is."""

    entries: tuple[Entry, ...] = ()
    fault: str = ""
    holds: str | None = None
    """Hash of the profile that holds by the newest line that can be read."""

    def held_at(self, at: str) -> str | None:
        """Hash of the profile that held at `at` (UTC, ISO 8601); None where there was none, or nobody knows."""
        before = [entry for entry in self.entries if entry.at <= at]
        return before[-1].new if before else None


@dataclass(frozen=True, slots=True)
class ProfilePlace:
    """Where a device's profile is (`station.toml`), and the folder of all that ever held."""

    station: Path
    folder: Path

    def kept(self, sha256: str) -> Path:
        return self.folder / f"{sha256}{SUFFIX}"


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Who changes a profile, from where and why."""

    who: str
    through: Through
    reason: str


def present(place: ProfilePlace) -> str | None:
    """Hash of the bytes in the file; None where there is none. Raises StoreError where it cannot be read."""
    data = _bytes(place)
    return None if data is None else _sha256(data)


def trail(place: ProfilePlace) -> Trail:
    """What was recorded. A last line that was cut off by a power cut is none. Raises StoreError."""
    try:
        lines = (place.folder / TRAIL).read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return Trail()
    except OSError as error:
        raise StoreError(f"{place.folder / TRAIL} cannot be read ({error.strerror}): check who owns it") from error
    return _read(lines)


def save(place: ProfilePlace, profile: StationProfile, change: Change, *, expected: str | None, now: float) -> str:
    """`profile` holds from now on; its hash. StationError where `expected` (hash) is not what holds; StoreError."""
    data = station.dump(profile)
    station.parse(data)
    return _put(place, data, change, expected=expected, now=now)


def restore(place: ProfilePlace, sha256: str, change: Change, *, expected: str | None, now: float) -> str:
    """A profile that held before holds again, as a new entry. StationError where it is not kept or unusable."""
    return _put(place, kept_bytes(place, sha256), change, expected=expected, now=now)


def undo(place: ProfilePlace, change: Change, *, expected: str | None, now: float) -> str:
    """What held before the last change holds again; undone twice, the last change holds. StationError."""
    notice(place, now)
    entries = trail(place).entries
    if not entries or entries[-1].old is None:
        raise StationError("there is nothing to undo: no profile held before this one")
    return restore(place, entries[-1].old, change, expected=expected, now=now)


def kept(place: ProfilePlace, sha256: str) -> StationProfile:
    """A profile that held once. StationError where it is not kept, was changed since, or is unusable."""
    return station.parse(kept_bytes(place, sha256), str(place.kept(sha256)))


def kept_bytes(place: ProfilePlace, sha256: str) -> bytes:
    """Its bytes, as they held. StationError where they are not kept or unusable."""
    path = place.kept(sha256)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StationError(f"profile {sha256[:12]} is not kept here ({error.strerror}): choose another one") from error
    if _sha256(data) != sha256:
        raise StationError(f"{path} was changed since it held: choose another one, or bring it from a backup")
    station.parse(data, str(path))
    return data


def notice(place: ProfilePlace, now: float) -> Entry | None:
    """Records a file that is not what the trail says, as changed by hand. None where both agree. Raises StoreError."""
    with _alone(place):
        return _notice(place, now)


def _put(place: ProfilePlace, data: bytes, change: Change, *, expected: str | None, now: float) -> str:
    sha256 = _sha256(data)
    with _alone(place):
        _notice(place, now)
        holds = present(place)
        if holds != expected:
            raise StationError(
                "another profile was saved meanwhile, and yours would take its place: look at the history, and begin "
                "again from what holds now"
            )
        if holds == sha256:
            return sha256
        _keep(place, data)
        # The trail comes first: a change that was cut off before the file shows as taken back, never as nobody's.
        _append(place, _entry(change, holds, sha256, now))
        try:
            durable.write(place.station, data)
        except StoreError:
            with suppress(StoreError):
                _notice(place, now, "the disk took the entry before, but not the profile: nothing was changed")
            raise
    return sha256


def _notice(place: ProfilePlace, now: float, reason: str = "") -> Entry | None:
    data, recorded = _bytes(place), trail(place)
    now_holds = None if data is None else _sha256(data)
    if now_holds == recorded.holds:
        return None
    if data is not None:
        _keep(place, data)
    words = reason or _hand_words(recorded, now_holds)
    change = Change(who=NOBODY, through="by hand", reason=words)
    return _append(place, _entry(change, recorded.holds, now_holds, now))


def _hand_words(recorded: Trail, now_holds: str | None) -> str:
    if now_holds is None:
        return "the file was taken away"
    if not recorded.entries:
        return "found in its place when the history began"
    if now_holds == recorded.entries[-1].old:
        return "the profile before is in its place: the last change was cut off or taken back by hand"
    return "the file was changed by hand"


def _entry(change: Change, old: str | None, new: str | None, now: float) -> Entry:
    return Entry(
        at=utc.text(now), who=change.who, through=change.through, old=old, new=new, reason=change.reason, previous=""
    )


def _keep(place: ProfilePlace, data: bytes) -> None:
    path = place.kept(_sha256(data))
    if not path.exists() or path.read_bytes() != data:
        durable.write(path, data)


def _append(place: ProfilePlace, entry: Entry) -> Entry:
    """One more whole line, on the disk; half a line that a power cut left goes."""
    path = place.folder / TRAIL
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            before = _read_all(descriptor)
            whole = before[: before.rfind(b"\n") + 1]
            lines = whole.split(b"\n")[:-1]
            entry = msgspec.structs.replace(entry, previous=_sha256(lines[-1]) if lines else "")
            os.ftruncate(descriptor, len(whole))
            os.pwrite(descriptor, msgspec.json.encode(entry) + b"\n", len(whole))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        durable.sync_folder(path.parent)
    except OSError as error:
        raise durable.failure(path, error) from error
    return entry


def _read_all(descriptor: int) -> bytes:
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0)


def _read(lines: list[bytes]) -> Trail:
    """Entries up to the first line that is none or does not follow from the one before."""
    entries: list[Entry] = []
    before = ""
    for number, line in enumerate(lines, start=1):
        entry = _decoded(line)
        if entry is None or entry.previous != before:
            return Trail(tuple(entries), _damage_words(number, readable=entry is not None), _holds(lines))
        entries.append(entry)
        before = _sha256(line)
    return Trail(tuple(entries), holds=_holds(lines))


def _holds(lines: list[bytes]) -> str | None:
    newest = next((entry for line in reversed(lines) if (entry := _decoded(line))), None)
    return newest.new if newest else None


def _decoded(line: bytes) -> Entry | None:
    try:
        return msgspec.json.decode(line, type=Entry)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _damage_words(number: int, *, readable: bool) -> str:
    fault = "it does not follow from the line before" if readable else "it cannot be read"
    return f"line {number} of the history was changed or damaged ({fault}): what follows is not shown, ask who did it"


def _bytes(place: ProfilePlace) -> bytes | None:
    try:
        return place.station.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{place.station} cannot be read ({error.strerror}): check who owns it") from error


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@contextmanager
def _alone(place: ProfilePlace) -> Iterator[None]:
    """One process changes the trail at a time; the lock ends with the process."""
    try:
        place.folder.mkdir(parents=True, exist_ok=True)
        file = open(place.folder / "trail.lock", "a")  # noqa: SIM115 - closed below, in all cases
    except OSError as error:
        raise durable.failure(place.folder / TRAIL, error) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
