"""/proc and /sys -> how the device itself is: processor, memory, temperature, disk; and what one process of ours takes.

What a machine does not tell is None: a container has no temperature, and nothing here is worth a fault.
"""

import os
import resource
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from edge_agent import utc
from edge_agent.state import Process

CPU_S = 10.0
"""The processor's share is a mean over so long: shorter ones jump."""
BUSY_FIELDS, IDLE_FIELDS = (0, 1, 2, 5, 6, 7), (3, 4)
"""Of the first line of /proc/stat: user, nice, system, irq, softirq, steal; idle, iowait (proc(5))."""


class MachineFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One look at the device."""

    cpu_ratio: float | None = None
    """Share of all cores that was busy, 0..1."""
    memory_mb: float | None = None
    memory_free_mb: float | None = None
    """What programs can still have."""
    temperature_c: float | None = None
    """Of the hottest zone."""
    disk_mb: float | None = None
    disk_free_mb: float | None = None


class Machine:
    """Looks again and again; `disk` is a folder on the disk that counts."""

    def __init__(self, disk: Path, *, proc: Path = Path("/proc"), zones: Path = Path("/sys/class/thermal")) -> None:
        self._disk, self._proc, self._zones = disk, proc, zones
        self._ticks: tuple[float, float, float] | None = None
        """When the processor was looked at, its busy and all its ticks then."""
        self._cpu_ratio: float | None = None

    def look(self, now_s: float) -> MachineFigures:
        """`now_s` on a clock that nobody sets."""
        memory = self._memory()
        size, free = self._space()
        return MachineFigures(
            cpu_ratio=self._busy(now_s),
            memory_mb=memory.get("MemTotal"),
            memory_free_mb=memory.get("MemAvailable"),
            temperature_c=self._temperature(),
            disk_mb=size,
            disk_free_mb=free,
        )

    def _busy(self, now_s: float) -> float | None:
        if self._ticks and now_s - self._ticks[0] < CPU_S:
            return self._cpu_ratio
        words = _text(self._proc / "stat").split("\n", 1)[0].split()[1:]
        if len(words) < 8 or not all(word.isdigit() for word in words):
            return None
        busy, idle = (float(sum(int(words[field]) for field in fields)) for fields in (BUSY_FIELDS, IDLE_FIELDS))
        if self._ticks and busy + idle > self._ticks[2]:
            self._cpu_ratio = round((busy - self._ticks[1]) / (busy + idle - self._ticks[2]), 4)
        self._ticks = now_s, busy, busy + idle
        return self._cpu_ratio

    def _memory(self) -> dict[str, float]:
        """Name -> MB."""
        lines = (line.split() for line in _text(self._proc / "meminfo").splitlines())
        return {words[0].rstrip(":"): int(words[1]) * 1024 / 1e6 for words in lines if len(words) == 3}

    def _temperature(self) -> float | None:
        readings = [_text(zone) for zone in self._zones.glob("thermal_zone*/temp")]
        known = [int(reading) / 1000 for reading in readings if reading.strip().lstrip("-").isdigit()]
        return max(known, default=None)

    def _space(self) -> tuple[float | None, float | None]:
        try:
            usage = shutil.disk_usage(self._disk)
        except OSError:
            return None, None
        return round(usage.total / 1e6, 1), round(usage.free / 1e6, 1)


class OwnProcess:
    """This process, from now on."""

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self._started_at = utc.text(wall())

    def look(self) -> Process:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return Process(
            started_at=self._started_at, cpu_s=round(used.ru_utime + used.ru_stime, 3), resident_mb=resident_mb()
        )


def resident_mb() -> float:
    """Memory that this process holds, in MB."""
    pages = int(Path("/proc/self/statm").read_bytes().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _text(path: Path) -> str:
    """Empty where it cannot be read."""
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError):
        return ""
