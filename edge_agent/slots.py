"""Which bundle speaks: two places on the device, `a` and `b`, and one small file that names the one in use.

A new bundle goes into the place that is not in use; then the file is replaced in one step, so that at every moment one
whole bundle speaks, and the one before stays for the way back. The agent takes its champion when it starts.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from edge_agent import config as device_config
from edge_agent import durable
from edge_agent.bundle import Bundle, open_bundle
from edge_agent.config import DeviceConfig
from edge_agent.errors import ConfigError
from edge_agent.inspection import shipped_bundle

Place = Literal["config", "a", "b"]
"""`config`: what device.toml names, or the shipped one."""
FILE = "tankwatch.bundle"


class Speaking(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file `bundles/champion`."""

    now: Place = "config"
    before: Place | None = None


def champion(device: DeviceConfig) -> Path:
    """Where the bundle lies that speaks. Raises ConfigError."""
    return _path(device, _speaking(device).now)


def use(device: DeviceConfig, bundle: Path, verify: Callable[[Bundle], None]) -> bool:
    """`bundle` speaks from the agent's next start on; False where it does already.

    Raises ModelError for a bundle that does not hold (`verify` runs its nets), StoreError where it cannot be written.
    """
    opened = open_bundle(bundle)
    verify(opened)
    speaking = _speaking(device)
    if _sha256(_path(device, speaking.now)) == opened.sha256:
        return False
    place: Place = "b" if speaking.now == "a" else "a"
    target = _path(device, place)
    _make_folder(target.parent)
    durable.write(target, bundle.read_bytes())
    if _sha256(target) != opened.sha256:
        raise ConfigError(f"bundle {bundle} has changed while it was copied: run the command again")
    _point(device, Speaking(place, speaking.now))
    return True


def back(device: DeviceConfig, verify: Callable[[Bundle], None]) -> Path:
    """The bundle before speaks again; a second time leads forward again. Raises ConfigError where there is none, and
    ModelError where this version cannot run it."""
    speaking = _speaking(device)
    if speaking.before is None:
        raise ConfigError(f"no other bundle has spoken on this device: {_path(device, speaking.now)} stays")
    path = _path(device, speaking.before)
    verify(open_bundle(path))
    _point(device, Speaking(speaking.before, speaking.now))
    return path


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
    print(f"version {ref.version} ({ref.sha256[:12]}) speaks from the agent's next start on: {path}", file=sys.stderr)
    return 0


def _speaking(device: DeviceConfig) -> Speaking:
    path = _pointer(device)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Speaking)
    except FileNotFoundError:
        return Speaking()
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not usable ({error}): remove it to go back to device.toml's bundle") from error


def _point(device: DeviceConfig, speaking: Speaking) -> None:
    _make_folder(_pointer(device).parent)
    durable.write(_pointer(device), msgspec.json.encode(speaking))


def _pointer(device: DeviceConfig) -> Path:
    return device.folder / "bundles" / "champion"


def _path(device: DeviceConfig, place: Place) -> Path:
    if place == "config":
        return Path(device.bundle) if device.bundle else shipped_bundle()
    return device.folder / "bundles" / place / FILE


def _sha256(path: Path) -> str:
    return open_bundle(path).sha256


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        durable.sync_folder(folder.parent)
    except OSError as error:
        raise durable.failure(folder, error) from error
