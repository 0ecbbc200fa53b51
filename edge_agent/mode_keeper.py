"""Files, clocks and the camera's state -> the mode in force, four times a second, beside the frame loop.

What `automation` keeps is on the disk before it counts: no restart brings back an older order or forgets a step down.
"""

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from edge_agent import automation, durable, profile_check, wire
from edge_agent.automation import CameraWord, ClockWord, Kept, Lapse, Seen, Standing, WaterWord
from edge_agent.config import DeviceConfig
from edge_agent.coverage_watch import CoverageWatch
from edge_agent.errors import LinkError, StoreError
from edge_agent.messages import Desired, ModeOrder
from edge_agent.records import Case, Framing, FramingStatus, Mode

MOVED_S = 30.0
"""Hands and units cover markers for a while; what stays out of place for so long has moved."""
SILENT_S = 10.0
"""A unit may have been changed for another behind a camera that gave nothing for so long."""
JUMP_S = 5.0
"""Network time is drawn along slowly; a clock that differs by more from one look to the next was set."""
STALE_S = 5.0
"""Looks come four times a second."""
EARLIEST = 1_767_225_600.0
"""1 January 2026, UTC: a clock that shows less was never set."""
M = TypeVar("M", bound=msgspec.Struct)


class Circumstances(msgspec.Struct, frozen=True):
    """What the inspection sees, as far as the mode depends on it. `framing` is None before the first picture."""

    bundle_sha256: str | None
    framing: FramingStatus | None
    pictures: bool
    """Whether the camera gives any at present."""
    water: WaterWord
    drift_words: str = ""
    """What has moved, where that says something of the machine."""


