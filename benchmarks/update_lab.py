"""A real signed repository, a server of it that can be made to misbehave, and a device with an honest past with it."""

import hashlib
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec

from cloud_sync import db, signing
from cloud_sync.config import CloudConfig
from edge_agent import durable, wire
from edge_agent.bundle import Bundle, open_bundle, write_bundle
from edge_agent.config import DeviceConfig, UpdatesConfig
from edge_agent.inspection import shipped_bundle
from edge_agent.messages import Desired
from edge_agent.offered import MODE, REFERENCES, clip_name
from edge_agent.records import BundleRef
from edge_agent.references import ReferenceCase, References
from edge_agent.repository import Repository
from edge_agent.update import Update

SITE, STATION = "hall", "TANK1"
GOLDEN = ("leak", "trapped-air")
"""Of the shipped bundle's golden cases: one of each kind keeps the exam short. They serve as reference cases too."""
PATIENCE_S = 0.4
SLOWEST_BYTES_S = 4000.0
Reply = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Server:
    """Serves a folder over HTTP with ranges; `mischief` answers first where it wants to."""

    folder: Path
    mischief: Callable[[str], Reply | None] = lambda _: None
    asked: list[str] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[str]:
        """Its address."""
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(self.path)
                try:
                    (server.mischief(self.path) or server.honest)(self)
                except OSError:
                    self.close_connection = True  # whoever asked has had enough

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

        http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        http.daemon_threads = True
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{http.server_address[1]}"
        finally:
            http.shutdown()
            http.server_close()
            thread.join()

    def honest(self, handler: BaseHTTPRequestHandler) -> None:
        path = self.folder / handler.path.lstrip("/")
        if not path.is_file():
            handler.send_error(404)
            return
        data, given = path.read_bytes(), re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        first = int(given.group(1)) if given else 0
        handler.send_response(206 if given else 200)
        handler.send_header("Content-Length", str(len(data) - first))
        handler.end_headers()
        handler.wfile.write(data[first:])


@dataclass
class Lab:
    """The cloud's side: `config` of the honest repository, and the bundles that are offered."""

    folder: Path
    config: CloudConfig
    bundles: dict[str, Path]
    timestamps: list[bytes] = field(default_factory=list)
    """Every state's timestamp, as an attacker may have kept it."""

    @property
    def root(self) -> Path:
        return self.config.updates_path / "metadata" / "1.root.json"

    def publish(self, name: str) -> None:
        """A bundle is offered."""
        path = self.bundles[name]
        signing.put_bundle(self.config, open_bundle(path).sha256, path.read_bytes(), db.now())
        self.keep()

    def keep(self) -> None:
        self.timestamps.append((self.config.updates_path / "metadata" / "timestamp.json").read_bytes())

    def ref(self, name: str) -> BundleRef:
        return open_bundle(self.bundles[name]).ref


def make_lab(folder: Path) -> Lab:
    """A repository with the reference cases and the mode of one station; three bundles that are not offered yet."""
    shipped = open_bundle(shipped_bundle())
    paths = {name: folder / f"{name}.bundle" for name in "ABC"}
    for version, path in enumerate(paths.values(), start=7):
        smaller(path, shipped, version)
    lab = Lab(folder, CloudConfig(data_dir=str(folder / "cloud")), paths)
    signing.begin(lab.config, db.now())
    lab.keep()
    clips = {hashlib.sha256(shipped.golden[name]).hexdigest(): shipped.golden[name] for name in GOLDEN}
    cases = tuple(
        ReferenceCase(case_id=f"ref-{truth}", sha256=sha256, truth=truth)  # type: ignore[arg-type]
        for sha256, truth in zip(clips, ("leak", "ok"), strict=True)
    )
    listed = msgspec.json.encode(References(site=SITE, station=STATION, cases=cases))
    files = {REFERENCES: listed, MODE: b'{"mode":"shadow"}'}
    files |= {clip_name(sha256): data for sha256, data in clips.items()}
    signing.put(lab.config, {f"stations/{SITE}/{STATION}/{name}": data for name, data in files.items()}, db.now())
    lab.keep()
    return lab


def smaller(path: Path, shipped: Bundle, version: int) -> Bundle:
    """The shipped bundle under another version, with two golden cases and without what only training needs."""
    golden = tuple(case for case in shipped.manifest.golden if case.name in GOLDEN)
    manifest = msgspec.structs.replace(shipped.manifest, version=version, golden=golden)
    return write_bundle(path, manifest, shipped.nets, golden={name: shipped.golden[name] for name in GOLDEN})


def device_of(folder: Path, url: str, root: Path, **changes: object) -> DeviceConfig:
    """A device that trusts `root`, and waits no longer than a drill can."""
    updates = UpdatesConfig(
        url=url, root=str(root), patience_s=PATIENCE_S, slowest_bytes_s=SLOWEST_BYTES_S, every_s=1.0
    )
    folder.mkdir(parents=True, exist_ok=True)
    return DeviceConfig(
        site=SITE,
        station="station.toml",
        camera="twin:",
        data_dir=str(folder),
        updates=msgspec.structs.replace(updates, **changes),
    )


def desire(
    device: DeviceConfig, counter: int, *, bundle: BundleRef | None = None, challenger: BundleRef | None = None
) -> None:
    """What the uplink would have kept of a `desired` message."""
    durable.write(device.desired_path, wire.encode(Desired(counter=counter, bundle=bundle, challenger=challenger)))


def updating(device: DeviceConfig, now: Callable | None = None) -> Update:
    """The device's process, to be stepped by hand; `now` = its clock."""
    folder = device.folder / "updates"
    repository = Repository(device.updates, folder, now) if now else Repository(device.updates, folder)
    return Update(device, STATION, repository=repository)


def copied(device: DeviceConfig, folder: Path) -> DeviceConfig:
    """The same device with the same past, in another folder."""
    shutil.copytree(device.folder, folder, symlinks=True)
    return msgspec.structs.replace(device, data_dir=str(folder))
