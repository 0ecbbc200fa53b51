"""`release edge check|alive`: a release and this machine's files -> whether it can run here, and whether it does.

`upgrade` asks it of a new release before it becomes current, and again while it is watched.
"""

import argparse
import importlib
import json
import time
from pathlib import Path

from edge_agent import config, station
from edge_agent.bundle import open_bundle
from edge_agent.config import DeviceConfig
from edge_agent.errors import StoreError
from edge_agent.inspection import shipped_bundle
from edge_agent.sound import verify

PROCESSES = ("edge_agent.agent", "edge_agent.uplink", "edge_agent.update", "edge_agent.panel")
STALE_S = 10.0
"""The inspection says how it is four times a second."""


def release(argv: list[str]) -> int:
    """The command."""
    parser = argparse.ArgumentParser("tankwatch release edge", description="Can this release run here, and does it?")
    parser.add_argument("action", choices=["check", "alive"])
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="device.toml")
    options = parser.parse_args(argv)
    device = config.load(options.config) if options.config.exists() else None
    if options.action == "alive":
        alive(device, time.time())
    else:
        check(device)
        print(json.dumps({}))
    return 0


def check(device: DeviceConfig | None) -> None:
    """Processes can be imported, bundles judge their golden cases, the profile can be read. Raises TankwatchError."""
    for name in PROCESSES:
        importlib.import_module(name)
    verify(open_bundle(shipped_bundle()))
    if device is None:
        return
    if device.bundle is not None:
        open_bundle(device.bundle)
    if Path(device.station).exists():
        station.load(Path(device.station))


def alive(device: DeviceConfig | None, now: float) -> None:
    """The inspection said something of itself lately. Raises StoreError where it did not."""
    if device is None:
        return
    try:
        age_s = now - device.state_path.stat().st_mtime
    except OSError as error:
        raise StoreError(f"{device.state_path} is not there: the inspection has said nothing of itself") from error
    if age_s > STALE_S:
        raise StoreError(f"the inspection said something of itself {age_s:.0f} s ago, limit {STALE_S:.0f} s")
