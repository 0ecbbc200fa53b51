"""`doctor`: this machine and its device.toml -> one Finding a matter, each with how to mend it.

It looks and changes nothing. A finding is `ok`, `warning` (works, but someone should look) or `fault`.
"""

import argparse
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path

import msgspec
import paho.mqtt.client as mqtt

from edge_agent import certificates, codes, config, doctor_installed, doctor_tls, signs_of_life, station
from edge_agent import clock as clocks
from edge_agent.bundle import open_bundle
from edge_agent.camera import open_camera
from edge_agent.capture import is_live, without_password
from edge_agent.config import DeviceConfig
from edge_agent.errors import TankwatchError
from edge_agent.finding import Finding
from edge_agent.install_host import Host, environment_file
from edge_agent.repository import Repository

PACKAGES = ("numpy", "opencv-python-headless", "onnxruntime", "zxing-cpp", "pyzbar", "paho-mqtt", "msgspec")
ONNXRUNTIME_FROM = (1, 24, 1)
"""Older ones hand out files outside the model's folder to a crafted model."""
PATIENCE_S = 10.0
RENEWAL = "'tankwatch provision STATION' makes a new one while the old one holds"
EXPIRY_WARNING_DAYS = 30
FREE_WARNING_MB = 1024
TIMESYNC = Path("/run/systemd/timesync")

Look = Callable[[], Finding]


def doctor(argv: list[str]) -> int:
    """The command. Ends with 1 where there is a fault."""
    parser = argparse.ArgumentParser(prog="tankwatch doctor", description="What is installed and reachable.")
    parser.add_argument("--config", type=Path, help="the device's device.toml")
    parser.add_argument("--source", help="a camera or recording to look at instead of the config's")
    parser.add_argument("--json", action="store_true", help="one JSON object a finding")
    options = parser.parse_args(argv)
    findings = []
    for finding in examine(options.config, options.source):
        findings.append(finding)
        print(msgspec.json.encode(finding).decode() if options.json else line(finding), flush=True)
    faults = sum(finding.status == "fault" for finding in findings)
    print(f"{len(findings)} things looked at, {faults} at fault", file=sys.stderr)
    return 1 if faults else 0


def line(finding: Finding) -> str:
    """A finding as a person reads it."""
    cure = f": {finding.cure}" if finding.cure else ""
    return f"{finding.status:8} {finding.what:12} {finding.words}{cure}"


def examine(config_path: Path | None, source: str | None) -> Iterator[Finding]:
    """All findings, one after another; those that need a device.toml only where one is named."""
    yield python()
    yield from packages()
    yield zbar()
    yield clock(datetime.now(UTC), clocks.software_from())
    device = None
    machine = Host(Path("/"), lambda _words: None)
    config_path = config_path or doctor_installed.device_toml(machine)
    if config_path is not None:
        try:
            device = config.load(config_path)
            yield Finding("config", "ok", str(config_path))
        except TankwatchError as error:
            yield Finding("config", "fault", str(error))
        _take_secrets(config_path.parent)
    yield disk(device.folder if device else Path.cwd(), device.keep_free_mb if device else FREE_WARNING_MB)
    source = source or (device.camera if device else None)
    if source:
        yield (held_camera(device, source) if device else None) or _asked("camera", lambda: camera(source))
    if device:
        yield _asked("station", lambda: profile(device))
        yield _asked("bundle", lambda: bundle(device))
        yield from keys(device)
        yield _asked("broker", lambda: broker(device))
        yield from updates(device)
        yield doctor_installed.panel(device)
        yield doctor_installed.pin(device)
        yield doctor_installed.time_zone(device)
    yield from doctor_installed.findings(machine)


def python() -> Finding:
    """The interpreter."""
    return Finding("python", "ok", sys.version.split()[0])


def packages() -> Iterator[Finding]:
    """Versions of what the device runs on, and the two combinations known to be harmful."""
    for name in PACKAGES:
        found = _version(name)
        if found is None:
            yield Finding(name, "fault", "is not installed", "remove .venv, the next ./tankwatch makes it anew")
        elif name == "onnxruntime" and _numbers(found) < ONNXRUNTIME_FROM:
            yield Finding(name, "fault", f"{found} lets a crafted model read files", "install 1.24.1 or later")
        else:
            yield Finding(name, "ok", found)
    if _version("opencv-python") and _version("opencv-python-headless"):
        cure = "uninstall both, then install opencv-python-headless again"
        yield Finding("opencv", "fault", "opencv-python and opencv-python-headless overwrite each other", cure)


