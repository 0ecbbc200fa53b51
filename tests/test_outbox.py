import os
import shutil
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from benchmarks.made_cases import make_case, write_clip
from edge_agent import durable, outbox_table, wire
from edge_agent.errors import StoreError
from edge_agent.outbox import RECORD_DAYS, Outbox, PendingCases
from edge_agent.records import Case
from edge_agent.spool import Spool

DAY = 86_400.0


@pytest.fixture
def opened(tmp_path):
    """Opens outboxes over one folder; all are closed at the end."""
    boxes = []

    def start(how=Outbox.open, clock=lambda: 1000.0):
        boxes.append(how(tmp_path / "outbox.db", tmp_path / "spool", clock))
        return boxes[-1]

    yield start
    for box in boxes:
        box.close()


def put_with_clip(box: Outbox, number: int) -> Case:
    case = make_case(number)
    draft = box.spool.draft(case.case_id)
    return box.put(msgspec.structs.replace(case, clip=write_clip(draft, case)), draft)


def receipt_all(box: Outbox) -> int:
    count = box.receipted(cases=[(w.case_id, w.sha256) for w in box.waiting_cases(1000)])
    return count + box.receipted(clips=[w.sha256 for w in box.waiting_clips(1000)])


def test_cases_wait_in_order_with_a_gapless_sequence(opened):
    box = opened()
    for number in range(1, 6):
        box.put(make_case(number))
    waiting = box.waiting_cases(10)
    assert [w.sequence for w in waiting] == [1, 2, 3, 4, 5]
    assert (
        wire.decode(waiting[2].payload, Case).sequence == 3 and wire.sha256_of(waiting[2].payload) == waiting[2].sha256
    )
    assert [w.sequence for w in box.waiting_cases(2, frozenset({waiting[0].case_id}))] == [2, 3]


def test_putting_a_case_twice_stores_it_once(opened):
    box = opened()
    first = box.put(make_case(1))
    assert box.put(make_case(1)) == first and len(box.waiting_cases(10)) == 1
    assert box.put(make_case(2)).sequence == 2


def test_only_a_receipt_for_the_very_bytes_ends_the_waiting(opened):
    box = opened()
    box.put(make_case(1))
    waiting = box.waiting_cases(1)[0]
    assert box.receipted(cases=[(waiting.case_id, "0" * 64), ("other", waiting.sha256)], clips=["1" * 64]) == 0
    assert box.waiting_cases(1) == [waiting]
    assert box.receipted(cases=[(waiting.case_id, waiting.sha256)]) == 1
    assert box.receipted(cases=[(waiting.case_id, waiting.sha256)]) == 0
    assert box.waiting_cases(1) == [] and box.spool.case(waiting.case_id) is not None


def test_clips_wait_until_their_case_is_receipted_and_disagreements_go_first(opened):
    box = opened()
    for number in (1, 3):
        put_with_clip(box, number)
    assert box.waiting_clips(10) == []
    box.receipted(cases=[(w.case_id, w.sha256) for w in box.waiting_cases(10)])
    clips = box.waiting_clips(10)
    assert [clip.case_id for clip in clips] == [make_case(3).case_id, make_case(1).case_id]
    assert all(wire.sha256_of(clip.path.read_bytes()) == clip.sha256 for clip in clips)
    box.resume_at([(clips[0].sha256, 7)])
    assert box.waiting_clips(1)[0].next_part == 7
    assert box.receipted(clips=[clip.sha256 for clip in clips]) == 2 and box.waiting_clips(10) == []


@pytest.mark.parametrize("damage", ["missing", "garbage", "truncated", "page", "other version"])
def test_a_damaged_database_is_set_aside_and_made_again_from_the_spool(opened, tmp_path, damage):
    box = opened()
    for number in range(1, 41):
        box.put(make_case(number, reason="x" * 2000))
    box.close()
    _damage(tmp_path / "outbox.db", damage)
    again = opened()
    assert [w.sequence for w in again.waiting_cases(100)] == list(range(1, 41))
    assert again.put(make_case(41)).sequence == 41
    aside = list(tmp_path.glob("outbox.db.damaged-*"))
    assert bool(aside) == (damage != "missing") and any("spool" in note for note in again.notes)


