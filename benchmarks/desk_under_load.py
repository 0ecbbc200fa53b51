"""Two clouds side by side as in production: `cloud web` and `cloud ingest` for each, one broker, one stream of cases.

Both are sent the same messages, so that what differs between their requests is what they hold.
"""

import http.client
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
import paho.mqtt.client as mqtt
import sqlalchemy as sa

from benchmarks.made_cases import SITE, make_case
from cloud_sync import accounts, db
from cloud_sync import config as cloud_config
from cloud_sync.broker import HOST, EmbeddedBroker
from cloud_sync.config import BrokerConfig, CloudConfig, WebConfig
from cloud_sync.tables import looks
from edge_agent import wire
from edge_agent.child import end_with_parent
from edge_agent.records import Case, Sampled

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = str(ROOT / "tankwatch.py")
NAME, PASSWORD = "bench", "correct horse battery"
EYE_EVERY = 20
"""One in so many of the cases that are sent needs an eye."""
PATIENCE_S = 30.0


@dataclass
class Cloud:
    """One of the two, running. `cpu_s`: of its web process, all threads."""

    name: str
    engine: sa.Engine
    pid: int
    http: http.client.HTTPConnection
    cookie: str = ""
    token: str = ""

    def cpu_s(self) -> float:
        tasks = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9

    def get(self, path: str) -> tuple[int, bytes]:
        return self._ask("GET", path, None)

    def post(self, path: str, fields: Mapping[str, str]) -> tuple[int, bytes]:
        return self._ask("POST", path, urlencode({"csrf_token": self.token, **fields}))

    def sign_in(self) -> None:
        """Keeps the session and the token that every form carries."""
        self.token = _token(self.get("/login")[1])
        status, _ = self.post("/login", {"name": NAME, "password": PASSWORD})
        assert status == 302, f"signing in gave {status}"
        self.token = _token(self.get("/review")[1])

    def _ask(self, verb: str, path: str, body: str | None) -> tuple[int, bytes]:
        headers = {"Cookie": self.cookie}
        if body is not None:
            headers |= {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        self.http.request(verb, path, body, headers)
        answer = self.http.getresponse()
        if cookie := answer.getheader("Set-Cookie"):
            self.cookie = cookie.split(";")[0]
        return answer.status, answer.read()


class Stream:
    """Sends cases to the broker, so many a second, in a thread of its own, until it is closed."""

    def __init__(self, port: int, per_s: float) -> None:
        self.sent, self._pause_s, self._stop = 0, 1 / per_s, threading.Event()
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="bench-stations")
        self._client.connect(HOST, port)
        self._client.loop_start()
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._thread.start()

    def one(self, case_id: str) -> None:
        """A case that needs an eye and has no clip, at once."""
        self._publish(_case(0, eye=True, case_id=case_id))

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._client.loop_stop()
        self._client.disconnect()

    def _send(self) -> None:
        begin_s = time.monotonic()
        while not self._stop.wait(max(0.0, begin_s + self.sent * self._pause_s - time.monotonic())):
            self.sent += 1
            self._publish(_case(self.sent, eye=self.sent % EYE_EVERY == 0))

    def _publish(self, case: Case) -> None:
        self._client.publish(wire.Topics(case.site, case.station).case, wire.encode(case), qos=1)


@contextmanager
def both(configs: Mapping[str, CloudConfig], folder: Path, per_s: float) -> Iterator[tuple[list[Cloud], Stream]]:
    """The clouds, signed in, and the stream that both take in."""
    with ExitStack() as stack:
        broker = stack.enter_context(EmbeddedBroker(0, folder / "broker"))
        clouds = [stack.enter_context(_running(name, config, folder, broker.port)) for name, config in configs.items()]
        stream = Stream(broker.port, per_s)
        stack.callback(stream.close)
        yield clouds, stream


def visible_s(cloud: Cloud, stream: Stream, number: int) -> float:
    """From publishing a case until another connection finds its look in the table that the queue is read from."""
    case_id = f"TANK00-seen-{number:06d}"
    wanted = sa.select(looks.c.id).where(looks.c.case_id == case_id)
    began_s = time.perf_counter()
    stream.one(case_id)
    with cloud.engine.connect() as connection:
        while time.perf_counter() - began_s < PATIENCE_S:
            found = connection.scalar(wanted)
            connection.rollback()
            if found is not None:
                return time.perf_counter() - began_s
            time.sleep(0.002)
    raise AssertionError(f"case {case_id} is not in the queue after {PATIENCE_S:g} s")


@contextmanager
def _running(name: str, config: CloudConfig, folder: Path, broker_port: int) -> Iterator[Cloud]:
    broker = BrokerConfig(port=broker_port, client_id=f"bench-{name}")
    config = msgspec.structs.replace(config, broker=broker, web=WebConfig(port=EmbeddedBroker(0, folder).port))
    path = folder / f"{name}.toml"
    path.write_bytes(cloud_config.dump(config))
    engine = db.open_database(config)
    accounts.add_user(engine, NAME, PASSWORD, "quality", now=db.now())
    with open(folder / f"{name}.log", "wb") as log:
        ingest, web = (_process(which, path, log) for which in ("ingest", "web"))
    try:
        connection = http.client.HTTPConnection(HOST, config.web.port, timeout=PATIENCE_S)
        _wait_for(connection)
        cloud = Cloud(name, engine, web.pid, connection)
        cloud.sign_in()
        yield cloud
    finally:
        for process in (web, ingest):
            process.terminate()
            process.wait(PATIENCE_S)
        engine.dispose()


def _process(which: str, config: Path, log) -> subprocess.Popen:
    command = [sys.executable, PROGRAM, "cloud", which, "--config", str(config)]
    return subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT, preexec_fn=end_with_parent)


def _wait_for(connection: http.client.HTTPConnection) -> None:
    began_s = time.monotonic()
    while True:
        try:
            connection.request("GET", "/healthz")
            connection.getresponse().read()
            return
        except OSError:
            connection.close()
            if time.monotonic() - began_s > PATIENCE_S:
                raise
            time.sleep(0.1)


def _case(number: int, *, eye: bool, case_id: str | None = None) -> Case:
    now = datetime.now(UTC).isoformat()
    station = "TANK00" if case_id else f"TANK{number % 10:02d}"
    words: dict[str, Any] = {
        "verdict": "uncertain",
        "outcome": "unsure",
        "score": 0.5,
        "sampled": Sampled("unsure", 1.0),
    }
    agreed: dict[str, Any] = {"verdict": "ok", "outcome": "agree", "score": 0.01, "sampled": Sampled("none", 0.02)}
    about: dict[str, Any] = {"case_id": case_id or f"{station}-new-{number:07d}", "site": SITE, "station": station}
    numbered: dict[str, Any] = {"sequence": number, "started_at": now, "ended_at": now}
    return make_case(number, **about, **numbered, **(words if eye else agreed))


def _token(page: bytes) -> str:
    found = re.search(rb'name="csrf_token" value="([^"]+)"', page)
    assert found is not None, "the page has no form"
    return found[1].decode()
