"""device.toml <-> DeviceConfig: one station's device, read by `agent inspect` and `agent uplink` alike.

Unknown keys are errors that name them. Paths may be relative to the file's folder. Secrets stay in the environment; the
file only names the variables.
"""

import os
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from edge_agent.errors import ConfigError
from edge_agent.records import Mode
from edge_agent.wire import SITE

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Share = Annotated[float, msgspec.Meta(gt=0, le=1)]
Url = Annotated[str, msgspec.Meta(pattern=r"^https?://[A-Za-z0-9.\[\]:-]+(/[A-Za-z0-9._~-]+)*/?\Z")]


class BrokerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The MQTT broker."""

    host: str = "127.0.0.1"
    port: Port = 1883
    client_id: str | None = None
    """Two clients with one id throw each other off; with certificates it is the certificate's name.
    None = `<site>-<station>`."""
    username: str | None = None
    password_env: str | None = None
    """Name of the environment variable with the password."""
    ca: str | None = None
    """CA certificate file; set = TLS."""
    cert: str | None = None
    key: str | None = None
    keepalive_s: Annotated[int, msgspec.Meta(ge=5, le=3600)] = 30
    inflight: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 20
    """Messages under way that the broker has not acknowledged."""


class AuditConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The random blind audit of agreements."""

    floor: Share = 0.02
    """Smallest sampling probability; it rises with the doubt in the score and is never 0."""


class UpdatesConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The signed repository from which bundles and orders come; without `url` and `root` none do."""

    url: Url | None = None
    """Where metadata/ and targets/ are, such as https://desk.plant.example/updates."""
    mirrors: tuple[Url, ...] = ()
    """Asked in turn where that address is away or does not tell the truth."""
    root: str | None = None
    """The repository's root.json, brought here by hand: all trust begins with it."""
    ca: str | None = None
    """CA certificate file for https; None = the system's."""
    token_env: str | None = None
    """Name of the environment variable with a bearer token; it is sent through https or to this machine alone."""
    every_s: Annotated[float, msgspec.Meta(gt=0, le=86_400)] = 30.0
    """Between two looks at the repository."""
    patience_s: Annotated[float, msgspec.Meta(gt=0, le=600)] = 30.0
    """A server that is silent for so long is given up."""
    slowest_bytes_s: Annotated[float, msgspec.Meta(ge=0)] = 1024.0
    """So is a download that has become slower on the whole; what has come of it is kept."""
    require_certificate: bool | None = None
    """A bundle without a certificate is refused; None = where `mode` lets the machine decide."""
    require_references: bool = True
    """A bundle is refused while the station has no reference cases to try it on."""
    trial_s: Annotated[float, msgspec.Meta(gt=0)] = 300.0
    """Most CPU time of a bundle's trial."""
    trial_mb: Annotated[int, msgspec.Meta(ge=64)] = 1024
    """Most memory of a trial."""


class LineConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The local interface for PLC and robot: TCP, one JSON object a line."""

    host: str = "127.0.0.1"
    port: Port = 7450
    patience_s: Annotated[float, msgspec.Meta(ge=0, le=600)] = 5.0
    """A unit on which the machine is not certain so long after the required hold waits for the human."""
    valid_s: Annotated[float, msgspec.Meta(ge=1, le=3600)] = 30.0
    """A disposition that was not taken within this time is none any more."""


class PanelConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The operator's screen and the pages behind it."""

    host: str = "127.0.0.1"
    port: Port = 8480
    language: Annotated[str, msgspec.Meta(pattern=r"^[a-z]{2}\Z")] = "en"
    """Of the screen, as long as nobody chooses another: en, de, es, or a file of the plant's own."""
    shifts: tuple[Annotated[str, msgspec.Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]\Z")], ...] = (
        "06:00",
        "14:00",
        "22:00",
    )
    """When a shift begins, by the clock on the wall."""
    timezone: str | None = None
    """Of that clock, such as Europe/Berlin; None = the system's."""
    names: tuple[str, ...] = ()
    """Host names under which browsers ask for it, beside its addresses, localhost and its own host name."""
    metrics_token_env: str | None = None
    """Name of the environment variable with the bearer token that /metrics asks for; None = it asks for none."""

    @property
    def reached_at(self) -> str:
        """The host under which this very machine reaches it."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)


class DeviceConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One device."""

    site: Annotated[str, msgspec.Meta(pattern=SITE)]
    station: str
    """Path of the station profile (station.toml)."""
    camera: str
    """/dev/videoN, rtsp://…, a recording, or twin:…"""
    bundle: str | None = None
    """Path of the champion, until `bundle use` puts another in its place; None = the shipped one."""
    challenger: str | None = None
    """Path of a bundle that runs beside it and is only logged."""
    mode: Mode = "shadow"
    """Highest degree of automation. Above `shadow` it takes a signed order from the cloud as well."""
    assist_shows: Literal["after", "before"] = "after"
    """When the screen shows the machine's word in `assist`: after the inspector's decision, or before it."""
    line: LineConfig | None = None
    """None = no interface for PLC and robot."""
    trigger: Literal["picture", "command"] = "picture"
    """What begins an immersion: the picture alone, or the line through the order `trigger`."""
    data_dir: str = "/var/lib/tankwatch"
    """outbox.db, spool/ and what the device has to remember."""
    run_dir: str | None = None
    """What is worth nothing after a power cut: state.json, uplink.json, live pictures. A folder in memory spares the
    disk; None = data_dir."""
    alarms: str = "alarms.toml"
    """The plant's own settings of alarms, changed by `agent alarms set` and on the panel; it need not be there."""
    keep_free_mb: Annotated[int, msgspec.Meta(ge=0)] = 1024
    """When less is free, clips that the cloud has receipted go; below half of it those of agreements without a receipt
    go too."""
    seed: int | None = None
    """Of the audit's draw; None = from the system's random source."""
    audit: AuditConfig = AuditConfig()
    broker: BrokerConfig = BrokerConfig()
    updates: UpdatesConfig = UpdatesConfig()
    panel: PanelConfig = PanelConfig()

    @property
    def folder(self) -> Path:
        return Path(self.data_dir)

    @property
    def run_folder(self) -> Path:
        return Path(self.run_dir or self.data_dir)

    @property
    def outbox_path(self) -> Path:
        return self.folder / "outbox.db"

    @property
    def spool_path(self) -> Path:
        return self.folder / "spool"

    @property
    def state_path(self) -> Path:
        """What `agent inspect` says of itself, for `uplink` and `panel`."""
        return self.run_folder / "state.json"

    @property
    def uplink_path(self) -> Path:
        """What `agent uplink` says of itself, for `panel`."""
        return self.run_folder / "uplink.json"

    @property
    def live_path(self) -> Path:
        """Folder of the newest pictures, as long as somebody looks; and of the files that say so."""
        return self.run_folder / "live"

    @property
    def profiles_path(self) -> Path:
        """Folder of what is known of the station's profiles: which one was seen in place, and all that ever held."""
        return self.folder / "profiles"

    @property
    def desired_path(self) -> Path:
        """The newest `desired` message, as it came."""
        return self.folder / "desired.json"

    @property
    def update_path(self) -> Path:
        """What `agent update` says of itself, for `uplink`."""
        return self.folder / "update.json"

    @property
    def signed_path(self) -> Path:
        """What came for this station from the signed repository: mode.json, references.json, clips."""
        return self.folder / "signed"

    @property
    def order_path(self) -> Path:
        """The newest mode order whose signatures `agent update` has checked."""
        return self.signed_path / "mode.json"

    @property
    def mode_path(self) -> Path:
        """The order in force and what happened under it."""
        return self.folder / "mode.json"

    @property
    def alarms_path(self) -> Path:
        """Books of the alarms, what people ordered of them, their history and the trail of their settings."""
        return self.folder / "alarms"

    @property
    def alarm_settings_path(self) -> Path:
        return Path(self.alarms)

    @property
    def drift_path(self) -> Path:
        """The drift tests' state."""
        return self.folder / "drift.json"

    @property
    def acknowledged_path(self) -> Path:
        """Lies there while an acknowledgement waits to be taken."""
        return self.folder / "acknowledged"


def load(path: Path) -> DeviceConfig:
    """device.toml -> DeviceConfig with absolute paths. Raises ConfigError naming the file and the fault."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"config {path} cannot be read ({error.strerror}): give a device.toml") from error
    return _absolute(parse(data, str(path)), path.resolve().parent)


def parse(data: bytes, name: str = "device.toml") -> DeviceConfig:
    """Bytes of a TOML file -> DeviceConfig. Raises ConfigError naming the key."""
    try:
        return msgspec.toml.decode(data, type=DeviceConfig)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"config {name} is not usable: {error}: mend that line") from error


def dump(config: DeviceConfig) -> bytes:
    """DeviceConfig -> TOML; `parse` gives it back."""
    return msgspec.toml.encode(_without_none(msgspec.to_builtins(config)))


def secret(variable: str | None) -> str | None:
    """The value of a named environment variable; None where none is named. Raises ConfigError where it is not set."""
    if variable is None:
        return None
    value = os.environ.get(variable)
    if not value:
        raise ConfigError(f"environment variable {variable} is not set, but the config names it: set it")
    return value


def _absolute(config: DeviceConfig, folder: Path) -> DeviceConfig:
    def resolve(name: str | None) -> str | None:
        return None if name is None else str(folder / name)

    broker = msgspec.structs.replace(
        config.broker, ca=resolve(config.broker.ca), cert=resolve(config.broker.cert), key=resolve(config.broker.key)
    )
    return msgspec.structs.replace(
        config,
        station=resolve(config.station),
        bundle=resolve(config.bundle),
        challenger=resolve(config.challenger),
        data_dir=resolve(config.data_dir),
        run_dir=resolve(config.run_dir),
        alarms=resolve(config.alarms),
        broker=broker,
        updates=msgspec.structs.replace(
            config.updates, root=resolve(config.updates.root), ca=resolve(config.updates.ca)
        ),
    )


def _without_none(value: object) -> object:
    """TOML has no null: what is not set is left out."""
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return value
