"""`agent alarms`: what people order from the command line, as it is typed."""

import json

import pytest

import tankwatch
from edge_agent import config
from edge_agent.alarm_keeper import AlarmKeeper
from edge_agent.alarms import Condition, Moment

CAMERA = Condition(id="camera", words="the camera gives no pictures: check its cable")


@pytest.fixture
def device(tmp_path):
    (tmp_path / "device.toml").write_text('site = "plant"\nstation = "station.toml"\ncamera = "x"\ndata_dir = "data"\n')
    return config.load(tmp_path / "device.toml")


@pytest.fixture
def look(device):
    keeper, seconds = AlarmKeeper("inspect", device.alarms_path, device.alarm_settings_path), [0.0]

    def look(*conditions):
        import time

        seconds[0] += 1.0
        return keeper.look(conditions, Moment(seconds[0], time.time()))

    return look


@pytest.fixture
def typed(device, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("SUDO_USER", "erna")

    def typed(*words, status=0):
        name, *rest = words
        assert tankwatch.main(["agent", "alarms", name, "--config", str(tmp_path / "device.toml"), *rest]) == status
        said = capsys.readouterr()
        return said.out if status == 0 else said.err

    return typed


def test_an_alarm_is_listed_acknowledged_shelved_and_brought_back(look, typed):
    look(CAMERA)
    said = typed("list")
    assert "high   camera: unacknowledged" in said and "Do: check its cable" in said
    assert "acknowledged: camera" in typed("acknowledge")
    (alarm,) = look(CAMERA).active
    assert (alarm.state, alarm.acknowledged_by) == ("acknowledged", "erna (command line)")
    typed("shelve", "camera", "--minutes", "10", "--reason", "the cable is on its way")
    assert look(CAMERA).active == () and "camera: shelved until" in typed("list")
    typed("unshelve", "camera")
    assert look(CAMERA).active[0].state == "unacknowledged"
    said = typed("history")
    assert "camera shelved by erna (command line) (the cable is on its way)" in said and "2 alarms were told" in said


def test_json_is_json_and_nothing_else(look, typed):
    look(CAMERA)
    assert [json.loads(line)["id"] for line in typed("list", "--json").splitlines()] == ["camera"]
    lines = [json.loads(line) for line in typed("history", "--json").splitlines()]
    assert lines[0]["event"] == "raised" and lines[-1]["told"] == 1


def test_a_setting_is_changed_with_a_trail_and_counts_at_once(look, typed):
    assert "off_delay_s of camera was as it comes, is 30.0" in typed(
        "set", "camera", "off_delay_s", "30", "--reason", "crane"
    )
    look(CAMERA)
    assert "off_delay_s of camera: as it comes -> 30.0, by erna (command line): crane" in typed("history", "--changes")
    typed("set", "camera", "off_delay_s", "default", "--reason", "crane is gone")
    typed("set", "lamps", "out_of_service", "yes", "--reason", "no lamps here")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("shelve", "camera", "--minutes", "100", "--reason", "x"), "1 to 60 minutes"),
        (("shelve", "camra", "--minutes", "1", "--reason", "x"), "no alarm 'camra'"),
        (("acknowledge", "camra"), "no alarm 'camra'"),
        (("set", "camera", "off_delay_s", "soon", "--reason", "x"), "is a number, not 'soon'"),
        (("set", "camera", "priority", "urgent", "--reason", "x"), "urgent"),
        (("set", "camera", "off_delay_s", "9999", "--reason", "x"), "0 to 600"),
        (("set", "camera", "out_of_service", "maybe", "--reason", "x"), "'yes' or 'no'"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(typed, words, told):
    said = typed(*words, status=1)
    assert told in said and said.count("\n") == 1


def test_nothing_is_said_where_nothing_is(typed, capsys):
    assert typed("list") == typed("propose") == ""
    assert typed("acknowledge") == ""
