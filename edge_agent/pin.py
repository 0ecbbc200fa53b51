"""The panel's PIN: its hash in data_dir, and how long somebody waits who has guessed wrong.

An attempt is written down before it is looked at, so that neither a restart nor a hundred at once make it cheaper.
"""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from edge_agent import durable
from edge_agent.errors import ConfigError, StoreError

LEAST_LONG, LONGEST = 6, 128
LEAST_DIFFERENT = 3
FREE_TRIES = 3
"""So many typing errors cost no time."""
FIRST_WAIT_S, LONGEST_WAIT_S = 5.0, 3600.0
"""Doubled with each wrong one: a million PINs of six digits would take a century."""
HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
"""argon2id with the least that OWASP's Password Storage Cheat Sheet allows: one processor for some 30 ms, because
the inspection needs the others."""


class Tries(msgspec.Struct, frozen=True):
    """Wrong ones in a row, and when the last was tried (UTC, seconds since 1970)."""

    wrong: int = 0
    at: float = 0.0


class Pin:
    """One device's PIN. Any thread may ask."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._path, self._tries_path = folder / "panel-pin", folder / "panel-pin-tries.json"
        self._clock = clock
        self._turn = threading.Lock()
        self._unkept: tuple[str, Tries] | None = None
        """What a full disk did not take, and under which PIN; what lies there is older."""

    @property
    def epoch(self) -> str:
        """Changes with the PIN; empty while none is set."""
        try:
            return self._path.read_text()
        except (OSError, UnicodeDecodeError):
            return ""

    def set(self, pin: str) -> None:
        """Takes the place of the former one, whose wrong tries are forgotten. Raises ConfigError, StoreError."""
        refused = fault(pin)
        if refused:
            raise ConfigError(refused)
        if not self._path.parent.is_dir():
            # Made by root it would be root's, and the station could not write there.
            raise ConfigError(f"{self._path.parent} is not there: install the device or start its inspection first")
        write_private(self._path, HASHER.hash(pin).encode())
        durable.remove(self._tries_path)
        self._unkept = None

    def is_right(self, pin: str) -> bool | float:
        """True or False; or the seconds that are to be waited before any is looked at."""
        with self._turn:
            tries = self._standing()
            wait_s = self._wait_after(tries)
            if wait_s > 0:
                return wait_s
            self._keep(Tries(tries.wrong + 1, self._clock()))
            if not self._fits(pin):
                return False
            self._keep(Tries())
            return True

    @property
    def wait_s(self) -> float:
        """Seconds until the next may be tried; 0 = now."""
        with self._turn:
            return self._wait_after(self._standing())

    def _standing(self) -> Tries:
        """After a clock that was set back the wait begins anew, so that it ends."""
        tries = self._kept()
        if tries.at > self._clock():
            tries = Tries(tries.wrong, self._clock())
            self._keep(tries)
        return tries

    def _wait_after(self, tries: Tries) -> float:
        over = tries.wrong - FREE_TRIES
        if over < 0:
            return 0.0
        whole_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(over, 30))
        # A clock that was set back makes nobody wait longer than once.
        return max(0.0, min(whole_s, tries.at + whole_s - self._clock()))

    def _fits(self, pin: str) -> bool:
        try:
            return HASHER.verify(self.epoch, pin[:LONGEST])
        except (VerificationError, InvalidHashError):
            return False

    def _kept(self) -> Tries:
        """By the file, which another process may have removed with a new PIN."""
        if self._unkept and self._unkept[0] == self.epoch:
            return self._unkept[1]
        try:
            return msgspec.json.decode(self._tries_path.read_bytes(), type=Tries)
        except FileNotFoundError:
            return Tries()
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            # Damaged: the next wrong one waits.
            return Tries(FREE_TRIES)

    def _keep(self, tries: Tries) -> None:
        """A full disk keeps nobody out who knows the PIN, and makes guessing no cheaper."""
        try:
            write_private(self._tries_path, msgspec.json.encode(tries))
            self._unkept = None
        except StoreError:
            self._unkept = self.epoch, tries


def fault(pin: str) -> str:
    """Why this one is refused, with the cure; empty where it may be used."""
    if not LEAST_LONG <= len(pin) <= LONGEST:
        return f"the PIN has {len(pin)} characters, {LEAST_LONG} to {LONGEST} are needed: choose another"
    if pin != pin.strip() or not pin.isprintable():
        return "the PIN begins or ends with a space, or has characters that nobody can type: choose another"
    if _is_trivial(pin):
        return "the PIN is one of the first that somebody would try: choose another"
    return ""


def _is_trivial(pin: str) -> bool:
    """One sign, a run such as 123456 or 864200, a short piece again and again, or few different signs."""
    steps = {ord(after) - ord(before) for before, after in zip(pin, pin[1:], strict=False)}
    is_run = len(steps) == 1 or pin in "0123456789" * 2 or pin in "9876543210" * 2
    is_repeated = any(pin == (pin[:length] * len(pin))[: len(pin)] for length in range(1, len(pin) // 2 + 1))
    return is_run or is_repeated or len(set(pin)) < LEAST_DIFFERENT


def write_private(path: Path, data: bytes) -> None:
    """Only the folder's owner may read it, also where root writes it. Raises StoreError."""
    temporary = path.with_name(path.name + durable.TEMPORARY)
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o600)
            if os.geteuid() == 0:
                owner = path.parent.stat()
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        durable.move(temporary, path)
    except OSError as error:
        durable.let_go(temporary)
        raise durable.failure(path, error) from error
