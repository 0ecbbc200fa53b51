"""Mosquitto with the certificates, access list and configuration that `provision` makes, and clients that use them."""

import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from cloud_sync import broker_rules, provision
from cloud_sync.broker import mosquitto
from cloud_sync.provision import Desk
from edge_agent.child import end_with_parent
from edge_agent.errors import LinkError

SITE = "plant-1"
ANSWER_S = 10.0
HOST = "127.0.0.1"
DEBIANS = """user root
pid_file {folder}/mosquitto.pid
persistence true
persistence_location {folder}/
log_dest stderr
include_dir {folder}/conf.d
"""
"""As Debian's mosquitto.conf goes."""


def make_desk(folder: Path, *stations: str) -> Desk:
    """An authority with these stations, its broker on this machine."""
    desk, now = Desk(folder, folder / "offline" / "ca.key"), datetime.now(UTC)
    provision.begin(desk, SITE, (HOST,), now)
    provision.renew_own(desk, now)
    for station in stations:
        provision.give(desk, station, now)
    provision.write_broker_files(desk, now)
    return desk


class Broker:
    """Mosquitto with the files of a desk, on ports of its own: the stations' and the cloud's."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.ports = desk, (free_port(), free_port())
        self._process: subprocess.Popen | None = None

    def start(self) -> None:
        """Returns once it accepts connections. Raises LinkError."""
        program = mosquitto()
        if program is None:
            raise LinkError("certificates and access lists are Mosquitto's matter: install the package mosquitto")
        with open(self.desk.folder / "broker.log", "wb") as log:
            command = [program, "-c", str(self._configuration())]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, preexec_fn=end_with_parent)
        deadline_s = time.monotonic() + ANSWER_S
        while not all(answers(port) for port in self.ports):
            if time.monotonic() > deadline_s or self._process.poll() is not None:
                raise LinkError(f"mosquitto did not start: {(self.desk.folder / 'broker.log').read_text()[-300:]}")
            time.sleep(0.02)

    def reload(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def station(self, name: str) -> Path:
        """The folder that was made for its device."""
        return self.desk.folder / provision.STATIONS / f"{SITE}-{name}"

    @property
    def cloud(self) -> Path:
        return self.desk.folder / provision.CLOUD

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _configuration(self) -> Path:
        text = broker_rules.configuration(str(self.desk.folder / "broker"), cloud_bind=HOST, ports=self.ports)
        (self.desk.folder / "conf.d").mkdir(exist_ok=True)
        (self.desk.folder / "conf.d/tankwatch.conf").write_text(text)
        path = self.desk.folder / "mosquitto.conf"
        path.write_text(DEBIANS.format(folder=self.desk.folder))
        return path


class Client:
    """Connects with the certificate in a folder and keeps what comes. Raises LinkError where it is not let in."""

    def __init__(
        self,
        broker: Broker,
        folder: Path,
        *,
        client_id: str = "",
        port: int | None = None,
        listen: Iterable[str] = (),
        will: tuple[str, bytes] | None = None,
        clean_session: bool = True,
    ) -> None:
        is_cloud = (folder / "cloud.crt").exists()
        stem = "cloud" if is_cloud else "device"
        self.heard: list[tuple[str, bytes]] = []
        self._new = threading.Condition()
        self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, clean_session=clean_session, reconnect_on_failure=False
        )
        self.client.tls_set(str(folder / "ca.crt"), str(folder / f"{stem}.crt"), str(folder / f"{stem}.key"))
        if will:
            self.client.will_set(*will, qos=1)
        self.client.on_message = self._message
        self._enter(broker.ports[is_cloud] if port is None else port, list(listen))

    def say(self, *words: tuple[str, bytes], retain: bool = False) -> None:
        """Returns once the broker has acknowledged all of them, whatever it did with them."""
        handed = [self.client.publish(topic, payload, qos=1, retain=retain) for topic, payload in words]
        for one in handed:
            one.wait_for_publish(ANSWER_S)

    def hears(self, topic: str, payload: bytes) -> bool:
        """Waits for it."""
        with self._new:
            return self._new.wait_for(lambda: (topic, payload) in self.heard, ANSWER_S)

    def break_off(self) -> None:
        """Without a word: the broker speaks its will."""
        open_socket = self.client.socket()
        if isinstance(open_socket, socket.socket):
            open_socket.shutdown(socket.SHUT_RDWR)
        self.client.loop_stop()

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _enter(self, port: int, listen: list[str]) -> None:
        answered, subscribed = threading.Event(), threading.Event()
        codes: list[ReasonCode] = []

        def connected(_client: mqtt.Client, _data: object, _flags: object, code: ReasonCode, _: object) -> None:
            codes.append(code)
            answered.set()

        self.client.on_connect = connected
        self.client.on_disconnect = lambda *_: answered.set()
        self.client.on_subscribe = lambda *_: subscribed.set()
        try:
            self.client.connect(HOST, port)
        except OSError as error:
            raise LinkError(f"not let in: {error}") from error
        self.client.loop_start()
        if not answered.wait(ANSWER_S) or not codes or codes[0].is_failure:
            self.client.loop_stop()
            raise LinkError(f"not let in: {codes[0] if codes else 'the connection was closed'}")
        if listen:
            self.client.subscribe([(topic, 1) for topic in listen])
            if not subscribed.wait(ANSWER_S):
                raise LinkError("the broker does not answer a subscription")

    def _message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        with self._new:
            self.heard.append((message.topic, bytes(message.payload)))
            self._new.notify_all()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0
