import msgspec
import pytest

from benchmarks.made_cases import BUNDLE, make_case, write_clip
from edge_agent import deliveries, rivals, state, wire
from edge_agent.alarm_keeper import AlarmKeeper
from edge_agent.deliveries import Publish
from edge_agent.errors import StoreError
from edge_agent.messages import PART_BYTES, Alarm, ClipManifest, Command, Desired, Metrics, Receipt, Reply, Status
from edge_agent.outbox import Outbox
from edge_agent.records import Case
from edge_agent.uplink_state import (
    Acknowledged,
    Connected,
    Device,
    Disconnected,
    Moved,
    Now,
    Received,
    Reconnect,
    UplinkState,
)
from tests.fakes_disk import full_disk

TOPICS = wire.Topics("plant", "TANK1")
ALARM = Alarm(id="camera", priority="high", text="camera lost", since="x", cause="c", consequence="d", action="e")


class Conversation:
    """An uplink and a broker that acknowledges everything at once, unless told otherwise."""

    def __init__(self, folder):
        self.outbox = Outbox.open(folder / "outbox.db", folder / "spool")
        paths = folder / "state.json", folder / "desired.json"
        device = Device(TOPICS, "1.0", "boot", *paths, keep_free_bytes=0, uplink_id="mine")
        self.folder, self.device, self.now_s = folder, device, 100.0
        alarms = AlarmKeeper("uplink", folder / "alarms", folder / "alarms.toml")
        self.uplink = UplinkState(device, self.outbox, self.now(), alarms)
        self.acknowledge = True

    def now(self):
        return Now(self.now_s, 1_790_000_000.0 + self.now_s)

    def step(self, *events, after_s=0.0):
        self.now_s += after_s
        out = self.uplink.step(list(events), self.now())
        if self.acknowledge and out:
            self.uplink.step([Acknowledged()] * len(out), self.now()) and pytest.fail("nothing more was expected")
        return out

    def drain(self, *events, after_s=0.0):
        """Steps until there is nothing more to say, with a broker that acknowledges all."""
        self.now_s += after_s
        out = news = self.uplink.step(list(events), self.now())
        while news:
            news = self.uplink.step([Acknowledged()] * len(news), self.now())
            out = out + news
        return out

    def put(self, number, clip=False, frames=3):
        case = make_case(number)
        if not clip:
            return self.outbox.put(case)
        draft = self.outbox.spool.draft(case.case_id)
        ref = write_clip(draft, case, frames=frames, view_px=(640, 480) if frames > 3 else (160, 120))
        return self.outbox.put(msgspec.structs.replace(case, clip=ref), draft)

    def receipt(self, **fields):
        return Received(TOPICS.receipt, wire.encode(Receipt(**fields)))


@pytest.fixture
def talk(tmp_path):
    conversation = Conversation(tmp_path)
    yield conversation
    conversation.outbox.close()


def cases_in(out):
    return [wire.decode(message.payload, Case).sequence for message in out if message.topic == TOPICS.case]


def parts_in(out):
    topics = [wire.parse_topic(message.topic) for message in out]
    return [topic.part for topic in topics if topic.kind == "clip_part"]


def receipts_for(out):
    return tuple(
        (wire.decode(message.payload, Case).case_id, wire.sha256_of(message.payload))
        for message in out
        if message.topic == TOPICS.case
    )


def test_nothing_is_said_without_a_connection_and_everything_after_it(talk):
    talk.put(1)
    assert talk.step() == []
    out = talk.drain(Connected())
    assert cases_in(out) == [1]
    status = wire.decode(out[0].payload, Status)
    assert out[0].topic == TOPICS.status and out[0].retain and status.status == "online"
    assert wire.decode(talk.uplink.will(talk.now()).payload, Status).status == "offline"


def test_a_case_is_sent_again_until_its_receipt_comes_later_each_time(talk):
    talk.put(1)
    payloads = [m.payload for m in talk.drain(Connected()) if m.topic == TOPICS.case]
    times = []
    for _ in range(1500):
        talk.now_s += 1
        if sent := [m.payload for m in talk.drain() if m.topic == TOPICS.case]:
            times.append(talk.now_s - 100)
            payloads += sent
    assert times[:5] == [10, 30, 70, 150, 310] and times[-1] - times[-2] == deliveries.LONGEST_RETRY_S
    assert set(payloads) == {payloads[0]}
    talk.step(talk.receipt(cases=(("TANK1-other", "0" * 64), (make_case(1).case_id, "0" * 64))))
    assert len(talk.outbox.waiting_cases(5)) == 1
    talk.step(talk.receipt(cases=((make_case(1).case_id, wire.sha256_of(payloads[0])),)))
    assert talk.outbox.waiting_cases(5) == []
    assert cases_in(talk.drain(after_s=10_000)) == []


