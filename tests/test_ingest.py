"""From messages to rows: whatever comes, in whatever order and however often, is held once or set aside."""

import random
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa
from cloud_fakes import SITE, STATION, TOPICS, a_case, a_clip, case_message, clip_messages
from cloud_kinds import NewCloud, opened
from device_files import a_report
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.dialects import postgresql

from cloud_sync import gaps as gap_rules
from cloud_sync.case_row import case_row
from cloud_sync.config import CloudConfig
from cloud_sync.db import _compiled_insert, insert_rows
from cloud_sync.dead_letters import Message
from cloud_sync.intake import Handled, Intake
from cloud_sync.tables import cases, clips, dead_letters, gaps, stations
from edge_agent import wire
from edge_agent.errors import StoreError
from edge_agent.messages import InputMetrics, Metrics, OutputMetrics, Receipt, Status
from edge_agent.records import Sampled

NOW = 1_800_000_000.0
FAULT = {
    "sqlite": (
        "CREATE TRIGGER fault BEFORE UPDATE ON clips BEGIN SELECT RAISE(ABORT, 'fault'); END",
        "DROP TRIGGER fault",
    ),
    "postgresql": (
        "ALTER TABLE clips ADD CONSTRAINT fault CHECK (state = 'partial')",
        "ALTER TABLE clips DROP CONSTRAINT fault",
    ),
}
"""How each database is made to refuse a clip that is whole, and how that ends."""


STATUS = wire.encode(Status(status="online", software="1.0", since="2026-11-29T20:00:00Z"))


def _huge_number() -> bytes:
    return wire.encode(msgspec.structs.replace(a_case(), sequence=2**40))


class Cloud:
    """A database, a store and the intake between them."""

    def __init__(self, config: CloudConfig) -> None:
        self.folder = config.folder
        self.engine, self.store = opened(config)
        self.intake = Intake(self.engine, self.store, max_clip_bytes=10_000_000)

    def handle(self, *messages: Message) -> Receipt:
        """The one receipt of a batch from our station; an empty one where there was none."""
        handled = self.intake.handle(messages, NOW)
        return _receipt(handled)

    def rows(self, table: sa.Table) -> list:
        with self.engine.connect() as connection:
            return list(connection.execute(sa.select(table)))


@pytest.fixture
def cloud(tmp_path: Path, new_cloud: NewCloud) -> Iterator[Cloud]:
    cloud = Cloud(new_cloud(tmp_path / "cloud"))
    yield cloud
    cloud.engine.dispose()


def test_a_case_is_held_and_receipted_with_the_hash_of_its_bytes(cloud: Cloud) -> None:
    message = case_message(a_case())
    receipt = cloud.handle(message)
    assert receipt.cases == ((a_case().case_id, wire.sha256_of(message.payload)),)
    (row,) = cloud.rows(cases)
    assert (row.payload, row.verdict, row.outcome, row.sampled_for) == (
        message.payload,
        "leak",
        "machine_leak",
        "disagreement",
    )


def test_rows_are_written_as_sqlalchemy_would_write_them(cloud: Cloud) -> None:
    topic = wire.parse_topic(case_message(a_case(1)).topic)
    row = case_row(topic, case_message(a_case(1)).payload, 5.0)
    with cloud.engine.begin() as connection:
        insert_rows(connection, cases, [row])
        connection.execute(sa.insert(cases), [row | {"case_id": "b"}])
    ours, theirs = (held._asdict() | {"case_id": ""} for held in cloud.rows(cases))
    assert ours == theirs and ours["payload"] == row["payload"]
    assert None in ours.values(), "a NULL among them"
    statement, names = _compiled_insert(cases, postgresql.dialect())
    assert names == () and "%(case_id)s" in statement, "drivers that take values by name are given names"


def test_a_row_that_lacks_a_column_is_not_written(cloud: Cloud) -> None:
    with pytest.raises(KeyError, match="payload"), cloud.engine.begin() as connection:
        insert_rows(connection, cases, [{"case_id": "a", "sha256": "b"}])


def test_a_case_that_comes_again_is_receipted_again_and_held_once(cloud: Cloud) -> None:
    message = case_message(a_case())
    first = cloud.handle(message, message)
    assert cloud.handle(message) == first
    assert len(cloud.rows(cases)) == 1