def zbar() -> Finding:
    """The second QR reader's system library."""
    fault = codes.pyzbar_fault()
    return Finding("zbar", "warning", fault) if fault else Finding("zbar", "ok", "both QR readers work")


def clock(now: datetime, software_from: datetime) -> Finding:
    """A clock before the software's own date is wrong; one that nobody keeps right soon will be."""
    if now < software_from:
        words = f"says {now:%Y-%m-%d %H:%M} UTC, but this software is from {software_from:%Y-%m-%d}"
        return Finding("clock", "fault", words, "set it, or let systemd-timesyncd or chrony do so")
    if TIMESYNC.is_dir() and not (TIMESYNC / "synchronized").exists():
        return Finding(
            "clock", "warning", "is not synchronised", "give systemd-timesyncd a time server that it reaches"
        )
    return Finding("clock", "ok", f"{now:%Y-%m-%d %H:%M:%S} UTC")


def disk(folder: Path, wanted_mb: int) -> Finding:
    """Room for the outbox and the clips."""
    standing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free_mb = shutil.disk_usage(standing).free // 2**20
    words = f"{free_mb} MB free at {standing}"
    if not os.access(standing, os.W_OK):
        return Finding(
            "disk", "fault", f"{standing} cannot be written by this user", "give it to the user of the service"
        )
    if free_mb < wanted_mb:
        return Finding("disk", "warning", f"{words}, wanted {wanted_mb} MB", "make room or lower keep_free_mb")
    return Finding("disk", "ok", words)


def camera(source: str) -> Finding:
    """Three frames of the source."""
    if source.startswith("twin:"):
        return Finding("camera", "ok", f"{source} is simulated, there is nothing to open")
    name = without_password(source)
    opened = open_camera(source, patience_s=0.8 * PATIENCE_S)
    try:
        frames = list(islice(opened.frames(), 3))
    finally:
        opened.close()
    if not frames:
        return Finding("camera", "fault", f"{name} gives no picture", "look at its cable, power and address")
    height, width = frames[-1].image.shape[:2]
    return Finding("camera", "ok", f"{name} gives {width}x{height} pictures")


def held_camera(device: DeviceConfig, source: str) -> Finding | None:
    """By the inspection that holds it, whose pictures a second reader would take away; None where none does."""
    now = signs_of_life.look(device).live
    if now is None or source != device.camera or not is_live(source):
        return None
    name, seen = without_password(source), now.input
    told = {alarm.id: alarm.text for alarm in (*now.alarms, *now.alarms_aside) if alarm.holds}
    if trouble := seen.camera_fault or ("" if seen.camera == "ok" else seen.camera):
        words = told.get("camera") or told.get("picture") or f"it gives no sound pictures ({trouble})"
        return Finding("camera", "fault", f"{name}, as the inspection sees it: {words}")
    rate = "" if seen.fps is None else f", {seen.fps:.0f} pictures a second"
    size = "{}x{} ".format(*now.aim.frame_size_px) if now.aim else ""
    return Finding("camera", "ok", f"{name} gives {size}pictures to the inspection, which holds it{rate}")


def profile(device: DeviceConfig) -> Finding:
    """The station's calibration."""
    loaded, _ = station.load(Path(device.station))
    return Finding("station", "ok", f"{loaded.station}, {len(loaded.markers)} markers, {len(loaded.lamps)} lamps")


def bundle(device: DeviceConfig) -> Finding:
    """The champion, through the same checks as when it runs."""
    if device.bundle is None:
        return Finding("bundle", "ok", "the shipped one")
    opened = open_bundle(device.bundle)
    return Finding("bundle", "ok", f"{opened.manifest.name}, version {opened.manifest.version}")


def keys(device: DeviceConfig) -> Iterator[Finding]:
    """Certificates and their expiry, the private key's rights."""
    for what, path in (("ca", device.broker.ca), ("certificate", device.broker.cert)):
        if path:
            yield certificates.finding(what, Path(path), datetime.now(UTC), RENEWAL)
    if device.broker.key:
        yield _asked("key", lambda: _key(Path(device.broker.key or "")))


