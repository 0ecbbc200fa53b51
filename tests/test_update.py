"""A bundle's way to a device: over real HTTP, from a repository that `cloud_sync` has signed."""

import os
import shutil
import threading
import time
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from benchmarks import hostile, update_lab
from benchmarks.update_lab import SITE, STATION, Lab, Server, desire, updating
from calibration.scene import draw_station
from calibration.twin import profile_of
from cloud_sync import signing
from edge_agent import doctor, durable, locks, slots, station, update, update_report, wire
from edge_agent.alarm_keeper import AlarmKeeper
from edge_agent.bundle import open_bundle
from edge_agent.config import DeviceConfig, UpdatesConfig
from edge_agent.errors import ConfigError, ModelError, StationError, StoreError
from edge_agent.exam import Passed
from edge_agent.fetching import PIECE
from edge_agent.messages import Status, UpdateReport
from edge_agent.notify import Notifier
from edge_agent.offered import REFERENCES, bundle_target, station_target
from edge_agent.outbox import Outbox
from edge_agent.repository import Refused, Repository
from edge_agent.uplink_state import Connected, Device, Now, UplinkState
from tests.fakes_camera import profile
from tests.test_notify import Supervisor

PASSED = Passed()


@pytest.mark.parametrize("lacks", ["repository", "profile"])
def test_a_device_that_can_have_no_updates_yet_waits_and_says_that_it_lives(tmp_path, lab, lacks):
    systemd = Supervisor(str(tmp_path / "notify"))
    told = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "100000"})
    device = update_lab.device_of(tmp_path / "device", "http://127.0.0.1:1/", lab.root)
    changes = {"updates": UpdatesConfig()} if lacks == "repository" else {"station": str(tmp_path / "none.toml")}
    device = msgspec.structs.replace(device, **changes)
    heard: list[str] = []

    def stopped() -> bool:
        heard.extend(systemd.heard())
        return heard.count("WATCHDOG=1") >= 2

    assert update.serve(device, stopped, told)
    assert "READY=1\nSTATUS=" in heard[0] + heard[1]
    systemd.socket.close()


def test_updates_end_to_begin_anew_where_the_profile_has_come_to_be_another_stations(tmp_path, lab):
    path, asked = tmp_path / "station.toml", [0]
    device = update_lab.device_of(tmp_path / "device", "http://127.0.0.1:1/", lab.root)
    device = msgspec.structs.replace(device, station=str(path))
    path.write_bytes(station.dump(profile()))

    def stopped() -> bool:
        asked[0] += 1
        if asked[0] == 3:
            durable.write(path, station.dump(msgspec.structs.replace(profile(), station="TANK9")))
        assert asked[0] < 1000, "it goes on for the station that was"
        return False

    update.serve(device, stopped, Notifier({}))


def test_systemd_hears_of_every_request_and_every_piece_of_a_download(lab, device, no_exam):
    heard: list[float] = []
    repository = Repository(device.updates, device.folder / "updates", turned=lambda: heard.append(time.monotonic()))
    found = repository.look([bundle_target(lab.ref("A").sha256)])
    looked = len(heard)
    (info,) = found.values()
    repository.fetch(info, device.folder / "updates" / "fetched" / "a", 1 << 30)
    assert looked >= 6 and len(heard) - looked > info.length // PIECE


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Lab:
    lab = update_lab.make_lab(tmp_path_factory.mktemp("lab"))
    lab.publish("A")
    return lab


@pytest.fixture
def lab(made, tmp_path) -> Lab:
    """Fresh, with A offered."""
    folder = tmp_path / "lab"
    shutil.copytree(made.config.folder, folder)
    return Lab(folder, msgspec.structs.replace(made.config, data_dir=str(folder)), made.bundles, list(made.timestamps))


@pytest.fixture
def server(lab):
    server = Server(lab.config.updates_path)
    with server.running() as server.url:
        yield server


@pytest.fixture
def device(lab, server, tmp_path) -> DeviceConfig:
    return update_lab.device_of(tmp_path / "device", server.url, lab.root, patience_s=5.0)


@pytest.fixture
def no_exam(monkeypatch):
    """For what happens around it; the exam has tests of its own."""
    asked = []
    monkeypatch.setattr("edge_agent.trial.held", lambda exam, stopped: asked.append(exam) or PASSED)
    return asked