def test_other_content_under_the_same_case_id_is_set_aside_and_the_first_stays(cloud: Cloud) -> None:
    first, other = case_message(a_case()), case_message(a_case(decision="leak"))
    cloud.handle(first)
    receipt = cloud.handle(other)
    assert receipt.cases == ((a_case().case_id, wire.sha256_of(first.payload)),)
    assert [row.payload for row in cloud.rows(cases)] == [first.payload]
    (letter,) = cloud.rows(dead_letters)
    assert "held with other content" in letter.reason
    assert letter.payload == other.payload


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        (TOPICS.case, b"{", "not a tankwatch/case/1 message"),
        (TOPICS.case, b"\xff\xfe", "not a tankwatch/case/1 message"),
        (TOPICS.case, b"", "not a tankwatch/case/1 message"),
        (TOPICS.case, b"[" * 50_000, "not a tankwatch/case/1 message"),
        (TOPICS.case, b"x" * 70_000, "limit 65536"),
        (TOPICS.case, b'{"schema": "tankwatch/case/9"}', "tankwatch/case/9"),
        (wire.Topics("plant", "TANK2").case, wire.encode(a_case()), "came on the topic of plant/TANK2"),
        (TOPICS.case, _huge_number(), "number over"),
        (TOPICS.case, wire.encode(a_case(started_at="yesterday")), "no ISO 8601 time"),
        (TOPICS.case, wire.encode(a_case(profile_sha256="../x")), "no hash"),
        (TOPICS.case, wire.encode(a_case(case_id="../../etc/passwd")), "outside the agreed limits"),
        ("tankwatch/v1/plant/TANK1/nonsense", b"{}", "none that this version knows"),
        ("elsewhere", b"{}", "none of tankwatch/v1"),
        (TOPICS.status, b"{}", "not a tankwatch/status/1 message"),
        (TOPICS.status, STATUS[:-1] + b',"new":"\xff"}', "not a tankwatch/status/1 message: 'utf-8'"),
        (TOPICS.receipt, b"{}", "not a tankwatch/receipt/1 message"),
        (TOPICS.case, wire.encode(a_case(serial="s" * 4000)), "name of 4000 letters, limit 200"),
        (TOPICS.case, wire.encode(a_case(started_at="0001-01-01T00:00:00Z")), "is not between 1900 and"),
        (TOPICS.case, wire.encode(a_case(ended_at="9999-12-31T23:59:59-12:00")), "is not between 1900 and"),
        (TOPICS.case, wire.encode(a_case(sampled=Sampled("none", 0.0))), "a probability that is none"),
        (TOPICS.case, wire.encode(a_case(score=7.0)), "a score or"),
        (TOPICS.case, wire.encode(a_case(verdict="v" * 20_000)), "Invalid enum value 'vvv"),
        (TOPICS.clip_manifest("a" * 64), b"{}", "not a tankwatch/clip-manifest/1 message"),
    ],
)
def test_what_cannot_be_taken_is_set_aside_with_the_reason(
    cloud: Cloud, topic: str, payload: bytes, reason: str
) -> None:
    good = case_message(a_case(7))
    receipt = cloud.handle(Message(topic, payload), good)
    assert receipt.cases == ((a_case(7).case_id, wire.sha256_of(good.payload)),)
    (letter,) = cloud.rows(dead_letters)
    assert reason in letter.reason and len(letter.reason) <= 300
    assert letter.bytes == len(payload)


def test_a_case_under_anothers_id_is_refused_and_tells_its_sender_nothing(cloud: Cloud) -> None:
    theirs = case_message(a_case(1))
    cloud.intake.handle([theirs], 1.0)
    forged = a_case(1, station="TANK2")
    copied = msgspec.structs.replace(theirs, topic=case_message(forged).topic)
    for lie in (case_message(forged), copied):
        assert cloud.intake.handle([lie], 2.0).receipts == ()
    # In one batch too, whichever comes first.
    first, second = a_case(2), a_case(2, station="TANK2")
    handled = cloud.intake.handle([case_message(first), case_message(second)], 3.0)
    assert [receipt.topic.split("/")[3] for receipt in handled.receipts] == ["TANK1"]


def test_the_same_bad_message_a_hundred_times_is_one_row(cloud: Cloud) -> None:
    for _ in range(100):
        cloud.handle(Message(TOPICS.case, b"{"))
    assert [row.count for row in cloud.rows(dead_letters)] == [100]


def test_unknown_fields_of_a_newer_station_do_no_harm(cloud: Cloud) -> None:
    payload = wire.encode(a_case())[:-1] + b',"new_field":{"deep":[1]}}'
    assert cloud.handle(Message(TOPICS.case, payload)).cases == ((a_case().case_id, wire.sha256_of(payload)),)


def test_missing_numbers_are_noticed_and_closed_when_they_arrive_late(cloud: Cloud) -> None:
    cloud.handle(case_message(a_case(1)), case_message(a_case(5)))
    assert [(row.first, row.last, row.closed_at) for row in cloud.rows(gaps)] == [(2, 4, None)]
    cloud.handle(case_message(a_case(3)))
    assert _open_gaps(cloud) == [(2, 2), (4, 4)]
    cloud.handle(case_message(a_case(4)), case_message(a_case(2)), case_message(a_case(6)))
    assert _open_gaps(cloud) == []


