"""The drill of cuts: nothing acknowledged is lost, what leaves out a sync loses, and every kind of loss is counted."""

import shutil

import pytest

from benchmarks import drill_powercut, feeding, wholeness
from benchmarks.disk_image import Disk
from benchmarks.drill_powercut import NO_CLIP, Acknowledged, Plan
from benchmarks.made_cases import make_case
from edge_agent import wire
from edge_agent.outbox import Outbox

GOOD = {
    "mounts": True, "asked": 3, "cuts": 3, **dict.fromkeys(drill_powercut.FAULTS, 0),
    "normal": {"rows_lost": 5}, "unsynced": {"lost": 1, "changed": 0},
}  # fmt: skip


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    found = drill_powercut.drill(Plan(4, 3, 96, seed=3), tmp_path_factory.mktemp("cuts"))
    if not found["mounts"]:
        pytest.skip("this machine lets nobody mount")
    return found


def test_a_disk_that_loses_its_power_keeps_every_case_that_was_acknowledged(ledger):
    assert ledger["cuts"] == 4 and ledger["acknowledged"] > 0
    assert not any(ledger[name] for name in drill_powercut.FAULTS), ledger
    assert drill_powercut.is_good(ledger)


def test_the_same_cuts_take_rows_with_synchronous_normal_and_cases_without_fsync(ledger):
    assert ledger["normal"]["rows_lost"] > 0 and ledger["normal"]["lost"] == 0, "the spool has them all the same"
    assert ledger["unsynced"]["lost"] + ledger["unsynced"]["changed"] > 0
    assert ledger["unsynced"]["half_written"] > 0


@pytest.fixture
def disk(tmp_path):
    """Three cases, the last one with a clip, as they were acknowledged."""
    outbox = Outbox.open(tmp_path / "outbox.db", tmp_path / "spool")
    kept = [feeding.put(outbox, make_case(number)) for number in (1, 2, 3)]
    outbox.close()
    return tmp_path, [acknowledged(one) for one in kept]


def acknowledged(case):
    clip = case.clip.sha256 if case.clip else NO_CLIP
    return Acknowledged(case.case_id, case.sequence, wire.sha256_of(wire.encode(case)), clip)


def test_what_is_as_it_was_said_counts_as_no_fault(disk, tmp_path):
    at, said = disk
    assert not +drill_powercut.look(at, said, tmp_path) and not any(drill_powercut.fate(at, one) for one in said)


@pytest.mark.parametrize("fault", ["lost", "changed", "clips_lost", "rows_lost", "integrity", "gaps", "half_written"])
def test_every_kind_of_loss_is_counted(disk, tmp_path, fault):
    at, said = disk
    case, clip = at / "spool" / f"{said[1].case_id}.json", at / "spool" / f"{said[2].clip_sha256}.twclip"
    match fault:
        case "lost" | "gaps":
            case.unlink()
            (at / "outbox.db").unlink()
        case "changed":
            case.write_bytes(case.read_bytes().replace(b"agree", b"leaks"))
        case "clips_lost":
            clip.write_bytes(clip.read_bytes()[:-1])
        case "rows_lost":
            (at / "outbox.db").unlink()
        case "integrity":
            with open(at / "outbox.db", "r+b") as database:
                database.seek(4096)
                database.write(b"\xff" * 4096)
        case "half_written":
            case.write_bytes(case.read_bytes()[:-9])
    assert drill_powercut.look(at, said, tmp_path)[fault] > 0


def test_a_ledger_with_a_loss_or_without_one_where_there_must_be_is_not_good():
    assert drill_powercut.is_good(GOOD)
    for name in drill_powercut.FAULTS:
        assert not drill_powercut.is_good(GOOD | {name: 1})
    nothing = {"rows_lost": 0, "lost": 0, "changed": 0}
    for changed in ({"mounts": False}, {"cuts": 2}, {"normal": nothing}, {"unsynced": nothing}):
        assert not drill_powercut.is_good(GOOD | changed)


def test_a_machine_on_which_nobody_mounts_says_so_and_has_proved_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    found = drill_powercut.drill(Plan(4, 3, 96, seed=3), tmp_path)
    assert found["why"] == "this machine lets nobody mount: run it as root"
    assert found["cuts"] == 0 and not drill_powercut.is_good(found)


def test_a_plain_copy_is_of_one_moment(tmp_path, monkeypatch):
    """Where nothing copies by reflink: until no write has reached the disk meanwhile."""
    traffic = iter([("7", "0"), ("9", "0"), ("9", "2"), ("9", "2"), ("9", "0"), ("9", "0")])
    monkeypatch.setattr("benchmarks.disk_image._traffic_at", lambda at: lambda: next(traffic))
    (tmp_path / "disk.img").write_bytes(b"as it was")
    Disk(tmp_path / "disk.img", tmp_path, "plain")._copy_of_one_moment(tmp_path / "cut.img")
    assert (tmp_path / "cut.img").read_bytes() == b"as it was" and next(traffic, None) is None


def test_files_that_are_not_what_their_name_says_are_named(disk):
    at, said = disk
    spool = at / "spool"
    assert wholeness.half_written(spool) == []
    (spool / f"{said[0].case_id}.json").rename(spool / "another.json")
    (spool / "x.twclip.tmp").write_bytes(b"")
    shutil.copy(spool / f"{said[2].clip_sha256}.twclip", spool / f"{'0' * 64}.twclip")
    faults = wholeness.half_written(spool)
    assert [fault.split(": ")[1].split(" ")[0] for fault in faults] == ["its", "holds", "left"]
