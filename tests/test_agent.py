"""The agent from camera to outbox, and everything that may go wrong beside it."""

import signal
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from calibration.twin import open_twin
from edge_agent import agent, clips, config, locks, signs_of_life, state
from edge_agent.drift_station import Kept
from edge_agent.errors import ConfigError, ModelError, StationError, StoreError
from edge_agent.inspection import shipped_bundle
from edge_agent.messages import Desired, SamplingWish
from edge_agent.outbox import Outbox
from edge_agent.records import Case
from edge_agent.wire import decode
from tests.fakes_disk import full_disk
from tests.fakes_tape import FPS, TapeCamera, TapeClock, going_live, tape, write_device


def run(device: Path, camera: object) -> int:
    return agent.agent_inspect(["--config", str(device)], openers={"tape:": lambda _: camera, "twin:": open_twin})


def cases_of(folder: Path) -> list[Case]:
    files = (folder / "data" / "spool").glob("*.json")
    return sorted((decode(path.read_bytes(), Case) for path in files), key=lambda case: case.sequence)


def drafts_of(folder: Path) -> list[Path]:
    return list((folder / "data" / "spool").glob("*.tmp"))


def state_of(folder: Path) -> state.DeviceState | None:
    return state.read(folder / "data" / "state.json")


def wait_for(what, within_s: float = 20.0):
    until = time.monotonic() + within_s
    while not (found := what()):
        assert time.monotonic() < until, "it has not come in time"
        time.sleep(0.01)
    return found


@contextmanager
def running(device: Path, camera: object):
    """The agent in a thread of its own, stopped at the end."""
    stop = threading.Event()
    device_config = config.load(device)
    openers = {"tape:": lambda _: camera, "twin:": open_twin}
    thread = threading.Thread(
        target=agent.inspect_device, args=(device_config, stop.is_set), kwargs={"openers": openers}
    )
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


def settled_frame() -> int:
    return int(tape().truth.settled_s * FPS)


def test_a_twin_station_becomes_cases_in_the_outbox_and_lines_in_the_log(tmp_path, capsys):
    device = write_device(tmp_path, "twin:seed=31,cases=1,profile=demo", audit=config.AuditConfig(floor=1.0))
    assert run(device, None) == 0
    (case,) = cases_of(tmp_path)
    out = capsys.readouterr().out
    assert out.startswith(f"case={case.case_id} sequence=1 verdict={case.verdict} ")
    assert clips.read(tmp_path / "data" / "spool" / f"{case.clip.sha256}.twclip").whole
    assert not drafts_of(tmp_path)
    last = state_of(tmp_path)
    assert (last.output.cases, last.bundle, last.alarms) == (1, case.bundle, ())
    took, picture = last.output.latency, last.input.picture
    assert (took.record.total, took.put.total, last.output.scores.total) == (1, 1, 1)
    assert took.step.total == last.input.frames == sum(msgspec.structs.astuple(picture.frames))
    assert took.composite.total >= case.composites and took.verdict.total >= 1
    assert picture.looks > 2 and picture.blur_px > 0 and picture.smallest_bubble_mm > 0
    drift = msgspec.json.decode((tmp_path / "data" / "drift.json").read_bytes(), type=Kept)
    assert drift.sequence == 1 and {"light", "noise", "novel", "agreement"} <= set(drift.tracks)


def test_what_the_cloud_desires_lowers_the_mode_and_sets_the_audit(tmp_path, capsys):
    device = write_device(tmp_path, mode="shadow")
    (tmp_path / "data").mkdir()
    wish = Desired(counter=3, mode="human_only", audit_probability=1.0)
    (tmp_path / "data" / "desired.json").write_bytes(msgspec.json.encode(wish))
    assert run(device, TapeCamera()) == 0
    (case,) = cases_of(tmp_path)
    assert case.mode == "human_only"
    assert case.sampled.probability == 1.0
    assert state_of(tmp_path).mode == "human_only"


@pytest.mark.full
def test_a_sampling_wish_draws_the_case_and_its_record_holds_the_probability(tmp_path, capsys):
    device = write_device(tmp_path, audit=config.AuditConfig(floor=0.001))
    (tmp_path / "data").mkdir()
    wishes = SamplingWish(id="more", probability=1.0, until="2099-01-01T00:00:00Z", clarity_below=1.1)
    (tmp_path / "data" / "desired.json").write_bytes(msgspec.json.encode(Desired(counter=1, sampling=(wishes,))))
    assert run(device, TapeCamera()) == 0
    (case,) = cases_of(tmp_path)
    assert (case.sampled.probability, case.clip is not None) == (1.0, True)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_stop_gives_up_the_open_case_and_leaves_nothing_behind(tmp_path, capsys, number, status):
    device = write_device(tmp_path)
    camera = TapeCamera({settled_frame() + 10: lambda: signal.raise_signal(number)})
    before = signal.getsignal(number)
    assert run(device, camera) == status
    assert camera.closed
    assert (cases_of(tmp_path), drafts_of(tmp_path), capsys.readouterr().out) == ([], [], "")
    assert state_of(tmp_path) is not None
    assert signal.getsignal(number) is before
    Outbox.open(tmp_path / "data" / "outbox.db", tmp_path / "data" / "spool").close()


