"""A cloud without room: its disk is full, its bucket is full or away, a station has as many clips here as it may.

Stations' real outbox and uplink, a broker, `cloud ingest` and the pages' /readyz and metrics. Made cases go on coming
meanwhile. With FOLDER and what is asked as JSON it is the scene of the disk, where the folder `small` is a small one.
"""

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import sqlalchemy as sa

from benchmarks import feeding, ledger, small_disk
from benchmarks.bucket_server import BucketServer, Mood
from benchmarks.made_cases import SITE, make_case
from benchmarks.programs import Programs
from calibration.scene import draw_station
from calibration.twin import profile_of
from cloud_sync import config as cloud_config
from cloud_sync import db, fleet, fleet_figures, tokens
from cloud_sync.accounts import Act
from cloud_sync.broker import EmbeddedBroker
from cloud_sync.config import BucketConfig, CloudConfig
from cloud_sync.store import open_store
from cloud_sync.tables import cases
from cloud_sync.web import create_app
from edge_agent import config as device_config
from edge_agent import station
from edge_agent.config import DeviceConfig
from edge_agent.outbox import Outbox
from edge_agent.spool import Spool

QUIET_S = 4.0
"""No receipt for so long, while cases wait: they have stopped. Ingest tries each second."""
NAMES = ("TANK1", "TANK2")
KEY = "TANKWATCH_DRILL_KEY"


@dataclass
class Plant:
    """Stations that send made cases to one cloud, and how it is with both."""

    programs: Programs
    folder: Path
    cloud: CloudConfig
    devices: Mapping[str, DeviceConfig]
    outboxes: Mapping[str, Outbox]
    seed: int
    made: Counter[str] = field(default_factory=Counter)

    @classmethod
    def begun(cls, stack: ExitStack, folder: Path, cloud: CloudConfig, names: tuple[str, ...], seed: int) -> "Plant":
        broker = stack.enter_context(EmbeddedBroker(0, folder / "broker"))
        programs = stack.enter_context(Programs(folder))
        cloud = msgspec.structs.replace(cloud, broker=cloud_config.BrokerConfig(port=broker.port))
        devices = {name: _device(folder, name, broker.port) for name in names}
        outboxes = {name: Outbox.open(one.outbox_path, one.spool_path) for name, one in devices.items()}
        for outbox in outboxes.values():
            stack.callback(outbox.close)
        db.open_database(cloud).dispose()
        one = cls(programs, folder, cloud, devices, outboxes, seed)
        one.take_in()
        for name in names:
            programs.start(f"uplink-{name}", "agent", "uplink", folder / f"{name}.toml")
        return one

    def take_in(self, **changes: object) -> None:
        """`cloud ingest`, after changes of its settings."""
        self.cloud = msgspec.structs.replace(self.cloud, **changes)
        (self.folder / "cloud.toml").write_bytes(cloud_config.dump(self.cloud))
        self.programs.start("ingest", "cloud", "ingest", self.folder / "cloud.toml")

    def say(self, count: int, name: str = NAMES[0]) -> None:
        """So many more cases of the station."""
        for number in range(self.made[name] + 1, self.made[name] + count + 1):
            about = {"station": name, "case_id": f"{name}-made{self.seed:04d}-{number:06d}"}
            case = make_case(number, seed=self.seed, **about)
            feeding.put(self.outboxes[name], case, large=feeding.is_large(number))
        self.made[name] += count

    def waiting(self) -> int:
        """Cases and clips without a receipt."""
        return sum(self.backlog(name)[0] + self.backlog(name)[1] for name in self.outboxes)

    def backlog(self, name: str) -> tuple[int, int]:
        """Its cases and its clips without a receipt."""
        found = self.outboxes[name].backlog()
        return found.cases, found.clips

    def receipts_have_stopped(self) -> Callable[[], bool]:
        """Whether something waits and none of it has gone for a while."""
        seen = [-1, time.monotonic()]

        def stopped() -> bool:
            waiting = self.waiting()
            if waiting != seen[0] or not waiting:
                seen[:] = [waiting, time.monotonic()]
            return time.monotonic() - seen[1] > QUIET_S

        return stopped

    def unfounded(self, engine: sa.Engine) -> int:
        """Cases whose station has a receipt although the database does not hold them."""
        with engine.connect() as connection:
            held = set(connection.scalars(sa.select(cases.c.case_id)))
        said = {id for device in self.devices.values() for id in Spool(device.spool_path).case_ids()}
        waiting = {one.case_id for outbox in self.outboxes.values() for one in outbox.waiting_cases(100_000)}
        return len(said - waiting - held)

    def compared(self, engine: sa.Engine) -> dict[str, int]:
        """The ledger, all stations together: numbers are each station's own."""
        spools = [ledger.said_in(Spool(device.spool_path)) for device in self.devices.values()]
        spoken = {id: case for one in spools for id, case in one.items()}
        return ledger.compare(engine, spoken, store=open_store(self.cloud)) | _numbers(engine, spoken.keys())


