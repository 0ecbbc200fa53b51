"""A whole station whose clock is set in the middle of immersions -> its cases, and what the cloud holds of them.

The twin's immersions, each frame stamped with UTC as a camera's is. Where libfaketime is installed, agent
and uplink live by the clock that it fakes for them; where it is not, only the frames' times are handed in.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import msgspec
import sqlalchemy as sa

from benchmarks.drill_swap import make_device
from benchmarks.installation import quietly
from calibration.scene import draw_scene, draw_station
from calibration.twin import Twin
from cloud_sync import config as cloud_config
from cloud_sync import db, ingest
from cloud_sync.broker import EmbeddedBroker
from cloud_sync.config import CloudConfig
from cloud_sync.tables import cases
from edge_agent import agent, uplink, wire
from edge_agent import config as device_config
from edge_agent.config import DeviceConfig
from edge_agent.inspection import shipped_bundle
from edge_agent.records import Case, Frame
from edge_agent.spool import Spool

FPS = 20.0
HOLD_S = 7.0
SETTLE_S = 60.0
"""Longer than two re-sends: what the cloud lacks then is lost."""
LIBRARIES = ("/usr/lib", "/usr/local/lib", "/usr/lib64")
OFFSET = "clock"
"""File whose words libfaketime reads at each look at the time."""
DAY_S = 1_796_000_000.0
"""Where no time is faked."""
TREE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Result:
    """`by_station`: the cases that it keeps; `by_cloud`: payloads by case id; `crashed`: words of what ended badly."""

    by_station: list[Case]
    by_cloud: dict[str, bytes]
    unchanged: bool
    """The cloud has the very bytes."""
    waiting: int
    crashed: list[str]


def library() -> Path | None:
    """libfaketime for programs with threads; None where it is not installed."""
    found = [path for root in LIBRARIES for path in Path(root).glob("**/libfaketimeMT.so.1")]
    return found[0] if found else None


@dataclass
class JumpingCamera:
    """An immersion for each entry of `jumps`: seconds by which UTC is off from its middle on."""

    jumps: tuple[float, ...]
    seed: int
    utc: Callable[[], float]
    set_clock: Callable[[float], None]
    live: bool = False
    frame_count: int | None = None

    def frames(self) -> Iterator[Frame]:
        look, coming = draw_station(self.seed, "demo"), list(self.jumps)
        drawn = draw_scene(self.seed, look, "demo", leaky=True)
        scene = replace(drawn, hands=(), hold_s=HOLD_S, decision="leak", left_in=False, dips=())
        lasts_s = scene.gap_s + scene.lower_s + scene.hold_s + scene.raise_s
        twin = Twin(look, [scene] * len(self.jumps), fps=FPS, seed=self.seed, colour=True)
        for frame, _ in twin.frames():
            if coming and frame.monotonic_s >= (len(self.jumps) - len(coming) + 0.5) * lasts_s:
                self.set_clock(coming.pop(0))
            yield Frame(frame.image, frame.sequence, frame.monotonic_s, self.utc())

    def close(self) -> None: ...


def inspected(folder: Path, jumps: tuple[float, ...], *, faked: bool, seed: int) -> None:
    """Inspects in this process; with `faked` the clock is set by the file that libfaketime reads."""
    cv2.setNumThreads(1)
    device = device_config.load(folder / "device.toml")
    off_s = [0.0]

    def set_clock(by_s: float) -> None:
        off_s[0] = by_s
        if faked:
            _set(folder.parent / OFFSET, by_s)

    handed_s = time.monotonic()
    utc = time.time if faked else lambda: DAY_S + time.monotonic() - handed_s + off_s[0]
    camera = JumpingCamera(jumps, seed, utc, set_clock)
    agent.inspect_device(device, lambda: False, openers={"tape:": lambda _: camera})


def run(folder: Path, jumps: tuple[float, ...], *, seed: int, faketime: Path | None) -> tuple[list[Case], Result]:
    """The same immersions with a clock that nobody sets, and with one that jumps: cases of the first, all of the other.

    `jumps`: see JumpingCamera.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        broker = stack.enter_context(EmbeddedBroker(0, folder / "broker"))
        steady, jumping = (_device(folder / name, seed, broker.port) for name in ("steady", "jumping"))
        _set(folder / OFFSET, 0.0)
        cloud = stack.enter_context(_cloud(folder / "cloud", broker.port))
        sending = _start("send", folder / "jumping", jumps, seed, faketime)
        stack.callback(_end, sending)
        inspecting = [
            _start("inspect", folder / "steady", tuple(0.0 for _ in jumps), seed, None),
            _start("inspect", folder / "jumping", jumps, seed, faketime),
        ]
        crashed = [_words(process, folder) for process in inspecting if process.wait() != 0]
        kept = _kept(jumping)
        held = _settled(cloud, kept, jumping)
        if sending.poll() is not None:
            crashed.append(_words(sending, folder))
        _end(sending)
        payloads = {case.case_id: (jumping.spool_path / f"{case.case_id}.json").read_bytes() for case in kept}
        unchanged = all(held.get(id) == payload for id, payload in payloads.items())
        return _kept(steady), Result(kept, held, unchanged, _waiting(jumping), crashed)


