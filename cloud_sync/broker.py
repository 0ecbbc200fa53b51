"""An MQTT broker of our own for demo and tests: Mosquitto where it is installed, otherwise amqtt in a child process.

No broker's word counts as stored (facts 1, 2, 7), so either will do. In production the plant runs Mosquitto with TLS.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from argon2 import PasswordHasher

from edge_agent.child import end_with_parent
from edge_agent.errors import LinkError

HOST = "127.0.0.1"
READY_S = 15.0
STOP_S = 5.0
LARGEST_MESSAGE = 320 * 1024
"""A part of a clip and its topic fit in."""
TUNED = (
    "autosave_interval 60",
    "max_inflight_messages 1000",
    "max_queued_messages 100000",
    f"message_size_limit {LARGEST_MESSAGE}",
    "log_type error",
    "log_type warning",
)


class EmbeddedBroker:
    """A broker on this machine alone. `users`: name -> password; None lets everybody in. Port 0 takes a free one.

    `tuned` = False: Mosquitto as Debian's package sets it up, but for where it listens and keeps what it saves.
    """

    def __init__(
        self,
        port: int,
        data_dir: Path,
        users: Mapping[str, str] | None = None,
        *,
        program: str | None = None,
        tuned: bool = True,
    ) -> None:
        self.port = port or _free_port()
        self._folder = data_dir
        self._users = dict(users or {})
        self._settings = TUNED if tuned else ()
        self._program = program or mosquitto() or sys.executable
        self._process: subprocess.Popen | None = None

    @property
    def name(self) -> str:
        """Which broker it is: `mosquitto` or `amqtt`."""
        return "amqtt" if self._program == sys.executable else "mosquitto"

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Returns once it accepts connections. Raises LinkError: port in use, or the broker does not start."""
        _check_free(self.port)
        self._folder.mkdir(parents=True, exist_ok=True)
        command = self._mosquitto_command() if self.name == "mosquitto" else self._amqtt_command()
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
        with open(self._folder / "broker.log", "ab") as log:
            self._process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=environment,
                preexec_fn=end_with_parent,
            )
        self._wait_until_ready()

    def stop(self) -> None:
        """Ends it; may be called twice."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill(self) -> None:
        """Ends it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _mosquitto_command(self) -> list[str]:
        conf = self._folder / "mosquitto.conf"
        lines = [*_mosquitto_lines(self.port, self._folder), *self._settings, *self._mosquitto_users()]
        conf.write_text("\n".join(lines) + "\n")
        return [self._program, "-c", str(conf)]

    def _mosquitto_users(self) -> list[str]:
        if not self._users:
            return ["allow_anonymous true"]
        path = self._folder / "passwords"
        path.touch(mode=0o600)
        path.write_text("".join(f"{name}:{password}\n" for name, password in self._users.items()))
        tool = shutil.which("mosquitto_passwd", path=_search_path())
        if tool is None:
            raise LinkError("mosquitto_passwd is missing, so passwords cannot be set: install the package mosquitto")
        subprocess.run([tool, "-U", str(path)], check=True, capture_output=True)
        return ["allow_anonymous false", f"password_file {path}"]

    def _amqtt_command(self) -> list[str]:
        command = [self._program, "-m", "cloud_sync.amqtt_broker", str(self.port)]
        if not self._users:
            return command
        path = self._folder / "amqtt-passwords"
        path.touch(mode=0o600)
        path.write_text(
            "".join(f"{name}:{PasswordHasher().hash(password)}\n" for name, password in self._users.items())
        )
        return [*command, str(path)]

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                break
            if _answers(self.port):
                return
            time.sleep(0.02)
        self.stop()
        lines = (self._folder / "broker.log").read_text(errors="replace").strip().splitlines()
        raise LinkError(f"{self.name} did not start on port {self.port}: {lines[-1] if lines else 'it said nothing'}")


def mosquitto() -> str | None:
    """Mosquitto's program, also where Debian hides it from ordinary users."""
    return shutil.which("mosquitto", path=_search_path())


def _search_path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"


def _mosquitto_lines(port: int, folder: Path) -> list[str]:
    lines = [
        f"listener {port} {HOST}",
        "persistence true",
        f"persistence_location {folder.resolve()}/",
    ]
    return lines + (["user root"] if os.geteuid() == 0 else [])


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise LinkError(
                f"port {port} on {HOST} cannot be used ({error.strerror}): end what uses it or choose another"
            ) from error


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex((HOST, port)) == 0
