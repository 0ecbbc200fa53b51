"""The local interface for PLC and robot, over a real socket."""

import contextlib
import json
import socket
import time

import pytest
from in_full import in_full

from edge_agent import utc
from edge_agent.config import LineConfig
from edge_agent.errors import ConfigError
from edge_agent.line import MOST_WORDS, LineWord, Told
from edge_agent.line import Line as Server

WAIT_S = 20


class Robot:
    """One connection."""

    def __init__(self, line: Server) -> None:
        self.socket = socket.create_connection(("127.0.0.1", line.port), timeout=WAIT_S)
        self.lines = self.socket.makefile("rb")

    def until(self, **wanted) -> dict:
        """The first state that fits."""
        while line := self.lines.readline():
            state = json.loads(line)
            if all(state.get(name) == value for name, value in wanted.items()):
                return state
        raise AssertionError(f"the line was closed before {wanted}")

    def say(self, **words) -> None:
        self.socket.sendall(json.dumps(words).encode() + b"\n")


@pytest.fixture
def line():
    server = Server(LineConfig(port=free_port()))
    yield server
    server.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


def decided(word: str, case_id: str = "TANK1-1", valid_s: float = 30.0) -> Told:
    return Told(ready=True, mode="partial", case_id=case_id, disposition=word, until_s=time.monotonic() + valid_s)


def test_a_result_is_one_signal_until_it_is_acknowledged(line):
    robot = Robot(line)
    assert robot.until(result_valid=False)["ready"] is False
    line.tell(decided("leak"))
    state = robot.until(result_valid=True)
    assert (state["ok"], state["leak"], state["wait"]) == (False, True, False)
    assert (state["case_id"], state["disposition"], state["schema"]) == ("TANK1-1", "leak", "tankwatch/line/1")
    robot.say(result_ack="TANK1-1")
    state = robot.until(result_valid=False)
    assert (state["ok"], state["leak"], state["wait"], state["case_id"]) == (False, False, False, None)
    line.tell(decided("wait", "TANK1-2"))
    assert robot.until(result_valid=True)["wait"] is True


def test_a_disposition_expires_by_itself(line):
    robot = Robot(line)
    line.tell(decided("ok", valid_s=0.3))
    assert robot.until(ok=True)["expires_at"].endswith("Z")
    assert robot.until(result_valid=False)["ok"] is False


@pytest.mark.parametrize("jump_s", [-3600.0, 1e9, *(in_full(jump) for jump in (-1e9, 3600.0))])
def test_a_clock_that_is_set_neither_ends_a_disposition_nor_keeps_it(jump_s):
    jumped_s = [0.0]
    server = Server(LineConfig(port=free_port()), (lambda: time.time() + jumped_s[0], time.monotonic))
    robot = Robot(server)
    server.tell(decided("ok", valid_s=2.5))
    robot.until(ok=True)
    jumped_s[0] = jump_s
    heard = robot.until(ok=True)
    assert 0 < utc.seconds(heard["expires_at"]) - utc.seconds(heard["at"]) <= 2.5
    assert robot.until(result_valid=False)["ok"] is False
    server.close()


def test_the_heart_beats_while_the_frame_loop_goes_on_and_stops_with_it(line, monkeypatch):
    robot = Robot(line)
    line.tell(Told(ready=True, mode="partial"))
    first = robot.until(ready=True)["heartbeat"]
    assert robot.until(heartbeat=not first)
    line._told_s -= 60
    state = robot.until(ready=False)
    assert robot.until(ready=False)["heartbeat"] == state["heartbeat"]


def test_what_the_line_says_is_handed_to_the_frame_loop(line):
    robot = Robot(line)
    robot.say(serial="SN-1", trigger=True)
    robot.say(acknowledge=True)
    words, end = [], time.monotonic() + WAIT_S
    while len(words) < 2 and time.monotonic() < end:
        words += line.heard()
    assert words == [LineWord(serial="SN-1", trigger=True), LineWord(acknowledge=True)]


@pytest.mark.parametrize(
    "data", [b'{"serial": 3}\n', b'{"colour": "red"}\n', b"\xff\n", b"x" * 9000, b'{"serial": "a\\nb"}\n']
)
def test_who_cannot_be_understood_is_told_why_and_disconnected(line, data):
    robot = Robot(line)
    robot.socket.sendall(data)
    rest = b""
    with contextlib.suppress(ConnectionResetError):
        while line_read := robot.lines.readline():
            rest += line_read
    assert b"not understood" in rest or data.startswith(b"x")
    assert line.heard() == []


def test_who_does_not_read_is_dropped_and_holds_up_nobody(line):
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    deaf.connect(("127.0.0.1", line.port))
    robot = Robot(line)
    robot.until(result_valid=False)
    slowest = number = 0.0
    while len(line._peers) > 1:
        began = time.perf_counter()
        line.tell(decided("ok", f"TANK1-{number:06.0f}"))
        slowest, number = max(slowest, time.perf_counter() - began), number + 1
        robot.until(case_id=f"TANK1-{number - 1:06.0f}")
    assert slowest < 0.5
    deaf.close()


def test_who_says_more_than_is_taken_is_dropped_and_holds_up_nobody(line):
    peer = socket.create_connection(("127.0.0.1", line.port), timeout=10)
    with pytest.raises(OSError):
        while True:
            peer.sendall(b"{}\n" * 1000)
    assert len(line.heard()) <= MOST_WORDS


def test_an_address_that_is_taken_is_named(line):
    with pytest.raises(ConfigError, match=f"127.0.0.1:{line.port}"):
        Server(LineConfig(port=line.port))