def test_a_stretch_that_arrives_late_shrinks_the_gap_in_place(cloud: Cloud) -> None:
    cloud.handle(case_message(a_case(1000)))
    for first in range(1, 1000, 100):
        cloud.handle(*(case_message(a_case(number)) for number in range(first, min(first + 100, 1000))))
        assert _open_gaps(cloud) == ([(first + 100, 999)] if first < 900 else [])
    assert len(cloud.rows(gaps)) == 1


def test_what_still_waits_at_its_station_is_not_missing(cloud: Cloud, caplog) -> None:
    def metrics(waiting: int) -> bytes:
        told = msgspec.structs.replace(a_report().software, waiting_cases=waiting)
        at = "2026-11-20T14:00:00Z"
        return wire.encode(Metrics(at=at, boot_id="b", software=told, input=InputMetrics(), output=OutputMetrics()))

    caplog.set_level("INFO", "cloud_sync.gaps")
    cloud.handle(case_message(a_case(10)), Message(TOPICS.metrics, metrics(8)))
    with cloud.engine.connect() as connection:
        assert gap_rules.lacking(connection) == {(SITE, STATION): 1} and len(gap_rules.not_to_come(connection, 5)) == 1
    assert "1 cases are missing" in caplog.text
    caplog.clear()
    cloud.handle(case_message(a_case(1)))
    cloud.handle(case_message(a_case(12)), Message(TOPICS.metrics, metrics(9)))
    assert "they wait at the station" in caplog.text and "are missing" not in caplog.text
    with cloud.engine.connect() as connection:
        assert gap_rules.lacking(connection) == {} and gap_rules.not_to_come(connection, 5) == []


def test_a_number_that_comes_again_under_another_id_is_told(cloud: Cloud, caplog) -> None:
    cloud.handle(case_message(a_case(1)), case_message(a_case(3)))
    other = msgspec.structs.replace(a_case(1), case_id="TANK1-other-000001")
    cloud.handle(case_message(other), case_message(a_case(2)))
    assert "first=1 last=1 came again" in caplog.text and _open_gaps(cloud) == []


def test_a_station_whose_first_cases_never_came_has_a_gap(cloud: Cloud) -> None:
    cloud.handle(case_message(a_case(4)))
    assert _open_gaps(cloud) == [(1, 3)]


@settings(max_examples=60)
@given(st.permutations(range(1, 9)), st.integers(1, 8))
def test_gaps_are_what_has_not_arrived_in_any_order_and_batches(order: list[int], size: int) -> None:
    highest, missing = 0, set()
    for at in range(0, len(order), size):
        batch = order[at : at + size]
        for gap in gap_rules.opened(highest, batch):
            missing |= set(range(gap.first, gap.last + 1))
        missing -= set(batch)
        highest = max(highest, *batch)
        assert missing == set(range(1, highest)) - set(order[: at + size])


def test_a_clip_is_put_together_and_receipted_when_whole(cloud: Cloud, tmp_path: Path) -> None:
    ref = a_clip(tmp_path / "one.twclip")
    manifest, *parts = clip_messages(tmp_path / "one.twclip", "case-1", part_bytes=5000)
    assert cloud.handle(manifest, *parts[:3]).parts == ((ref.sha256, 3),)
    assert cloud.handle(*parts[3:]).clips == (ref.sha256,)
    assert cloud.store.clip(ref.sha256).read_bytes() == (tmp_path / "one.twclip").read_bytes()
    assert cloud.handle(manifest).clips == (ref.sha256,), "a manifest that comes again is answered with the receipt"


def test_parts_out_of_order_are_asked_for_again(cloud: Cloud, tmp_path: Path) -> None:
    ref = a_clip(tmp_path / "one.twclip")
    manifest, *parts = clip_messages(tmp_path / "one.twclip", "case-1", part_bytes=5000)
    assert cloud.handle(parts[0]).parts == ((ref.sha256, 0),), "a part before its manifest"
    assert cloud.handle(manifest, parts[0], parts[2], parts[0]).parts == ((ref.sha256, 1),)
    assert cloud.rows(dead_letters) == []


def test_a_clip_with_other_bytes_than_its_hash_is_thrown_away(cloud: Cloud, tmp_path: Path) -> None:
    ref = a_clip(tmp_path / "one.twclip")
    manifest, *parts = clip_messages(tmp_path / "one.twclip", "case-1", part_bytes=5000)
    wrong = Message(parts[1].topic, bytes(len(parts[1].payload)))
    receipt = cloud.handle(manifest, parts[0], wrong, *parts[2:])
    assert (receipt.clips, receipt.parts) == ((), ((ref.sha256, 0),))
    assert "other bytes" in cloud.rows(dead_letters)[0].reason
    assert cloud.handle(manifest, *parts).clips == (ref.sha256,)