def _device(folder: Path, seed: int, port: int) -> DeviceConfig:
    device = make_device(folder, seed, shipped_bundle(), "tape:")
    device = msgspec.structs.replace(device, broker=device_config.BrokerConfig(port=port))
    (folder / "device.toml").write_bytes(device_config.dump(device))
    return device


@contextmanager
def _cloud(folder: Path, port: int) -> Iterator[sa.Engine]:
    """Ingest in a thread, by the true time."""
    cloud = CloudConfig(data_dir=str(folder), broker=cloud_config.BrokerConfig(port=port))
    engine, stop = db.open_database(cloud), threading.Event()
    thread = threading.Thread(target=ingest.run, args=(cloud, stop), name="ingest")
    thread.start()
    try:
        yield engine
    finally:
        stop.set()
        thread.join()
        engine.dispose()


def _start(what: str, folder: Path, jumps: tuple[float, ...], seed: int, faketime: Path | None) -> subprocess.Popen:
    """This module as a process of its own; libfaketime has to be there from its first instruction on."""
    environment = os.environ | {"PYTHONPATH": str(TREE), "OMP_NUM_THREADS": "1"}
    if faketime:
        environment |= {
            "LD_PRELOAD": str(faketime),
            "FAKETIME_TIMESTAMP_FILE": str(folder.parent / OFFSET),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }
    words = [what, str(folder), str(int(faketime is not None)), str(seed), *map(str, jumps)]
    with open(folder / f"{what}.log", "ab") as log:
        return subprocess.Popen([sys.executable, "-m", __spec__.name, *words], stdout=log, stderr=log, env=environment)


def _set(path: Path, by_s: float) -> None:
    """In one step: the other process never reads half a number."""
    new = path.with_suffix(".new")
    new.write_text(f"{by_s:+.3f}")
    new.replace(path)


def _end(process: subprocess.Popen) -> None:
    process.terminate()
    process.wait()


def _words(process: subprocess.Popen, folder: Path) -> str:
    lines = [line for path in folder.glob("*/*.log") for line in path.read_text().splitlines() if "Error" in line]
    return f"status {process.returncode}: {lines[-1] if lines else 'no words'}"


def _kept(device: DeviceConfig) -> list[Case]:
    """In the order of their sequence."""
    spool = Spool(device.spool_path)
    found = [wire.decode((device.spool_path / f"{id}.json").read_bytes(), Case) for id in spool.case_ids()]
    return sorted(found, key=lambda case: case.sequence)


def _settled(engine: sa.Engine, kept: list[Case], device: DeviceConfig) -> dict[str, bytes]:
    """What the cloud holds once it has every case and the device a receipt for each, or when time is up."""
    until_s = time.monotonic() + SETTLE_S
    while True:
        with engine.connect() as connection:
            held = {row.case_id: row.payload for row in connection.execute(sa.select(cases))}
        if (len(held) >= len(kept) and not _waiting(device)) or time.monotonic() > until_s:
            return held
        time.sleep(0.1)


def _waiting(device: DeviceConfig) -> int:
    """Cases that no receipt has come for."""
    with sa.create_engine(f"sqlite:///{device.outbox_path}").connect() as rows:
        return rows.execute(sa.text("SELECT count(*) FROM cases WHERE receipted_at IS NULL")).scalar_one()


def main(words: list[str]) -> None:
    """One of the drill's processes: `inspect` or `send`, its folder, whether time is faked, seed, jumps."""
    what, folder, faked, seed, *jumps = words
    if what == "inspect":
        inspected(Path(folder), tuple(map(float, jumps)), faked=faked == "1", seed=int(seed))
    else:
        quietly(
            Path(folder) / "uplink.log", uplink.run, device_config.load(Path(folder) / "device.toml"), lambda: False
        )


if __name__ == "__main__":
    main(sys.argv[1:])
