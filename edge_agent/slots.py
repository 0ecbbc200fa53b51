"""Which bundle speaks: two places on the device, `a` and `b`, and one small file that names the one in use.

A new bundle goes into the place that is not in use; then the file is replaced in one step, so that at every moment one
whole bundle speaks, and the one before stays for the way back. A third place holds the challenger. The rules of the
file's record are `trial_run`'s; one lock makes reading and replacing it one step for all processes.
"""

import argparse
import fcntl
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from edge_agent import config as device_config
from edge_agent import durable, trial_run, utc
from edge_agent.bundle import Bundle, open_bundle
from edge_agent.config import DeviceConfig
from edge_agent.errors import ConfigError, ModelError
from edge_agent.inspection import shipped_bundle
from edge_agent.trial_run import Place, Speaking

FILE = "tankwatch.bundle"


def champion(device: DeviceConfig) -> Path:
    """Where the bundle lies that speaks. Raises ConfigError."""
    return _path(device, speaking(device).now)


def challenger(device: DeviceConfig) -> Path | None:
    """Where the bundle lies that is heard beside it; None where none is."""
    heard = _heard(device)
    try:
        return heard if heard.stat().st_size else None
    except FileNotFoundError:
        return Path(device.challenger) if device.challenger else None
    except OSError as error:
        raise durable.failure(heard, error) from error


def use(device: DeviceConfig, bundle: Path, verify: Callable[[Bundle], None], *, wish: int | None = None) -> bool:
    """`bundle` speaks from the next case on, on trial; False where it does already.

    `wish`: the counter of the `desired` message that asks for it; None = a person does. Raises ModelError for a bundle
    that does not hold (`verify` runs its nets) or has failed here for this wish, StoreError where it cannot be written.
    """
    opened = open_bundle(bundle)
    refused = trial_run.refusal(speaking(device), opened.sha256, wish)
    if refused:
        raise ModelError(refused)
    verify(opened)
    with _locked(device):
        return _use(device, bundle, opened, wish)


def hear(device: DeviceConfig, bundle: Path | None) -> bool:
    """`bundle` runs beside the champion from the next case on, None = none does; False where it is so already.

    Before the first time device.toml's `challenger` counts. Raises ModelError, StoreError.
    """
    opened = open_bundle(bundle) if bundle else None
    heard = _heard(device)
    if heard.exists() and opened and opened.sha256 == sha256_in(heard):
        return False
    if opened is None and challenger(device) is None:
        return False
    _make_folder(heard.parent)
    # An empty file is the word "none": one replacement, whichever way.
    durable.write(heard, bundle.read_bytes() if bundle else b"")
    return True


def back(device: DeviceConfig, verify: Callable[[Bundle], None]) -> Path:
    """The bundle before speaks again; a second time leads forward again. Raises ConfigError where there is none, and
    ModelError where this version cannot run it."""
    with _locked(device):
        now = speaking(device)
        if now.before is None:
            raise ConfigError(f"no other bundle has spoken on this device: {_path(device, now.now)} stays")
        path = _path(device, now.before)
        opened = open_bundle(path)
        verify(opened)
        _point(device, trial_run.turned_back(now, opened.ref, at=utc.text(time.time())))
    return path


def change(device: DeviceConfig, rule: Callable[[Speaking], Speaking]) -> Speaking:
    """The record after `rule`, which is on the disk by then. Raises ConfigError, StoreError."""
    with _locked(device):
        before = speaking(device)
        after = rule(before)
        if after != before:
            _point(device, after)
        return after


def start(device: DeviceConfig, usual_ms: float | None = None) -> Speaking:
    """Counts a start of the champion before it is loaded, and gives what speaks then."""
    return change(device, lambda record: trial_run.started(record, at=utc.text(time.time()), usual_ms=usual_ms))


