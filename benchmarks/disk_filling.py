"""A whole station whose disk of a few megabytes fills up, is taken by something else, and is given back -> figures.

Run by `drill diskfull` where the folder `small` is such a disk. `agent inspect` with the twin's camera, `agent uplink`,
a broker and `cloud ingest` are the real programs; what they say of themselves is read, and the clips are watched go.
"""

import json
import sqlite3
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from benchmarks import ledger, small_disk
from benchmarks.installation import make_configs, until
from benchmarks.programs import PATIENCE_S, Programs
from calibration.scene import draw_station
from calibration.twin import profile_of
from cloud_sync import config as cloud_config
from cloud_sync import db
from cloud_sync.broker import EmbeddedBroker
from cloud_sync.config import CloudConfig
from cloud_sync.store import open_store
from edge_agent import config as device_config
from edge_agent import state, station
from edge_agent.config import AuditConfig, DeviceConfig
from edge_agent.spool import Spool

KEEP_FREE_MB = 36
SIZE_PX = (400, 300)
"""Of the camera: a unit costs half of what it costs at 640x480."""
HELD_CLIPS = 2
AUDIT = 2
RANK_WORDS = ("held agreement", "held", "agreement", "other")
RANKS = """SELECT sha256, CASE WHEN receipted_at IS NULL THEN 2 ELSE 0 END + (urgency < 4) FROM clips"""
"""Rank in which a clip goes: the cloud has it or not, an agreement or not."""


@dataclass
class Clips:
    """The spool's clips, looked at again and again; `disorder` counts those that went before one that should have."""

    device: DeviceConfig
    here: dict[str, int] = field(default_factory=dict)
    gone: list[int] = field(default_factory=list)
    disorder: int = 0

    def look(self) -> None:
        """A clip of lower rank that was there before and still is should have gone first."""
        present = set(Spool(self.device.spool_path).clip_hashes())
        went = {sha256: rank for sha256, rank in self.here.items() if sha256 not in present}
        stayed = [rank for sha256, rank in self.here.items() if sha256 in present]
        self.gone += sorted(went.values())
        self.disorder += sum(rank > min(stayed, default=9) for rank in went.values())
        ranks = self._ranks()
        self.here = {sha256: ranks[sha256] for sha256 in present if sha256 in ranks}

    def _ranks(self) -> dict[str, int]:
        try:
            with sqlite3.connect(f"file:{self.device.outbox_path}?mode=ro", uri=True, timeout=1) as rows:
                return dict(rows.execute(RANKS).fetchall())
        except sqlite3.OperationalError:
            return self.here


@dataclass
class Station:
    """The programs, and what they say."""

    programs: Programs
    device: DeviceConfig
    cloud: CloudConfig
    folder: Path

    def __post_init__(self) -> None:
        self.clips = Clips(self.device)

    def start(self, package: str, word: str) -> None:
        self.programs.start(word, package, word, self.folder / ("device.toml" if package == "agent" else "cloud.toml"))

    def alarms(self) -> dict[str, str]:
        """Those that hold, by id, with their words."""
        told = state.read(self.device.state_path), state.read_uplink(self.device.uplink_path)
        return {alarm.id: alarm.text for one in told if one for alarm in one.alarms}

    def decided(self) -> str:
        """The unit that was decided last, whether its record is kept or not."""
        told = state.read(self.device.state_path)
        return told.last_case.case_id if told and told.last_case else ""

    def said(self) -> set[str]:
        lines = self.programs.said("inspect").splitlines()
        return {line.split()[0].removeprefix("case=") for line in lines if line.startswith("case=")}

    def wait(self, what: str, true: Callable[[], bool]) -> None:
        """The clips are looked at meanwhile."""

        def looked() -> bool:
            self.clips.look()
            return true()

        self.programs.wait(what, looked)


class Taker:
    """Something else that takes what is free, again and again, until it is told to give it back."""

    def __init__(self, place: Path) -> None:
        self._place, self._end = place, threading.Event()
        self._thread = threading.Thread(target=self._take, daemon=True)

    def __enter__(self) -> "Taker":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        (self._place / small_disk.BALLAST).unlink()

    def _take(self) -> None:
        while not self._end.wait(0.01):
            small_disk.fill(self._place)


