"""The panel's PIN: who is let in, who has to wait, when a session ends, and what the command refuses."""

import os
import stat
from pathlib import Path

import pytest
from flask import Blueprint
from panel_site import PIN, QUICK, a_device, a_panel, give_pin, token

from edge_agent import config, panel_pin, pin, pin_command
from edge_agent.errors import ConfigError, StoreError
from edge_agent.panel_pin import IDLE_S, Sessions, needs_pin
from edge_agent.pin import FIRST_WAIT_S, FREE_TRIES, LONGEST_WAIT_S, Pin


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pin, "HASHER", QUICK)


def a_setup() -> Blueprint:
    """As commissioning is mounted: it asks for nothing itself."""
    made = Blueprint("setup", "setup")
    made.add_url_rule("/setup", view_func=lambda: "set up here", endpoint="page")
    made.add_url_rule("/setup", view_func=lambda: "kept", endpoint="keep", methods=["POST"])
    return made


def test_mounted_pages_ask_for_the_pin_and_go_on_where_one_wanted_to_go(tmp_path: Path) -> None:
    client = a_panel(tmp_path, [a_setup()]).test_client()
    assert client.get("/setup?step=2").location == "/pin?next=/setup?step%3D2"
    assert give_pin(client, where="/setup?step=2").location == "/setup?step=2"
    assert client.get("/setup").text == "set up here"


def test_what_is_sent_without_the_pin_changes_nothing_and_asks_for_it(tmp_path: Path) -> None:
    client = a_panel(tmp_path, [a_setup()]).test_client()
    answer = client.post("/setup", data={"csrf_token": token(client)})
    assert answer.status_code == 401 and 'name="pin"' in answer.text
    assert client.post("/setup", headers={"Accept": "application/json"}).json["error"]["code"] == "pin"


def test_what_is_sent_with_the_pin_but_without_the_form_token_is_refused(tmp_path: Path) -> None:
    client = a_panel(tmp_path, [a_setup()]).test_client()
    give_pin(client)
    assert client.post("/setup").status_code == 400
    assert client.post("/setup", data={"csrf_token": token(client, "/nothing")}).text == "kept"


def test_one_route_alone_can_ask_for_the_pin(tmp_path: Path) -> None:
    one = Blueprint("one", "one")
    one.get("/open")(lambda: "open")
    one.get("/closed", endpoint="closed")(needs_pin(lambda: "closed"))
    app = a_panel(tmp_path)
    app.register_blueprint(one)
    client = app.test_client()
    assert client.get("/open").text == "open"
    assert client.get("/closed").status_code == 302
    give_pin(client)
    assert client.get("/closed").text == "closed"


def test_without_a_pin_the_page_says_how_one_is_set(tmp_path: Path) -> None:
    client = a_panel(tmp_path, [a_setup()], pin=None).test_client()
    answer = client.get("/setup", follow_redirects=True)
    assert answer.status_code == 403
    assert f"agent pin --config {tmp_path / 'device.toml'}" in answer.text
    assert client.post("/pin", data={"pin": ""}).status_code == 400


def test_a_session_ends_after_fifteen_idle_minutes_and_not_before(tmp_path: Path) -> None:
    clock, kept = Clock(), Pin(tmp_path)
    kept.set(PIN)
    sessions = Sessions(kept, clock)
    name = sessions.begin()
    clock.now += IDLE_S - 1
    assert sessions.holds(name)
    clock.now += IDLE_S - 1
    assert sessions.holds(name, somebody=False)
    clock.now += 1
    assert not sessions.holds(name)
    clock.now -= 10
    assert not sessions.holds(name)


def test_a_session_ends_with_another_pin_and_with_signing_out(tmp_path: Path) -> None:
    app = a_panel(tmp_path, [a_setup()])
    client, other = app.test_client(), app.test_client()
    give_pin(client)
    give_pin(other)
    stolen = client.get_cookie("tankwatch-panel").value
    client.post("/pin/out", data={"csrf_token": token(client, "/nothing")})
    client.set_cookie("tankwatch-panel", stolen)
    assert client.get("/setup").status_code == 302
    assert other.get("/setup").status_code == 200
    Pin(a_device(tmp_path).folder).set("another-1")
    assert other.get("/setup").status_code == 302


def test_what_a_page_asks_by_itself_keeps_no_session_alive(tmp_path: Path) -> None:
    app = a_panel(tmp_path, [a_setup()])
    client, clock = app.test_client(), Clock()
    app.extensions["tankwatch"].sessions._clock = clock
    give_pin(client)
    clock.now += IDLE_S - 1
    assert client.get("/setup", headers={panel_pin.BACKGROUND: "1"}).status_code == 200
    clock.now += 1
    assert client.get("/setup").status_code == 302


def test_going_on_elsewhere_is_not_offered(tmp_path: Path) -> None:
    client = a_panel(tmp_path).test_client()
    for target in ("https://evil.example", "//evil.example", "/\\evil.example", "/\x01/evil.example"):
        assert give_pin(client, where=target).location == "/"
        client.post("/pin/out", data={"csrf_token": token(client, "/nothing")})