class Pages:
    """/readyz and /metrics of the cloud."""

    def __init__(self, cloud: CloudConfig) -> None:
        app = create_app(cloud)
        self._client, self._engine = app.test_client(), app.extensions["tankwatch"].engine
        with self._engine.begin() as connection:
            secret = tokens.add(connection, "drill", "viewer", 1, act=Act(at=db.now()))
        self._token = {"Authorization": f"Bearer {secret}"}

    def faults(self) -> list[str]:
        """What /readyz gives as the reason."""
        return self._client.get("/readyz").get_json()["faults"]

    def metric(self, name: str) -> float:
        text = self._client.get("/metrics", headers=self._token).get_data(as_text=True)
        return next(float(line.split()[-1]) for line in text.splitlines() if line.startswith(f"{name} "))


def no_room(plant: Plant, count: int, *, fill: Callable[[], object], free: Callable[[], object]) -> dict:
    """Cases before, while there is no room, and after; `fill` and `free` take the room and give it back."""
    engine, pages = db.open_database(plant.cloud), Pages(plant.cloud)
    plant.say(count)
    plant.programs.wait("all is here before", lambda: plant.waiting() == 0)
    fill()
    plant.say(2 * count)
    plant.programs.wait("receipts stop", plant.receipts_have_stopped())
    found: dict = {"waited": plant.waiting(), "unfounded": plant.unfounded(engine)}
    plant.programs.wait("/readyz says why", lambda: bool(pages.faults()))
    found |= {"readyz": pages.faults(), "store_up": pages.metric("tankwatch_cloud_store_up")}
    free()
    back_s = time.monotonic()
    plant.programs.wait("all is here in the end", lambda: plant.waiting() == 0)
    found |= {"all_here_s": round(time.monotonic() - back_s, 1), "ready_again": int(not pages.faults())}
    found |= plant.compared(engine)
    engine.dispose()
    return found


def bucket(folder: Path, count: int, seed: int, mood: Mood) -> dict:
    """The bucket is full or away."""
    folder.mkdir()
    with ExitStack() as stack:
        server = stack.enter_context(BucketServer())
        os.environ.setdefault(KEY, "drill")
        settings = BucketConfig(endpoint=server.endpoint, key_id_env=KEY, secret_env=KEY)
        cloud = CloudConfig(data_dir=str(folder / "cloud"), store="s3://clips/drill", s3=settings)
        plant = Plant.begun(stack, folder, cloud, NAMES[:1], seed)

        def set_mood(mood: Mood) -> None:
            server.mood = mood

        found = no_room(plant, count, fill=lambda: set_mood(mood), free=lambda: set_mood("well"))
        return found | {"refused": server.refused}


def quota(folder: Path, count: int, seed: int) -> dict:
    """One station has as many clips here as it may, the other has not; then the limit is raised."""
    folder.mkdir()
    with ExitStack() as stack:
        plant = Plant.begun(stack, folder, CloudConfig(data_dir=str(folder / "cloud")), NAMES, seed)
        engine = db.open_database(plant.cloud)
        stack.callback(engine.dispose)
        plant.say(count)
        return _limited(plant, engine, count)