def test_no_more_is_under_way_than_the_window(talk):
    for number in range(1, 200):
        talk.put(number)
    talk.acknowledge = False
    first = talk.step(Connected())
    assert len(first) == 20 and talk.step() == []
    assert len(talk.step(Acknowledged(), Acknowledged(), Acknowledged())) == 3


def test_no_more_than_a_hundred_cases_go_out_without_a_receipt(talk):
    for number in range(1, 131):
        talk.put(number)
    out = talk.drain(Connected())
    assert len(set(cases_in(out))) == len(cases_in(out)) == 100
    rest = cases_in(talk.drain(talk.receipt(cases=receipts_for(out))))
    assert rest == sorted(set(range(1, 131)) - set(cases_in(out)))


def test_of_more_than_can_be_under_way_the_newest_overtake_and_the_oldest_have_most_places(talk):
    for number in range(1, 301):
        talk.put(number)
    out = talk.drain(Connected())
    assert sorted(cases_in(out)) == [*range(1, 81), *range(281, 301)]
    out = talk.drain(talk.receipt(cases=receipts_for(out)))
    assert sorted(cases_in(out)) == [*range(81, 161), *range(261, 281)]


def test_a_case_of_now_goes_out_at_once_while_a_month_of_them_waits(talk):
    for number in range(1, 301):
        talk.put(number)
    out = talk.drain(Connected())
    talk.put(301)
    assert cases_in(talk.drain()) == []
    (first,) = [receipt for receipt in receipts_for(out) if receipt[0] == make_case(300).case_id]
    assert cases_in(talk.drain(talk.receipt(cases=(first,)))) == [301]
    (old,) = [receipt for receipt in receipts_for(out) if receipt[0] == make_case(1).case_id]
    assert cases_in(talk.drain(talk.receipt(cases=(old,)))) == [81]


def test_a_month_of_cases_goes_out_each_once_where_every_one_is_receipted(talk):
    for number in range(1, 301):
        talk.put(number)
    said, out = [], talk.drain(Connected())
    while out:
        said += cases_in(out)
        out = talk.drain(talk.receipt(cases=receipts_for(out)))
    assert sorted(said) == list(range(1, 301)) and talk.outbox.backlog().cases == 0


def test_a_clip_follows_its_case_and_goes_in_parts_behind_its_manifest(talk):
    case = talk.put(3, clip=True, frames=20)
    out = talk.drain(Connected())
    assert parts_in(out) == []
    out = talk.drain(talk.receipt(cases=receipts_for(out)))
    manifest = wire.decode(out[0].payload, ClipManifest)
    assert parts_in(out) == []
    out += talk.drain(talk.receipt(parts=((case.clip.sha256, 0),)))
    data = b"".join(message.payload for message in out[1:])
    assert (manifest.sha256, manifest.bytes, manifest.case_id) == (case.clip.sha256, case.clip.bytes, case.case_id)
    assert parts_in(out) == list(range(manifest.parts)) and manifest.parts > 3
    assert wire.sha256_of(data) == case.clip.sha256 and max(len(m.payload) for m in out[1:]) == PART_BYTES
    talk.step(talk.receipt(clips=(case.clip.sha256,)))
    assert talk.outbox.waiting_clips(5) == [] and parts_in(talk.drain(after_s=10_000)) == []


def test_a_clip_resumes_where_the_cloud_asks_after_the_connection_broke(talk):
    case = talk.put(3, clip=True, frames=20)
    out = talk.drain(Connected())
    talk.acknowledge = False
    begin = talk.receipt(parts=((case.clip.sha256, 0),))
    announced = talk.step(talk.receipt(cases=receipts_for(out)))
    first = talk.step(begin)
    total = wire.decode(announced[0].payload, ClipManifest).parts
    assert parts_in(first)
    talk.step(Acknowledged(), Disconnected())
    again = talk.step(*[Acknowledged()] * len(first), Connected(), after_s=60)
    assert [m.topic for m in again if m.topic == TOPICS.clip_manifest(case.clip.sha256)] and parts_in(again) == []
    assert parts_in(talk.drain(talk.receipt(parts=((case.clip.sha256, 2),)))) == list(range(2, total))


