"""cloud.toml <-> CloudConfig: where the cloud keeps things, which broker it listens to and where its pages are.

Every cloud process reads the same file. Secrets are in the environment; the file only names the variables.
"""

import os
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from cloud_sync.roles import Role
from edge_agent.errors import ConfigError

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Positive = Annotated[int, msgspec.Meta(ge=1)]


class BrokerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The MQTT broker. Two clients with one id throw each other off; what waits for an id is lost with it."""

    host: str = "127.0.0.1"
    port: Port = 1883
    client_id: str = "tankwatch-ingest"
    share: str | None = None
    """Name of a group (Mosquitto): each case goes to one of the ingest processes that name it, clips to all."""
    username: str | None = None
    password_env: str | None = None
    """Name of the environment variable with the password."""
    ca: str | None = None
    """CA certificate file; set = TLS."""
    cert: str | None = None
    key: str | None = None


class WebConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The experts' pages."""

    host: str = "127.0.0.1"
    port: Port = 8080
    secret_env: str | None = None
    """Name of the environment variable with the sessions' key; None = a key file in data_dir."""
    https: bool = False
    """Pages are reached through https: cookies are sent there only."""
    url: Annotated[str, msgspec.Meta(pattern=r"^https?://[A-Za-z0-9.\[\]:-]+\Z")] | None = None
    """How browsers reach the pages, such as https://desk.plant.example; set = other host names are refused."""
    proxy: str | None = None
    """Address of the reverse proxy, such as 127.0.0.1, whose word on where a request came from is taken."""
    session_h: Positive = 12
    """Whoever signed in so long ago has to do it again."""
    idle_min: Positive = 120
    """So has whoever was away so long."""


class OidcConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The company's own sign-in (OpenID Connect)."""

    issuer: str
    """Its address; /.well-known/openid-configuration is below it."""
    client_id: str
    secret_env: str | None = None
    """Name of the environment variable with the client's secret; None = a public client, by PKCE alone."""
    name: str = "company account"
    """What the button says."""
    role_claim: str | None = None
    """Claim whose value, or one of whose values, is a role of ours; the strongest counts."""
    pseudonyms: bool = False
    """New users are called `user-` and eight random signs here, not by their name or address at the provider."""
    default_role: Role | Literal["none"] = "viewer"
    """Of whoever comes without one; "none" = refused."""
    domains: tuple[str, ...] = ()
    """Only verified e-mail addresses of these domains may sign in; empty = all that the provider lets in."""


class ShiftConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A shift; it lasts until the next one begins."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
    start: Annotated[str, msgspec.Meta(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    """UTC, "HH:MM"."""

    @property
    def start_s(self) -> int:
        """Seconds after midnight."""
        return 3600 * int(self.start[:2]) + 60 * int(self.start[3:])


class ChallengeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When challenge parts are to be run."""

    when: Literal["shift", "random", "hours"] = "shift"
    """At each shift's start (`[[shift]]`; without one as `hours`), at random, or so long after the last run."""
    hours: Annotated[float, msgspec.Meta(gt=0, le=720)] = 24.0
    a_day: Annotated[float, msgspec.Meta(gt=0, le=48)] = 2.0
    """For `random`: runs a day at each station, on average."""
    salt: Annotated[str, msgspec.Meta(max_length=200)] = ""
    """For `random`: another one draws other times; whoever knows it can foresee them."""
    grace_min: Positive = 30
    """A part that has been due for longer is overdue."""


class AgreementConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the page Agreement shows."""

    inspectors: bool = False
    """Figures of each inspector, under the pseudonym that the station sends, to the quality role alone."""


class BucketConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The S3-compatible store that `store` names."""

    endpoint: str | None = None
    """URL of the server; None = Amazon's own for the region."""
    region: str = "us-east-1"
    key_id_env: str | None = None
    """Names of the environment variables with the key's id and secret; None = as the machine's role allows."""
    secret_env: str | None = None
    cache_mb: Annotated[int, msgspec.Meta(ge=1)] = 4000
    """What was read lately is kept on this machine, in data_dir."""


class RetentionConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many days `cloud retain` keeps clips after their case came, and names of who has left; records stay."""

    agreement_days: Positive = 365
    disagreement_days: Positive = 1825
    uncertain_days: Positive = 1095
    """Also of cases without an inspector's decision."""
    not_tested_days: Positive = 730
    judged_days: Positive = 730
    """A clip that somebody judged within so many days stays, whatever its age."""
    partial_days: Positive = 14
    """Parts of a clip of which none has come for so long go; its station begins with the first one again."""
    names_days: Positive | None = None
    """Names of users who were disabled so long ago are forgotten (docs/privacy.md); None = when somebody says so."""


class UpdatesConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The signed repository that devices fetch bundles and orders from; it lies in data_dir/updates/."""

    keys: str | None = None
    """Folder of the private keys that sign from day to day, relative to this file's; None = data_dir/update-keys."""
    root_keys: str | None = None
    """Folder of the root keys, needed to begin and to exchange keys: a stick in a safe. None = `keys`/root."""
    root_key_count: Annotated[int, msgspec.Meta(ge=1, le=9)] = 3
    root_threshold: Annotated[int, msgspec.Meta(ge=1, le=9)] = 2
    """Root keys that have to sign together: one that is lost or stolen neither locks out nor lets in."""
    root_days: Positive = 730
    """People fetch the keys from the safe once in two years."""
    role_days: Positive = 180
    """Lists of targets, bundles and station files; `cloud updates refresh` signs them again in time."""
    snapshot_days: Positive = 14
    timestamp_days: Positive = 3
    """How long devices can be held at an old state without noticing it; long enough for a weekend without the cloud."""
    open: bool = False
    """Files are given without a token; reference cases are video of the plant."""


class RetrainConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `cloud retrain` does when nobody says otherwise."""

    dataset: Annotated[str, msgspec.Meta(min_length=1, max_length=64)] = "weekly"
    """A new version of it is released for each run."""
    runs_a_day: Positive = 6
    """UTC days, of all scopes and reasons together."""
    twin_cases: Positive = 500
    """Of the fresh set that each candidate is evaluated on."""
    twin_profile: str = "reference"
    jobs: Positive = 2
    """Processes, of all runs together."""
    seed: int = 1
    parallel: bool = True
    """A candidate that looks no worse than the champion begins a parallel run by itself."""


class CloudConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One cloud."""

    data_dir: str
    """Clips, partial clips, and the database where none is named; relative to this file's folder."""
    database: str | None = None
    """SQLAlchemy URL; None = SQLite in data_dir."""
    store: str | None = None
    """s3://bucket/prefix for whole clips; None = the folder data_dir."""
    s3: BucketConfig = BucketConfig()
    retention: RetentionConfig = RetentionConfig()
    broker: BrokerConfig = BrokerConfig()
    web: WebConfig = WebConfig()
    updates: UpdatesConfig = UpdatesConfig()
    oidc: OidcConfig | None = None
    agreement: AgreementConfig = AgreementConfig()
    retrain: RetrainConfig = RetrainConfig()
    shift: tuple[ShiftConfig, ...] = ()
    """In any order; none: figures are not split by shift."""
    challenge: ChallengeConfig = ChallengeConfig()
    batch: Annotated[int, msgspec.Meta(ge=1, le=500)] = 500
    """Messages with one commit."""
    max_clip_mb: Positive = 256
    """A larger clip is refused."""
    max_clip_gb_per_station: Annotated[float, msgspec.Meta(gt=0)] | None = None
    """Clips of a station that has so much here are refused until some have gone; its cases come in. None = no limit."""
    clip_overdue_h: Positive = 24
    """A clip that has not arrived by then is shown as 'never arrived'."""
    policy: str | None = None
    """Dataset policy, relative to this file's folder; None = the one that ships."""

    @property
    def folder(self) -> Path:
        return Path(self.data_dir)

    @property
    def updates_path(self) -> Path:
        """Folder of the signed repository: metadata/ and targets/."""
        return self.folder / "updates"

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.folder / 'cloud.db'}"


def load(path: Path) -> CloudConfig:
    """cloud.toml -> CloudConfig with absolute paths. Raises ConfigError naming the file and the line's fault."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"config {path} cannot be read ({error.strerror}): name a cloud.toml with --config"
        ) from error
    try:
        config = msgspec.toml.decode(data, type=CloudConfig)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"config {path} is not usable: {error}: mend that line") from error
    folder = path.resolve().parent
    policy = None if config.policy is None else str(folder / config.policy)
    keys, roots = (
        None if name is None else str(folder / name) for name in (config.updates.keys, config.updates.root_keys)
    )
    updates = msgspec.structs.replace(config.updates, keys=keys, root_keys=roots)
    return msgspec.structs.replace(config, data_dir=str(folder / config.data_dir), policy=policy, updates=updates)


def dump(config: CloudConfig) -> bytes:
    """CloudConfig -> TOML; `load` gives it back."""
    return msgspec.toml.encode(_without_none(msgspec.to_builtins(config)))


def secret(variable: str | None) -> str | None:
    """The value of a named environment variable; None where none is named. Raises ConfigError where it is not set."""
    if variable is None:
        return None
    value = os.environ.get(variable)
    if not value:
        raise ConfigError(
            f"environment variable {variable} is not set, but the config names it: set it or take the line out"
        )
    return value


def _without_none(value: object) -> object:
    """TOML has no null: what is not set is left out."""
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return value
