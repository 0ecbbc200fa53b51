"""Files, clocks and pictures to the mode in force; restarts, damaged files and full disks."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from test_automation import PROFILE, A, B, order

from edge_agent import acknowledging, mode_keeper, profile_check
from edge_agent.automation import Kept
from edge_agent.config import DeviceConfig
from edge_agent.errors import StoreError
from edge_agent.messages import Desired
from edge_agent.mode_keeper import Circumstances, ModeKeeper
from edge_agent.records import BundleRef, Case, Framing
from tests.cloud_fakes import a_case
from tests.fakes_disk import full_disk
from tests.fakes_tape import write_device

DAY_1 = 1_796_025_600.0
"""30 November 2026, a day after the orders of test_automation."""
IN_PLACE = Framing("ok", np.eye(3), 4, 0.3, 0.0)


class Station:
    """A device file, the two clocks, and whatever is seen."""

    def __init__(self, folder: Path) -> None:
        self.device = DeviceConfig(site="plant", station="station.toml", camera="x", data_dir=str(folder), mode="full")
        (folder / "signed").mkdir(exist_ok=True)
        self.utc = DAY_1
        self.monotonic_s = 100.0
        profile_check.mark_checked(self.device.profiles_path, PROFILE, IN_PLACE, now=DAY_1)
        self.start()

    def start(self) -> None:
        self.keeper = ModeKeeper(
            self.device, "TANK1", PROFILE, (lambda: self.utc, lambda: self.monotonic_s)
        )  # fmt: skip

    def send(self, given, *, raw: bytes | None = None) -> None:
        self.device.order_path.write_bytes(msgspec.json.encode(given) if raw is None else raw)

    def wish(self, **fields) -> None:
        self.device.desired_path.write_bytes(msgspec.json.encode(Desired(counter=1, **fields)))

    def look(self, later_s: float = 0.25, *, framing="ok", pictures=True, water="clear", bundle=A) -> str:
        self.utc += later_s
        self.monotonic_s += later_s
        return self.keeper.look(Circumstances(bundle, framing, pictures, water)).mode


def said_by(bundle_sha256: str, verdict: str) -> Case:
    return msgspec.structs.replace(a_case(verdict=verdict), bundle=BundleRef(1, bundle_sha256))


def test_a_signed_order_raises_and_a_restart_remembers_it_without_the_file(tmp_path):
    station = Station(tmp_path)
    assert station.look() == "shadow"
    station.send(order())
    assert station.look() == "partial"
    station.device.order_path.unlink()
    station.start()
    assert station.look() == "partial"


def test_an_older_order_does_not_come_back_after_a_restart(tmp_path):
    station = Station(tmp_path)
    station.send(order("shadow", counter=5, certificate=None))
    assert station.look() == "shadow"
    station.start()
    station.send(order("full", counter=4))
    assert station.look() == "shadow"
    assert station.keeper.standing.words == "ordered by quinn: earned"


def test_mqtt_lowers_and_takes_nothing_back(tmp_path):
    station = Station(tmp_path)
    station.send(order())
    station.wish(mode="shadow")
    assert station.look() == "shadow"
    station.wish(mode="full")
    station.start()
    assert station.look() == "shadow"
    station.send(order(counter=2))
    assert station.look() == "partial"


def test_hands_before_the_markers_are_nothing_but_a_moved_camera_steps_down_until_acknowledged(tmp_path):
    station = Station(tmp_path)
    station.send(order())
    assert [station.look(10, framing="lost") for _ in range(3)][-1] == "partial"
    assert station.look() == "partial"
    assert [station.look(20, framing="shifted") for _ in range(3)][-1] == "shadow"
    station.start()
    assert station.look() == "shadow"
    assert station.keeper.standing.alarm
    write_device(tmp_path)
    station.keeper.acknowledge()
    assert station.look() == "partial"


def test_the_command_acknowledges_a_running_inspection(tmp_path, capsys):
    config = write_device(tmp_path)
    (tmp_path / "data").mkdir()
    station = Station(tmp_path / "data")
    station.send(order())
    assert (station.look(), station.look(water="murky"), station.look()) == ("partial", "shadow", "shadow")
    assert acknowledging.acknowledge(["--config", str(config)]) == 0
    assert (station.look(), station.device.acknowledged_path.exists()) == ("partial", False)


def test_a_silent_camera_an_unset_or_jumping_clock_leave_the_human_alone_or_shadow(tmp_path):
    station = Station(tmp_path)
    station.send(order())
    assert station.look(framing=None) == "human_only"
    assert station.look() == "partial"
    assert [station.look(6, pictures=False), station.look(6, pictures=False)] == ["partial", "human_only"]
    station.keeper.acknowledge()
    assert station.look() == "partial"
    station.utc += 60
    assert (station.look(), station.look()) == ("shadow", "shadow")
    station.utc = 0.0
    assert station.look() == "human_only"


def test_what_cannot_be_read_leaves_the_human_alone(tmp_path):
    station = Station(tmp_path)
    station.send(None, raw=b'{"schema": "tankwatch/mode-order/1", "mode": "super"}')
    assert station.look() == "human_only"
    station.send(order())
    station.device.desired_path.write_bytes(b"{")
    assert station.look() == "human_only"
    station.device.desired_path.unlink()
    station.device.mode_path.write_bytes(b"not json")
    station.start()
    assert station.look() == "human_only"


def test_a_damaged_memory_of_the_mode_is_lifted_by_a_newer_order_and_by_no_restart(tmp_path):
    station = Station(tmp_path)
    station.send(order())
    assert station.look() == "partial"
    station.device.mode_path.write_bytes(b"{")
    for _ in range(3):
        station.start()
        assert (station.look(), station.look()) == ("human_only", "human_only")
    station.send(order(counter=2))
    assert station.look() == "partial"


def test_a_disk_that_keeps_nothing_raises_nothing(tmp_path):
    station = Station(tmp_path)
    station.look()
    station.send(order())
    with full_disk():
        assert station.look() == "human_only"
    assert station.look() == "partial"
    assert msgspec.json.decode(station.device.mode_path.read_bytes(), type=Kept).order == order()


def test_a_machine_that_is_silent_far_more_often_than_certified_steps_down(tmp_path):
    station = Station(tmp_path)
    station.send(order())
    station.look()
    for number in range(40):
        station.keeper.said(said_by(A, "uncertain" if number % 2 else "ok"))
    assert station.look() == "shadow"
    assert "far fewer units" in station.keeper.standing.words


def test_a_silent_former_bundle_takes_nothing_from_the_next_ones_order(tmp_path):
    station = Station(tmp_path)
    certificate = msgspec.structs.replace(order().certificate, coverage=0.75)
    station.send(order(certificate=certificate))
    station.look()
    station.send(order(counter=2, bundle_sha256=B))
    for number in range(200):
        station.keeper.said(said_by(A, "uncertain" if number % 3 == 0 else "ok"))
        assert station.look() == "partial"
    assert station.look(bundle=B) == "partial"


def test_nobody_who_stopped_looking_lets_the_machine_decide(tmp_path):
    station = Station(tmp_path)
    station.send(order())
    assert (station.look(), station.keeper.mode) == ("partial", "partial")
    station.monotonic_s += mode_keeper.STALE_S + 1
    assert station.keeper.mode == "human_only"


def test_the_next_bundle_takes_over_under_its_own_order(tmp_path):
    station = Station(tmp_path)
    station.send(order())
    station.look()
    station.send(order(counter=2, bundle_sha256=B))
    assert (station.look(), station.look(bundle=B), station.look(bundle="f" * 64)) == ("partial", "partial", "shadow")


def test_a_profile_that_nobody_has_seen_in_place_leaves_the_human_alone_until_it_was_and_a_restart_remembers(tmp_path):
    station = Station(tmp_path)
    station.keeper.set_up("TANK1", "d" * 64)
    assert station.look() == "human_only"
    assert "not yet seen in place" in station.keeper.standing.words
    assert not station.keeper.standing.alarm, "what stands before the markers has an alarm of its own"
    station.keeper.profile_seen(IN_PLACE)
    assert station.look() == "shadow"
    with full_disk(), pytest.raises(StoreError):
        station.keeper.keep_check()
    assert station.look() == "shadow"
    station.keeper.keep_check()
    station.start()
    station.keeper.set_up("TANK1", "d" * 64)
    assert station.look() == "shadow"


def test_a_profile_that_commissioning_has_checked_needs_no_look_of_the_inspection(tmp_path):
    station = Station(tmp_path)
    station.keeper.set_up("TANK1", "d" * 64)
    assert station.look() == "human_only"
    profile_check.mark_checked(station.device.profiles_path, "d" * 64, IN_PLACE, now=DAY_1)
    assert station.look() == "shadow"


def test_what_was_seen_of_one_profile_is_no_evidence_of_the_next(tmp_path):
    station = Station(tmp_path)
    station.keeper.set_up("TANK1", "d" * 64)
    station.keeper.profile_seen(IN_PLACE)
    station.keeper.set_up("TANK1", "e" * 64)
    station.keeper.keep_check()
    assert profile_check.checked(station.device.profiles_path) == PROFILE
    assert station.look() == "human_only"


def test_where_a_machine_was_to_decide_an_unchecked_profile_is_an_alarm(tmp_path):
    station = Station(tmp_path)
    station.send(order(profile_sha256="d" * 64))
    station.keeper.set_up("TANK1", "d" * 64)
    assert (station.look(), station.keeper.standing.alarm) == ("human_only", True)
    station.keeper.profile_seen(IN_PLACE)
    assert (station.look(), station.keeper.standing.alarm) == ("partial", False)


def test_a_station_without_a_profile_says_so_before_anything_else_and_raises_no_alarm_of_the_mode(tmp_path):
    station = Station(tmp_path)
    station.send(order())
    station.keeper.set_up("", None)
    assert (station.look(framing=None), station.keeper.standing.words[:26]) == (
        "human_only",
        "the station has no profile",
    )
    assert not station.keeper.standing.alarm


def test_drift_brings_the_mode_down_until_a_newer_order_and_says_why(tmp_path):
    station = Station(tmp_path)
    station.send(order())
    assert station.look() == "partial"
    drifted = Circumstances(A, "ok", True, "clear", drift_words="drift, light: 72 grey levels: clean the lamp")
    assert station.keeper.look(drifted).mode == "shadow" and "light: 72" in station.keeper.standing.words
    assert station.keeper.standing.alarm
    assert station.look() == "shadow"