def test_manifests_that_promise_nonsense_are_set_aside(cloud: Cloud, tmp_path: Path) -> None:
    a_clip(tmp_path / "one.twclip")
    manifest, *_ = clip_messages(tmp_path / "one.twclip", "case-1")
    said = msgspec.json.decode(manifest.payload)
    for change in ({"bytes": 400_000_000}, {"parts": 7}, {"sha256": "d" * 64}):
        cloud.handle(Message(manifest.topic, msgspec.json.encode(said | change)))
    assert len(cloud.rows(dead_letters)) == 3
    assert cloud.rows(clips) == []


def test_a_part_of_the_wrong_size_is_set_aside(cloud: Cloud, tmp_path: Path) -> None:
    ref = a_clip(tmp_path / "one.twclip")
    manifest, *parts = clip_messages(tmp_path / "one.twclip", "case-1", part_bytes=5000)
    assert cloud.handle(manifest, Message(parts[0].topic, b"short")).parts == ((ref.sha256, 0),)
    assert "part 0 has 5 bytes" in cloud.rows(dead_letters)[0].reason


def test_a_disk_fault_acknowledges_nothing_and_the_batch_does_later(cloud: Cloud, tmp_path: Path, monkeypatch) -> None:
    ref = a_clip(tmp_path / "one.twclip")
    batch = [case_message(a_case()), *clip_messages(tmp_path / "one.twclip", "case-1", part_bytes=5000)]
    partial = cloud.folder / "partial"
    partial.rename(tmp_path / "away")
    with pytest.raises(StoreError, match="cannot be written"):
        cloud.handle(*batch)
    assert cloud.rows(cases) == []
    (tmp_path / "away").rename(partial)
    assert cloud.handle(*batch).clips == (ref.sha256,)


def test_a_fault_after_the_clip_got_its_name_and_before_the_commit_costs_nothing(cloud: Cloud, tmp_path: Path) -> None:
    ref = a_clip(tmp_path / "one.twclip")
    manifest, *parts = clip_messages(tmp_path / "one.twclip", "case-1", part_bytes=5000)
    cloud.handle(manifest, *parts[:-1])
    refuse, allow = FAULT[cloud.engine.dialect.name]
    with cloud.engine.begin() as connection:
        connection.execute(sa.text(refuse))
    with pytest.raises(sa.exc.DatabaseError):
        cloud.handle(parts[-1])
    with cloud.engine.begin() as connection:
        connection.execute(sa.text(allow))
    assert cloud.handle(parts[-1]).clips == (ref.sha256,)
    assert [row.state for row in cloud.rows(clips)] == ["stored"]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32))
def test_any_shuffling_and_repetition_of_batches_ends_with_everything_held_once(tmp_path_factory, seed: int) -> None:
    folder = tmp_path_factory.mktemp("shuffled")
    cloud, draw = Cloud(CloudConfig(data_dir=str(folder / "cloud"))), random.Random(seed)
    ref = a_clip(folder / "one.twclip", frames=3)
    messages = [case_message(a_case(number)) for number in range(1, 7)]
    messages += clip_messages(folder / "one.twclip", a_case(1).case_id, part_bytes=3000)
    held: set[str] = set()
    for _ in range(60):
        receipt = cloud.handle(*draw.choices(messages, k=draw.randint(1, 8)))
        held |= {case_id for case_id, _ in receipt.cases} | set(receipt.clips)
    receipt = cloud.handle(*messages)
    held |= {case_id for case_id, _ in receipt.cases} | set(receipt.clips)
    assert held == {a_case(number).case_id for number in range(1, 7)} | {ref.sha256}
    assert sorted(row.sequence for row in cloud.rows(cases)) == [1, 2, 3, 4, 5, 6]
    assert _open_gaps(cloud) == []


def test_the_latest_status_of_a_station_is_kept(cloud: Cloud) -> None:
    for word in ("online", "offline"):
        status = Status(status=word, software="1.0", since="2026-11-20T14:00:00Z")
        cloud.handle(Message(TOPICS.status, wire.encode(status)))
    (row,) = cloud.rows(stations)
    assert (row.station, msgspec.json.decode(row.status)["status"]) == (STATION, "offline")


def _receipt(handled: Handled) -> Receipt:
    if not handled.receipts:
        return Receipt()
    (message,) = handled.receipts
    assert message.topic == TOPICS.receipt
    return wire.decode(message.payload, Receipt)


def _open_gaps(cloud: Cloud) -> list[tuple[int, int]]:
    return sorted((row.first, row.last) for row in cloud.rows(gaps) if row.closed_at is None)
