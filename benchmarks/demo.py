"""`demo`: the whole system on this machine. A twin station, the agent, a broker, the cloud and its review page.

It starts the very processes that a plant and a cloud run, through the command line, and only watches them.
"""

import argparse
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from cloud_sync import accounts, cases
from cloud_sync import config as cloud_config
from cloud_sync.broker import EmbeddedBroker
from cloud_sync.db import open_database
from edge_agent import config as device_config
from edge_agent import station
from edge_agent.errors import ConfigError, LinkError, TankwatchError

ROOT = Path(__file__).parent.parent
PATIENCE_S = 180.0
"""How long --headless waits for the last clip before it calls it lost."""
ENDLESS = 1_000_000


@dataclass
class Told:
    """What the agent has said, from its log lines."""

    cases: list[dict[str, str]] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    def counts(self, key: str) -> dict[str, int]:
        return dict(sorted(Counter(case[key] for case in self.cases).items()))


def demo(argv: list[str]) -> int:
    """`tankwatch demo`."""
    options = _arguments().parse_args(argv)
    began_s = time.monotonic()
    signal.signal(signal.SIGTERM, _interrupt)
    with ExitStack() as stack:
        folder = options.dir or Path(stack.enter_context(_temporary_folder()))
        plant = Plant(folder, options, stack)
        try:
            plant.start()
            return plant.run(began_s)
        except KeyboardInterrupt:
            _say("\nstopping")
            return 0


