"""What is kept of alarms on the disk: books, orders, history, settings with their trail; and a disk that refuses."""

import json
import sqlite3

import msgspec
import pytest
from fakes_disk import full_disk

from edge_agent import alarm_files, alarm_history
from edge_agent.alarm_catalogue import shipped
from edge_agent.alarm_history import AlarmHistory
from edge_agent.alarm_keeper import AlarmKeeper
from edge_agent.alarm_settings import BY_HAND, SettingsFile, Wish
from edge_agent.alarms import Condition, Event, Moment, Order
from edge_agent.errors import ConfigError, StoreError

START_S = 1_790_000_000.0
CAMERA = Condition(id="camera", words="the camera gives no pictures: check its cable")


class Station:
    """One process's keeper over real files."""

    def __init__(self, folder):
        self.folder, self.settings, self.said, self.seconds = folder / "alarms", folder / "alarms.toml", [], 0.0
        self.keeper = self.begin()

    def begin(self, process="inspect"):
        self.keeper = AlarmKeeper(process, self.folder, self.settings, say=self.said.append)
        return self.keeper

    def look(self, *conditions, after_s=1.0):
        self.seconds += after_s
        return self.keeper.look(conditions, Moment(self.seconds, self.now_s))

    @property
    def now_s(self):
        return START_S + self.seconds

    def give(self, id, word, **fields):
        order = Order(id=id, order=word, by="erna", at_s=self.now_s, **fields)
        alarm_files.give(self.folder, shipped(), order)

    @property
    def events(self):
        return [event.event for event in AlarmHistory(self.folder / "history.db").since(0.0)]


@pytest.fixture
def station(tmp_path):
    return Station(tmp_path)


def test_a_restart_finds_the_alarm_and_its_acknowledgement_as_they_were(station):
    (alarm,) = station.look(CAMERA).active
    station.give("camera", "acknowledge", occurrence=alarm.since)
    (before,) = station.look(CAMERA).active
    station.begin()
    (after,) = station.look(CAMERA).active
    assert after == before and (after.state, after.acknowledged_by) == ("acknowledged", "erna")
    assert station.events == ["raised", "acknowledged"]


def test_what_is_ordered_reaches_the_process_that_raises_it_and_no_other(station):
    station.look(CAMERA)
    uplink = AlarmKeeper("uplink", station.folder, station.settings)
    station.give("camera", "shelve", for_s=600.0, reason="cable is on its way")
    uplink.look([], Moment(1.0, station.now_s))
    assert station.look(CAMERA).active == ()
    board = alarm_files.standing(station.folder, shipped())
    assert [(one.id, one.state) for one in board.aside] == [("camera", "shelved")]
    assert alarm_files.read_book(station.folder, "uplink").entries == ()


@pytest.mark.parametrize(
    ("id", "fields", "words"),
    [
        ("camera", {"for_s": 3601.0, "reason": "x"}, "1 to 60 minutes"),
        ("camera", {"for_s": 0.0, "reason": "x"}, "1 to 60 minutes"),
        ("camera", {"for_s": float("nan"), "reason": "x"}, "1 to 60 minutes"),
        ("camera", {"for_s": 600.0, "reason": " "}, "needs a reason"),
        ("unit", {"for_s": 600.0, "reason": "x"}, "may not be shelved"),
        ("../camera", {"for_s": 600.0, "reason": "x"}, "no alarm"),
    ],
)
def test_what_may_not_be_ordered_is_refused_and_nothing_is_kept(station, id, fields, words):
    with pytest.raises(ConfigError, match=words):
        station.give(id, "shelve", **fields)
    assert not (station.folder / "orders").exists()


def test_an_order_or_a_book_that_cannot_be_read_is_none(station):
    station.look(CAMERA)
    (station.folder / "orders").mkdir()
    (station.folder / "orders" / "camera.shelved.json").write_text("{")
    (station.folder / "inspect.json").write_text("{")
    station.begin()
    assert [alarm.id for alarm in station.look(CAMERA).active] == ["camera"]


def test_an_order_whose_file_goes_while_they_are_read_takes_no_other_with_it(station):
    (alarm,) = station.look(CAMERA).active
    station.give("camera", "acknowledge", occurrence=alarm.since)
    (station.folder / "orders" / "bundle.shelved.json").symlink_to(station.folder / "gone")
    (after,) = station.look(CAMERA).active
    assert after.state == "acknowledged"


def test_a_disk_that_refuses_keeps_no_alarm_from_being_raised_and_hears_of_it_later(station):
    with full_disk():
        assert [alarm.id for alarm in station.look(CAMERA).active] == ["camera"]
        station.look(CAMERA)
        assert len(station.said) == 1 and "cannot be written" in station.said[0]
    station.look(CAMERA)
    assert station.events == ["raised"]
    assert alarm_files.read_book(station.folder, "inspect").entries[0].holds


def test_words_that_change_are_kept_now_and_then_and_a_calm_book_is_left_alone(station):
    station.look()
    assert not (station.folder / "inspect.json").exists()
    station.look(CAMERA)
    changed = (station.folder / "inspect.json").stat().st_mtime_ns
    for _ in range(30):
        station.look(CAMERA)
    assert (station.folder / "inspect.json").stat().st_mtime_ns == changed
    station.look(CAMERA, after_s=31.0)
    assert (station.folder / "inspect.json").stat().st_mtime_ns != changed


