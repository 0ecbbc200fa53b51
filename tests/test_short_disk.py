"""A disk that is short: what goes, in which order, and that a record never does."""

import msgspec
import pytest

from benchmarks.feeding import LARGE_PX
from benchmarks.made_cases import make_case, write_clip
from edge_agent import durable, wire
from edge_agent.deliveries import Deliveries
from edge_agent.errors import StoreError
from edge_agent.filming import Film
from edge_agent.messages import Receipt
from edge_agent.outbox import Outbox, PendingCases
from edge_agent.records import Case, Sampled
from tests.fakes_disk import full_disk

MB = 1_000_000
CAPACITY = 100 * MB


@pytest.fixture
def box(tmp_path):
    box = Outbox.open(tmp_path / "outbox.db", tmp_path / "spool", lambda: 1000.0)
    yield box
    box.close()


def filmed(box: Outbox, number: int, reason: str, **changes) -> tuple[Case, object]:
    case = make_case(number, sampled=Sampled(reason, 1.0), **changes)
    draft = box.spool.draft(case.case_id)
    return msgspec.structs.replace(case, clip=write_clip(draft, case)), draft


def put(box: Outbox, number: int, reason: str) -> str:
    """The hash of its clip."""
    stored = box.put(*filmed(box, number, reason))
    assert stored.clip
    return stored.clip.sha256


def receipt_all(box: Outbox) -> None:
    box.receipted(cases=[(w.case_id, w.sha256) for w in box.waiting_cases(1000)])
    box.receipted(clips=[w.sha256 for w in box.waiting_clips(1000)])


def shrink(box: Outbox, monkeypatch, *, each: int) -> None:
    """A disk of 100 MB on which every clip takes so much."""
    monkeypatch.setattr(box.spool, "free_bytes", lambda: CAPACITY - each * len(list(box.spool.clip_hashes())))


def test_clips_go_in_the_written_order_and_records_stay(box, monkeypatch):
    held_leak, held_audit = put(box, 1, "disagreement"), put(box, 2, "audit")
    receipt_all(box)
    leak, audit, known = put(box, 3, "disagreement"), put(box, 4, "audit"), put(box, 5, "challenge")
    shrink(box, monkeypatch, each=10 * MB)
    left = [held_audit, held_leak, audit, known, leak]
    for keep_free, refused in ((51, False), (61, False), (150, False), (0, True), (0, True)):
        monkeypatch.setattr(durable, "RECORD_ROOM_BYTES", (CAPACITY - 10 * MB * len(left) + 1) if refused else 0)
        assert box.make_room(keep_free * MB, refused=refused) == 1
        assert set(box.spool.clip_hashes()) == set(left[1:])
        left.pop(0)
    assert len(list(box.spool.case_ids())) == 5
    assert [note for note in box.notes if "went without a receipt" in note] == [
        "the disk is short: 1 clips of agreements went without a receipt",
        "the disk is short: 1 clips of cases without an agreement went without a receipt",
        "the disk is short: 1 clips of cases without an agreement went without a receipt",
    ]


def test_a_disagreement_without_a_receipt_stays_as_long_as_no_record_was_refused(box, monkeypatch):
    leak = put(box, 3, "disagreement")
    shrink(box, monkeypatch, each=CAPACITY)
    assert box.make_room(1000 * MB) == 0 and list(box.spool.clip_hashes()) == [leak]


def test_a_full_disk_that_takes_no_rows_lets_receipted_clips_go_all_the_same(box):
    put(box, 3, "disagreement")
    receipt_all(box)
    with full_disk(), pytest.raises(StoreError):
        box.retain(5.0, 1 << 60)
    assert list(box.spool.clip_hashes()) == [], "or a device whose disk is full would stay so"
    assert box.retain(6.0, 1 << 60) == 1 and box.retain(7.0, 1 << 60) == 0