class Plant:
    """One twin station and one cloud in `folder`."""

    def __init__(self, folder: Path, options: argparse.Namespace, stack: ExitStack) -> None:
        self._folder, self._options, self._stack = folder, options, stack
        self._told = Told()
        self._agent: subprocess.Popen | None = None

    def start(self) -> None:
        """Everything is up when this returns, but for the station itself."""
        options, folder = self._options, self._folder
        folder.mkdir(parents=True, exist_ok=True)
        port = options.port or _free_port()
        _check_free(port)
        # The password is the demo's own: everybody on this machine may read its folder, nobody else may speak to its broker.
        os.environ["TANKWATCH_DEMO_MQTT"] = secrets.token_urlsafe(12)
        users = dict.fromkeys(("device", "cloud", "guest"), os.environ["TANKWATCH_DEMO_MQTT"])
        broker = self._stack.enter_context(EmbeddedBroker(options.mqtt_port, folder / "broker", users))
        _say(f"broker         {broker.name} on 127.0.0.1:{broker.port}")
        cloud = self._write_cloud(port, broker.port)
        self._write_device(broker.port)
        self._engine = open_database(cloud)
        self._stack.callback(self._engine.dispose)
        roles: tuple[accounts.Role, ...] = ("expert", "quality")
        logins = {role: secrets.token_urlsafe(9) for role in roles}
        for role, password in logins.items():
            accounts.add_user(self._engine, role, password, role, now=time.time())
        self._process("cloud", "ingest", config="cloud.toml")
        self._process("cloud", "web", config="cloud.toml")
        self._process("agent", "uplink", config="device.toml")
        _wait_for_port(port)
        _say(f"review page    http://127.0.0.1:{port}/review")
        for name, password in logins.items():
            _say(f"login          {name} / {password}")
        _say(f"everything is in {folder}")
        _say(f"MQTT           mosquitto_sub -p {broker.port} -u guest -P {users['guest']} -t 'tankwatch/v1/#' -v\n")

    def run(self, began_s: float) -> int:
        """The station works; a line a case. Ends after --cases, or with Ctrl-C."""
        self._agent = self._process("agent", "inspect", config="device.toml", listen=True)
        reader = threading.Thread(target=self._listen, daemon=True)
        reader.start()
        status = self._agent.wait()
        reader.join()
        if status != 0:
            raise TankwatchError(
                f"the agent ended with {status}; its words are in {self._folder / 'agent-inspect.log'}"
            )
        if not self._options.headless:
            _say("\nthe station has finished; the review page stays up until Ctrl-C")
            signal.pause()
            return 0
        return self._report(began_s)

    def _report(self, began_s: float) -> int:
        wanted = [case for case in self._told.cases if case["for"] != "none"]
        held = self._settled(len(self._told.cases), len(wanted))
        summary = {
            "cases": len(self._told.cases),
            "verdicts": self._told.counts("verdict"),
            "outcomes": self._told.counts("outcome"),
            "queued": held["queued"],
            "lost": len(self._told.cases) - held["cases"] + len(wanted) - held["queued"],
            "duplicated": held["duplicated"],
            "seconds": round(time.monotonic() - began_s, 1),
        }
        if self._options.json:
            print(json.dumps(summary), flush=True)
        else:
            _say(f"\n{summary}")
        return 1 if summary["lost"] or summary["duplicated"] else 0

    def _settled(self, said: int, wanted: int) -> dict[str, int]:
        """The cloud's summary once it holds everything, or after the patience."""
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            held = cases.summary(self._engine)
            if (held["cases"] >= said and held["queued"] >= wanted) or time.monotonic() > deadline_s:
                return held
            time.sleep(0.2)

    def _listen(self) -> None:
        assert self._agent is not None and self._agent.stdout is not None
        for line in self._agent.stdout:
            if line.startswith("case="):
                case = _fields(line)
                self._told.cases.append(case)
                _say(_live_line(len(self._told.cases), case))

    def _write_cloud(self, port: int, broker_port: int) -> cloud_config.CloudConfig:
        broker = cloud_config.BrokerConfig(port=broker_port, username="cloud", password_env="TANKWATCH_DEMO_MQTT")
        config = cloud_config.CloudConfig(
            data_dir=str(self._folder / "cloud"), broker=broker, web=cloud_config.WebConfig(port=port)
        )
        (self._folder / "cloud.toml").write_bytes(cloud_config.dump(config))
        return cloud_config.load(self._folder / "cloud.toml")

    def _write_device(self, broker_port: int) -> None:
        from calibration.scene import draw_station
        from calibration.twin import profile_of

        options = self._options
        count = options.cases if options.cases else (12 if options.headless else ENDLESS)
        look = draw_station(options.seed, "demo")
        (self._folder / "station.toml").write_bytes(station.dump(profile_of(look)))
        live = 0 if options.headless else 1
        broker = device_config.BrokerConfig(port=broker_port, username="device", password_env="TANKWATCH_DEMO_MQTT")
        config = device_config.DeviceConfig(
            site="demo",
            station="station.toml",
            camera=f"twin:seed={options.seed},profile=demo,cases={count},live={live}",
            bundle=_absolute(options.bundle),
            challenger=_absolute(options.challenger),
            data_dir="device",
            keep_free_mb=0,
            seed=options.seed,
            broker=broker,
        )
        (self._folder / "device.toml").write_bytes(device_config.dump(config))

    def _process(self, *command: str, config: str, listen: bool = False) -> subprocess.Popen:
        log = self._stack.enter_context(open(self._folder / f"{'-'.join(command)}.log", "ab"))
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "tankwatch.py"), *command, "--config", str(self._folder / config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if listen else log,
            stderr=log,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
        self._stack.callback(_end, process)
        return process


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("tankwatch demo", description="The whole system on this machine.")
    parser.add_argument("--cases", type=int, metavar="N", help="stop after N immersions (headless: 12)")
    parser.add_argument("--seed", type=int, default=7, help="of the twin and of the inspector's errors (default 7)")
    parser.add_argument("--port", type=int, default=0, help="of the review page (default: a free one)")
    parser.add_argument("--mqtt-port", type=int, default=0, help="of the broker (default: a free one)")
    parser.add_argument("--bundle", type=Path, help="the champion (default: the shipped one)")
    parser.add_argument("--challenger", type=Path, help="a second bundle, logged beside the first")
    parser.add_argument("--dir", type=Path, help="keep everything in this folder (default: a temporary one)")
    parser.add_argument("--headless", action="store_true", help="as fast as this machine can, then one summary")
    parser.add_argument("--json", action="store_true", help="the summary as one JSON object on stdout")
    return parser


def _fields(line: str) -> dict[str, str]:
    """One log line of the agent -> its keys; the reason in quotes comes last."""
    head, _, reason = line.rstrip("\n").partition(' reason="')
    return dict(part.split("=", 1) for part in head.split()) | {"reason": reason.rstrip('"')}


def _live_line(number: int, case: dict[str, str]) -> str:
    score = "     " if case["score"] == "-" else case["score"]
    review = "" if case["for"] == "none" else f"  -> review ({case['for']})"
    return (
        f"{number:4}  machine {case['verdict']:10} {score}  inspector {case['decision']:5} {case['outcome']:12}{review}"
        f"\n      {case['reason']}"
    )


def _absolute(path: Path | None) -> str | None:
    return None if path is None else str(path.resolve())


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ConfigError(f"port {port} is in use ({error.strerror}): give another with --port") from error


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_for_port(port: int) -> None:
    for _ in range(300):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    raise LinkError(f"the review page did not come up on port {port} within 30 s: look at cloud-web.log")


def _end(process: subprocess.Popen) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def _temporary_folder() -> Iterator[str]:
    # A process that is just ending may still write there; what is left over is the system's to clear.
    with tempfile.TemporaryDirectory(prefix="tankwatch-demo-", ignore_cleanup_errors=True) as folder:
        yield folder


def _interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)
