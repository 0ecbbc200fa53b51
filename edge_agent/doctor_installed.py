"""What `install` and `provision` have put on this machine -> findings: releases, users, rights, units, certificates.

The screen is asked too. Nothing is said of a machine on which nothing is installed.
"""

import stat
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from edge_agent import certificates, upgrade
from edge_agent import install_record as record
from edge_agent import install_release as releases
from edge_agent.config import DeviceConfig
from edge_agent.errors import TankwatchError
from edge_agent.finding import Finding
from edge_agent.install_host import Host
from edge_agent.install_parts import CONFIG, EDGE, RELEASES, UNITS, WITH_TRAINING, Part
from edge_agent.install_record import Installed
from edge_agent.install_steps import enabled, units

PROVISION = f"{CONFIG}/provision"
ANSWER_S = 3.0
ENVIRONMENTS = ("uplink.env", "update.env", "panel.env")
SECRETS = (*ENVIRONMENTS, "cloud.env", "device.key")
"""In /etc/tankwatch; nobody but root and the service's own group may read them."""


def findings(host: Host) -> Iterator[Finding]:
    """Everything about the installation itself."""
    try:
        installed = record.read(host)
    except TankwatchError as error:
        yield Finding("install", "fault", str(error))
        return
    if not installed.parts:
        return
    yield release(host, installed)
    for part in installed.here:
        yield user(host, part)
        yield rights(host, part)
        yield service(host, part, trains=installed.packages == WITH_TRAINING)
        yield watchdog(host, part)
    if "cloud" in installed.parts:
        yield cloud(host, installed)
    if host.path(PROVISION).is_dir():
        yield from provisioned(host.path(PROVISION), datetime.now(UTC))


def device_toml(host: Host) -> Path | None:
    """The installed device's configuration; None where no device is installed."""
    try:
        return host.path(EDGE.config_path) if "edge" in record.read(host).parts else None
    except TankwatchError:
        return None


def release(host: Host, installed: Installed) -> Finding:
    """What runs, and what would run if it had to be given up."""
    name = releases.current(host)
    if name is None or not (host.path(RELEASES) / name).exists():
        return Finding("release", "fault", "current names no release", "run 'tankwatch install' again")
    if installed.trial is not None:
        words = f"{name}; an upgrade to {installed.trial.release} was cut off"
        return Finding("release", "warning", words, "run 'tankwatch upgrade'")
    if not (host.path(RELEASES) / name / ".venv").exists():
        cure = f"{RELEASES}/{name}/tankwatch prepare {installed.packages}"
        return Finding("release", "fault", f"{name} has no packages", cure)
    before = installed.previous
    if before is not None and not (host.path(RELEASES) / before).exists():
        return Finding("release", "warning", f"{name}; the one before, {before}, is gone", "keep two releases")
    return Finding("release", "ok", f"{name}; before it {before or 'none'}")


def user(host: Host, part: Part) -> Finding:
    """The services' own user."""
    if host.user_id(part.user) is None:
        cure = f"run 'tankwatch install {part.name}' again"
        return Finding("user", "fault", f"there is no user {part.user}", cure)
    return Finding("user", "ok", part.user)


def rights(host: Host, part: Part) -> Finding:
    """Data are the service's, configuration is root's, secrets are nobody else's."""
    for folder in part.folders:
        fault = _folder_fault(host, folder.path, folder.owner, folder.mode)
        if fault:
            return Finding("rights", "fault", fault, f"run 'tankwatch install {part.name}' again")
    for name in (part.config, *SECRETS):
        path = host.path(f"{CONFIG}/{name}")
        if path.exists() and path.stat().st_mode & stat.S_IRWXO:
            return Finding("rights", "warning", f"{path} can be read by everybody", f"chmod o= {path}")
    return Finding("rights", "ok", f"of {', '.join(folder.path for folder in part.folders)}")


def service(host: Host, part: Part, *, trains: bool) -> Finding:
    """Units are in place and, where systemd runs, at work."""
    name = releases.current(host) or ""
    if not (host.path(RELEASES) / name / "systemd").is_dir():
        return Finding("units", "fault", "the release has none", f"run 'tankwatch install {part.name}' again")
    missing = [one for one in units(host, part, name) if not host.path(f"{UNITS}/{one}").exists()]
    if missing:
        cure = f"run 'tankwatch install {part.name}' again"
        return Finding("units", "fault", f"{', '.join(missing)} is missing in {UNITS}", cure)
    wanted = enabled(host, part, name, trains=trains)
    if not host.runs_systemd:
        return Finding("units", "warning", f"{len(wanted)} in place; systemd does not run here", "boot with systemd")
    idle = [one for one in wanted if upgrade.state(host, one)[0] != "active"]
    if idle:
        return Finding("units", "fault", f"{', '.join(idle)} not active", f"journalctl -u {idle[0]} says why")
    return Finding("units", "ok", f"{len(wanted)} active")


