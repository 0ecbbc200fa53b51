"""The machine's word while the unit is in the water: to the line, to the screen, and in the record."""

import json
import socket
import threading
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import msgspec
import pytest
from in_full import in_full
from test_automation import order
from test_line import free_port
from test_selfreport import HealthyCamera, Waiting, raised

from edge_agent import agent, config, station
from edge_agent.automation import Standing
from edge_agent.bundle import open_bundle
from edge_agent.config import LineConfig
from edge_agent.inspection import shipped_bundle
from edge_agent.line import Told
from edge_agent.line_talk import LineTalk
from edge_agent.messages import ModeOrder
from edge_agent.outbox import Outbox
from edge_agent.records import Case
from edge_agent.selfreport import SelfReport
from edge_agent.state import DeviceState
from edge_agent.wire import decode
from tests.fakes_tape import FPS, TapeCamera, tape, write_device


def permit(folder, mode: str) -> ModeOrder:
    """A signed order for the shipped bundle and this station's profile."""
    profile, profile_sha256 = station.load(folder / "station.toml")
    now = datetime.now(UTC)
    ends = (now + timedelta(days=9)).isoformat()
    given = order(
        mode,
        station=profile.station,
        bundle_sha256=open_bundle(shipped_bundle()).ref.sha256,
        profile_sha256=profile_sha256,
        certificate=msgspec.structs.replace(order().certificate, expires_at=ends),
        ordered_at=now.isoformat(),
        expires_at=ends,
    )
    (folder / "data" / "signed").mkdir(parents=True)
    (folder / "data" / "signed" / "mode.json").write_bytes(msgspec.json.encode(given))
    return given


def run(folder, mode: str, at=None, **settings) -> tuple[Case, DeviceState]:
    device = write_device(folder, mode="full", **settings)
    permit(folder, mode)
    agent.inspect_device(config.load(device), lambda: False, openers={"tape": lambda _: TapeCamera(at)})
    outbox = Outbox.open(folder / "data" / "outbox.db", folder / "data" / "spool")
    (waiting,) = outbox.waiting_cases(10)
    outbox.close()
    last = msgspec.json.decode((folder / "data" / "state.json").read_bytes(), type=DeviceState)
    return decode(waiting.payload, Case), last


def test_in_partial_the_machine_decides_before_the_inspector_and_the_line_hears_it(tmp_path):
    port, heard, said = free_port(), [], threading.Event()

    def listen() -> None:
        robot = socket.create_connection(("127.0.0.1", port), timeout=60)
        robot.sendall(b'{"serial": "SN-77"}\n')
        for line in robot.makefile("rb"):
            state = json.loads(line)
            if state["result_valid"]:
                heard.append(state)
                said.set()
                return

    robot = threading.Thread(target=listen)
    decided = int(tape().truth.decided_s * FPS)
    at = {5: robot.start, decided: lambda: said.wait(60)}
    case, last = run(tmp_path, "partial", at, line=LineConfig(port=port))
    robot.join()
    assert (heard[0]["leak"], heard[0]["ok"], heard[0]["case_id"]) == (True, False, case.case_id)
    assert (case.mode, case.disposition, case.decided_by, case.outcome) == (
        "partial",
        "leak",
        "machine",
        "machine_only",
    )
    assert (case.decision, case.serial, case.word_shown) == ("leak", "SN-77", "before")
    assert case.due is not None and case.due.verdict == "leak" and case.due.usable_s < case.usable_s
    assert last.disposition is not None and last.disposition.case_id == case.case_id
    assert last.mode_words == "ordered by quinn: earned"


def test_a_unit_that_the_line_was_told_about_is_recorded_though_the_inspection_is_stopped(tmp_path):
    device = write_device(tmp_path, mode="full")
    permit(tmp_path, "partial")
    asked: list[int] = []
    at = {int(tape().truth.decided_s * FPS) - 2: lambda: asked.append(1)}
    agent.inspect_device(config.load(device), lambda: bool(asked), openers={"tape": lambda _: TapeCamera(at)})
    outbox = Outbox.open(tmp_path / "data" / "outbox.db", tmp_path / "data" / "spool")
    (waiting,) = outbox.waiting_cases(10)
    outbox.close()
    case = decode(waiting.payload, Case)
    assert (case.disposition, case.decided_by, case.decision) == ("leak", "machine", "none")