def _damage(database, damage):
    for ending in ("-wal", "-shm"):
        database.with_name(database.name + ending).unlink(missing_ok=True)
    match damage:
        case "missing":
            database.unlink()
        case "garbage":
            database.write_bytes(os.urandom(8192))
        case "truncated":
            os.truncate(database, database.stat().st_size // 2)
        case "page":
            with open(database, "r+b") as file:
                file.seek(4096 * 2)
                file.write(b"\xaa" * 4096)
        case "other version":
            rows = sqlite3.connect(database)
            rows.execute("PRAGMA user_version=99")
            rows.commit()
            rows.close()


def test_a_database_removed_under_a_running_agent_is_made_again(opened, tmp_path):
    box = opened()
    box.put(make_case(1))
    for path in tmp_path.glob("outbox.db*"):
        path.unlink()
    assert box.put(make_case(2)).sequence == 2
    assert [w.sequence for w in box.waiting_cases(10)] == [1, 2]


def test_the_sender_sees_what_is_put_after_the_database_was_replaced(opened, tmp_path):
    box, sender = opened(), opened(Outbox.attach)
    box.put(make_case(1))
    for path in tmp_path.glob("outbox.db*"):
        path.unlink()
    box.put(make_case(2))
    assert [w.sequence for w in sender.waiting_cases(10)] == [1, 2]


HOLDS_IT_OPEN = """
import sys
from pathlib import Path
from edge_agent.outbox import Outbox
sender = Outbox.attach(Path(sys.argv[1]) / "outbox.db", Path(sys.argv[1]) / "spool")
print(len(sender.waiting_cases(10)), flush=True)
sys.stdin.readline()
print(len(sender.waiting_cases(10)), flush=True)
"""


@pytest.mark.parametrize("gone", ["put aside", "removed by hand"])
def test_a_new_database_shares_no_journal_with_the_one_that_the_sender_has_open(opened, tmp_path, gone):
    """As a kill leaves it between the database, which was put aside, and what SQLite keeps beside it."""
    box = opened()
    box.put(make_case(1))
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS_IT_OPEN, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as sender:
        assert sender.stdout.readline() == "1\n"
        box.close()
        database = tmp_path / "outbox.db"
        database.rename(tmp_path / "outbox.db.damaged") if gone == "put aside" else database.unlink()
        again = opened()
        assert again.put(make_case(2)).sequence == 2
        assert sender.communicate("\n", timeout=60)[0] == "2\n"
    assert [w.sequence for w in again.waiting_cases(10)] == [1, 2]


def test_a_sender_alone_makes_a_lost_database_again(opened, tmp_path):
    box = opened()
    box.put(make_case(1))
    box.close()
    (tmp_path / "outbox.db").write_bytes(b"not a database, but long enough to be looked at" * 100)
    assert len(opened(Outbox.attach).waiting_cases(10)) == 1


def test_a_second_agent_on_one_outbox_is_refused_with_a_clear_line(opened):
    opened()
    opened(Outbox.attach)
    with pytest.raises(StoreError, match="in use by another agent"):
        opened()
    with pytest.raises(StoreError, match="in use by another agent"):
        opened(Outbox.attach)


def test_what_was_not_finished_at_the_stop_is_removed_and_what_was_put_stays(opened, tmp_path):
    box = opened()
    kept = put_with_clip(box, 3)
    case = make_case(6)
    write_clip(box.spool.draft(case.case_id), case)
    write_clip(tmp_path / "orphan", case)
    (tmp_path / "orphan").rename(box.spool.clip_path("f" * 64))
    (box.spool.folder / "half.json.tmp").write_bytes(b"{")
    box.close()
    again = opened()
    assert {path.name for path in again.spool.folder.iterdir()} == {
        again.spool.case_path(kept.case_id).name,
        again.spool.clip_path(kept.clip.sha256).name,
    }


def test_an_interruption_between_file_and_row_loses_nothing(opened, tmp_path):
    box = opened()
    box.put(make_case(1))
    box.spool.keep_case(make_case(2, sequence=2))
    box.close()
    again = opened()
    assert [w.sequence for w in again.waiting_cases(10)] == [1, 2] and again.put(make_case(3)).sequence == 3


def test_a_damaged_case_file_is_set_aside(opened, tmp_path):
    box = opened()
    box.put(make_case(1))
    path = box.spool.case_path(make_case(1).case_id)
    path.write_bytes(b"{}")
    assert box.spool.case(make_case(1).case_id) is None
    assert path.with_name(path.name + ".damaged").exists()
    assert len(box.waiting_cases(10)) == 1


def test_receipted_records_go_after_thirty_days_but_the_newest_stays_and_the_sequence_goes_on(opened, tmp_path):
    box = opened()
    for number in (1, 2, 3):
        put_with_clip(box, number)
    receipt_all(box)
    waiting = box.put(make_case(4))
    assert box.retain(0.0, 0) == 0
    assert box.retain(RECORD_DAYS * DAY - 1, 0) == 0
    assert box.retain(RECORD_DAYS * DAY + 1, 0) == 3
    assert list(box.spool.case_ids()) == [waiting.case_id] and list(box.spool.clip_hashes()) == []
    box.receipted(cases=[(w.case_id, w.sha256) for w in box.waiting_cases(10)])
    assert box.retain(100 * DAY, 0) == 0
    box.close()
    (tmp_path / "outbox.db").unlink()
    assert opened().put(make_case(5)).sequence == 5


@pytest.mark.parametrize("jump_s", [40 * DAY, 20_000 * DAY, -20_000 * DAY, -1_790_000_000.0])
def test_a_clock_that_is_set_makes_no_record_older_and_none_younger(opened, jump_s):
    utc_s = [1_790_000_000.0]
    box = opened(clock=lambda: utc_s[0])
    for number in (1, 2):
        put_with_clip(box, number)
    receipt_all(box)
    assert box.retain(0.0, 0) == 0
    utc_s[0] += jump_s
    put_with_clip(box, 3)
    receipt_all(box)
    assert box.retain(3600.0, 0) == 0 and len(list(box.spool.case_ids())) == 3
    put_with_clip(box, 4)
    assert box.retain(RECORD_DAYS * DAY + 1, 0) == 2
    assert box.retain(RECORD_DAYS * DAY + 3602, 0) == 1


def test_age_is_added_up_over_restarts_and_what_waits_again_has_none(opened):
    box = opened()
    for number in (1, 2, 3):
        box.put(make_case(number))
    receipt_all(box)
    for _ in range(RECORD_DAYS):
        assert (box.retain(5.0, 0), box.retain(5.0 + DAY, 0)) == (0, 0)
        box.close()
        box = opened()
    box.send_again(case_id=make_case(1).case_id)
    receipt_all(box)
    assert (box.retain(7.0, 0), box.retain(8.0, 0)) == (0, 2)


def test_an_outbox_of_before_counts_its_receipts_from_now_on(opened, tmp_path):
    box = opened()
    for number in (1, 2):
        box.put(make_case(number))
    receipt_all(box)
    box.close()
    with sqlite3.connect(tmp_path / "outbox.db") as rows:
        rows.execute("DROP TABLE ages")
        rows.execute("DROP TABLE running")
    rows.close()
    box = opened()
    assert (box.retain(0.0, 0), box.retain(RECORD_DAYS * DAY, 0), box.retain(RECORD_DAYS * DAY + 1, 0)) == (0, 0, 1)


def test_only_receipted_clips_make_room_when_space_is_short(opened):
    box = opened()
    put_with_clip(box, 3)
    receipt_all(box)
    waiting = put_with_clip(box, 6)
    assert box.retain(1000.0, 1 << 60) == 1
    assert list(box.spool.clip_hashes()) == [waiting.clip.sha256]
    assert len(list(box.spool.case_ids())) == 2


def test_the_cloud_can_ask_again(opened):
    box = opened()
    for number in (3, 6):
        put_with_clip(box, number)
    receipt_all(box)
    assert box.send_again(case_id=make_case(3).case_id) == 1 and len(box.waiting_cases(10)) == 1
    receipt_all(box)
    assert box.send_again(since=make_case(4).ended_at) == 1
    assert receipt_all(box) == 2


def test_an_order_is_answered_once_and_a_trigger_taken_once(opened):
    box = opened()
    assert box.answer("o1") is None
    box.keep_answer("o1", b"done", trigger=True)
    assert box.answer("o1") == b"done"
    assert box.take_trigger() and not box.take_trigger()


def test_a_clock_that_is_set_forgets_no_answer_and_keeps_no_trigger_for_later(opened):
    utc_s = [1_790_000_000.0]
    box = opened(clock=lambda: utc_s[0])
    box.keep_answer("o1", b"done")
    utc_s[0] += 4000 * DAY
    box.keep_answer("o2", b"done", trigger=True)
    assert box.answer("o1") == b"done", "the broker may deliver it once more"
    utc_s[0] -= 4000 * DAY
    assert not box.take_trigger()
    utc_s[0] += 4000 * DAY
    assert not box.take_trigger()


FULL_DISK = """
import sys
from pathlib import Path
from benchmarks.made_cases import make_case
from edge_agent.errors import StoreError
from edge_agent.outbox import Outbox, PendingCases
folder = Path(sys.argv[1])
box = Outbox.open(folder / "outbox.db", folder / "spool")
ballast = folder / "ballast"
ballast.write_bytes(bytes(1 << 20))
pending, number = PendingCases(box), 0
while pending.fault is None:
    number += 1
    pending.put(make_case(number, reason="x" * 20_000))
words = str(pending.fault)
pending.put(make_case(number + 1))
ballast.unlink()
stored = [case.sequence for case in pending.retry()]
assert pending.fault is None and pending.lost == 0 and len(pending) == 0
assert stored == [number, number + 1], (stored, number)
assert [w.sequence for w in box.waiting_cases(10_000)] == list(range(1, number + 2))
print(words)
"""


@pytest.mark.skipif(not shutil.which("unshare"), reason="mounting a small disk needs unshare")
def test_a_full_disk_is_named_and_nothing_is_lost_once_there_is_room(tmp_path):
    script = f"mount -t tmpfs -o size=4m none {tmp_path} && exec {sys.executable} - {tmp_path}"
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    done = subprocess.run(
        ["unshare", *user, "--mount", "sh", "-c", script],
        input=FULL_DISK,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if "permission denied" in done.stderr.lower() or "not permitted" in done.stderr.lower():
        pytest.skip("this machine lets nobody mount a small disk")
    assert done.returncode == 0, done.stderr
    assert "free" in done.stdout


def test_cases_that_the_disk_refuses_wait_in_memory_in_order(opened, monkeypatch):
    box = opened()
    monkeypatch.setattr(box, "put", _refuse)
    pending = PendingCases(box, limit=3)
    for number in range(1, 5):
        assert pending.put(make_case(number)) == []
    assert len(pending) == 3 and pending.lost == 1 and "full" in str(pending.fault)
    monkeypatch.undo()
    assert [case.case_id for case in pending.retry()] == [make_case(n).case_id for n in (2, 3, 4)]
    assert pending.fault is None


def _refuse(*_):
    raise StoreError("disk is full")


def test_a_durable_write_leaves_the_old_file_when_the_new_one_fails(tmp_path):
    path = tmp_path / "folder" / "state.json"
    path.parent.mkdir()
    durable.write(path, b"old")
    with pytest.raises(StoreError, match="free"):
        durable.write(tmp_path / "missing" / "state.json", b"new")
    assert path.read_bytes() == b"old" and list(path.parent.iterdir()) == [path]


def test_a_case_whose_clip_is_gone_goes_without_it(opened):
    box, case = opened(), make_case(1)
    draft = box.spool.draft(case.case_id)
    case = msgspec.structs.replace(case, clip=write_clip(draft, case))
    draft.unlink()
    assert box.put(case, draft).clip is None
    assert "goes without it" in box.notes[-1]
    assert box.backlog().clips == 0


def test_a_start_takes_the_id_that_the_uplink_is_about_to_write_from_nobody(opened, tmp_path):
    spool = Spool(tmp_path / "spool")
    writing = spool.folder / "install-id-77-88.tmp"
    writing.write_bytes(b"0123")
    opened().close()
    assert writing.exists()
    assert len(spool.install_id()) == 8 and not writing.exists(), "the others take the first one's word"


def test_who_is_second_to_write_an_id_takes_the_first_ones_word_whatever_becomes_of_its_own(tmp_path, monkeypatch):
    path = tmp_path / "install-id"

    def overtaken(temporary, data):
        path.write_bytes(b"first")
        raise StoreError("removed by a start")

    monkeypatch.setattr(durable, "write", overtaken)
    durable.write_first(path, b"later")
    assert path.read_bytes() == b"first"


def test_two_processes_that_start_together_agree_on_the_installation(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: durable.write_first(tmp_path / f"id{n % 4}", b"%08d" % n), range(64)))
    assert all((tmp_path / f"id{n}").read_bytes()[-1:].isdigit() for n in range(4))
    assert {Spool(tmp_path / "spool").install_id() for _ in range(3)} == {Spool(tmp_path / "spool").install_id()}
    assert not list((tmp_path / "spool").glob("*.tmp"))


@pytest.mark.parametrize("known", [False, True])
def test_an_id_that_the_other_process_is_about_to_write_is_not_swept_away(tmp_path, monkeypatch, known):
    """Both start on a new device: the one that puts removes what a former run left."""
    spool, write = Spool(tmp_path / "spool"), durable.write

    def write_while_the_other_starts(path, data):
        write(path, data)
        if known:
            write(spool.folder / "install-id", b"01234567")
        Outbox.open(tmp_path / "outbox.db", spool.folder).close()

    monkeypatch.setattr(durable, "write", write_while_the_other_starts)
    assert spool.install_id() == (spool.folder / "install-id").read_text() and len(spool.install_id()) == 8


def test_what_waits_is_counted_without_reading_each_case(opened):
    """With 100,000 of them the uplink would do nothing else."""
    box = opened()
    box.put(make_case(1))
    with box._transaction() as rows:
        (plan,) = rows.execute("EXPLAIN QUERY PLAN SELECT count(*) FROM cases WHERE receipted_at IS NULL")
    assert "COVERING INDEX cases_unreceipted" in plan[3]


def test_a_database_of_before_gets_the_index_that_counts(tmp_path):
    with sqlite3.connect(tmp_path / "outbox.db") as rows:
        for statement in outbox_table._TABLES.split(";\n"):
            rows.execute(statement)
        rows.execute("CREATE INDEX cases_waiting ON cases (sequence) WHERE receipted_at IS NULL")
        rows.execute(f"PRAGMA user_version={outbox_table.VERSION}")
    with outbox_table.connect(tmp_path / "outbox.db") as rows:
        names = {name for (name,) in rows.execute("SELECT name FROM sqlite_master WHERE type = 'index'")}
    assert "cases_unreceipted" in names and "cases_waiting" not in names


def test_the_bytes_of_a_long_backlog_are_those_of_its_oldest_cases(opened, monkeypatch):
    box = opened()
    cases = [box.put(make_case(number)) for number in (1, 2, 4, 5)]
    sizes = [len(wire.encode(case)) for case in cases]
    assert box.waiting_bytes() == sum(sizes)
    monkeypatch.setattr(outbox_table, "WEIGHED", 2)
    assert box.waiting_bytes() == 2 * sum(sizes[:2])


def test_to_look_for_a_clip_no_record_is_read(opened):
    box, said = opened(), []
    box._rows.set_trace_callback(said.append)
    box.waiting_clips(1)
    (query,) = [words for words in said if words.startswith("SELECT")]
    steps = [step for *_, step in box._rows.execute(f"EXPLAIN QUERY PLAN {query}")]
    (step,) = [step for step in steps if "cases" in step]
    assert step.startswith("SEARCH cases USING COVERING INDEX cases_held (case_id=?")