def event(number, **fields):
    return Event(at_s=START_S + number, id="camera", event="raised", priority="high", **fields)


def test_the_history_keeps_the_newest_and_gives_them_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(alarm_history, "KEPT", 5)
    monkeypatch.setattr(alarm_history, "SPARE", 2)
    history = AlarmHistory(tmp_path / "alarms" / "history.db")
    for number in range(20):
        history.append([event(number, told=True)])
    kept = [one.at_s - START_S for one in history.since(0.0)]
    assert kept == list(range(20 - len(kept), 20)) and 5 <= len(kept) <= 7
    assert [one.at_s - START_S for one in history.since(START_S + 18, START_S + 19)] == [18]
    assert AlarmHistory(tmp_path / "none.db").since(0.0) == []


def test_a_damaged_history_is_put_aside_and_another_begun(tmp_path):
    path = tmp_path / "history.db"
    path.write_bytes(b"this is not a database, but it is long enough to be taken for one" * 40)
    history = AlarmHistory(path)
    with pytest.raises(StoreError):
        history.append([event(1)])
    history.append([event(2)])
    assert [one.at_s - START_S for one in history.since(0.0)] == [2] and (tmp_path / "history.db.damaged").exists()


def test_two_processes_write_one_history(tmp_path):
    one, other = AlarmHistory(tmp_path / "history.db"), AlarmHistory(tmp_path / "history.db")
    one.append([event(1)])
    writer = sqlite3.connect(tmp_path / "history.db", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError):
        other.append([event(2)])
    assert len(other.since(0.0)) == 1, "readers do not wait"
    writer.execute("ROLLBACK")
    writer.close()
    other.append([event(2)])
    assert len(one.since(0.0)) == 2


def wish(setting="off_delay_s", value=30.0, id="camera", reason="it flickers when the crane passes"):
    return Wish(id=id, setting=setting, value=value, by="erna (panel)", reason=reason)


def test_a_change_of_a_setting_is_trailed_and_counts_at_once(station):
    settings = SettingsFile(station.settings, station.folder / "changes.jsonl")
    settings.change(wish(), START_S)
    settings.change(wish(value=None), START_S + 1)
    settings.change(wish(value=20.0), START_S + 2)
    assert [(one.old, one.new, one.by) for one in settings.trail()] == [
        (None, 30.0, "erna (panel)"),
        (30.0, None, "erna (panel)"),
        (None, 20.0, "erna (panel)"),
    ]
    assert settings.catalogue.alarm["camera"].off_delay_s == 20.0
    station.look(CAMERA)
    station.look()
    assert station.look(after_s=19.0).active and not station.look(after_s=1.5).active
    assert station.said == [], "what was trailed was not changed by hand"


def test_a_setting_that_is_out_of_bounds_or_without_a_reason_changes_nothing(station):
    settings = SettingsFile(station.settings, station.folder / "changes.jsonl")
    for bad in (wish(value=1e6), wish(id="camra"), wish(setting="priority", value="urgent"), wish(reason="")):
        with pytest.raises(ConfigError):
            settings.change(bad, START_S)
    assert settings.trail() == [] and not station.settings.exists()


def test_a_change_by_hand_is_noticed_and_trailed_as_such_once(station):
    station.settings.write_text("operators = 2\n[alarm.camera]\npriority = 'medium'\n")
    assert station.look(CAMERA).active[0].priority == "medium"
    station.look(CAMERA)
    station.begin()
    station.look(CAMERA)
    trail = SettingsFile(station.settings, station.folder / "changes.jsonl").trail()
    assert [(one.by, one.id, one.setting, one.new) for one in trail] == [
        (BY_HAND, "", "operators", 2),
        (BY_HAND, "camera", "priority", "medium"),
    ]
    station.settings.unlink()
    station.look(CAMERA)
    trail = SettingsFile(station.settings, station.folder / "changes.jsonl").trail()
    assert [one.new for one in trail[2:]] == [None, None]


def test_a_file_that_cannot_be_used_is_an_alarm_and_the_settings_before_it_hold(station):
    station.settings.write_text("[alarm.camera]\npriority = 'medium'\n")
    station.look(CAMERA)
    station.settings.write_text("[alarm.camera]\npriority = 'urgent'\n")
    camera, told = station.look(CAMERA).active
    assert camera.priority == "medium" and told.id == "alarm-settings" and "urgent" in told.cause
    station.settings.write_text("[alarm.camera]\npriority = 'high'  # mended\n")
    assert [one.priority for one in station.look(CAMERA).active] == ["high"]


def test_a_line_of_the_trail_that_a_power_cut_has_torn_takes_no_other_with_it(station):
    settings = SettingsFile(station.settings, station.folder / "changes.jsonl")
    settings.change(wish(), START_S)
    with open(station.folder / "changes.jsonl", "ab") as file:
        file.write(b'{"at_s": 1.0, "by"\n')
    settings.change(wish(value=40.0), START_S + 1)
    assert [one.new for one in settings.trail()] == [30.0, 40.0]


def test_a_book_holds_what_a_person_can_read(station):
    station.look(CAMERA)
    kept = json.loads((station.folder / "inspect.json").read_bytes())
    assert kept["schema"] == "tankwatch/alarm-book/1" and kept["entries"][0]["words"] == CAMERA.words
    assert msgspec.json.decode((station.folder / "inspect.json").read_bytes())["entries"][0]["holds"] is True
