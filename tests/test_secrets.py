"""Secrets come by file or environment, and are in nothing that a program says: output, state, pages, figures, messages.

Each program runs as a process of its own, with secrets that can be told from everything else, and into its faults too:
a camera that refuses, a broker that does not know the password, a bucket, a provider and a database that are away.
"""

import base64
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlencode

import msgspec
import paho.mqtt.client as mqtt
import pytest

from benchmarks.secured import free_port
from calibration.scene import draw_station
from calibration.twin import profile_of
from cloud_sync.broker import EmbeddedBroker, mosquitto
from cloud_sync.config import CloudConfig
from edge_agent import station
from edge_agent.config import DeviceConfig

ROOT = Path(__file__).resolve().parent.parent
CAMERA, BROKER, TOKEN, PIN = "Kamera@geheim7391", "Makler-geheim-8215", "tw_Marke-geheim-6620", "Zahl-4477-Z"
SESSIONS, OIDC, S3_KEY, S3_ID = "Sitzung-geheim-1846", "Firma-geheim-9317", "Eimer-geheim-5520", "EIMERGEHEIM3086"
PASSWORD, WRONG, DATABASE, SEAL = (
    "Kennwort-geheim-2761",
    "falsch-geheim-4802",
    "Daten-geheim-7754",
    "Siegel-geheim-3390",
)
SEAL, SCRAPE = "Siegel-geheim-3390", "Messung-geheim-6179"
SECRETS = (CAMERA, BROKER, TOKEN, PIN, SESSIONS, OIDC, S3_KEY, S3_ID, PASSWORD, WRONG, DATABASE, SEAL, SCRAPE)
ENVIRONMENT = {
    "D_BROKER": BROKER, "D_TOKEN": TOKEN, "D_SCRAPE": SCRAPE, "C_BROKER": BROKER, "C_WEB": SESSIONS, "C_OIDC": OIDC,
    "C_S3_ID": S3_ID, "C_S3_KEY": S3_KEY, "TANKWATCH_PASSWORD": PASSWORD, "TANKWATCH_CA_PASSPHRASE": SEAL,
}  # fmt: skip
WAIT_S = 60.0


def forms(secret: str) -> set[bytes]:
    """As it is, in a URL, in a URL's query, and in base64, wherever it begins."""
    plain = secret.encode()
    coded = {base64.b64encode(b"x" * shift + plain)[4:-4] for shift in range(3)}
    return {plain, quote(secret, safe="").encode(), urlencode({"": secret})[1:].encode(), *coded}


def found_in(said: dict[str, bytes]) -> list[str]:
    """`name: secret` of whatever tells one."""
    return [
        f"{name}: {secret}"
        for name, data in said.items()
        for secret in SECRETS
        if any(f in data for f in forms(secret))
    ]