def report(device: DeviceConfig, slot: str = "champion") -> UpdateReport | None:
    told = getattr(update_report.read(device.update_path), slot)
    return told.report if told else None


def test_a_bundle_that_is_desired_and_offered_comes_is_tried_and_speaks(device, lab):
    desire(device, 1, bundle=lab.ref("A"))
    updating(device).step(0.0)
    assert open_bundle(slots.champion(device)).sha256 == lab.ref("A").sha256
    assert report(device).state == "ready" and report(device).bundle == lab.ref("A")
    assert sorted(path.name for path in device.signed_path.glob("*.json")) == ["mode.json", "references.json"]
    assert len(list((device.signed_path / "clips").glob("*"))) == 2
    assert not list((device.folder / "updates" / "fetched").glob("*"))


def test_nothing_is_fetched_twice(device, lab, server, no_exam):
    desire(device, 1, bundle=lab.ref("A"))
    one = updating(device)
    one.step(0.0)
    server.asked.clear()
    one.step(100.0)
    updating(device).step(0.0)
    assert not [path for path in server.asked if path.startswith("/targets/")]


def test_a_bundle_that_spoke_before_is_back_without_network_or_exam(device, lab, server, no_exam):
    lab.publish("B")
    for counter, name in enumerate("AB", start=1):
        desire(device, counter, bundle=lab.ref(name))
        updating(device).step(0.0)
        slots.change(device, lambda record: msgspec.structs.replace(record, trial=None))
    server.mischief = lambda _: hostile.given(b"", 500)
    desire(device, 3, bundle=lab.ref("A"))
    updating(device).step(0.0)
    assert open_bundle(slots.champion(device)).sha256 == lab.ref("A").sha256 and len(no_exam) == 2


def test_a_challenger_comes_and_goes_with_the_wish(device, lab, no_exam):
    desire(device, 1, challenger=lab.ref("A"))
    one = updating(device)
    one.step(0.0)
    assert open_bundle(slots.challenger(device)).sha256 == lab.ref("A").sha256
    assert report(device, "challenger").state == "ready"
    desire(device, 2)
    one.step(1.0)
    assert slots.challenger(device) is None and report(device, "challenger") is None


def refuse(*_) -> bool:
    raise StoreError("the disk takes nothing")


def test_a_challenger_that_the_disk_keeps_is_sent_away_with_the_next_look(device, lab, no_exam, monkeypatch):
    desire(device, 1, challenger=lab.ref("A"))
    one = updating(device)
    one.step(0.0)
    desire(device, 2)
    with monkeypatch.context() as refusing:
        refusing.setattr(slots, "hear", refuse)
        one.step(1.0)
    assert slots.challenger(device) is not None
    one.step(2.0)
    assert slots.challenger(device) is None


def test_a_refused_bundle_is_tried_again_only_when_what_it_is_tried_on_has_changed(device, lab, server, monkeypatch):
    lab.publish("B")
    path = server.folder / "targets" / bundle_target(lab.ref("B").sha256)
    assert not path.exists()
    tried = []

    def refuse(exam, stopped):
        tried.append(exam)
        raise ModelError("version 8 judges 0 of 2 right, limit 90%: train it")

    monkeypatch.setattr("edge_agent.trial.held", refuse)
    desire(device, 1, bundle=lab.ref("B"))
    before = slots.champion(device).read_bytes()
    for second in (0.0, 100.0):
        updating(device).step(second)
    assert len(tried) == 1 and report(device).state == "refused" and "limit 90%" in report(device).words
    assert slots.champion(device).read_bytes() == before
    listed = msgspec.json.decode((device.signed_path / REFERENCES).read_bytes())
    changed = msgspec.json.encode(listed | {"least_right": 0.5})
    signing.put(lab.config, {station_target(SITE, STATION, REFERENCES): changed}, time.time())
    updating(device).step(200.0)
    updating(device).step(300.0)
    assert len(tried) == 2


