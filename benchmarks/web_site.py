"""A cloud and a device's panel as they stand, with something of each kind in them, for `drill web`."""

from dataclasses import dataclass
from pathlib import Path

import msgspec
from flask import Flask

from benchmarks.made_cases import make_case, write_clip
from benchmarks.visitor import Visitor, bearer, signed_in
from calibration.scene import draw_station
from calibration.setup import make_blueprint
from calibration.setup_device import SetupDevice
from calibration.twin import profile_of
from cloud_sync import db
from cloud_sync.config import CloudConfig
from cloud_sync.dead_letters import Message
from cloud_sync.intake import Intake
from cloud_sync.web import create_app
from edge_agent import messages, station, wire
from edge_agent.bundle import open_bundle
from edge_agent.config import DeviceConfig
from edge_agent.inspection import shipped_bundle
from edge_agent.live import PublishedCamera
from edge_agent.panel import create_app as create_panel
from edge_agent.pin import Pin
from edge_agent.profile_history import ProfilePlace

PIN = "402917"
SITE = "plant"


@dataclass(frozen=True, slots=True)
class Cloud:
    """`known`: parameter of an address -> values that are there, and some that are not."""

    app: Flask
    admin: Visitor
    bearer: dict[str, str]
    known: dict[str, list]


def make_cloud(folder: Path) -> Cloud:
    """Cases with and without a clip, a status, a judgement, a dataset; an administrator who is signed in."""
    app = create_app(CloudConfig(data_dir=str(folder)))
    shelf = app.extensions["tankwatch"]
    ids = _fill(folder, Intake(shelf.engine, shelf.store, max_clip_bytes=10_000_000))
    expert = signed_in(app, shelf.engine, "expert")
    expert.send(f"/review/{ids[0]}", {"judgement": "ok", "familiar": "no"})
    admin = signed_in(app, shelf.engine, "admin")
    signed_in(app, shelf.engine, "quality").send("/datasets", {"name": "weekly"})
    held = [path.stem for path in folder.rglob("*.twclip")]
    known: dict[str, list] = {
        "case_id": [*ids, "none"],
        "name": ["weekly", "expert", "none", "1.root.json"],
        "version": [1, 2],
        "site": [SITE, "none"],
        "station": ["TANK1", "none"],
        "sha256": [*held, "0" * 64, "x"],
        "number": [1, 2, 2**31],
        "run_id": [1, 2],
        "part": ["report"],
        "what": ["role", "password", "disable", "enable", "end", "none"],
        "filename": ["pages.css", "../web.key"],
    }
    return Cloud(app, admin, bearer(shelf.engine, "admin"), known)


def make_panel(folder: Path) -> Flask:
    """The device's screen with commissioning, as `agent panel` serves it."""
    folder.mkdir(parents=True)
    profile = profile_of(draw_station(1, "demo", station_id="TANK1"))
    (folder / "station.toml").write_bytes(station.dump(profile))
    data = folder / "data"
    device = DeviceConfig(site=SITE, station=str(folder / "station.toml"), camera="/dev/video0", data_dir=str(data))
    data.mkdir()
    Pin(data).set(PIN)
    setup = SetupDevice(
        place=ProfilePlace(folder / "station.toml", data / "profiles"),
        camera="/dev/video0",
        network=False,
        pictures=lambda: PublishedCamera(device.live_path),
        now=lambda: None,
        cases=lambda since: [],
        bundle=lambda: open_bundle(shipped_bundle()),
    )
    return create_panel(device, folder / "device.toml", [make_blueprint(setup)])


def _fill(folder: Path, intake: Intake) -> list[str]:
    cases = []
    for number in (3, 6, 9, 12):
        case = make_case(number, site=SITE, sequence=number)
        path = folder / f"{number}.draft"
        if number < 12:
            case = msgspec.structs.replace(case, clip=write_clip(path, case))
        topics = wire.Topics(case.site, case.station)
        intake.handle([Message(topics.case, wire.encode(case))], db.now())
        if case.clip:
            data = path.read_bytes()
            manifest = messages.ClipManifest(
                sha256=case.clip.sha256, bytes=len(data), parts=1, part_bytes=len(data), case_id=case.case_id
            )
            said = [Message(topics.clip_manifest(case.clip.sha256), wire.encode(manifest))]
            intake.handle([*said, Message(topics.clip_part(case.clip.sha256, 0), data)], db.now())
        cases.append(case.case_id)
    status = messages.Status(status="online", mode="shadow", software="1", since="2026-11-29T00:00:00Z")
    intake.handle([Message(topics.status, wire.encode(status))], db.now())
    return cases