def test_an_overdue_clip_asks_first_and_goes_on_from_the_kept_hint_when_nobody_answers(talk):
    case = talk.put(3, clip=True, frames=20)
    out = talk.drain(Connected())
    talk.drain(talk.receipt(cases=receipts_for(out)))
    total = max(parts_in(talk.drain(talk.receipt(parts=((case.clip.sha256, 0),))))) + 1
    talk.drain(talk.receipt(parts=((case.clip.sha256, 3),)))
    out = talk.drain(after_s=30)
    assert TOPICS.clip_manifest(case.clip.sha256) in [m.topic for m in out] and parts_in(out) == []
    assert parts_in(talk.drain(after_s=11)) == list(range(3, total))


def test_a_clip_that_the_cloud_has_already_is_not_sent(talk):
    case = talk.put(3, clip=True, frames=20)
    out = talk.drain(Connected())
    talk.drain(talk.receipt(cases=receipts_for(out)))
    assert parts_in(talk.drain(talk.receipt(clips=(case.clip.sha256,)), after_s=1)) == []
    assert parts_in(talk.drain(after_s=20)) == [] and talk.outbox.backlog().clips == 0


def test_progress_reports_do_not_turn_a_running_clip_back(talk):
    case = talk.put(3, clip=True, frames=60)
    out = talk.drain(Connected())
    talk.drain(talk.receipt(cases=receipts_for(out)))
    talk.acknowledge = False
    first = talk.step(talk.receipt(parts=((case.clip.sha256, 0),)))
    sent = parts_in(first)
    more = talk.step(*[Acknowledged()] * len(first), talk.receipt(parts=((case.clip.sha256, 2),)))
    assert parts_in(more)[0] == sent[-1] + 1


def test_cases_overtake_the_parts_of_a_clip(talk):
    case = talk.put(3, clip=True, frames=60)
    out = talk.drain(Connected())
    talk.drain(talk.receipt(cases=receipts_for(out)))
    talk.acknowledge = False
    first = talk.step(talk.receipt(parts=((case.clip.sha256, 0),)))
    assert parts_in(first)
    talk.put(4)
    assert cases_in(talk.step(*[Acknowledged()] * len(first))) == [2]


def test_a_clip_whose_file_is_gone_or_damaged_is_not_waited_for(talk):
    gone, damaged = talk.put(3, clip=True), talk.put(6, clip=True)
    talk.outbox.spool.clip_path(gone.clip.sha256).unlink()
    talk.outbox.spool.clip_path(damaged.clip.sha256).write_bytes(b"other bytes")
    out = talk.drain(Connected())
    for _ in range(4):
        out = talk.drain(talk.receipt(cases=receipts_for(out)), after_s=1)
        assert not any(message.topic.endswith("/manifest") for message in out)
    assert talk.outbox.backlog().clips == 0 and len(talk.uplink.deliveries.notes) == 2


def test_a_broker_that_acknowledges_nothing_is_left(talk):
    talk.put(1)
    talk.acknowledge = False
    talk.step(Connected())
    assert not any(isinstance(action, Reconnect) for action in talk.step(after_s=14))
    assert isinstance(talk.step(after_s=2)[0], Reconnect)


def test_a_slow_link_on_which_bytes_still_move_is_not_left(talk):
    talk.put(1)
    talk.acknowledge = False
    talk.step(Connected())
    for _ in range(10):
        assert not any(isinstance(action, Reconnect) for action in talk.step(Moved(), after_s=14))
    assert isinstance(talk.step(after_s=16)[0], Reconnect)


def test_nothing_new_is_said_to_a_broker_that_has_fallen_silent_so_that_what_moves_is_what_went_out_before(talk):
    talk.put(1)
    talk.acknowledge = False
    talk.step(Connected())
    talk.put(2)
    assert talk.step(after_s=2.5) == [] and talk.step(Moved(), after_s=9) == []
    out = talk.step(Acknowledged())
    assert cases_in(out) == [1, 2]  # the first one is due again


