"""A hostile bundle put before a real agent and its supervisor -> how long until the one before was back."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.hostile_bundles import hostile
from edge_agent import slots, state
from edge_agent.bundle import open_bundle
from edge_agent.config import DeviceConfig

FRONT_DOOR = Path(__file__).resolve().parent.parent / "tankwatch.py"
RESTART_S = 0.5
"""The unit file waits 2 s."""
WATCH_S = 0.1


class Supervised:
    """`agent inspect`, or another of the agent's processes, that is started again whenever it ends."""

    def __init__(self, config: Path, name: str = "inspect") -> None:
        self._command = [sys.executable, str(FRONT_DOOR), "agent", name, "--config", str(config)]
        self._log = open(config.with_name(f"{name}.log"), "ab")  # noqa: SIM115 - closed in `stop`
        self.starts = 0
        self._start()

    def keep_alive(self) -> None:
        """Starts it again where it has ended."""
        if self._process.poll() is not None:
            time.sleep(RESTART_S)
            self._start()

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()

    def _start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=self._log, stderr=self._log)
        self.starts += 1


def returns(kind: str, device: DeviceConfig, folder: Path, *, within_s: float) -> dict:
    """Puts a hostile bundle of `kind` in the place of the champion that inspects. `folder`: of device.toml."""
    sound = open_bundle(slots.champion(device))
    hostile(kind, sound, folder / "hostile.bundle")
    with _supervised(folder / "device.toml") as agent:
        # As in a hall: the one before has judged a unit, so what it costs is known.
        _wait(agent, lambda: inspects(device, sound.sha256) and any(device.spool_path.glob("*.json")), within_s)
        slots.use(device, folder / "hostile.bundle", lambda _: None)
        began_s = time.monotonic()
        back = _wait(agent, lambda: slots.speaking(device).failed and inspects(device, sound.sha256), within_s)
        seconds = round(time.monotonic() - began_s, 1)
    failed = slots.speaking(device).failed
    return {
        "returned": back,
        "seconds": seconds,
        "starts": agent.starts,
        "words": failed.words if failed else "",
    }


@contextmanager
def _supervised(config: Path) -> Iterator[Supervised]:
    agent = Supervised(config)
    try:
        yield agent
    finally:
        agent.stop()


def _wait(agent: Supervised, is_so, within_s: float) -> bool:
    until_s = time.monotonic() + within_s
    while time.monotonic() < until_s:
        agent.keep_alive()
        if is_so():
            return True
        time.sleep(WATCH_S)
    return False


def inspects(device: DeviceConfig, sha256: str) -> bool:
    """A process that is alive has said within the last second that this bundle speaks."""
    found = state.read(device.state_path)
    if found is None or found.bundle is None or not found.input.frames:
        return False
    return found.bundle.sha256 == sha256 and time.time() - device.state_path.stat().st_mtime < 1.0
