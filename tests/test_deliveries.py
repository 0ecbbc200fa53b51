"""What waits at a station and its clips: none of them stands in the way of the others."""

import hashlib
import tracemalloc

import msgspec
import pytest

from benchmarks.made_cases import make_case, write_clip
from edge_agent import wire
from edge_agent.deliveries import Deliveries
from edge_agent.messages import ClipManifest, Receipt
from edge_agent.outbox import Outbox
from edge_agent.records import Case, ClipRef, Sampled
from tests.fakes_disk import full_disk

LARGE_BYTES = 32 << 20
TOPICS = wire.Topics("plant", "TANK1")


class Station:
    """An outbox and what goes out of it; the cloud says what the test says."""

    def __init__(self, folder):
        self.box = Outbox.open(folder / "outbox.db", folder / "spool")
        self.deliveries = Deliveries(self.box, TOPICS)

    def film(self, number, reason="disagreement", **size):
        """The hash of the clip of a case that the cloud has."""
        case, draft = make_case(number, sampled=Sampled(reason, 1.0)), self.box.spool.draft(make_case(number).case_id)
        return self.keep(case, write_clip(draft, case, **{"frames": 3, **size}), draft)

    def keep(self, case, clip, draft):
        self.box.put(msgspec.structs.replace(case, clip=clip), draft)
        self.box.receipted(cases=[(one.case_id, one.sha256) for one in self.box.waiting_cases(1)])
        return clip.sha256

    def spoil(self, sha256):
        """Nobody can read a folder as a file: what a bad sector looks like."""
        path = self.box.spool.clip_path(sha256)
        path.unlink()
        path.mkdir()


@pytest.fixture
def station(tmp_path):
    station = Station(tmp_path)
    yield station
    station.box.close()


def kinds(out):
    return [wire.parse_topic(message.topic).kind for message in out]


def offered(out):
    topics = [wire.parse_topic(message.topic) for message in out]
    return [topic.id for topic in topics if topic.kind == "clip_manifest"]


def cases_in(out):
    return [wire.decode(message.payload, Case) for message in out if message.topic == TOPICS.case]


def test_of_a_small_window_too_four_fifths_are_the_oldest_whose_receipts_come_at_once(station):
    for number in range(1, 201):
        station.box.put(make_case(number))
    said = []
    for step in range(5):
        out = station.deliveries.next(float(step), 20)
        said += [case.sequence for case in cases_in(out)]
        held = tuple((case.case_id, wire.sha256_of(wire.encode(case))) for case in cases_in(out))
        assert station.deliveries.receipt(Receipt(cases=held)) == 20
    assert sorted(said) == [*range(1, 81), *range(181, 201)]


def test_a_clip_that_cannot_be_read_holds_up_neither_cases_nor_other_clips_and_is_said_once(station):
    bad = station.film(1)
    station.spoil(bad)
    good = station.film(2)
    station.box.put(make_case(3))
    assert kinds(station.deliveries.next(0.0, 20)) == ["case"]
    assert offered(station.deliveries.next(0.1, 20)) == [good]
    station.deliveries.receipt(Receipt(clips=(good,)))
    for second in range(1, 100):
        assert offered(station.deliveries.next(float(second), 20)) == []
    assert len(station.deliveries.notes) == 1 and "check the disk" in station.deliveries.notes[0]
    assert station.box.backlog().clips == 1


def test_cases_go_out_although_the_full_disk_does_not_take_that_a_clip_is_damaged(station):
    station.box.spool.clip_path(station.film(1)).write_bytes(b"other bytes")
    station.box.put(make_case(3))
    with full_disk():
        assert kinds(station.deliveries.next(0.0, 20)) == ["case"]
    station.deliveries.next(30.0, 20)
    assert station.box.backlog().clips == 0