def _limited(plant: Plant, engine: sa.Engine, count: int) -> dict:
    strange, other = NAMES
    plant.programs.wait("its first clips are here", lambda: plant.waiting() == 0)
    limit = int(1.5 * _clip_bytes(engine)[strange])
    plant.programs.stop("ingest")
    plant.take_in(max_clip_gb_per_station=limit / 1e9)
    plant.say(2 * count)
    plant.say(count, other)
    plant.programs.wait("its cases", lambda: plant.backlog(strange)[0] == 0)
    plant.programs.wait("all of the other's", lambda: plant.backlog(other) == (0, 0))
    plant.programs.wait("its clips are refused", lambda: (SITE, strange) in _refused(engine))
    plant.programs.wait("receipts for clips stop", plant.receipts_have_stopped())
    found = {
        "waited": plant.backlog(strange)[1],
        "over_limit": int(max(0, _clip_bytes(engine)[strange] - limit)),
        "words": _refused(engine).get((SITE, strange), ""),
        "others_refused": int((SITE, other) in _refused(engine)),
    }
    plant.programs.stop("ingest")
    plant.take_in(max_clip_gb_per_station=None)
    raised_s = time.monotonic()
    plant.programs.wait("all is here in the end", lambda: plant.waiting() == 0)
    return found | {"all_here_s": round(time.monotonic() - raised_s, 1)} | plant.compared(engine)


def _refused(engine: sa.Engine) -> dict[tuple[str, str], str]:
    with engine.connect() as connection:
        return fleet.over_quota(connection, db.now())


def _clip_bytes(engine: sa.Engine) -> dict[str, int]:
    """Of each station."""
    with engine.connect() as connection:
        sums = fleet_figures.clip_figures(connection).station_bytes
    return {name: size for (_, name), size in sums.items()}


def _numbers(engine: sa.Engine, spoken: Collection[str]) -> dict[str, int]:
    """`gaps` and `duplicated` of the ledger where each station counts for itself."""
    with engine.connect() as connection:
        held = connection.execute(sa.select(cases.c.case_id, cases.c.station, cases.c.sequence)).all()
    numbers: dict[str, list[int]] = {}
    for _, name, number in held:
        numbers.setdefault(name, []).append(number)
    return {
        "gaps": sum(max(of_one) - len(set(of_one)) for of_one in numbers.values()),
        "duplicated": len({id for id, _, _ in held} - set(spoken))
        + sum(len(of_one) - len(set(of_one)) for of_one in numbers.values()),
    }


def disk(folder: Path, count: int, seed: int) -> dict:
    """Something else takes the cloud's disk, and gives it back."""
    place = folder / small_disk.PLACE
    with ExitStack() as stack:
        plant = Plant.begun(stack, folder, CloudConfig(data_dir=str(place / "cloud")), NAMES[:1], seed)
        return no_room(
            plant, count, fill=lambda: small_disk.fill(place), free=lambda: (place / small_disk.BALLAST).unlink()
        )


def _device(folder: Path, name: str, port: int) -> DeviceConfig:
    (folder / f"{name}.station.toml").write_bytes(station.dump(profile_of(draw_station(1, "demo", station_id=name))))
    device = DeviceConfig(
        site=SITE,
        station=str(folder / f"{name}.station.toml"),
        camera="twin:",
        data_dir=str(folder / f"device-{name}"),
        keep_free_mb=0,
        broker=device_config.BrokerConfig(port=port),
    )
    (folder / f"{name}.toml").write_bytes(device_config.dump(device))
    return device


def main(argv: list[str]) -> int:
    """FOLDER and what is asked, as JSON; prints the figures."""
    asked = json.loads(argv[1])
    print(json.dumps(disk(Path(argv[0]), asked["count"], asked["seed"])))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
