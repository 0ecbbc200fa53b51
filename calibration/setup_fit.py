"""A station that stands empty -> its measured profile as a draft, in a thread beside the pages."""

import threading
from collections.abc import Callable

import msgspec

from calibration import fitting, setup_progress
from calibration.setup_device import SetupDevice, for_seconds
from calibration.setup_progress import Progress
from edge_agent import station
from edge_agent.errors import StationError, TankwatchError
from edge_agent.station import StationProfile

KEPT = ("tolerance_shift_px", "tolerance_rotation_deg", "required_hold_s", "required_sensitivity_std_cm3_s")
LOOKED_S = 8.0
"""Enough pictures for the shake to be averaged out; a camera that sags shows in the checks afterwards."""


class FitNow(msgspec.Struct, frozen=True, kw_only=True):
    """How the fit goes."""

    running: bool = False
    share: float = 0.0
    """0..1 of the time to look."""
    fault: str = ""
    """Why it came to nothing, with the cure."""


class Fit:
    """One at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.now = FitNow()

    def start(self, device: SetupDevice, progress: Progress) -> bool:
        """False where one is under way."""
        with self._lock:
            if self.now.running:
                return False
            self.now = FitNow(running=True)
        threading.Thread(target=self._run, args=(device, progress), daemon=True).start()
        return True

    def _run(self, device: SetupDevice, progress: Progress) -> None:
        fault = "the fit came to nothing for a reason that stands in the panel's log"
        try:
            measure(device, progress, self._gone)
            fault = ""
        except TankwatchError as error:
            fault = str(error)
        finally:
            self.now = FitNow(share=0.0 if fault else 1.0, fault=fault)

    def _gone(self, seconds: float) -> None:
        self.now = FitNow(running=True, share=min(1.0, seconds / LOOKED_S))


def measure(device: SetupDevice, progress: Progress, told: Callable[[float], None] = lambda _: None) -> StationProfile:
    """Looks, keeps the draft and what was found. Raises StationError, ConfigError, StoreError."""
    profile, report = fitting.fit(
        for_seconds(device, LOOKED_S, told),
        progress.station,
        progress.lamps,
        marker_mm=progress.marker_mm,
        rtsp=device.network,
    )
    profile = as_before(profile, device)
    profile = msgspec.structs.replace(
        profile,
        required_hold_s=progress.required_hold_s,
        required_sensitivity_std_cm3_s=progress.required_sensitivity_std_cm3_s,
    )
    with device.keeping:
        if setup_progress.load(device).measured != progress.measured:
            raise StationError("what the station is measured by was changed meanwhile: measure it again")
        setup_progress.keep_draft(device, profile)
        setup_progress.changed(device, draft=True, found=report.found, unfit=report.unfit, saved=None)
    return profile


def as_before(profile: StationProfile, device: SetupDevice) -> StationProfile:
    """What is no matter of measuring stays as the profile of this station has it."""
    try:
        before, _ = station.load(device.place.station)
    except StationError:
        return profile
    if before.station != profile.station:
        return profile
    return msgspec.structs.replace(profile, **{field: getattr(before, field) for field in KEPT})
