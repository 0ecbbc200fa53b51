"""state.json and uplink.json at one moment -> what is fresh of them, and what is wrong with the device, in words."""

import time
from dataclasses import dataclass
from pathlib import Path

from edge_agent import certificates, state, utc
from edge_agent.alarm_history import AlarmHistory
from edge_agent.config import DeviceConfig
from edge_agent.errors import ConfigError
from edge_agent.machine import OwnProcess
from edge_agent.screen import TOLD
from edge_agent.state import DeviceState, Process, UplinkReport

INSPECT_SILENT_S = 5.0
"""It speaks four times a second; loading another bundle on a busy device takes a second or two."""
UPLINK_SILENT_S = 15.0
"""It speaks each second; an attempt to connect takes five."""
TOLD_WITHIN_S = 600.0
"""ISA-18.2 counts alarms in ten minutes."""
PROCESS_SILENT_S = {"inspect": INSPECT_SILENT_S, "uplink": UPLINK_SILENT_S}


@dataclass(frozen=True, slots=True)
class Signs:
    """One look at the files of a device."""

    now_s: float
    """UTC, seconds since 1970."""
    state: DeviceState | None
    """The newest, however old."""
    uplink: UplinkReport | None
    panel: Process | None = None
    """What the process takes that looks."""
    alarms_told: int = 0
    """Alarms that asked people to look within the last ten minutes."""
    certificate_ends_s: float | None = None
    """When the certificate for the broker ends, UTC; None where there is none, or none that can be read."""
    for_all: bool = True
    """Whoever looks may be the inspector; else it is somebody with the token."""

    @property
    def is_told(self) -> bool:
        """Whether whoever looks may learn what the machine said, which some modes keep from the inspector."""
        return not self.for_all or (self.state is not None and self.state.mode in TOLD)

    @property
    def live(self) -> DeviceState | None:
        """What the inspection says now; None where it has fallen silent."""
        return self.state if self.is_up("inspect") else None

    @property
    def live_uplink(self) -> UplinkReport | None:
        return self.uplink if self.is_up("uplink") else None

    def is_up(self, process: str) -> bool:
        """Has it spoken lately? A time to come counts as old: the clock was set back since."""
        age_s = self.age_s(process)
        return age_s is not None and abs(age_s) <= PROCESS_SILENT_S[process]

    def age_s(self, process: str) -> float | None:
        """None where it has never spoken."""
        said = self.state if process == "inspect" else self.uplink
        at_s = utc.seconds(said.at) if said else None
        return None if at_s is None else self.now_s - at_s

    def faults(self) -> list[str]:
        """Why the station cannot be inspected at all; empty while it can."""
        if self.live is None:
            return [self._silence("inspect")]
        camera = self.live.input.camera
        if camera not in ("ok", "unknown"):
            words = next((alarm.text for alarm in self.live.alarms if alarm.id == "camera"), "")
            return [words or f"the camera is {camera}: check its cable and power"]
        return []

    def obstacles(self) -> list[str]:
        """Why the device does not do all of its work: the faults, and what keeps it from testing units or sending."""
        found = self.faults()
        if self.live and self.live.profile_sha256 is None:
            found.append("the station has not been set up: open /setup, or run 'calibrate fit'")
        if self.live and self.live.input.framing in ("shifted", "lost"):
            found.append(f"the framing is {self.live.input.framing}: see what the screen says of the camera")
        if self.live_uplink is None:
            found.append(self._silence("uplink"))
        return found

    def _silence(self, process: str) -> str:
        age_s = self.age_s(process)
        cure = f"look at 'systemctl status tankwatch-{process}'"
        if age_s is None:
            return f"{process} has not said anything yet: {cure}"
        return f"{process} has said nothing for {abs(age_s):.0f} s (limit {PROCESS_SILENT_S[process]:g} s): {cure}"


def look(device: DeviceConfig, own: OwnProcess | None = None, *, for_all: bool = True) -> Signs:
    """At the device's files, as they are now."""
    now_s = time.time()
    # What a clock that ran ahead has dated later did not happen just now.
    recent = AlarmHistory(device.alarms_path / "history.db").since(now_s - TOLD_WITHIN_S, now_s)
    return Signs(
        now_s=now_s,
        state=state.read(device.state_path),
        uplink=state.read_uplink(device.uplink_path),
        panel=own.look() if own else None,
        alarms_told=sum(event.told for event in recent),
        certificate_ends_s=_ends_s(device.broker.cert),
        for_all=for_all,
    )


def _ends_s(certificate: str | None) -> float | None:
    """`doctor` says what is wrong with one that cannot be read."""
    try:
        path = Path(certificate or "")
        return certificates.expires_at(path.read_text(errors="replace"), str(path)).timestamp() if certificate else None
    except (OSError, ConfigError):
        return None
