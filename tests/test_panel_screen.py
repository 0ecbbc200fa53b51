"""The page, its events and the live picture over real HTTP: what comes, and that no browser keeps another one out."""

import http.client
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from panel_site import a_device, a_panel, free_port, publish
from serving import serving

from edge_agent import live, panel, panel_screen
from edge_agent.panel import LIVE_STREAMS, STATE_STREAMS, make_server


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, int, Path]]:
    port = free_port()
    device = a_device(tmp_path, port=port)
    (tmp_path / "run").mkdir()
    server = make_server(a_panel(tmp_path, device=device), device)
    with serving(server):
        yield "127.0.0.1", port, tmp_path


def opened(address: tuple, path: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(*address[:2], timeout=5)
    connection.request("GET", path)
    return connection.getresponse()


def test_page_and_events_say_the_same(served) -> None:
    page = opened(served, "/").read().decode()
    assert "No word from the inspection" in page and 'http-equiv="refresh"' in page
    events = opened(served, "/state")
    assert events.headers["Content-Type"].startswith("text/event-stream")
    assert events.readline().startswith(b"retry:")
    events.readline()
    said = msgspec.json.decode(events.readline().removeprefix(b"data: "))
    assert said["headline"] == "No word from the inspection" and said["is_fresh"] is False


def test_events_speak_the_language_of_their_page_and_choose_none_for_others(served) -> None:
    events = opened(served, "/state?lang=de")
    assert events.headers["Set-Cookie"] is None
    lines = [events.readline() for _ in range(3)]
    assert msgspec.json.decode(lines[2].removeprefix(b"data: "))["headline"] == "Die Prüfung meldet sich nicht"
    assert "tankwatch-language=de" in opened(served, "/?lang=de").headers["Set-Cookie"]


def test_each_picture_comes_once_and_only_if_it_is_of_now(served) -> None:
    folder = a_device(served[2]).live_path
    publish(folder, b"old", live.STALE_S + 1)
    stream = opened(served, "/live.mjpg")
    assert stream.readline() == b"--picture\r\n"
    for number in (1, 2):
        sent = publish(folder, b"%d" % number)
        assert stream.readline() == b"Content-Type: image/jpeg\r\n"
        assert stream.readline() == f"Content-Length: {len(sent)}\r\n".encode()
        stream.readline()
        assert stream.read(len(sent) + 2) == sent + b"\r\n"
        assert stream.readline() == b"--picture\r\n"
    assert (folder / "screen.wish").exists()


@pytest.mark.parametrize(("path", "most"), [("/state", STATE_STREAMS), ("/live.mjpg", LIVE_STREAMS)])
def test_streams_that_nobody_reads_keep_no_page_and_no_newer_stream_out(served, path: str, most: int) -> None:
    kept = [opened(served, path) for _ in range(most)]
    newest = opened(served, path)
    assert newest.status == 200 and newest.readline()
    while kept[0].readline():
        pass  # the oldest ends, after what it was told before
    assert opened(served, "/pin").status == 200


def test_a_browser_that_takes_nothing_any_more_is_gone_after_a_while(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(panel, "OPTIONS", ((socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 500),))
    monkeypatch.setattr(live, "newest", lambda *_: os.urandom(1 << 16))
    device = a_device(tmp_path, port=free_port())
    app = a_panel(tmp_path, device=device)
    server = make_server(app, device)
    places, until_s = app.extensions["tankwatch"].pictures, time.monotonic() + 30
    with serving(server), socket.socket() as browser:
        browser.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        browser.connect(("127.0.0.1", device.panel.port))
        browser.sendall(b"GET /live.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
        _wait(lambda: places._open, until_s)
        _wait(lambda: not places._open, until_s)


def _wait(holds: Callable[[], object], until_s: float) -> None:
    while not holds():
        assert time.monotonic() < until_s
        threading.Event().wait(0.02)


def test_a_look_at_the_head_of_a_stream_takes_no_place(tmp_path: Path) -> None:
    app = a_panel(tmp_path)
    for _ in range(2 * STATE_STREAMS):
        assert app.test_client().head("/state").status_code == 200
    assert not app.extensions["tankwatch"].screens._open


def test_a_stream_that_its_browser_leaves_gives_its_place_back(tmp_path: Path) -> None:
    app = a_panel(tmp_path)
    answer = app.test_client().get("/state")
    assert len(app.extensions["tankwatch"].screens._open) == 1
    next(answer.response)
    answer.close()
    assert not app.extensions["tankwatch"].screens._open
    assert panel_screen.BEAT_S < 4