def test_waiting_grows_with_each_wrong_one_and_says_how_long(tmp_path: Path) -> None:
    app = a_panel(tmp_path)
    client, clock = app.test_client(), Clock()
    app.extensions["tankwatch"].sessions.pin._clock = clock
    for _ in range(FREE_TRIES):
        assert give_pin(client, "000000").status_code == 401
    answer = give_pin(client, PIN)
    assert answer.status_code == 429 and "in 5 s" in answer.text
    clock.now += FIRST_WAIT_S
    assert "in 10 s" in give_pin(client, "000000").text
    clock.now += 2 * FIRST_WAIT_S
    assert give_pin(client).status_code == 302
    assert app.extensions["tankwatch"].sessions.pin.wait_s == 0


def test_waiting_outlasts_a_restart_and_a_clock_that_is_set(tmp_path: Path) -> None:
    clock, kept = Clock(), Pin(tmp_path)
    kept._clock = clock
    kept.set(PIN)
    for _ in range(20):
        clock.now += LONGEST_WAIT_S
        kept.is_right("000000")
    again = Pin(tmp_path, clock)
    assert again.wait_s == LONGEST_WAIT_S and again.is_right(PIN) == LONGEST_WAIT_S
    clock.now -= 10 * 365 * 86_400
    assert again.wait_s == LONGEST_WAIT_S
    again.set(PIN)
    assert kept.wait_s == 0 and kept.is_right(PIN) is True


def test_a_hundred_guesses_at_once_are_counted_like_a_hundred_after_each_other(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    kept = Pin(tmp_path, Clock())
    kept.set(PIN)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(kept.is_right, ["000000"] * 100))
    assert answers.count(False) == FREE_TRIES


def test_damaged_files_let_nobody_in_and_lock_nobody_out_for_ever(tmp_path: Path) -> None:
    clock, kept = Clock(), Pin(tmp_path)
    kept._clock = clock
    kept.set(PIN)
    (tmp_path / "panel-pin-tries.json").write_bytes(b"\xff{")
    assert kept.is_right(PIN) is True
    (tmp_path / "panel-pin").write_text("no hash")
    assert kept.is_right(PIN) is False
    assert kept.is_right("no hash") is False


def full(*_: object) -> None:
    raise StoreError("full")


@pytest.mark.parametrize("before", [0, 1])
def test_a_full_disk_keeps_nobody_out_and_makes_guessing_no_cheaper(tmp_path: Path, monkeypatch, before: int) -> None:
    kept = Pin(tmp_path, Clock())
    kept.set(PIN)
    # Whoever was let in before has left a file of no wrong tries.
    assert [kept.is_right(PIN) for _ in range(before)] == [True] * before
    monkeypatch.setattr(pin, "write_private", full)
    assert kept.is_right(PIN) is True
    assert [kept.is_right("000000") for _ in range(FREE_TRIES)] == [False] * FREE_TRIES
    assert kept.is_right("000000") == FIRST_WAIT_S


def test_a_new_pin_ends_the_waiting_also_where_a_full_disk_had_not_kept_it(tmp_path: Path, monkeypatch) -> None:
    kept = Pin(tmp_path, Clock())
    kept.set(PIN)
    with monkeypatch.context() as disk:
        disk.setattr(pin, "write_private", full)
        for _ in range(FREE_TRIES):
            kept.is_right("000000")
        assert kept.wait_s == FIRST_WAIT_S
    Pin(tmp_path).set("another-1")
    assert kept.wait_s == 0


@pytest.mark.parametrize(
    "refused", ["12345", "111111", "123456", "654321", "121212", "123123", "abcdef", "890123", " 402917", "1" * 129]
)
def test_trivial_and_unfit_pins_are_refused(refused: str) -> None:
    assert pin.fault(refused)
    assert not pin.fault(PIN)


def test_the_hash_is_argon2id_and_for_the_owner_alone(tmp_path: Path, monkeypatch, capsys) -> None:
    import io

    device = tmp_path / "device.toml"
    device.write_bytes(config.dump(a_device(tmp_path)))
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PIN}\n"))
    with pytest.raises(ConfigError, match="install the device"):
        pin_command.pin(["--config", str(device), "--stdin"])
    (tmp_path / "data").mkdir()
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PIN}\n"))
    assert pin_command.pin(["--config", str(device), "--stdin"]) == 0
    path = tmp_path / "data" / "panel-pin"
    assert path.read_text().startswith("$argon2id$")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert PIN not in capsys.readouterr().err


def test_the_command_refuses_a_trivial_pin_and_asks_nobody_who_is_not_there(tmp_path: Path, monkeypatch) -> None:
    import io

    device = tmp_path / "device.toml"
    device.write_bytes(config.dump(a_device(tmp_path)))
    monkeypatch.setattr("sys.stdin", io.StringIO("123456\n"))
    with pytest.raises(ConfigError, match="choose another"):
        pin_command.pin(["--config", str(device), "--stdin"])
    with pytest.raises(ConfigError, match="--stdin"):
        pin_command.pin(["--config", str(device)])