def broker(device: DeviceConfig) -> Finding:
    """Connects as the uplink does, under another client id so that it is not thrown off."""
    wanted = device.broker
    if wanted.cert:
        return doctor_tls.handshake(wanted, PATIENCE_S / 2)
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=f"tankwatch-doctor-{os.getpid()}")
    if wanted.username:
        client.username_pw_set(wanted.username, config.secret(wanted.password_env))
    if wanted.ca:
        client.tls_set(wanted.ca)
    answers: list[mqtt.ReasonCode] = []
    client.on_connect = lambda _client, _data, _flags, code, _properties: answers.append(code)
    client.connect_timeout = PATIENCE_S / 2
    client.connect(wanted.host, wanted.port)
    until = time.monotonic() + PATIENCE_S / 2
    while not answers and time.monotonic() < until:
        client.loop(timeout=0.1)
    client.disconnect()
    place = f"{wanted.host}:{wanted.port}"
    if not answers:
        return Finding("broker", "fault", f"{place} takes the connection but does not answer", "is it an MQTT broker?")
    if answers[0].is_failure:
        cure = "look at username, password_env and the broker's access list"
        return Finding("broker", "fault", f"{place} refuses: {answers[0]}", cure)
    return Finding("broker", "ok", f"{place} answers")


def updates(device: DeviceConfig) -> Iterator[Finding]:
    """The signed repository as `agent update` would see it now, and when its root ends; nothing of it is kept."""
    if device.updates.url is None:
        yield Finding("updates", "ok", "none: [updates] names no repository")
        return
    yield _asked("updates", lambda: repository(device, datetime.now(UTC)))


def repository(device: DeviceConfig, now: datetime) -> Finding:
    """Through every check, in a copy of what this device has trusted. Raises Refused, ConfigError."""
    trusted = device.folder / "updates" / "metadata"
    with tempfile.TemporaryDirectory() as folder:
        if trusted.is_dir():
            shutil.copytree(trusted, Path(folder) / "metadata", symlinks=True)
        quick = msgspec.structs.replace(device.updates, patience_s=min(device.updates.patience_s, PATIENCE_S / 2))
        looked = Repository(quick, Path(folder), lambda: now)
        looked.look([])
        ends = looked.ends()
    words = f"{device.updates.url}, signed at {looked.signed:%Y-%m-%d %H:%M} UTC" if looked.signed else "signed"
    words += "".join(f"; {role} ends {end:%Y-%m-%d}" for role, end in ends.items())
    if looked.notes:
        return Finding("updates", "warning", looked.notes[0], "another address served: mend that one")
    if ends["root"] - now < timedelta(days=EXPIRY_WARNING_DAYS):
        return Finding("updates", "warning", words, "let the cloud run 'cloud updates rotate root'")
    return Finding("updates", "ok", words)


def _take_secrets(folder: Path) -> None:
    """Those that systemd gives the services, where whoever asks may read them."""
    for name in doctor_installed.ENVIRONMENTS:
        for variable, value in environment_file(folder / name).items():
            os.environ.setdefault(variable, value)


def _key(path: Path) -> Finding:
    path.read_bytes()
    # root owns it and the service's group reads it.
    if path.stat().st_mode & 0o027:
        return Finding("key", "warning", f"{path} can be read by others", f"chmod 640 {path}")
    return Finding("key", "ok", f"{path} is readable by its owner and its group alone")


def _asked(what: str, look: Look) -> Finding:
    """The look's finding; what hinders it is the finding otherwise, and so is no answer (a dead camera may hang)."""
    found: list[Finding] = []

    def ask() -> None:
        try:
            found.append(look())
        except TankwatchError as error:
            found.append(Finding(what, "fault", str(error)))
        except (OSError, ValueError) as error:
            found.append(Finding(what, "fault", f"{error}", "look at its address, its file and its rights"))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PATIENCE_S)
    return (
        found[0] if found else Finding(what, "fault", f"no answer in {PATIENCE_S:.0f} s", "look at its cable and power")
    )


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _numbers(found: str) -> tuple[int, ...]:
    return tuple(int(part) for part in found.split(".")[:3] if part.isdigit())