def test_a_broker_that_stays_silent_is_given_longer_each_time_up_to_a_minute_until_it_has_everything(talk):
    talk.put(1)
    talk.acknowledge = False
    talk.step(Connected())
    for patience_s in (15, 30, 60, 60):
        assert not any(isinstance(action, Reconnect) for action in talk.step(after_s=patience_s))
        assert isinstance(talk.step(after_s=0.5)[0], Reconnect)
        talk.step(Disconnected(), Connected())
    talk.step(*[Acknowledged()] * 20)
    talk.put(2)
    talk.step(after_s=1)
    assert isinstance(talk.step(after_s=15.5)[0], Reconnect)


def test_metrics_go_out_every_ten_seconds(talk):
    talk.put(1)
    times = []
    talk.drain(Connected())
    for _ in range(60):
        talk.now_s += 0.5
        for message in talk.drain():
            if message.topic == TOPICS.metrics:
                times.append(talk.now_s)
                metrics = wire.decode(message.payload, Metrics)
    assert len(times) == 3 and metrics.software.waiting_cases == 1 and metrics.software.resent == 1


def device_state(**fields):
    return state.DeviceState(at="x", boot_id="boot-1", mode="shadow", bundle=BUNDLE, **fields)


def test_alarms_are_retained_while_they_hold_and_emptied_when_they_end(talk):
    state.write(talk.device.state_path, device_state(alarms=(ALARM,)))
    assert Publish(TOPICS.alarm("camera"), wire.encode(ALARM), retain=True) in talk.drain(Connected())
    assert talk.drain() == []
    state.write(talk.device.state_path, device_state())
    assert talk.drain() == [Publish(TOPICS.alarm("camera"), b"", retain=True)]
    assert talk.drain() == []


def test_a_shelved_alarm_is_on_the_wire_with_its_state_and_one_that_has_gone_is_not(talk):
    shelved = msgspec.structs.replace(ALARM, state="shelved", shelved_until="y")
    gone = msgspec.structs.replace(ALARM, id="disk", state="returned", holds=False)
    state.write(talk.device.state_path, device_state(alarms_aside=(shelved, gone)))
    said = {message.topic: message.payload for message in talk.drain(Connected())}
    assert wire.decode(said[TOPICS.alarm("camera")], Alarm) == shelved
    assert TOPICS.alarm("disk") not in said


def test_an_alarm_that_a_former_run_left_at_the_broker_is_ended(talk):
    talk.drain(Connected())
    left_over = Received(TOPICS.alarm("camera"), wire.encode(ALARM))
    assert talk.drain(left_over) == [Publish(TOPICS.alarm("camera"), b"", retain=True)]
    assert talk.drain(Received(TOPICS.alarm("camera"), b"")) == []


def test_the_status_follows_the_device(talk):
    talk.drain(Connected())
    state.write(talk.device.state_path, device_state())
    (message,) = talk.drain()
    status = wire.decode(message.payload, Status)
    assert message.retain and status.mode == "shadow" and status.bundle == BUNDLE
    later = talk.drain(Disconnected(), Connected(), after_s=5)
    assert later[0].topic == TOPICS.status


def test_missing_receipts_raise_an_alarm_that_ends_with_them(talk):
    talk.outbox._clock = lambda: 0.0
    talk.put(1)
    out = talk.drain(Connected())
    talk.outbox._clock = lambda: 4000.0
    talk.drain(after_s=10)
    talk.drain(after_s=1)
    assert "no-receipts" in [alarm.id for alarm in talk.uplink.report(talk.now()).alarms]
    talk.drain(talk.receipt(cases=receipts_for(out)), after_s=1)
    ended = talk.drain(after_s=10) + talk.drain(after_s=1)
    assert Publish(TOPICS.alarm("no-receipts"), b"", retain=True) in ended


def order(talk, **fields):
    command = Command(**fields)
    out = talk.drain(Received(TOPICS.command(command.id), wire.encode(command)))
    (reply,) = [wire.decode(m.payload, Reply) for m in out if m.topic == TOPICS.reply(command.id)]
    return reply


def test_an_order_is_carried_out_once_and_answered_each_time(talk):
    talk.drain(Connected())
    talk.put(1)
    out = talk.drain()
    talk.drain(talk.receipt(cases=receipts_for(out)))
    reply = order(talk, id="1", order="send_clip", case_id=make_case(1).case_id)
    assert reply.done and len(talk.outbox.waiting_cases(5)) == 1
    talk.drain(talk.receipt(cases=receipts_for(out)))
    assert order(talk, id="1", order="send_clip", case_id=make_case(1).case_id) == reply
    assert talk.outbox.waiting_cases(5) == []
    assert order(talk, id="2", order="trigger").done and talk.outbox.take_trigger()
    assert not order(talk, id="3", order="trigger", expires_at="2020-01-01T00:00:00Z").done
    assert not talk.outbox.take_trigger()
    assert not order(talk, id="4", order="send_clip").done
    assert order(talk, id="5", order="resend_since", since="2000-01-01T00:00:00Z").text.startswith("1 case")
    assert "camera unknown" in order(talk, id="6", order="self_test").text


