"""An ext4 disk in a file of its own that may lose its power: what the file holds at one moment is what is left.

A cut copies the file while the disk is in use and unmounts nothing: what only the kernel's memory held is gone. By
reflink (XFS) the copy is of one moment; a plain copy is taken while the writer is held and no write reaches the disk.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge_agent.errors import TankwatchError

NOBODY_MOUNTS = "this machine lets nobody mount"
SYSTEM = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
QUIET_S = 10.0
_NEW_MOUNTS = 0x00020000
"""CLONE_NEWNS of unshare(2)."""
_WRITES, _IN_FLIGHT = 4, 8
"""Columns of /sys/block/*/stat: writes done, requests under way."""
Copying = Literal["reflink", "plain"]


class NoMounts(TankwatchError):
    """Nothing can be mounted here."""


def own_mounts(folder: Path, size_mb: int) -> Path:
    """A folder in memory for disks, in mounts of this process's own that end with it. Raises NoMounts."""
    if os.geteuid() or ctypes.CDLL(None, use_errno=True).unshare(_NEW_MOUNTS):
        raise NoMounts(f"{NOBODY_MOUNTS}: run it as root")
    place = folder / "memory"
    place.mkdir()
    call("mount", "--make-rprivate", "/")
    call("mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "none", place)
    return place


def call(*command: str | Path) -> None:
    """Raises NoMounts with the tool's own words."""
    found = shutil.which(command[0], path=SYSTEM)
    if found is None:
        raise NoMounts(f"{NOBODY_MOUNTS}: {command[0]} is missing")
    done = subprocess.run([found, *command[1:]], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoMounts(f"{NOBODY_MOUNTS}: {command[0]}: {(done.stderr or done.stdout).strip()[:200]}")


def shelf(place: Path, size_mb: int) -> tuple[Path, Copying]:
    """Where disks' files lie: an XFS, whose files are copied by reflink, where there is a mkfs.xfs; else the place."""
    if shutil.which("mkfs.xfs", path=SYSTEM) is None:
        return place, "plain"
    whole, mounted = place / "shelf.img", place / "shelf"
    with open(whole, "wb") as file:
        file.truncate(max(size_mb, 320) << 20)
    mounted.mkdir()
    call("mkfs.xfs", "-q", "-m", "reflink=1", whole)
    call("mount", "-o", "loop", whole, mounted)
    return mounted, "reflink"


@dataclass(slots=True)
class Disk:
    """One ext4 file system in `file`, mounted at `at`."""

    file: Path
    at: Path
    copying: Copying

    @classmethod
    def make(cls, file: Path, at: Path, size_mb: int, copying: Copying) -> "Disk":
        with open(file, "wb") as empty:
            empty.truncate(size_mb << 20)
        call("mkfs.ext4", "-q", "-F", "-m", "0", file)
        disk = cls(file, at, copying)
        disk.mount()
        return disk

    def mount(self) -> None:
        self.at.mkdir(exist_ok=True)
        call("mount", "-o", "loop", self.file, self.at)

    def unmount(self) -> None:
        call("umount", self.at)

    def cut(self, writer: int) -> Path:
        """The disk as it would be found after a power cut now. `writer`: its process; it is held for a plain copy."""
        left = self.file.with_name("cut.img")
        if self.copying == "reflink":
            call("cp", "--reflink=always", self.file, left)
            return left
        os.kill(writer, signal.SIGSTOP)
        self._copy_of_one_moment(left)
        return left

    def fails_over_to(self, left: Path) -> None:
        """The disk is what the cut has left from now on; mounting it plays its journal, as a start would."""
        self.unmount()
        os.replace(left, self.file)
        self.mount()

    def _copy_of_one_moment(self, left: Path) -> None:
        """Again, until no write has reached the file meanwhile: the kernel writes by itself now and then."""
        traffic, deadline_s = _traffic_at(self.at), time.monotonic() + QUIET_S
        while time.monotonic() < deadline_s:
            before = traffic()
            call("cp", "--sparse=always", self.file, left)
            if before == traffic() and before[1] == "0":
                return
        raise NoMounts(f"{NOBODY_MOUNTS} a quiet disk: writes have reached {self.file} for {QUIET_S:.0f} s")


def _traffic_at(mounted: Path) -> Callable[[], tuple[str, str]]:
    """Writes done and requests under way, of the device that is mounted there."""
    number = os.stat(mounted).st_dev
    path = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}/stat")

    def look() -> tuple[str, str]:
        columns = path.read_text().split()
        return columns[_WRITES], columns[_IN_FLIGHT]

    return look