class Programs:
    """What was run, and all that it said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said: dict[str, bytes] = {}

    def run(self, *argv: str, stdin: str = "", **changed: str) -> int:
        """To its end, whatever that is."""
        done = subprocess.run(
            self._command(argv), input=stdin.encode(), capture_output=True, timeout=300, env=self._env(changed)
        )
        self.said[" ".join(argv) + str(len(self.said))] = done.stdout + done.stderr
        return done.returncode

    @contextmanager
    def running(self, *argv: str, **changed: str) -> Iterator[subprocess.Popen]:
        name = " ".join(argv[:2])
        path = self.folder / f"{name} {len(self.said)}.log"
        with open(path, "wb") as log:
            process = subprocess.Popen(self._command(argv), stdout=log, stderr=log, env=self._env(changed))
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(WAIT_S)
            self.said[path.name] = path.read_bytes()

    def files_of(self, folder: Path, *, but: tuple[str, ...] = ()) -> None:
        """What was left on the disk; `but`: names of files that are there to hold a secret."""
        for path in folder.rglob("*"):
            if path.is_file() and path.name not in but:
                self.said[f"file {path.relative_to(folder)}"] = path.read_bytes()

    def _command(self, argv: tuple[str, ...]) -> list[str]:
        return [sys.executable, str(ROOT / "tankwatch.py"), *argv]

    def _env(self, changed: dict[str, str]) -> dict[str, str]:
        return os.environ | ENVIRONMENT | {"OMP_NUM_THREADS": "1"} | changed


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    return Programs(tmp_path)


@contextmanager
def a_camera_that_refuses() -> Iterator[int]:
    """Its port: RTSP in which every wish is answered by 401."""
    server = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        while True:
            try:
                wish, _ = server.accept()
            except OSError:
                return
            with wish:
                asked = wish.recv(4096).decode(errors="replace")
                number = re.search(r"CSeq: (\d+)", asked)
                head = f"RTSP/1.0 401 Unauthorized\r\nCSeq: {number[1] if number else 1}\r\n"
                wish.sendall((head + 'WWW-Authenticate: Basic realm="camera"\r\n\r\n').encode())

    threading.Thread(target=answer, daemon=True).start()
    yield server.getsockname()[1]
    server.close()


@contextmanager
def a_spy(port: int, said: dict[str, bytes]) -> Iterator[None]:
    """Hears every message."""
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.username_pw_set("spy", "spy")
    ready = threading.Event()
    client.on_connect = lambda *_: client.subscribe("#", qos=1)
    client.on_subscribe = lambda *_: ready.set()
    client.on_message = lambda _c, _d, m: said.__setitem__(
        f"message {m.topic} {len(said)}", m.topic.encode() + m.payload
    )
    client.connect("127.0.0.1", port)
    client.loop_start()
    assert ready.wait(WAIT_S)
    try:
        yield
    finally:
        client.disconnect()
        client.loop_stop()


class Browser:
    """At one of our servers; keeps cookies, the newest form token, and all that it was told."""

    def __init__(self, port: int, said: dict[str, bytes]) -> None:
        self.port, self.said, self.token = port, said, ""
        self.cookies: dict[str, str] = {}

    def ask(self, method: str, path: str, fields: dict[str, str] | None = None, **headers: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S)
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        own = {"Cookie": cookies, "Origin": f"http://127.0.0.1:{self.port}"}
        body = None
        if fields is not None:
            own["Content-Type"] = "application/x-www-form-urlencoded"
            body = urlencode({"csrf_token": self.token, **fields})
        connection.request(method, path, body, own | headers)
        answer = connection.getresponse()
        told = answer.read() if not path.endswith(".mjpg") else b""
        # What the server tells; the cookie that it sets is for this browser alone, and looked at as well.
        self.said[f"{method} {path} {len(self.said)}"] = str(answer.headers).encode() + told
        for cookie in answer.headers.get_all("Set-Cookie", []):
            name, _, value = cookie.split(";")[0].partition("=")
            self.cookies[name] = value
        if found := re.search(rb'name="csrf_token" value="([^"]+)"', told):
            self.token = found[1].decode()
        connection.close()
        return answer.status


def waited(true, what: str) -> None:
    until = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < until, f"{what} has not come"
        time.sleep(0.05)


def is_up(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def a_device(folder: Path, broker_port: int, camera_port: int) -> dict:
    """device.toml's content, with everything that takes a secret."""
    profile = profile_of(draw_station(1, "demo", station_id="TANK1"))
    (folder / "station.toml").write_bytes(station.dump(profile))
    (folder / "root.json").write_text("{}")
    return {
        "site": "plant",
        "station": str(folder / "station.toml"),
        "camera": f"rtsp://viewer:{quote(CAMERA, safe='')}@127.0.0.1:{camera_port}/stream",
        "data_dir": str(folder / "data"),
        "keep_free_mb": 0,
        "broker": {"port": broker_port, "username": "station", "password_env": "D_BROKER"},
        "updates": {
            "url": f"http://127.0.0.1:{free_port()}/updates",
            "root": str(folder / "root.json"),
            "token_env": "D_TOKEN",
        },
        "panel": {"port": free_port(), "metrics_token_env": "D_SCRAPE"},
    }