def test_a_clip_that_cannot_be_read_on_ends_nothing_and_lets_the_others_go(station):
    bad, good = station.film(1, frames=12, view_px=(640, 480)), station.film(2)
    assert offered(station.deliveries.next(0.0, 20)) == [bad]
    station.deliveries.receipt(Receipt(parts=((bad, 0),)))
    assert kinds(station.deliveries.next(0.1, 1)) == ["clip_part"]
    station.spoil(bad)
    station.box.put(make_case(3))
    assert kinds(station.deliveries.next(0.2, 20)) == ["case"]
    assert offered(station.deliveries.next(0.3, 20)) == [good]
    assert len(station.deliveries.notes) == 1


def test_a_clip_of_any_size_is_offered_with_little_memory(station):
    case = make_case(1)
    draft = station.box.spool.draft(case.case_id)
    draft.write_bytes(bytes(LARGE_BYTES))
    sha256 = hashlib.sha256(bytes(LARGE_BYTES)).hexdigest()
    station.keep(case, ClipRef(sha256, LARGE_BYTES), draft)
    tracemalloc.start()
    (message,) = station.deliveries.next(0.0, 20)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert wire.decode(message.payload, ClipManifest).bytes == LARGE_BYTES and peak_bytes < LARGE_BYTES / 8


def test_clips_that_are_refused_for_ever_hold_no_place_and_come_after_the_fresh_ones(station):
    refused = [station.film(number) for number in range(1, 6)]
    assert _offers(station, range(60), refused=refused)[:5] == refused
    fresh = station.film(6, reason="audit")
    assert fresh in _offers(station, range(60, 130), refused=refused)
    later = _offers(station, range(130, 4000), refused=refused)
    assert set(refused) <= set(later), "they are offered again, later"
    assert station.box.backlog().clips == 5


def test_fresh_clips_go_before_refused_ones_that_are_due(station):
    refused = station.film(1)
    assert _offers(station, [0], refused=[refused]) == [refused]
    fresh = station.film(2, reason="audit")
    assert _offers(station, [100], refused=[refused]) == [fresh, refused]


def test_clips_that_are_answered_never_while_the_cloud_speaks_of_others_come_after_the_fresh_ones(station):
    silent = [station.film(number) for number in range(1, 5)]
    fresh = station.film(5, reason="audit")
    assert fresh in _offers(station, range(300), silent=silent)
    assert station.box.backlog().clips == 4


def test_a_cloud_that_says_nothing_at_all_is_sent_no_more_than_four_clips(station):
    clips = [station.film(number) for number in range(1, 8)]
    sent = [sha256 for second in range(3000) for sha256 in offered(station.deliveries.next(float(second), 20))]
    assert set(sent) == set(clips[:4])


def test_clips_that_the_cloud_has_no_room_for_are_offered_one_a_minute(station):
    refused = [station.film(number) for number in range(1, 21)]
    assert len(_offers(station, range(600), refused=refused)) <= 6 + 600 / 60


def test_a_hundred_thousand_clips_without_receipts_are_looked_at_once_a_second(station, monkeypatch):
    looks = []
    really = station.box.waiting_clips
    monkeypatch.setattr(station.box, "waiting_clips", lambda *wanted: looks.append(wanted) or really(*wanted))
    for step in range(101):
        station.deliveries.next(step / 20, 20)
    assert len(looks) == 6
    clip = station.film(1)
    station.deliveries.receipt(Receipt(cases=((make_case(1).case_id, "0" * 64),)))
    assert offered(station.deliveries.next(5.01, 20)) == [clip]


def _offers(station, seconds, refused=(), silent=()):
    """Clips in the order in which they are offered to a cloud that has all that it neither refuses nor ignores."""
    offers = []
    for second in seconds:
        for _ in range(3):
            for sha256 in offered(station.deliveries.next(float(second), 20)):
                offers.append(sha256)
                taken = () if sha256 in (*refused, *silent) else (sha256,)
                station.deliveries.receipt(Receipt(clips=taken, refused=(sha256,) if sha256 in refused else ()))
    return offers