def test_without_reference_cases_a_bundle_is_refused_unless_the_device_allows_it(device, lab, no_exam):
    gone = frozenset({station_target(SITE, STATION, REFERENCES)})
    signing.put(lab.config, {}, time.time(), drop=gone)
    desire(device, 1, bundle=lab.ref("A"))
    updating(device).step(0.0)
    assert report(device).state == "refused" and "cloud references" in report(device).words
    relaxed = msgspec.structs.replace(device.updates, require_references=False)
    updating(msgspec.structs.replace(device, updates=relaxed)).step(0.0)
    assert report(device).state == "ready" and no_exam[-1].references is None


def test_a_reference_clip_that_was_removed_comes_again(device, lab, no_exam):
    one = updating(device)
    one.step(0.0)
    clip = next((device.signed_path / "clips").glob("*"))
    clip.unlink()
    one.step(10_000.0)
    assert clip.is_file()


def test_a_bundle_that_was_fetched_for_a_former_wish_does_not_stay(device, lab, no_exam):
    left = device.folder / "updates" / "fetched" / "old.bundle"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"x")
    os.utime(left, (1, 1))
    updating(device).step(0.0)
    assert not left.exists()


def test_an_order_that_is_no_longer_offered_is_gone_from_the_device(device, lab):
    updating(device).step(0.0)
    assert (device.signed_path / "mode.json").read_bytes() == b'{"mode":"shadow"}'
    signing.put_station_file(lab.config, (SITE, STATION), "mode.json", b'{"mode":"assist"}', time.time())
    updating(device).step(0.0)
    assert (device.signed_path / "mode.json").read_bytes() == b'{"mode":"assist"}'
    signing.put(lab.config, {}, time.time(), drop=frozenset({station_target(SITE, STATION, "mode.json")}))
    updating(device).step(0.0)
    assert not (device.signed_path / "mode.json").exists()


def test_a_download_goes_on_where_it_broke_off(device, lab, server, no_exam):
    desire(device, 1, bundle=lab.ref("A"))
    data = lab.bundles["A"].read_bytes()

    def break_off(path):
        return hostile.given(data[:9000], Content_Length=str(len(data))) if "/targets/bundles/" in path else None

    server.mischief = break_off
    one = updating(device)
    one.step(0.0)
    (part,) = (device.folder / "updates" / "partial").glob("*")
    assert (
        part.stat().st_size == 9000 and report(device).state == "fetching" and "unreachable" not in report(device).words
    )
    ranges = []
    server.mischief = lambda path: None
    honest = server.honest
    server.honest = lambda handler: ranges.append(handler.headers.get("Range")) or honest(handler)
    one.step(1000.0)
    assert "bytes=9000-" in ranges and open_bundle(slots.champion(device)).sha256 == lab.ref("A").sha256


def test_a_server_without_ranges_serves_the_rest_too(device, lab, server):
    repository = Repository(device.updates, device.folder / "updates")
    wanted = bundle_target(lab.ref("A").sha256)
    info = repository.look([wanted])[wanted]
    part = device.folder / "updates" / "partial" / f"{info.hashes['sha256']}-0"
    part.parent.mkdir(parents=True)
    part.write_bytes(lab.bundles["A"].read_bytes()[:5000])
    data = lab.bundles["A"].read_bytes()
    server.mischief = lambda path: hostile.given(data) if "/targets/" in path else None
    repository.fetch(info, device.folder / "come", 10**8)
    assert (device.folder / "come").read_bytes() == data


def test_a_part_that_was_spoilt_is_thrown_away(device, lab):
    repository = Repository(device.updates, device.folder / "updates")
    wanted = bundle_target(lab.ref("A").sha256)
    info = repository.look([wanted])[wanted]
    part = device.folder / "updates" / "partial" / f"{info.hashes['sha256']}-0"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"spoilt")
    with pytest.raises(Refused, match="it was changed on its way"):
        repository.fetch(info, device.folder / "come", 10**8)
    repository.fetch(info, device.folder / "come", 10**8)


def test_a_clock_at_1970_is_said_and_nothing_is_looked_for(device, lab, server, no_exam):
    desire(device, 1, bundle=lab.ref("A"))
    one = updating(device, lambda: datetime(1970, 1, 1, tzinfo=UTC))
    one.step(0.0)
    assert one.fault.reason == "clock" and "1970-01-01" in str(one.fault) and server.asked == []
    alarm = update_report.read(device.update_path).alarm
    assert alarm.id == "updates" and "timesyncd" in alarm.action
    updating(device).step(0.0)
    assert update_report.read(device.update_path).alarm is None