def a_cloud(folder: Path, broker_port: int, **more: object) -> dict:
    closed = free_port()
    return {
        "data_dir": str(folder / "cloud"),
        "broker": {"port": broker_port, "username": "station", "password_env": "C_BROKER"},
        "web": {"port": (port := free_port()), "secret_env": "C_WEB", "url": f"http://127.0.0.1:{port}"},
        "oidc": {"issuer": f"http://127.0.0.1:{closed}", "client_id": "tankwatch", "secret_env": "C_OIDC"},
        **more,
    }


def written(path: Path, config: dict) -> str:
    path.write_bytes(msgspec.toml.encode(config))
    return str(path)


def secret_fields(kind: type, place: str = "") -> set[str]:
    """Every setting that names a variable with a secret."""
    found = set()
    for field in msgspec.structs.fields(kind):
        inner = [field.type, *getattr(field.type, "__args__", ())]
        found |= {f"{place}{field.name}"} if field.name.endswith("_env") else set()
        for one in inner:
            if isinstance(one, type) and issubclass(one, msgspec.Struct):
                found |= secret_fields(one, f"{place}{field.name}.")
    return found


def test_each_setting_that_names_a_secret_is_set_in_these_tests(tmp_path):
    device = a_device(tmp_path, 1, 1)
    cloud = a_cloud(tmp_path, 1, s3=S3)
    for kind, said in ((DeviceConfig, device), (CloudConfig, cloud)):
        for place in secret_fields(kind):
            at = said
            for name in place.split("."):
                at = at[name]
            assert at in ENVIRONMENT, place


def test_whoever_tells_a_secret_is_found():
    lies = {
        "plain": b"url=rtsp://viewer:Kamera@geheim7391@host",
        "in a URL": quote(CAMERA, safe="").encode(),
        "in base64": base64.b64encode(b"station:" + BROKER.encode()),
    }
    assert len(found_in(lies)) == 3
    assert found_in({"none": b"rtsp://viewer:***@host"}) == []


S3 = {"endpoint": f"http://127.0.0.1:{free_port()}", "key_id_env": "C_S3_ID", "secret_env": "C_S3_KEY"}


@pytest.mark.full
@pytest.mark.skipif(not mosquitto(), reason="mosquitto is absent")
def test_a_device_tells_no_secret(programs, tmp_path):
    users = {"station": BROKER, "spy": "spy"}
    with EmbeddedBroker(0, tmp_path / "broker", users) as broker, a_camera_that_refuses() as camera:
        about = a_device(tmp_path, broker.port, camera)
        config, data = written(tmp_path / "device.toml", about), tmp_path / "data"
        data.mkdir()
        assert programs.run("agent", "pin", "--config", config, "--stdin", stdin=PIN + "\n") == 0
        with (
            a_spy(broker.port, programs.said),
            programs.running("agent", "inspect", "--config", config),
            programs.running("agent", "uplink", "--config", config),
            programs.running("agent", "update", "--config", config),
            programs.running("agent", "panel", "--config", config),
        ):
            waited(lambda: (data / "state.json").exists() and b"camera" in (data / "state.json").read_bytes(), "state")
            waited(lambda: any("/status" in name for name in programs.said), "status")
            waited(lambda: any("/metrics" in name for name in programs.said), "metrics")
            waited(lambda: (data / "update.json").exists(), "update.json")
            waited(lambda: is_up(about["panel"]["port"]), "panel")
            browser = Browser(about["panel"]["port"], programs.said)
            for path in ("/pin", "/", "/alarms", "/setup/", "/healthz"):
                browser.ask("GET", path)
            browser.ask("GET", "/pin")
            assert browser.ask("POST", "/pin", {"pin": WRONG}) == 401
            assert browser.ask("POST", "/pin", {"pin": PIN, "next": "/setup/"}) == 302
            assert browser.ask("GET", "/setup/") == 200
            assert browser.ask("GET", "/metrics") == 401
            assert browser.ask("GET", "/metrics", Authorization=f"Bearer {SCRAPE}") == 200
        programs.run("doctor", "--config", config)
        programs.run("inspect", about["camera"])
        programs.run("calibrate", "fit", about["camera"], "--station", "TANK1", "--out", str(tmp_path / "new.toml"))
        with programs.running("agent", "uplink", "--config", config, D_BROKER=WRONG) as wrong:
            log = tmp_path / f"agent uplink {len(programs.said)}.log"
            waited(lambda: b"refuses" in log.read_bytes(), "refusal")
            assert wrong.poll() is None
        del about["camera"]
        programs.run("agent", "inspect", "--config", written(tmp_path / "bad.toml", about | {"camra": "x"}))
        programs.files_of(data)
    assert found_in(programs.said) == []
    assert len(programs.said) > 25


