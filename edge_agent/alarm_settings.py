"""The plant's alarms.toml, and the trail of what was changed in it: who, from what, to what, why.

The trail is the memory: what the file holds and the trail does not was changed by hand, and is written into it as such.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from edge_agent import alarm_catalogue, durable
from edge_agent.alarm_catalogue import Catalogue, Change, Setting, Settings, Value
from edge_agent.errors import ConfigError

BY_HAND = "a hand in the file"
Trailed = str | float | bool | None


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the trail."""

    at_s: float
    """UTC, seconds since 1970."""
    by: str
    id: str
    """Of the alarm; empty for a setting of all."""
    setting: str
    old: Trailed
    """None = as it comes."""
    new: Trailed
    reason: str


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """One setting as somebody wants it; `value` None = as it comes."""

    id: str
    setting: Setting
    value: Value | None
    by: str
    reason: str


class SettingsFile:
    """The plant's file. `trail`: changes.jsonl; its lock keeps two changes apart."""

    def __init__(self, path: Path, trail: Path) -> None:
        self._path, self._trail = path, trail
        self._seen: tuple[int, int] | None = None
        self._catalogue = alarm_catalogue.shipped()
        self.fault = ""
        """Why the file cannot be used; the settings before it hold."""

    @property
    def catalogue(self) -> Catalogue:
        """The settings in force; a file that has changed is read again."""
        seen = self._stamp()
        if seen != self._seen:
            self._seen = seen
            try:
                self._catalogue = alarm_catalogue.with_settings(alarm_catalogue.shipped(), self._read())
                self.fault = ""
            except ConfigError as error:
                self.fault = str(error)
        return self._catalogue

    def change(self, wish: Wish, at_s: float) -> Changed:
        """First the trail, then the file. Raises ConfigError where it is not allowed, StoreError for the disk."""
        if not wish.reason.strip():
            raise ConfigError("a change needs a reason: it stands in the trail for those who ask later")
        with self._alone():
            settings = self._read()
            self._note(settings, at_s)
            new = _with(settings, wish)
            alarm_catalogue.with_settings(alarm_catalogue.shipped(), alarm_catalogue.parse(alarm_catalogue.dump(new)))
            old = getattr(settings.alarm.get(wish.id, Change()), wish.setting)
            changed = Changed(
                at_s=at_s, by=wish.by, id=wish.id, setting=wish.setting, old=old, new=wish.value, reason=wish.reason
            )
            if old != wish.value:
                self._append(changed)
                durable.write(self._path, alarm_catalogue.dump(new))
            return changed

    def notice(self, at_s: float) -> list[Changed]:
        """What somebody has changed in the file itself is written into the trail. Raises StoreError."""
        if self.fault:
            return []
        with self._alone():
            return self._note(self._read(), at_s)

    def trail(self) -> list[Changed]:
        """All changes; the oldest first. A line that cannot be read is left out."""
        found = []
        with contextlib.suppress(FileNotFoundError):
            for line in self._trail.read_bytes().splitlines():
                with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
                    found.append(msgspec.json.decode(line, type=Changed))
        return found

    def _note(self, settings: Settings, at_s: float) -> list[Changed]:
        known = {(one.id, one.setting): one.new for one in self.trail()}
        there = _flat(settings)
        changed = [
            Changed(
                at_s=at_s, by=BY_HAND, id=id, setting=setting, old=known.get((id, setting)), new=new, reason="not told"
            )
            for id, setting in sorted(known.keys() | there.keys())
            if (new := there.get((id, setting))) != known.get((id, setting))
        ]
        for one in changed:
            self._append(one)
        return changed

    def _read(self) -> Settings:
        try:
            return alarm_catalogue.parse(self._path.read_bytes(), str(self._path))
        except FileNotFoundError:
            return Settings()
        except OSError as error:
            raise ConfigError(f"{self._path} cannot be read ({error.strerror}): check who owns it") from error

    def _append(self, changed: Changed) -> None:
        try:
            with open(self._trail, "ab") as file:
                file.write(msgspec.json.encode(changed) + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise durable.failure(self._trail, error) from error

    def _stamp(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
            return found.st_mtime_ns, found.st_size
        except OSError:
            return None

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            self._trail.parent.mkdir(parents=True, exist_ok=True)
            with open(self._trail, "ab") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise durable.failure(self._trail, error) from error


def _with(settings: Settings, wish: Wish) -> Settings:
    change = msgspec.structs.replace(settings.alarm.get(wish.id, Change()), **{wish.setting: wish.value})
    return msgspec.structs.replace(settings, alarm=settings.alarm | {wish.id: change})


def _flat(settings: Settings) -> dict[tuple[str, str], Trailed]:
    found: dict[tuple[str, str], Trailed] = {
        (id, key): value for id, change in settings.alarm.items() for key, value in alarm_catalogue.as_pairs(change)
    }
    if settings.operators:
        found["", "operators"] = settings.operators
    return found