@pytest.mark.parametrize("told", [("TANK1-2", "ok"), None])
def test_a_result_never_comes_back_after_the_next_unit(told):
    heard: list[Told] = []
    talk = LineTalk.__new__(LineTalk)
    talk.line = SimpleNamespace(heard=list, tell=heard.append)
    talk._mode, talk._triggered = SimpleNamespace(mode="partial"), None
    report = SelfReport("boot", "full", HealthyCamera(), Waiting())
    report.spoke(("TANK1-1", "wait"), None, 30.0)
    report.spoke(told, None, 30.0)
    talk.turn(SimpleNamespace(open_case_id=None), report)
    assert heard[0].disposition == (told and told[1])
    assert report.disposition is not None, "MQTT and the screen keep the last one"


def test_a_result_ends_though_the_clock_is_set_back(monkeypatch):
    now_s = [100.0]
    report = SelfReport("boot", "full", HealthyCamera(), Waiting(), clock=lambda: now_s[0])
    report.spoke(("TANK1-1", "ok"), None, 30.0)
    monkeypatch.setattr("time.time", lambda: 0.0)
    now_s[0] += 29.0
    assert report.disposition_holds
    now_s[0] += 2.0
    assert not report.disposition_holds


@pytest.mark.parametrize(("shows", "shown"), [("before", "before"), in_full("after", "after")])
def test_in_assist_the_human_decides_and_the_record_says_when_the_word_was_shown(tmp_path, shows, shown):
    case, last = run(tmp_path, "assist", assist_shows=shows)
    assert (case.mode, case.disposition, case.decided_by, case.word_shown) == ("assist", None, "human", shown)
    assert last.disposition is None


def test_without_an_order_nothing_is_told_or_shown_but_the_word_that_was_due_is_recorded(tmp_path):
    device = write_device(tmp_path, mode="full")
    agent.inspect_device(config.load(device), lambda: False, openers={"tape": lambda _: TapeCamera()})
    outbox = Outbox.open(tmp_path / "data" / "outbox.db", tmp_path / "data" / "spool")
    (waiting,) = outbox.waiting_cases(10)
    outbox.close()
    case = decode(waiting.payload, Case)
    assert (case.mode, case.disposition, case.decided_by, case.word_shown) == ("shadow", None, "human", "no")
    assert case.due is not None and case.due.verdict == "leak"


def test_a_unit_that_waits_in_full_and_a_step_down_raise_alarms_for_the_operator():
    report = SelfReport("boot", "full", HealthyCamera(), Waiting())
    report.standing = Standing("full", "ordered by quinn: earned")
    report.spoke(("TANK1-1", "wait"), None, 30.0)
    report.spoke(("TANK1-1", "wait"), None, 30.0)
    now = report.state()
    assert [alarm.id for alarm in raised(report)] == ["unit"]
    assert (now.mode, now.disposition.disposition) == ("full", "wait")
    report.spoke(("TANK1-2", "ok"), None, 30.0)
    report.standing = Standing("shadow", "the camera has moved: turn it back, then acknowledge", alarm=True)
    (alarm,) = raised(report)
    assert (alarm.id, alarm.action) == ("mode", "turn it back, then acknowledge")
    assert report.state().mode_words == report.standing.words


def test_a_unit_that_is_decided_on_before_the_word_is_due_was_never_left_to_the_machine(tmp_path):
    write_device(tmp_path)
    path = tmp_path / "station.toml"
    profile, _ = station.load(path)
    device = write_device(tmp_path, mode="full")
    path.write_bytes(station.dump(msgspec.structs.replace(profile, required_hold_s=30.0)))
    permit(tmp_path, "partial")
    agent.inspect_device(config.load(device), lambda: False, openers={"tape": lambda _: TapeCamera()})
    outbox = Outbox.open(tmp_path / "data" / "outbox.db", tmp_path / "data" / "spool")
    (waiting,) = outbox.waiting_cases(10)
    outbox.close()
    case = decode(waiting.payload, Case)
    assert (case.mode, case.due, case.disposition) == ("partial", None, "wait")
    assert (case.decided_by, case.decision, case.verdict) == ("human", "leak", "not_tested")
