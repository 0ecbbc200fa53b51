"""What a process tells systemd, heard on a real datagram socket."""

import os
import socket
from pathlib import Path

import pytest

from edge_agent.notify import Notifier
from tests.fakes_camera import Clock


class Supervisor:
    """Stands where systemd does."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.setblocking(False)

    def heard(self) -> list[str]:
        found = []
        while True:
            try:
                found.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return found


@pytest.fixture
def systemd(tmp_path):
    supervisor = Supervisor(str(tmp_path / "notify"))
    yield supervisor
    supervisor.socket.close()


def notifier(folder: Path, clock: Clock | None = None, **environment: str) -> Notifier:
    return Notifier(
        {"NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": "30000000"} | environment, clock or Clock()
    )


def test_ready_is_said_once_with_how_it_goes(tmp_path, systemd):
    told = notifier(tmp_path)
    told.ready("waiting for\na profile")
    told.ready("again")
    assert systemd.heard() == ["READY=1\nSTATUS=waiting for a profile"]


def test_a_loop_that_turns_says_so_well_before_systemd_loses_patience_and_no_oftener(tmp_path, systemd):
    clock = Clock()
    told = notifier(tmp_path, clock)
    for _ in range(60 * 20):
        clock.turn(0.05)
        told.alive()
    assert systemd.heard() == ["WATCHDOG=1"] * 8


def test_without_a_watchdog_of_this_very_process_nobody_is_told_that_it_lives(tmp_path, systemd):
    notifier(tmp_path, WATCHDOG_USEC="").alive()
    notifier(tmp_path, WATCHDOG_PID="1").alive()
    assert systemd.heard() == []
    notifier(tmp_path, WATCHDOG_PID=str(os.getpid())).alive()
    assert systemd.heard() == ["WATCHDOG=1"]


def test_a_status_is_one_line_and_said_when_it_changes_once_a_second_at_most(tmp_path, systemd):
    clock = Clock()
    told = notifier(tmp_path, clock)
    for words in ("shadow", "shadow", "shadow: the camera\nhas moved", "x" * 999):
        told.status(words)
        clock.turn(2.0)
    told.status("a")
    told.status("b")
    assert systemd.heard() == [
        "STATUS=shadow",
        "STATUS=shadow: the camera has moved",
        "STATUS=" + "x" * 200,
        "STATUS=a",
    ]


def test_an_abstract_socket_is_found(systemd):
    name = f"tankwatch-test-{os.getpid()}"
    hidden = Supervisor("\0" + name)
    Notifier({"NOTIFY_SOCKET": "@" + name}).stopping()
    assert hidden.heard() == ["STOPPING=1"]
    hidden.socket.close()


@pytest.mark.parametrize("address", [None, "", "relative", "/there/is/nothing", "/dev/null"])
def test_without_a_supervisor_nothing_happens(address):
    told = Notifier({"WATCHDOG_USEC": "30000000"} | ({} if address is None else {"NOTIFY_SOCKET": address}))
    told.ready()
    told.alive()
    told.status("well")


def test_a_supervisor_that_does_not_read_holds_nobody_up(tmp_path, systemd):
    clock = Clock()
    told = notifier(tmp_path, clock)
    for number in range(3000):
        clock.turn(2.0)
        told.status(str(number))
    assert 1 <= len(systemd.heard()) < 3000
