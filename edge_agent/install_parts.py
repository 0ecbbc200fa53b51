"""What an installation consists of: for each part its user, packages, folders, units and configuration. PURE.

The modules `install_*` and `upgrade` use the standard library alone: they run with the machine's own python3, before
any package is installed. So their records are dataclasses.
"""

from dataclasses import dataclass

HOME, RELEASES, CURRENT = "/opt/tankwatch", "/opt/tankwatch/releases", "/opt/tankwatch/current"
CONFIG, UNITS = "/etc/tankwatch", "/etc/systemd/system"
COMMAND = "/usr/local/bin/tankwatch"
JOURNAL = "/etc/systemd/journald.conf.d/50-tankwatch.conf"
JOURNAL_SOURCE = "journald.conf"
ONLY_WITH_TRAINING = ("tankwatch-cloud-retrain.timer",)
"""Enabled where the packages for training are: they take 1.5 GB."""


@dataclass(frozen=True)
class Folder:
    """`owner` is a user, whose group it is too; None = root."""

    path: str
    mode: int
    owner: str | None = None


@dataclass(frozen=True)
class Part:
    """One of the two things that can be installed on a machine."""

    name: str
    user: str
    packages: str
    """The launcher's set."""
    config: str
    """File in /etc/tankwatch, from the template of the same name in systemd/."""
    folders: tuple[Folder, ...]
    links: tuple[tuple[str, str], ...] = ()
    """(where, to what), made where nothing is."""

    @property
    def config_path(self) -> str:
        return f"{CONFIG}/{self.config}"

    def owns(self, unit: str) -> bool:
        """Whether a file of systemd/ is one of this part's units."""
        ours = unit.startswith("tankwatch-") and unit.endswith((".service", ".timer"))
        return ours and unit.startswith("tankwatch-cloud-") == (self.name == "cloud")

    def enabled(self, units: list[str], *, trains: bool) -> list[str]:
        """Those that systemd starts: timers, and services that no timer starts."""
        timers = [unit for unit in units if unit.endswith(".timer")]
        started = {f"{timer.removesuffix('.timer')}.service" for timer in timers}
        wanted = [unit for unit in units if unit not in started]
        return [unit for unit in wanted if trains or unit not in ONLY_WITH_TRAINING]


EDGE = Part(
    name="edge",
    user="tankwatch",
    packages="edge",
    config="device.toml",
    # Camera addresses with passwords stand in device.toml, so it is the group's; the folder's names are no secret, and
    # Mosquitto has to reach its own files below it.
    folders=(Folder(CONFIG, 0o755), Folder("/var/lib/tankwatch", 0o750, "tankwatch")),
    # Commissioning writes the profile, and nothing that runs may write /etc.
    links=((f"{CONFIG}/station.toml", "/var/lib/tankwatch/station.toml"),),
)
CLOUD = Part(
    name="cloud",
    user="tankwatch-cloud",
    packages="demo",
    config="cloud.toml",
    folders=(
        Folder(CONFIG, 0o755),
        Folder("/var/lib/tankwatch-cloud", 0o750, "tankwatch-cloud"),
        Folder("/var/backups/tankwatch", 0o750, "tankwatch-cloud"),
    ),
)
PARTS = {part.name: part for part in (EDGE, CLOUD)}
WIDTH = ("edge", "demo", "retrain")
"""The launcher's sets, each of which holds those before it: two parts on one machine share the wider one."""
WITH_TRAINING = "retrain"


def widest(sets: list[str]) -> str:
    """The set that serves all of them."""
    return max(sets, key=WIDTH.index)