@pytest.mark.full
@pytest.mark.skipif(not mosquitto(), reason="mosquitto is absent")
def test_a_cloud_tells_no_secret(programs, tmp_path):
    with EmbeddedBroker(0, tmp_path / "broker", {"station": BROKER, "spy": "spy"}) as broker:
        about = a_cloud(tmp_path, broker.port)
        config = written(tmp_path / "cloud.toml", about)
        assert programs.run("cloud", "user", "add", "ada", "--role", "admin", "--config", config) == 0
        programs.run("cloud", "user", "add", "eve", "--config", config, TANKWATCH_PASSWORD="geheim-42")
        assert programs.run("cloud", "token", "add", "ci", "--role", "admin", "--config", config) == 0
        # Its maker alone sees it, once: it is what the command is for.
        (token,) = re.findall(rb"tw_\S+", programs.said.popitem()[1])
        with (
            a_spy(broker.port, programs.said),
            programs.running("cloud", "ingest", "--config", config),
            programs.running("cloud", "web", "--config", config),
        ):
            waited(lambda: is_up(about["web"]["port"]), "web")
            browser = Browser(about["web"]["port"], programs.said)
            browser.ask("GET", "/login")
            assert browser.ask("POST", "/login", {"name": "ada", "password": WRONG}) == 401
            browser.ask("GET", "/login")
            assert browser.ask("POST", "/login", {"name": "ada", "password": PASSWORD}) == 302
            pages = ("/users", "/tokens", "/audit", "/stations", "/review", "/cases", "/readyz", "/api/v1/openapi.json")
            for path in pages:
                assert browser.ask("GET", path) < 500, path
            browser.ask("GET", "/login/company")
            bearer = f"Bearer {token.decode()}"
            assert browser.ask("GET", "/metrics", Authorization=bearer) == 200
            assert browser.ask("GET", "/api/v1/stations", Authorization=bearer) == 200
            assert browser.ask("GET", "/api/v1/stations", Authorization=f"Bearer {TOKEN}") == 401
        with programs.running("cloud", "ingest", "--config", config, C_BROKER=WRONG):
            waited(
                lambda: b"refuses us" in (tmp_path / f"cloud ingest {len(programs.said)}.log").read_bytes(), "refusal"
            )
        programs.run("cloud", "audit", "check", "--config", config)
        programs.run("cloud", "backup", str(tmp_path / "backup"), "--config", config)
        programs.run("doctor", "--config", config)
        bucket = a_cloud(tmp_path / "b", broker.port, store="s3://clips/x", s3=S3)
        (tmp_path / "b").mkdir()
        programs.run("cloud", "retain", "--config", written(tmp_path / "bucket.toml", bucket))
        away = a_cloud(tmp_path / "p", broker.port, database=f"postgresql://cloud:{DATABASE}@127.0.0.1:{free_port()}/x")
        for command in (("cloud", "ingest"), ("cloud", "web"), ("cloud", "user", "list")):
            assert programs.run(*command, "--config", written(tmp_path / "away.toml", away)) == 1
        said = ("provision", "TANK1", "--site", "plant", "--broker", "127.0.0.1", "--out", str(tmp_path / "desk"))
        assert programs.run(*said) == 0
        programs.run(*said, TANKWATCH_CA_PASSPHRASE=WRONG)
        for folder in ("cloud", "backup", "desk", "b"):
            programs.files_of(tmp_path / folder)
    programs.said |= {"token": b""}
    assert found_in(programs.said) == []
    assert not [name for name, data in programs.said.items() if token in data]
    assert len(programs.said) > 25