def watchdog(host: Host, part: Part) -> Finding:
    """Services that systemd ends and starts anew when they stand still."""
    paths = [path for path in host.path(UNITS).glob("*.service") if part.owns(path.name)]
    watched = sorted(path.stem for path in paths if "\nWatchdogSec=" in path.read_text())
    if part.name == "edge" and "tankwatch-inspect" not in watched:
        cure = f"run 'tankwatch install {part.name}' again"
        return Finding("watchdog", "fault", "tankwatch-inspect is not watched by systemd", cure)
    return Finding("watchdog", "ok", f"watched: {', '.join(watched) or 'none, each ends when it fails'}")


def cloud(host: Host, installed: Installed) -> Finding:
    """cloud.toml, the database and its tables, as the release itself sees them."""
    part = next(part for part in installed.here if part.name == "cloud")
    try:
        found = upgrade.check(host, part, releases.current(host) or "")
    except (TankwatchError, OSError) as error:
        return Finding("cloud", "fault", str(error), f"mend {part.config_path}, or run this as root")
    return Finding("cloud", "ok", f"{part.config_path}; tables at {found.get('database') or 'none yet'}")


def provisioned(folder: Path, now: datetime) -> Iterator[Finding]:
    """Certificates that `provision` keeps, the list of revoked ones, and whether the authority's key is away."""
    for what, name in (("ca", "ca.crt"), ("broker-cert", "broker/server.crt"), ("cloud-cert", "cloud/cloud.crt")):
        if (folder / name).exists():
            yield certificates.finding(what, folder / name, now, "run 'tankwatch provision' without a station")
    crl = folder / "broker/crl.pem"
    if crl.exists():
        yield certificates.finding("crl", crl, now, "run 'tankwatch provision': a broker refuses all with an old list")
    if (folder / "offline/ca.key").exists():
        words = f"{folder}/offline/ca.key, which can make any station, lies on this machine"
        yield Finding("ca-key", "warning", words, "keep it on a stick in a safe, and name it with --ca-key")


def panel(device: DeviceConfig) -> Finding:
    """The operator's screen answers."""
    host = device.panel.reached_at
    url = f"http://{f'[{host}]' if ':' in host else host}:{device.panel.port}/"
    try:
        urllib.request.urlopen(url, timeout=ANSWER_S).close()
    except urllib.error.HTTPError as error:
        if error.code >= 500:
            return Finding("panel", "fault", f"{url} answers {error.code}", "journalctl -u tankwatch-panel says why")
    except OSError as error:
        return Finding("panel", "warning", f"{url} does not answer ({error})", "systemctl start tankwatch-panel")
    return Finding("panel", "ok", f"{url} answers")


def pin(device: DeviceConfig) -> Finding:
    """Without a PIN nobody can set up, acknowledge or shelve."""
    try:
        is_set = (device.folder / "panel-pin").exists()
    except PermissionError:
        return Finding("pin", "warning", f"{device.folder} cannot be looked into by this user", "run this as root")
    if not is_set:
        return Finding("pin", "warning", "none is set", "tankwatch agent pin --config /etc/tankwatch/device.toml")
    return Finding("pin", "ok", "is set")


def time_zone(device: DeviceConfig) -> Finding:
    """Of the clock on the wall, by which shifts begin."""
    named = device.panel.timezone
    if named is None:
        here = datetime.now().astimezone().tzname()
        return Finding("time-zone", "ok", f"the system's, {here}: shifts begin by it")
    try:
        ZoneInfo(named)
    except (ZoneInfoNotFoundError, ValueError):
        cure = "mend [panel] timezone, such as Europe/Berlin, or install tzdata"
        return Finding("time-zone", "fault", f"{named} is not known here", cure)
    return Finding("time-zone", "ok", f"{named}: shifts begin by it")


def _folder_fault(host: Host, path: str, owner: str | None, mode: int) -> str:
    try:
        found = host.path(path).stat()
    except OSError as error:
        return f"{path}: {error.strerror}"
    wanted = (host.user_id(owner) or (0, 0))[0] if owner else 0
    if found.st_uid != wanted:
        return f"{path} does not belong to {owner or 'root'}"
    if stat.S_IMODE(found.st_mode) & ~mode:
        return f"{path} has rights {stat.S_IMODE(found.st_mode):o}, {mode:o} at most"
    return ""