def main(argv: list[str]) -> int:
    """FOLDER and what is asked, as JSON; prints the figures."""
    folder, asked = Path(argv[0]), json.loads(argv[1])
    with EmbeddedBroker(0, folder / "broker") as broker, Programs(folder) as programs:
        one = Station(programs, *_configs(folder, broker.port, asked["seed"]), folder)
        db.open_database(one.cloud).dispose()
        for package, word in (("cloud", "ingest"), ("agent", "uplink"), ("agent", "inspect")):
            one.start(package, word)
        found = _fills(one) | _taken(one, folder / small_disk.PLACE, asked["decided"])
        found |= _settled(one)
    print(json.dumps(found | {"broker": broker.name}))
    return 0


def _fills(one: Station) -> dict:
    """With clips alone: room is made of what the cloud holds, then of audits that it does not hold."""
    one.wait("clips that the cloud holds", lambda: sum(rank < 2 for rank in one.clips.here.values()) >= HELD_CLIPS)
    one.programs.stop("ingest")
    one.wait("room made of what the cloud holds", lambda: any(rank < 2 for rank in one.clips.gone))
    one.wait("room made of audits", lambda: AUDIT in one.clips.gone)
    return {"refused_by_clips": int("disk" in one.alarms())}


def _taken(one: Station, place: Path, units: int) -> dict:
    """Something else takes the whole disk, and gives it back once so many units were decided without it."""
    decided: list[str] = []

    def goes_on() -> bool:
        if one.decided() not in decided:
            decided.append(one.decided())
        return len(decided) > units

    with Taker(place):
        one.wait("the alarm disk", lambda: "disk" in one.alarms())
        words = one.alarms()
        one.wait("verdicts without a disk", goes_on)
        words |= one.alarms()
    back_s = time.monotonic()
    one.wait("the records of these", lambda: "disk" not in one.alarms() and set(decided) <= one.said())
    recovered_s = time.monotonic() - back_s
    one.wait("a clip again", lambda: "clips" not in one.alarms() and len(one.clips.here) > 0)
    return {
        "decided_without_disk": len(decided) - 1,
        "recovered_s": round(recovered_s, 2),
        "clip_again_s": round(time.monotonic() - back_s, 2),
        "alarms": {id: words[id] for id in ("disk", "clips", "disk-space") if id in words},
        "gone": dict(Counter(RANK_WORDS[rank] for rank in one.clips.gone)),
        "disorder": one.clips.disorder,
    }


def _settled(one: Station) -> dict:
    """The cloud is there again: what it holds in the end against what the station has said."""
    one.programs.stop("inspect")
    one.start("cloud", "ingest")
    engine, store, spool = db.open_database(one.cloud), open_store(one.cloud), Spool(one.device.spool_path)
    spoken, said = ledger.said_in(spool), one.said()
    wanted = {case.clip_sha256 for case in spoken.values() if case.clip_sha256 and case.needs_eye}
    here = wanted & set(spool.clip_hashes())

    def found() -> dict:
        compared = ledger.compare(engine, spoken, journal=said, store=store)
        return compared | {"clips_lost": sum(not ledger.is_whole(store, sha256) for sha256 in here)}

    until(lambda: ledger.is_clean(found()), PATIENCE_S, 0.5)
    last = found()
    engine.dispose()
    return last | {
        "clips_given_up": len(wanted) - len(here) - sum(ledger.is_whole(store, one) for one in wanted - here)
    }


def _configs(folder: Path, port: int, seed: int) -> tuple[DeviceConfig, CloudConfig]:
    """The device's data on the small disk; what it says of itself in memory, as an installed one does."""
    device, cloud = make_configs(folder, port)
    (folder / "station.toml").write_bytes(station.dump(profile_of(draw_station(seed, "demo", SIZE_PX))))
    device = msgspec.structs.replace(
        device,
        camera=f"twin:seed={seed},profile=demo,cases=100000,size={SIZE_PX[0]}x{SIZE_PX[1]}",
        data_dir=str(folder / small_disk.PLACE / "device"),
        run_dir=str(folder / "run"),
        keep_free_mb=KEEP_FREE_MB,
        audit=AuditConfig(floor=1.0),
        seed=seed,
    )
    (folder / "device.toml").write_bytes(device_config.dump(device))
    (folder / "cloud.toml").write_bytes(cloud_config.dump(cloud))
    return device, cloud


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