def test_a_clock_behind_what_the_cloud_has_signed_is_not_believed(device, lab):
    signing.refresh(lab.config, time.time() + 86_400)
    with pytest.raises(Refused, match="the cloud signed at"):
        Repository(device.updates, device.folder / "updates").look([])
    ahead = Repository(device.updates, device.folder / "updates", lambda: datetime.now(UTC) + timedelta(days=1))
    ahead.look([])


def test_after_a_fast_forward_with_a_stolen_key_new_keys_bring_the_device_back(device, lab, server):
    updating(device).step(0.0)
    forger = hostile.Forger(lab, frozenset({"timestamp"}))
    forger.signed("timestamp").version += 900_000
    ahead = {"/metadata/timestamp.json": hostile.given(forger.sign("timestamp"))}
    server.mischief = ahead.get
    repository = Repository(device.updates, device.folder / "updates")
    repository.look([])
    server.mischief = lambda _: None
    with pytest.raises(Refused, match="must be >="):
        repository.look([])
    signing.rotate(lab.config, "timestamp", time.time())
    repository.look([])


def test_a_token_is_sent_and_never_over_plain_http_to_another_machine(device, lab, server, monkeypatch):
    monkeypatch.setenv("UPDATES_TOKEN", "tw_x")
    seen = []
    honest = server.honest
    server.honest = lambda handler: seen.append(handler.headers.get("Authorization")) or honest(handler)
    with_token = msgspec.structs.replace(device.updates, token_env="UPDATES_TOKEN")
    Repository(with_token, device.folder / "updates").look([])
    assert set(seen) == {"Bearer tw_x"}
    with pytest.raises(ConfigError, match="use https"):
        Repository(msgspec.structs.replace(with_token, url="http://desk.example/updates"), device.folder / "updates")


def test_a_root_that_is_none_is_the_configs_fault(device, tmp_path):
    for data, words in ((b"{}", "no root.json"), (None, "cannot be read")):
        if data is not None:
            (tmp_path / "bad.json").write_bytes(data)
        name = str(tmp_path / ("bad.json" if data is not None else "none.json"))
        with pytest.raises(ConfigError, match=words):
            Repository(msgspec.structs.replace(device.updates, root=name), device.folder / "updates").look([])
    with pytest.raises(ConfigError, match="needs url and root"):
        Repository(msgspec.structs.replace(device.updates, url=None), device.folder)


def test_attempts_grow_rarer_and_a_new_wish_is_looked_at_at_once(device, lab, server):
    server.mischief = lambda _: hostile.given(b"", 500)
    one = updating(device)
    asked = []
    for second in range(60):
        server.asked.clear()
        one.step(float(second))
        if server.asked:
            asked.append(second)
    assert asked == [0, 2, 6, 14, 30]
    assert update_report.read(device.update_path).alarm is None
    server.asked.clear()
    desire(device, 1, bundle=lab.ref("A"))
    one.step(60.5)
    assert server.asked


def test_a_disk_that_refuses_is_an_alarm_and_the_old_bundle_stays(device, lab, no_exam, monkeypatch):
    def full(*_: object, **__: object) -> bool:
        raise StoreError("the disk is full (0 MB free): free space")

    monkeypatch.setattr(slots, "use", full)
    desire(device, 1, bundle=lab.ref("A"))
    one = updating(device)
    one.step(0.0)
    assert "disk is full" in update_report.read(device.update_path).alarm.text
    monkeypatch.undo()
    monkeypatch.setattr("edge_agent.trial.held", lambda exam, stopped: PASSED)
    one.step(1000.0)
    assert report(device).state == "ready" and update_report.read(device.update_path).alarm is None