def test_a_record_that_the_disk_refuses_takes_the_place_of_a_clip(box, monkeypatch):
    put(box, 3, "disagreement")
    shrink(box, monkeypatch, each=CAPACITY - MB)
    really = box.put

    def refusing(case, clip=None):
        if box.spool.free_bytes() < durable.RECORD_ROOM_BYTES:
            raise StoreError("full")
        return really(case, clip)

    monkeypatch.setattr(box, "put", refusing)
    pending = PendingCases(box)
    assert [case.sequence for case in pending.put(make_case(4))] == [2] and pending.fault is None
    assert list(box.spool.clip_hashes()) == [] and box.backlog().cases == 2


def test_clips_of_cases_that_wait_in_memory_go_for_their_records_and_disagreements_last(box, monkeypatch):
    pending = PendingCases(box)
    leak, audit = filmed(box, 3, "disagreement"), filmed(box, 4, "audit")
    drafts = [leak[1], audit[1]]
    left: list[list[bool]] = []

    def refusing(case, clip=None):
        left.append([draft.exists() for draft in drafts])
        if len(left) <= 3:
            raise StoreError("full")
        return case

    monkeypatch.setattr(box.spool, "free_bytes", lambda: CAPACITY)
    monkeypatch.setattr(box, "put", refusing)
    assert pending.put(*leak) == [] and pending.fault is not None
    monkeypatch.setattr(box.spool, "free_bytes", lambda: 0)
    stored = pending.put(*audit)
    assert left == [[True, True], [True, True], [True, False], [False, False], [False, False]]
    assert [case.clip for case in stored] == [None, None] and pending.fault is None


def test_a_case_that_is_lost_from_memory_leaves_no_clip_on_the_full_disk(box, monkeypatch):
    pending = PendingCases(box, limit=1)
    case, draft = filmed(box, 3, "disagreement")
    with full_disk():
        pending.put(case, draft)
        pending.put(make_case(4))
    assert pending.lost == 1 and not draft.exists()


def test_a_database_that_is_gone_while_the_disk_is_full_is_made_again_once_there_is_room(box, tmp_path):
    pending = PendingCases(box)
    pending.put(make_case(1))
    for ending in ("", "-wal", "-shm"):
        (tmp_path / f"outbox.db{ending}").unlink(missing_ok=True)
    with full_disk():
        assert pending.put(make_case(2)) == [] and "free space" in str(pending.fault)
    assert [case.sequence for case in pending.retry()] == [2] and box.backlog().cases == 2


def test_a_lock_that_the_disk_does_not_give_the_uplink_is_a_fault_of_the_disk(box, tmp_path):
    box.close()
    (tmp_path / "outbox.lock").unlink()
    (tmp_path / "outbox.lock").mkdir()
    with pytest.raises(StoreError, match="outbox.lock cannot be written"):
        Outbox.attach(tmp_path / "outbox.db", tmp_path / "spool")


def test_no_clip_is_begun_in_the_room_for_records(tmp_path, monkeypatch):
    said: list[str] = []
    monkeypatch.setattr(durable, "RECORD_ROOM_BYTES", 1 << 60)
    Film(tmp_path / "a.twclip.tmp", None, (), said.append)
    assert list(tmp_path.iterdir()) == [] and "are kept for records" in said[0]


def test_a_clip_that_goes_while_it_is_sent_ends_no_uplink(box, tmp_path):
    case = make_case(3)
    draft = box.spool.draft(case.case_id)
    box.put(msgspec.structs.replace(case, clip=write_clip(draft, case, frames=12, view_px=LARGE_PX)), draft)
    box.receipted(cases=[(w.case_id, w.sha256) for w in box.waiting_cases(1)])
    (clip,) = box.waiting_clips(1)
    deliveries = Deliveries(box, wire.Topics("plant", "TANK1"))
    assert len(deliveries.next(0.0, 10)) == 1
    deliveries.receipt(Receipt(parts=((clip.sha256, 0),)))
    assert len(deliveries.next(1.0, 1)) == 1
    clip.path.unlink()
    assert deliveries.next(2.0, 10) == [] and "is gone" in deliveries.notes[0]
    assert box.waiting_clips(1) == []