def test_a_case_that_the_camera_leaves_is_not_tested_and_the_state_says_so_within_two_seconds(tmp_path):
    device, clock, gone = write_device(tmp_path), TapeClock(), threading.Event()
    last = settled_frame() + 80
    camera = going_live(last, clock, gone)
    with running(device, camera):
        wait_for(lambda: (seen := state_of(tmp_path)) and seen.input.frames == last)
        silent_since_s = clock.now_s

        def stalled():
            clock.now_s += 0.01
            return (seen := state_of(tmp_path)) and seen.input.camera == "stalled" and seen

        found = wait_for(stalled)
        assert clock.now_s - silent_since_s < 2.0
        assert [alarm.id for alarm in found.alarms] == ["camera"]
        assert signs_of_life.look(config.load(device)).faults() == [found.alarms[0].text]
        clock.now_s += 8.0
        time.sleep(0.6)  # the agent looks at the time every quarter of a second
        assert cases_of(tmp_path) == []
        clock.now_s += 2.0
        (case,) = wait_for(lambda: cases_of(tmp_path))
        gone.set()
    assert (case.verdict, case.score, case.decision) == ("not_tested", None, "none")
    assert "has given no picture" in case.reason


def test_an_order_of_the_line_begins_an_immersion_and_the_lamp_ends_it(tmp_path):
    device = write_device(tmp_path, trigger="command")
    at = settled_frame() + 5

    def order() -> None:
        outbox = Outbox.attach(tmp_path / "data" / "outbox.db", tmp_path / "data" / "spool")
        outbox.keep_answer("order-1", b"{}", trigger=True)
        wait_for(lambda: not outbox._rows.execute("SELECT sum(trigger_waits) FROM orders").fetchone()[0])
        outbox.close()

    assert run(device, TapeCamera({at: order})) == 0
    (case,) = cases_of(tmp_path)
    assert case.started_s == pytest.approx(at / FPS, abs=2 / FPS)
    assert (case.decision, case.outcome != "not_tested") == (tape().truth.decision, True)


def test_a_stop_does_not_wait_for_a_camera_that_gives_nothing(tmp_path):
    device = write_device(tmp_path, "twin:seed=31,cases=1,profile=demo,live=1,fault=stall@0")
    with running(device, None):
        wait_for(lambda: state_of(tmp_path))
    assert cases_of(tmp_path) == []


def test_a_disk_that_is_full_for_a_while_costs_the_clip_but_not_the_case(tmp_path, capsys):
    device, disk = write_device(tmp_path, audit=config.AuditConfig(floor=1.0)), full_disk(100_000)
    full, free = settled_frame() + 20, len(tape().pictures) - 2
    assert tape().truth.decided_s * FPS < free - 10
    at = {full: disk.__enter__, free: lambda: disk.__exit__(None, None, None)}
    assert run(device, TapeCamera(at)) == 0
    (case,) = cases_of(tmp_path)
    assert (case.verdict != "not_tested", case.clip) == (True, None)
    told = capsys.readouterr()
    assert told.out.startswith(f"case={case.case_id} ")
    assert told.err.count("goes on without its clip") == 1


def test_two_agents_on_one_outbox_or_camera_are_refused(tmp_path):
    device = write_device(tmp_path)
    outbox = Outbox.open(tmp_path / "data" / "outbox.db", tmp_path / "data" / "spool")
    with pytest.raises(StoreError, match="in use by another agent"):
        run(device, TapeCamera())
    outbox.close()
    device = write_device(tmp_path, "/dev/video9")
    with locks.lock_camera("/dev/video9"), pytest.raises(StationError, match="in use by another agent"):
        run(device, TapeCamera())


def test_a_recording_may_be_read_by_two_agents():
    with locks.lock_camera("twin:seed=7"), locks.lock_camera("twin:seed=7"):
        pass


def test_a_damaged_bundle_is_refused_before_the_camera_is_opened(tmp_path):
    data = bytearray(shipped_bundle().read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "bad.bundle").write_bytes(data)
    camera = TapeCamera()
    with pytest.raises(ModelError):
        run(write_device(tmp_path, bundle="bad.bundle"), camera)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("device.toml", "site = ", ConfigError),
        ("device.toml", "colour = 3\n", ConfigError),
        ("station.toml", "station = 'TANK1'\n", StationError),
        ("station.toml", "\xff\xfe", StationError),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path, name, text, error):
    device = write_device(tmp_path)
    (tmp_path / name).write_bytes(text.encode("latin-1"))
    with pytest.raises(error, match=name) as caught:
        run(device, TapeCamera())
    assert "\n" not in str(caught.value)