def test_the_status_says_how_far_the_device_is_and_the_alarm_is_one(device, lab, no_exam, tmp_path):
    desire(device, 1, bundle=lab.ref("A"))
    updating(device).step(0.0)
    outbox = Outbox.open(tmp_path / "outbox.db", tmp_path / "spool")
    topics = wire.Topics(SITE, STATION)
    about = Device(topics, "1", "boot", tmp_path / "state.json", tmp_path / "desired.json", device.update_path)
    uplink = UplinkState(
        about, outbox, Now(0.0, 0.0), AlarmKeeper("uplink", device.alarms_path, device.alarm_settings_path)
    )
    (status,) = [one for one in uplink.step([Connected()], Now(1.0, 1.0)) if one.topic == topics.status]
    said = wire.decode(status.payload, Status)
    assert said.update.bundle == lab.ref("A") and said.update.state == "ready" and said.challenger_update is None
    updating(device, lambda: datetime(1970, 1, 1, tzinfo=UTC)).step(0.0)
    assert topics.alarm("updates") in [one.topic for one in uplink.step([], Now(2.0, 2.0))]
    outbox.close()


def test_a_kill_at_any_write_leaves_a_whole_bundle_and_the_next_start_goes_on(device, lab, no_exam, monkeypatch):
    desire(device, 1, bundle=lab.ref("A"), challenger=lab.ref("A"))
    old, new = slots.champion(device).read_bytes(), lab.bundles["A"].read_bytes()
    ended = False
    for survived in range(0, 100, 3):
        if ended:
            break
        one, writes = update_lab.copied(device, device.folder.with_name(f"device-{survived}")), iter(range(survived))

        def killing(real, writes=writes):
            def step(*arguments):
                if next(writes, None) is None:
                    raise KeyboardInterrupt
                return real(*arguments)

            return step

        with monkeypatch.context() as patch:
            for name in ("write", "move", "sync"):
                patch.setattr(durable, name, killing(getattr(durable, name)))
            try:
                updating(one).step(0.0)
                ended = True
            except KeyboardInterrupt:
                assert slots.champion(one).read_bytes() in (old, new)
        updating(one).step(0.0)
        assert slots.champion(one).read_bytes() == slots.challenger(one).read_bytes() == new
    assert ended and survived > 15


def test_two_processes_do_not_share_one_folder(device):
    path = device.folder / "updates" / "lock"
    with locks.alone(path, "taken"), pytest.raises(StoreError, match="taken"), locks.alone(path, "taken"):
        pass


def test_doctor_looks_at_the_repository_and_keeps_nothing_of_it(device, lab, server):
    found = doctor.repository(device, datetime.now(UTC))
    assert found.status == "ok" and "root ends" in found.words and not (device.folder / "updates").exists()
    (none,) = doctor.updates(msgspec.structs.replace(device, updates=UpdatesConfig()))
    assert "names no repository" in none.words
    server.mischief = lambda _: hostile.given(b"", 500)
    (away,) = doctor.updates(device)
    assert away.status == "fault" and "look at the network" in away.words


@pytest.fixture
def running():
    """Runs the process in a thread, and stops it at the end."""
    threads, stop = [], threading.Event()

    def start(device: DeviceConfig) -> threading.Thread:
        threads.append(threading.Thread(target=update.serve, args=(device, stop.is_set, Notifier({}))))
        threads[-1].start()
        return threads[-1]

    yield start
    stop.set()
    for thread in threads:
        thread.join(20)


def until(condition, within_s=30.0):
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        threading.Event().wait(0.01)


def test_without_a_profile_nothing_is_fetched_until_one_names_the_station_and_another_name_ends_it(
    device, lab, server, no_exam, running, tmp_path, caplog
):
    path = tmp_path / "station.toml"
    device = msgspec.structs.replace(device, station=str(path))
    with pytest.raises(StationError):
        update.run(device, lambda: False, once=True)
    thread = running(device)
    until(lambda: "waiting for a profile" in caplog.text)
    assert thread.is_alive() and server.asked == []
    desire(device, 1, bundle=lab.ref("A"))
    profile = msgspec.structs.replace(profile_of(draw_station(5, "demo")), station=STATION)
    path.write_bytes(station.dump(profile))
    until(lambda: device.update_path.exists() and report(device) and report(device).state == "ready")
    path.write_bytes(station.dump(msgspec.structs.replace(profile, station="TANK9")))
    until(lambda: not thread.is_alive())


def test_a_device_without_a_repository_fetches_nothing_and_stays_up(device, running, caplog):
    lonely = msgspec.structs.replace(device, updates=UpdatesConfig())
    thread = running(lonely)
    until(lambda: "names no repository" in caplog.text)
    assert thread.is_alive()