def trouble(device: DeviceConfig, sha256: str, words: str) -> Speaking:
    """The bundle has failed while it spoke: on trial the one before speaks from now on."""
    return change(device, lambda record: trial_run.troubled(record, sha256, words, at=utc.text(time.time())))


def speaking(device: DeviceConfig) -> Speaking:
    """The record as it stands. Raises ConfigError, or StoreError where it cannot be read."""
    path = _pointer(device)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Speaking)
    except FileNotFoundError:
        return Speaking()
    except OSError as error:
        raise durable.failure(path, error) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not usable ({error}): remove it to go back to device.toml's bundle") from error


def stamp(device: DeviceConfig) -> tuple[object, ...]:
    """Something that differs whenever another champion or challenger was named; costs two `stat`."""
    return tuple(_stamp(path) for path in (_pointer(device), _heard(device)))


def sha256_in(path: Path) -> str | None:
    """None where no whole bundle lies there: whatever comes is another one."""
    try:
        return open_bundle(path).sha256
    except ModelError:
        return None


def swap(argv: list[str], verify: Callable[[Bundle], None]) -> int:
    """`tankwatch bundle use FILE --config device.toml` and `tankwatch bundle back --config device.toml`"""
    parser = argparse.ArgumentParser("tankwatch bundle", description="Which bundle speaks on this device.")
    commands = parser.add_subparsers(dest="command", required=True)
    words = {"use": "this bundle becomes the champion", "back": "the one before becomes it again"}
    made = {name: commands.add_parser(name, help=text, description=text) for name, text in words.items()}
    made["use"].add_argument("file", type=Path)
    for one in made.values():
        one.add_argument("--config", type=Path, required=True, metavar="FILE", help="device.toml")
    options = parser.parse_args(argv)
    device = device_config.load(options.config)
    if options.command == "use" and not use(device, options.file, verify):
        print(f"{options.file} speaks already", file=sys.stderr)
        return 0
    path = back(device, verify) if options.command == "back" else champion(device)
    ref = open_bundle(path).ref
    print(f"version {ref.version} ({ref.sha256[:12]}) speaks from the next case on: {path}", file=sys.stderr)
    return 0


def _use(device: DeviceConfig, bundle: Path, opened: Bundle, wish: int | None) -> bool:
    now = speaking(device)
    if sha256_in(_path(device, now.now)) == opened.sha256:
        return False
    kept = trial_run.made_way(now)
    if kept != now:
        # Before its place is written anew: whatever happens then, the one that has held speaks.
        _point(device, kept)
    target = _path(device, trial_run.free_place(kept))
    _make_folder(target.parent)
    durable.write(target, bundle.read_bytes())
    if sha256_in(target) != opened.sha256:
        raise ConfigError(f"bundle {bundle} has changed while it was copied: run the command again")
    _point(device, trial_run.installed(kept, opened.ref, at=utc.text(time.time()), wish=wish))
    return True


def _point(device: DeviceConfig, record: Speaking) -> None:
    _make_folder(_pointer(device).parent)
    durable.write(_pointer(device), msgspec.json.encode(record))


@contextmanager
def _locked(device: DeviceConfig) -> Iterator[None]:
    """One process at a time; the lock goes with the process that holds it."""
    path = _pointer(device).with_name("lock")
    _make_folder(path.parent)
    try:
        file = open(path, "a")  # noqa: SIM115 - closed below, as its last act
    except OSError as error:
        raise durable.failure(path, error) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _pointer(device: DeviceConfig) -> Path:
    return device.folder / "bundles" / "champion"


def _heard(device: DeviceConfig) -> Path:
    return device.folder / "bundles" / "challenger" / FILE


def _path(device: DeviceConfig, place: Place) -> Path:
    if place == "config":
        return Path(device.bundle) if device.bundle else shipped_bundle()
    return device.folder / "bundles" / place / FILE


def _stamp(path: Path) -> object:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        durable.sync_folder(folder.parent)
    except OSError as error:
        raise durable.failure(folder, error) from error