@pytest.mark.parametrize(
    ("since", "count"),
    [
        ("2026-11-20T00:00:02Z", 2),  # cases end at .9 of seconds 1, 2 and 3
        ("2026-11-20T00:00:02.999Z", 2),
        ("2026-11-20T01:00:03+01:00", 1),
        ("2026-11-20T00:00:04", 0),
        ("2026-11-19", 3),
    ],
)
def test_cases_are_sent_again_from_the_second_that_the_cloud_names_whatever_zone_it_writes(talk, since, count):
    talk.drain(Connected())
    for number in (1, 2, 3):
        talk.put(number)
    assert order(talk, id="7", order="resend_since", since=since).text.startswith(f"{count} case")


def test_a_time_that_is_none_is_refused_in_words(talk):
    talk.drain(Connected())
    reply = order(talk, id="8", order="resend_since", since="yesterday")
    assert not reply.done and "no ISO 8601 time" in reply.text


def test_only_a_higher_counter_changes_what_is_desired(talk):
    talk.drain(Connected())
    for counter, mode in ((5, "shadow"), (4, "assist"), (5, "full"), (6, "human_only")):
        talk.drain(Received(TOPICS.desired, wire.encode(Desired(counter=counter, mode=mode))))
    assert state.desired(talk.device.desired_path) == Desired(counter=6, mode="human_only")


def wish(counter, mode="shadow"):
    return Received(TOPICS.desired, wire.encode(Desired(counter=counter, mode=mode)))


def test_a_wish_that_the_full_disk_does_not_take_is_kept_once_there_is_room(talk):
    talk.drain(Connected())
    with full_disk():
        for event in (wish(5), wish(7, "assist"), wish(6)):
            talk.drain(event, after_s=1)
        assert state.desired(talk.device.desired_path) is None
    talk.drain(after_s=1.1)
    assert state.desired(talk.device.desired_path) == Desired(counter=7, mode="assist")
    talk.drain(wish(8))
    talk.drain(after_s=1.1)
    assert state.desired(talk.device.desired_path).counter == 8


def asks(id, order="self_test"):
    return Received(TOPICS.command(id), wire.encode(Command(id=id, order=order)))


def replies_in(out):
    return [wire.parse_topic(message.topic).id for message in out if "/reply/" in message.topic]


def test_orders_that_the_full_disk_does_not_take_are_carried_out_once_there_is_room(talk):
    talk.drain(Connected())
    with full_disk():
        assert replies_in(talk.drain(asks("1"), asks("2"), asks("3", "trigger"))) == []
        assert replies_in(talk.drain(after_s=5)) == []
    assert replies_in(talk.drain(after_s=1.1)) == ["1", "2"]
    assert replies_in(talk.drain(after_s=5)) == [] and not talk.outbox.take_trigger()


def test_no_more_orders_than_a_hundred_are_kept_in_memory(talk):
    talk.drain(Connected())
    with full_disk():
        for number in range(130):
            talk.drain(asks(str(number)))
    assert replies_in(talk.drain(after_s=1.1)) == [str(number) for number in range(100)]


@pytest.mark.parametrize("topic", [TOPICS.receipt, TOPICS.desired, TOPICS.command("1"), "foreign/topic", ""])
@pytest.mark.parametrize("payload", [b"", b"\xff", b"[]", b"{}", b"x" * 300_000])
def test_nonsense_from_the_broker_is_ignored(talk, topic, payload):
    talk.drain(Connected())
    assert talk.drain(Received(topic, payload)) == []


def test_numbers_that_no_database_takes_end_nothing(talk):
    talk.drain(Connected())
    parts = b'{"schema":"tankwatch/receipt/1","parts":[["%s",%d]]}' % (b"a" * 64, 2**63)
    assert talk.drain(Received(TOPICS.receipt, parts)) == []
    largest = Receipt(parts=(("a" * 64, 2**63 - 1),))
    assert talk.drain(Received(TOPICS.receipt, wire.encode(largest))) == []
    talk.drain(Received(TOPICS.desired, b'{"schema":"tankwatch/desired/1","counter":%d}' % 10**400))
    assert state.desired(talk.device.desired_path) is None
    assert order(talk, id="9", order="self_test").done