class ModeKeeper:
    """One station's mode; any thread may ask."""

    def __init__(
        self,
        device: DeviceConfig,
        station: str,
        profile_sha256: str | None,
        clocks: tuple[Callable[[], float], Callable[[], float]] = (time.time, time.monotonic),
    ) -> None:
        """`clocks`: UTC seconds since 1970, and one that never jumps."""
        self._device = device
        self._utc, self._monotonic = clocks
        self.set_up(station, profile_sha256)
        self._offset_s: float | None = None
        self._well_s = self._seen_s = self._monotonic()
        self._kept = _kept(device)
        self._coverages = _coverages(self._kept, {})
        self._acknowledged = False
        self._looking = threading.Lock()
        self._looked_s = self._monotonic()
        self.standing = Standing("human_only", "waiting for the first picture")

    def set_up(self, station: str, profile_sha256: str | None) -> None:
        """By this profile the station is inspected from now on; None = it has none."""
        self._station, self._profile_sha256 = station, profile_sha256
        self._in_place: tuple[str, Framing] | None = None
        """Hash of the profile that this run has seen in place, and how."""
        self._kept_check: str | None = None
        """Hash of the one of which the disk knows that."""

    @property
    def profile_is_checked(self) -> bool:
        """Its markers were seen where it says: just now, or once before by whoever looked."""
        sha256, seen = self._profile_sha256, self._in_place
        if sha256 is None or (seen is not None and seen[0] == sha256):
            return sha256 is not None
        if self._kept_check != sha256:
            self._kept_check = profile_check.checked(self._device.profiles_path)
        return self._kept_check == sha256

    def profile_seen(self, framing: Framing) -> None:
        """Its markers were all in place; `keep_check` keeps that."""
        if self._profile_sha256 is not None:
            self._in_place = self._profile_sha256, framing

    def keep_check(self) -> None:
        """Not for the frame loop, because it waits for the disk. Raises StoreError."""
        seen = self._in_place
        if seen is not None and seen[0] != self._kept_check:
            profile_check.mark_checked(self._device.profiles_path, *seen, now=self._utc())
            self._kept_check = seen[0]

    @property
    def mode(self) -> Mode:
        """In force now. Where nobody has looked for too long, nothing is known."""
        return self.standing.mode if self._monotonic() - self._looked_s < STALE_S else "human_only"

    def look(self, now: Circumstances) -> Standing:
        """Reads what is new and decides. A disk that cannot keep the outcome leaves the human alone."""
        with self._looking:
            self.standing = self._looked(now)
            self._looked_s = self._monotonic()
            return self.standing

    def _looked(self, now: Circumstances) -> Standing:
        order, order_word = _read(self._device.order_path, ModeOrder)
        wish, wish_word = _read(self._device.desired_path, Desired)
        seen = Seen(
            highest=self._device.mode,
            order=order,
            order_word=order_word,  # type: ignore[arg-type]
            wish=wish.mode if wish else None,
            wish_counter=wish.counter if wish else 0,
            wish_word=wish_word,  # type: ignore[arg-type]
            site=self._device.site,
            station=self._station,
            bundle_sha256=now.bundle_sha256,
            profile_sha256=self._profile_sha256,
            profile_is_checked=self.profile_is_checked,
            camera=self._camera(now),
            water=now.water,
            drifted=self._has_drifted(now.bundle_sha256),
            drift_words=now.drift_words,
            clock=self._clock(),
            now=self._utc(),
        )
        kept, standing = automation.step(self._kept, seen, acknowledged=self._taken())
        return self._keep(kept) or standing

    def acknowledge(self) -> None:
        """Somebody at the station has mended what brought the mode down. From any thread."""
        self._acknowledged = True

    def said(self, case: Case) -> None:
        """One more case; it counts for the bundle that judged it. From any thread."""
        watch = self._coverages.get(case.bundle.sha256)
        if watch is not None:
            watch.see(case.verdict)

    def _has_drifted(self, bundle_sha256: str | None) -> bool:
        watch = self._coverages.get(bundle_sha256) if bundle_sha256 else None
        return watch is not None and watch.drifted

    def _camera(self, now: Circumstances) -> CameraWord:
        monotonic_s = self._monotonic()
        if now.framing is None:
            return "waiting"
        if now.framing not in ("shifted", "lost"):
            self._well_s = monotonic_s
        if now.pictures:
            self._seen_s = monotonic_s
        if monotonic_s - self._seen_s > SILENT_S:
            return "unknown"
        return "moved" if monotonic_s - self._well_s > MOVED_S else "ok"

    def _clock(self) -> ClockWord:
        utc, before = self._utc(), self._offset_s
        self._offset_s = utc - self._monotonic()
        if utc < EARLIEST:
            return "unknown"
        return "jumped" if before is not None and abs(self._offset_s - before) > JUMP_S else "ok"

    def _taken(self) -> bool:
        """An acknowledgement, by `acknowledge` or by the command; it is taken once."""
        path, said = self._device.acknowledged_path, self._acknowledged
        self._acknowledged = False
        if path.exists():
            # One that cannot be removed would be taken again and again.
            with contextlib.suppress(StoreError):
                durable.remove(path)
                said = True
        return said

    def _keep(self, kept: Kept) -> Standing | None:
        """The Standing where the disk refuses; None where all is kept."""
        if kept == self._kept:
            return None
        try:
            durable.write(self._device.mode_path, msgspec.json.encode(kept))
        except StoreError as error:
            return Standing("human_only", f"the mode cannot be kept: {error}", alarm=True)
        if kept.order != self._kept.order:
            self._coverages = _coverages(kept, self._coverages)
        self._kept = kept
        return None


def _coverages(kept: Kept, before: dict[str, CoverageWatch]) -> dict[str, CoverageWatch]:
    """By the bundle: that of the newest order begins anew, that of the former one goes on."""
    found = {}
    if kept.former and kept.former.certificate:
        sha256 = kept.former.bundle_sha256
        found[sha256] = before.get(sha256) or CoverageWatch(kept.former.certificate.coverage)
    if kept.order and kept.order.certificate:
        found[kept.order.bundle_sha256] = CoverageWatch(kept.order.certificate.coverage)
    return found


def _kept(device: DeviceConfig) -> Kept:
    """What a former run kept. Where it cannot be read anything may have happened under the order that is here."""
    try:
        return msgspec.json.decode(device.mode_path.read_bytes(), type=Kept)
    except FileNotFoundError:
        return Kept()
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        order, _ = _read(device.order_path, ModeOrder)
        return Kept(order, lasting=Lapse("human_only", "what was kept of the mode cannot be read: order it again"))


def _read(path: Path, kind: type[M]) -> tuple[M | None, str]:
    try:
        return wire.decode(path.read_bytes(), kind), "read"
    except FileNotFoundError:
        return None, "none"
    except (OSError, LinkError):
        return None, "unreadable"
