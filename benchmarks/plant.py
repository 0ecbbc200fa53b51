"""One twin station and one cloud in a folder: their configuration and the very processes that a plant and a cloud run.

They are started through the command line and only watched. None outlives whoever started them.
"""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import msgspec

from benchmarks import plant_updates
from calibration.scene import draw_station
from calibration.twin import profile_of
from cloud_sync import accounts
from cloud_sync import config as cloud_config
from cloud_sync.broker import EmbeddedBroker, mosquitto
from cloud_sync.db import open_database
from cloud_sync.roles import Role
from edge_agent import config as device_config
from edge_agent import station
from edge_agent.bundle import open_bundle
from edge_agent.child import end_with_parent
from edge_agent.config import AuditConfig
from edge_agent.errors import ConfigError, LinkError, TankwatchError
from edge_agent.inspection import shipped_bundle
from edge_agent.pin import Pin

ROOT = Path(__file__).parent.parent
PASSWORD = "TANKWATCH_DEMO_MQTT"
"""Name of the environment variable with the broker's password."""
LOGINS: tuple[Role, ...] = ("expert", "quality")
SEED = 323
"""With this one the inspector overlooks a plain leak in the second case."""
REQUIRED_HOLD_S = 4.0
"""The show's immersions are short: its units are held for 5.2 to 5.8 s."""
PAGE_UP_S = 60.0
GOODBYE_S = 8.0
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
BrokerName = Literal["auto", "mosquitto", "amqtt"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What the plant is made of. Ports of 0 are free ones; `cases` None = without end."""

    folder: Path
    cases: int | None
    seed: int = SEED
    live: bool = True
    port: int = 0
    mqtt_port: int = 0
    broker: BrokerName = "auto"
    bundle: Path | None = None
    challenger: Path | None = None
    audit: float = 0.1
    fault: str | None = None
    """A fault of the camera, in the twin's words."""
    updates: bool = False
    """With a signed repository and the two processes that bring bundles to the device."""


class Plant:
    """A context: everything but the station itself is up inside, and nothing is left afterwards."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._stack = ExitStack()
        self._processes: dict[str, subprocess.Popen] = {}
        self._environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        self.logins: dict[str, str] = {}
        self.port = plan.port or _free_port()
        self.panel_port = _free_port()
        self.pin = f"{secrets.randbelow(900_000) + 100_000}"

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(self._stack.close)
            self._build()
            stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def page(self) -> str:
        return f"http://127.0.0.1:{self.port}/review"

    @property
    def screen(self) -> str:
        """The operator's; empty where there is nobody to look at it."""
        return f"http://127.0.0.1:{self.panel_port}/" if self._plan.live else ""

    @property
    def mqtt_password(self) -> str:
        """Of the user `guest`, who may listen to everything."""
        return self._environment[PASSWORD]

    def inspect(self) -> subprocess.Popen:
        """The station begins to work; its log lines come from the process' stdout."""
        return self._process("agent", "inspect", config="device.toml", listen=True)

    def check(self) -> None:
        """Raises TankwatchError where a process has ended that should not have."""
        for name, process in self._processes.items():
            if process.poll() not in (None, 0) or (process.poll() == 0 and name != "agent-inspect"):
                raise TankwatchError(
                    f"'{name.replace('-', ' ')}' ended with {process.poll()}: {self._last_words(name)}"
                )
        if not self.broker.running:
            raise LinkError(f"the broker {self.broker.name} has ended: start the demo again")

    def _build(self) -> None:
        plan = self._plan
        _empty_folder(plan.folder)
        _check_free(self.port)
        for bundle in (plan.bundle or shipped_bundle(), plan.challenger):
            if bundle is not None:
                open_bundle(bundle)
        # The agent's lock on its camera is in here too: two demos of one seed have a camera each.
        scratch = plan.folder / "tmp"
        scratch.mkdir()
        # Everybody on this machine may see the broker's port: who does not know this may not speak to it.
        self._environment |= {PASSWORD: secrets.token_urlsafe(12), "TMPDIR": str(scratch)}
        users = dict.fromkeys(("device", "cloud", "guest"), self.mqtt_password)
        program = _broker_program(plan.broker)
        self.broker = EmbeddedBroker(plan.mqtt_port, plan.folder / "broker", users, program=program)
        self._stack.callback(self.broker.stop)
        self.broker.start()
        self._write_device()
        config = self._write_cloud()
        self.engine = open_database(config)
        self._stack.callback(self.engine.dispose)
        for role in LOGINS:
            self.logins[role] = secrets.token_urlsafe(12)
            accounts.add_user(self.engine, role, self.logins[role], role, now=time.time())
        self._stack.callback(self._end)
        self._process("cloud", "ingest", config="cloud.toml")
        self._process("cloud", "web", config="cloud.toml")
        self._process("agent", "uplink", config="device.toml")
        if plan.live:
            (plan.folder / "device").mkdir(exist_ok=True)
            Pin(plan.folder / "device").set(self.pin)
            self._process("agent", "panel", config="device.toml")
        if plan.updates:
            # While the others begin; these two need it.
            bundle = plan.bundle or shipped_bundle()
            token = plant_updates.provide(config, self.engine, bundle, plan.folder, time.time())
            self._environment |= {plant_updates.TOKEN: token}
            self._process("cloud", "rollout", config="cloud.toml")
            self._process("agent", "update", config="device.toml")
        self._wait_for_page()

    def _write_cloud(self) -> cloud_config.CloudConfig:
        folder = self._plan.folder
        broker = cloud_config.BrokerConfig(port=self.broker.port, username="cloud", password_env=PASSWORD)
        web = cloud_config.WebConfig(port=self.port)
        config = cloud_config.CloudConfig(data_dir="cloud", broker=broker, web=web)
        (folder / "cloud.toml").write_bytes(cloud_config.dump(config))
        return cloud_config.load(folder / "cloud.toml")

    def _write_device(self) -> None:
        plan = self._plan
        profile = profile_of(draw_station(plan.seed, "demo"))
        profile = msgspec.structs.replace(profile, required_hold_s=REQUIRED_HOLD_S)
        (plan.folder / "station.toml").write_bytes(station.dump(profile))
        config = device_config.DeviceConfig(
            site="demo",
            station="station.toml",
            camera=_camera(plan),
            bundle=_absolute(plan.bundle),
            challenger=_absolute(plan.challenger),
            data_dir="device",
            keep_free_mb=0,
            seed=plan.seed,
            audit=AuditConfig(floor=plan.audit),
            broker=device_config.BrokerConfig(port=self.broker.port, username="device", password_env=PASSWORD),
            updates=plant_updates.settings(self.port) if plan.updates else device_config.UpdatesConfig(),
            panel=device_config.PanelConfig(port=self.panel_port),
        )
        (plan.folder / "device.toml").write_bytes(device_config.dump(config))

    def _process(self, *command: str, config: str, listen: bool = False) -> subprocess.Popen:
        name, folder = "-".join(command), self._plan.folder
        with open(self._log(name), "ab") as log, _undisturbed():
            self._processes[name] = subprocess.Popen(
                [sys.executable, str(ROOT / "tankwatch.py"), *command, "--config", str(folder / config)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if listen else log,
                stderr=log,
                text=True,
                env=self._environment,
                # Ctrl-C in the terminal is for the demo alone, which ends the others in order.
                start_new_session=True,
                preexec_fn=end_with_parent,
            )
        return self._processes[name]

    def _wait_for_page(self) -> None:
        deadline_s = time.monotonic() + PAGE_UP_S
        while time.monotonic() < deadline_s:
            self.check()
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            time.sleep(0.05)
        raise LinkError(f"the review page did not come up on port {self.port} within {PAGE_UP_S:.0f} s: try again")

    def _end(self) -> None:
        for process in self._processes.values():
            process.terminate()
        deadline_s = time.monotonic() + GOODBYE_S
        for process in self._processes.values():
            try:
                process.wait(max(0.0, deadline_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _log(self, name: str) -> Path:
        return self._plan.folder / f"{name}.log"

    def _last_words(self, name: str) -> str:
        lines = self._log(name).read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ctrl-C waits: between a process' start and its place in the list it would leave that process behind.

    Blocking the signals is not enough, because any other thread may still take them.
    """
    waiting: list[int] = []
    before = {name: signal.signal(name, lambda number, _: waiting.append(number)) for name in ENDINGS}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
    if waiting:
        raise KeyboardInterrupt


def _camera(plan: Plan) -> str:
    count = f",cases={plan.cases}" if plan.cases else ""
    fault = f",fault={plan.fault}" if plan.fault else ""
    return f"twin:seed={plan.seed},profile=demo{count},live={int(plan.live)}{fault}"


def _broker_program(name: BrokerName) -> str | None:
    if name == "mosquitto" and mosquitto() is None:
        raise ConfigError("mosquitto is not installed: install the package mosquitto, or leave --broker out for amqtt")
    return sys.executable if name == "amqtt" else None


def _absolute(path: Path | None) -> str | None:
    return None if path is None else str(path.resolve())


def _empty_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ConfigError(f"folder {folder} is not empty: give a new one with --dir")
    except OSError as error:
        raise ConfigError(f"folder {folder} cannot be used ({error.strerror}): give another with --dir") from error


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ConfigError(f"port {port} cannot be used ({error.strerror}): give another with --port") from error


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