def test_an_answer_quotes_no_more_of_an_order_than_a_person_reads(talk):
    talk.drain(Connected())
    reply = order(talk, id="9", order="trigger", expires_at=" " + "\x01" * 40_000)
    assert not reply.done and len(reply.text) < 250


def test_a_broken_outbox_stops_deliveries_but_not_the_conversation(talk, monkeypatch):
    talk.put(1)
    monkeypatch.setattr(talk.outbox, "waiting_cases", _broken)
    out = talk.drain(Connected())
    assert out[0].topic == TOPICS.status and cases_in(out) == []
    monkeypatch.undo()
    assert cases_in(talk.drain()) == [1]


def _broken(*_):
    raise StoreError("disk I/O error")


def test_it_tells_whether_it_is_connected_since_when_and_what_waits(talk):
    talk.put(1)
    told = talk.uplink.report(talk.now())
    assert (told.connected, told.since, told.receipt_at) == (False, talk.now().utc, None)
    assert told.software.waiting_cases == 1 and told.waiting_bytes == len(talk.outbox.waiting_cases(1)[0].payload)
    sent = talk.drain(Connected(), after_s=5)
    linked = talk.uplink.report(talk.now())
    assert (linked.connected, linked.since) == (True, talk.now().utc)
    talk.drain(talk.receipt(cases=receipts_for(sent)), after_s=1)
    talk.step(Disconnected(), after_s=1)
    alone = talk.uplink.report(talk.now())
    assert (alone.connected, alone.since) == (False, talk.now().utc) and alone.receipt_at < alone.since
    assert (alone.software.waiting_cases, alone.waiting_bytes, alone.software.receipted) == (0, 0, 1)


def test_an_alarm_of_the_delivery_is_told_while_there_is_no_connection(talk):
    talk.put(1)
    talk.outbox._clock = lambda: 1e12
    assert [alarm.id for alarm in talk.uplink.report(talk.now()).alarms] == ["no-receipts"]


def test_an_outbox_that_cannot_be_used_leaves_what_was_known_before(talk, monkeypatch):
    talk.put(1)
    assert talk.uplink.report(talk.now()).software.waiting_cases == 1

    def gone():
        raise StoreError("outbox cannot be used: free space")

    monkeypatch.setattr(talk.outbox, "backlog", gone)
    assert talk.uplink.report(talk.now()).software.waiting_cases == 1


def test_words_that_use_up_the_window_leave_none_for_cases_that_are_due_again(talk):
    for number in range(1, 31):
        talk.put(number)
    talk.acknowledge = False
    assert len(talk.step(Connected())) == 20
    order = Command(id="order-1", order="self_test")
    out = talk.step(Acknowledged(), Received(TOPICS.command("order-1"), wire.encode(order)), after_s=11)
    assert cases_in(out) == [] and len(out) <= 2, "the reply, and metrics, which are due"


def status_of(uplink_id):
    return Received(TOPICS.status, wire.encode(Status(status="online", software="1", since="x", uplink_id=uplink_id)))


def alarms_of(talk):
    return [alarm.id for alarm in talk.uplink.report(talk.now()).alarms]


def test_another_device_with_its_name_is_an_alarm_once_this_one_has_spoken(talk):
    talk.drain(Connected(), status_of("before"))
    assert alarms_of(talk) == [], "what a former start has left, retained"
    talk.drain(status_of("mine"))
    talk.drain(Disconnected(), after_s=1)
    out = talk.drain(Connected(), status_of("another"), after_s=1)
    assert alarms_of(talk) == ["client-id"]
    assert TOPICS.alarm("client-id") in [message.topic for message in out]
    talk.drain(after_s=rivals.LASTING_S + 1)
    assert alarms_of(talk) == []


def test_its_own_status_and_one_of_an_older_version_are_no_rival(talk):
    talk.drain(Connected(), status_of("mine"))
    talk.drain(Disconnected(), after_s=1)
    talk.drain(Connected(), status_of("mine"), status_of(None), Received(TOPICS.status, b""), after_s=1)
    assert alarms_of(talk) == []
