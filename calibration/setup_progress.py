"""setup.json <-> Progress: how far somebody is with setting a station up, over a restart of the panel too."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from calibration.markers import LARGEST_MM, PRINTED_SIZE_MM, SMALLEST_MM
from calibration.setup_device import SetupDevice
from edge_agent import durable, profile_history, station
from edge_agent.errors import StationError, StoreError
from edge_agent.profile_history import ProfilePlace
from edge_agent.station import Lamp, StationId, StationProfile

LONGEST_NAME = 60
Step = Literal["station", "aim", "lamps", "fit", "cycles", "report"]
STEPS: tuple[tuple[Step, str], ...] = (
    ("station", "Station and markers"),
    ("aim", "Aim the camera"),
    ("lamps", "Mark the lamps"),
    ("fit", "Measure and save"),
    ("cycles", "Watch it work"),
    ("report", "Report"),
)
CYCLES = 3
"""Empty ones, and real ones."""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """What was entered and done so far."""

    schema: Literal["tankwatch/setup/1"] = "tankwatch/setup/1"
    who: Annotated[str, msgspec.Meta(max_length=LONGEST_NAME)] = ""
    station: StationId | Literal[""] = ""
    marker_mm: Annotated[float, msgspec.Meta(ge=SMALLEST_MM, le=LARGEST_MM)] = PRINTED_SIZE_MM
    aimed: bool = False
    """Somebody has seen that nothing was left to mend."""
    lamps: tuple[Lamp, ...] = ()
    lamps_done: bool = False
    required_hold_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 5.0
    required_sensitivity_std_cm3_s: Annotated[float, msgspec.Meta(ge=1e-9, le=1e3)] | None = None
    base: str | None = None
    """Hash of the profile that held when this began: what is saved takes its place and no other's."""
    draft: bool = False
    """A profile was measured and waits in draft.toml to be saved."""
    found: tuple[str, ...] = ()
    unfit: tuple[str, ...] = ()
    saved: str | None = None
    """Hash of the profile that was saved."""
    empty_since: str | None = None
    """UTC, ISO 8601: when the first empty cycle began."""
    empty_cycles: int = 0
    real_since: str | None = None

    @property
    def measured(self) -> tuple[object, ...]:
        """What a profile is measured by."""
        return (
            self.station,
            self.marker_mm,
            self.lamps,
            self.required_hold_s,
            self.required_sensitivity_std_cm3_s,
            self.base,
        )

    @property
    def next_step(self) -> Step:
        """The first that is not done."""
        done = {
            "station": bool(self.station),
            "aim": self.aimed,
            "lamps": self.lamps_done,
            "fit": self.saved is not None,
            "cycles": self.real_since is not None,
        }
        return next((step for step, _ in STEPS if not done.get(step, False)), "report")


def load(device: SetupDevice) -> Progress:
    """As far as it went; begun with what the present profile says where nobody has begun."""
    try:
        return msgspec.json.decode(_path(device.place).read_bytes(), type=Progress)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return fresh(device.place)


def fresh(place: ProfilePlace) -> Progress:
    """A new set-up, filled in from the profile that holds."""
    try:
        profile, sha256 = station.load(place.station)
    except StationError:
        return Progress(base=_present(place))
    return Progress(
        station=profile.station,
        marker_mm=min(max(profile.marker_size_mm or PRINTED_SIZE_MM, SMALLEST_MM), LARGEST_MM),
        lamps=profile.lamps,
        required_hold_s=profile.required_hold_s,
        required_sensitivity_std_cm3_s=profile.required_sensitivity_std_cm3_s,
        base=sha256,
    )


def with_name(progress: Progress, who: str) -> Progress:
    """The same, done by `who`."""
    return msgspec.structs.replace(progress, who=who)


def keep(device: SetupDevice, progress: Progress) -> None:
    """On the disk before the next page shows. Raises StoreError."""
    with device.keeping:
        _make_folder(device.place)
        durable.write(_path(device.place), msgspec.json.encode(progress))


def changed(device: SetupDevice, **values: object) -> Progress:
    """The same with these values, kept; what somebody else has kept meanwhile stays. Raises StoreError."""
    with device.keeping:
        now = msgspec.structs.replace(load(device), **values)
        keep(device, now)
    return now


def keep_draft(device: SetupDevice, profile: StationProfile) -> None:
    """A profile that was measured, until somebody saves it. Raises StoreError."""
    _make_folder(device.place)
    durable.write(_draft(device.place), station.dump(profile))


def draft(device: SetupDevice) -> StationProfile:
    """Raises StationError where nothing was measured."""
    return station.load(_draft(device.place))[0]


def _path(place: ProfilePlace) -> Path:
    return place.folder / "setup.json"


def _draft(place: ProfilePlace) -> Path:
    return place.folder / "draft.toml"


def _present(place: ProfilePlace) -> str | None:
    try:
        return profile_history.present(place)
    except StoreError:
        return None


def _make_folder(place: ProfilePlace) -> None:
    try:
        place.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise durable.failure(place.folder, error) from error
