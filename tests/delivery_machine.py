"""Device, broker and cloud in one process, for hypothesis: whatever happens in between, nothing is lost or there twice.

The outbox, the uplink's rules, the intake and the listener's order of commit, receipt and acknowledgement are the real
ones. The broker and the connections are a model that forgets, repeats and withholds as a real one may: of its words
only that is believed which a broker promises. Times and crashes are hypothesis' choice.
"""

import functools
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace

import msgspec
import paho.mqtt.client as mqtt
import sqlalchemy as sa
from fakes_disk import full_disk
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from benchmarks import ledger
from benchmarks.made_cases import make_case, write_clip
from cloud_sync import cases as cloud_cases
from cloud_sync import db, ingest, mqtt_client
from cloud_sync.config import CloudConfig
from cloud_sync.folder_store import FolderStore
from cloud_sync.intake import Intake
from cloud_sync.tables import cases, clips, dead_letters
from edge_agent import deliveries, wire
from edge_agent.alarm_keeper import AlarmKeeper
from edge_agent.deliveries import Publish
from edge_agent.messages import Command, Receipt
from edge_agent.outbox import Outbox, PendingCases
from edge_agent.records import ClipRef
from edge_agent.uplink_state import Acknowledged, Connected, Device, Disconnected, Now, Received, Reconnect, UplinkState

TOPICS = wire.Topics("plant", "TANK1")
FAST = Path("/dev/shm")
"""A power cut is not among these faults: the drill `powercut` cuts the power."""
INFLIGHT = 20
SEVERAL_PARTS = (640, 480)
HEALED_ROUNDS = 80
SHIFT = 30
PASSES = 4
"""A case, its clip's manifest, the parts, and one more."""
CLOUD_FAULTS = ("the database is away", "before the commit", "before the receipt", "before the acknowledgement")
"""The last three are the moments at which ingest dies."""
UTC_S = 1_796_000_000.0
NO_CASES = (b"", b"{}", b"\xff\x00", b'{"schema": "tankwatch/case/1"}')


class Died(BaseException):
    """The process ends here, as by SIGKILL: nothing of ours may catch it."""


class Broker:
    """Holds what it has acknowledged, until it forgets it; gives it out again where that was not acknowledged."""

    def __init__(self) -> None:
        self.to_cloud: list[tuple[str, bytes]] = []
        self.to_device: list[tuple[str, bytes]] = []
        self.let_go: list[tuple[str, bytes]] = []
        """What the cloud has acknowledged: the broker has forgotten it."""

    def crash(self) -> None:
        """Debian's defaults: what was acknowledged is gone."""
        self.to_cloud.clear()
        self.to_device.clear()


class Client:
    """Stands for paho on the cloud's side: gives the listener what the broker has, and dies where it is told to."""

    def __init__(self, broker: Broker) -> None:
        self.broker, self.connected = broker, False
        self.give, self.dies = 0, ""
        self._out: dict[int, tuple[str, bytes]] = {}
        self._number = 0

    def max_inflight_messages_set(self, _number: int) -> None: ...

    def connect(self, *_: object, **__: object) -> None:
        self.connected = True
        self.on_connect(self, None, None, SimpleNamespace(is_failure=False), None)

    def socket(self) -> object:
        return self if self.connected else None

    def is_connected(self) -> bool:
        return self.connected

    def subscribe(self, _topics: object) -> None: ...

    def loop(self, _timeout_s: float) -> mqtt.MQTTErrorCode:
        while self.give > 0 and self.broker.to_cloud:
            self.give -= 1
            self._number += 1
            topic, payload = self._out[self._number] = self.broker.to_cloud.pop(0)
            self.on_message(self, None, SimpleNamespace(topic=topic, payload=payload, mid=self._number, qos=1))
        return mqtt.MQTT_ERR_SUCCESS

    def loop_read(self) -> None: ...

    def publish(self, topic: str, payload: bytes, **_: object) -> SimpleNamespace:
        if self.dies == "before the receipt":
            raise Died
        self.broker.to_device.append((topic, payload))
        return SimpleNamespace(rc=mqtt.MQTT_ERR_SUCCESS)

    def ack(self, number: int, _qos: int) -> None:
        if self.dies == "before the acknowledgement":
            raise Died
        self.broker.let_go.append(self._out.pop(number))

    def lose(self) -> None:
        """The connection is gone, and whoever uses it is told."""
        if self.connected:
            self.die()
            self.on_disconnect(self, None, None, "cut off", None)

    def die(self) -> None:
        """Nobody is left to be told. What was not acknowledged is given out again, in its order."""
        self.broker.to_cloud[:0] = self._out.values()
        self._out.clear()
        self.connected = False


class Machine(RuleBasedStateMachine):
    """One station and its cloud. `now_s`: logical seconds since the start."""

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="tankwatch-machine-", dir=FAST if FAST.is_dir() else None))
        self.now_s, self.made, self.orders = 0.0, 0, 0
        self.spoken: dict[str, ledger.SaidCase] = {}
        self.clip_of: dict[str, str] = {}
        self.spoilt_clips: set[str] = set()
        """Whose file the device itself could not keep: the case goes without it."""
        self.handed: list[str] = []
        self.broker = Broker()
        self.open_cloud()
        self.open_agent()
        self.open_uplink()

    # -- the device

    def open_agent(self) -> None:
        self.outbox = Outbox.open(self.folder / "outbox.db", self.folder / "spool", self.utc)
        self.pending = PendingCases(self.outbox)

    def open_uplink(self) -> None:
        self.sender = Outbox.attach(self.folder / "outbox.db", self.folder / "spool", self.utc)
        state, desired = self.folder / "state.json", self.folder / "desired.json"
        device = Device(TOPICS, "1", "boot", state, desired, inflight=INFLIGHT)
        keeper = AlarmKeeper("uplink", self.folder / "alarms", self.folder / "alarms.toml")
        self.uplink = UplinkState(device, self.sender, self.now(), keeper)
        self.online, self.events = False, []
        self.unacknowledged: list[Publish] = []

    def utc(self) -> float:
        return UTC_S + self.now_s

    def now(self) -> Now:
        return Now(1000.0 + self.now_s, self.utc())

    @rule(kind=st.sampled_from(["agree", "agree", "clip", "clip", "parts"]), disk_is_full=st.sampled_from([0, 0, 0, 1]))
    def put(self, kind: str, disk_is_full: int) -> None:
        """A unit was inspected; the disk may refuse it for now."""
        self.made += 1
        case, draft = self.drawn(kind)
        self.handed.append(case.case_id)
        if disk_is_full:
            with full_disk():
                done = self.pending.put(case, draft)
        else:
            done = self.pending.put(case, draft)
        self.say(done)

    @rule()
    def put_many(self) -> None:
        """A shift without a broker."""
        for _ in range(SHIFT):
            self.put("agree", 0)

    def drawn(self, kind: str):
        reviewed = kind != "agree"
        number = 3 * self.made if reviewed else 3 * self.made + 1
        case = make_case(number, started_at=self.now().utc, ended_at=self.now().utc)
        if not reviewed:
            return case, None
        ref, data = clip_of(number, kind == "parts")
        draft = self.outbox.spool.draft(case.case_id)
        draft.write_bytes(data)
        self.clip_of[case.case_id] = ref.sha256
        return msgspec.structs.replace(case, clip=ref), draft

    def say(self, done) -> None:
        for case in done:
            self.spoken[case.case_id] = ledger.said(wire.encode(case))
            if case.clip is None and case.case_id in self.clip_of:
                self.spoilt_clips.add(case.case_id)

    @rule()
    def disk_has_room(self) -> None:
        self.say(self.pending.retry())

    @rule()
    def agent_is_killed(self) -> None:
        self.end_agent()
        self.open_agent()
        self.take_over()

    def end_agent(self) -> None:
        self.waited = [case.case_id for case, _ in self.pending._waiting]
        self.outbox.close()

    def take_over(self) -> None:
        """What waited in memory is gone and was never said, but for what had come to lie in the spool."""
        found = [case for case in self.outbox.waiting_cases(10_000) if case.case_id not in self.spoken]
        self.spoken |= {case.case_id: ledger.said(case.payload) for case in found}
        self.handed = [id for id in self.handed if id not in self.waited or id in self.spoken]

    @rule()
    def agent_puts_the_last_case_again(self) -> None:
        """It was killed after `put` and before it had noted that: the case comes a second time."""
        if self.spoken and not self.pending._waiting:
            newest = self.outbox.cases_after(len(self.spoken) - 1, 2)
            assert len(newest) == 1, "the newest record is gone"
            assert self.outbox.put(msgspec.structs.replace(newest[0], sequence=0)) == newest[0]

    @rule()
    def uplink_is_killed(self) -> None:
        self.sender.close()
        self.open_uplink()

    @rule()
    def outbox_is_lost(self) -> None:
        """Its database is gone; the spool is there."""
        self.end_agent()
        self.sender.close()
        for path in self.folder.glob("outbox.db*"):
            path.unlink()
        self.open_agent()
        self.open_uplink()
        self.take_over()

    @rule(days=st.sampled_from([1, 31]))
    def days_pass(self, days: int) -> None:
        self.sender.retain(self.now_s, 0)
        self.now_s += days * 86_400
        self.sender.retain(self.now_s, 0)
        self.step(0.0)

    # -- between them

    @rule()
    def device_connects(self) -> None:
        """paho sends again what was not acknowledged."""
        if not self.online:
            self.online = True
            self.events.append(Connected())

    @rule()
    def device_is_cut_off(self) -> None:
        if self.online:
            self.online = False
            self.events.append(Disconnected())

    @rule(seconds=st.sampled_from([0.0, 0.0, 1.0, 11.0, 301.0]))
    def step(self, seconds: float) -> None:
        self.now_s += seconds
        events, self.events = self.events, []
        for action in self.uplink.step(events, self.now()):
            if isinstance(action, Reconnect):
                self.device_is_cut_off()
            else:
                self.unacknowledged.append(action)

    @precondition(lambda self: self.online and self.unacknowledged)
    @rule(count=st.sampled_from([1, 3, 20]), acknowledges=st.sampled_from([True, True, False]))
    def broker_takes(self, count: int, acknowledges: bool) -> None:
        """Without the acknowledgement they go again: at least once is all that is promised."""
        taken = self.unacknowledged[:count]
        self.broker.to_cloud += [(message.topic, message.payload) for message in taken]
        if acknowledges:
            del self.unacknowledged[:count]
            self.events += [Acknowledged()] * len(taken)

    @rule()
    def broker_is_killed(self) -> None:
        self.device_is_cut_off()
        self.client.lose()
        self.broker.crash()

    @rule()
    def broker_forgets_what_it_has_acknowledged(self) -> None:
        self.device_connects()
        self.step(0.0)
        if self.unacknowledged:
            self.broker_takes(INFLIGHT, True)
        self.broker_is_killed()

    @rule(place=st.integers(0, 30))
    def broker_drops_one_of_many(self, place: int) -> None:
        """Its queue is full each time, and nobody is told; the others arrive."""
        self.device_connects()
        self.step(11.0)
        for _ in range(PASSES):
            if self.unacknowledged:
                self.broker_takes(INFLIGHT, True)
            if self.broker.to_cloud:
                del self.broker.to_cloud[place % len(self.broker.to_cloud)]
            self.all_is_passed_on()

    @precondition(lambda self: self.broker.to_cloud)
    @rule(place=st.integers(0, 30))
    def broker_repeats(self, place: int) -> None:
        self.broker.to_cloud.append(self.broker.to_cloud[place % len(self.broker.to_cloud)])

    @precondition(lambda self: self.online and self.broker.to_device)
    @rule(count=st.sampled_from([1, 5]), arrives=st.sampled_from([True, True, False]))
    def receipts_come(self, count: int, arrives: bool) -> None:
        taken, self.broker.to_device = self.broker.to_device[:count], self.broker.to_device[count:]
        if arrives:
            self.events += [Received(topic, payload) for topic, payload in taken]

    @precondition(lambda self: self.spoken)
    @rule(place=st.integers(0, 30))
    def receipt_names_other_bytes(self, place: int) -> None:
        case_id = list(self.spoken)[place % len(self.spoken)]
        receipt = Receipt(cases=((case_id, "0" * 64),))
        self.broker.to_device.append((TOPICS.receipt, wire.encode(receipt)))

    @rule(payload=st.sampled_from(NO_CASES))
    def stranger_speaks(self, payload: bytes) -> None:
        self.broker.to_cloud.append((TOPICS.case, payload))

    # -- the cloud

    def open_cloud(self) -> None:
        self.cloud = CloudConfig(data_dir=str(self.folder / "cloud"))
        self.cloud.folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(template(), self.cloud.folder / "cloud.db")
        # Its tables are those of the template: nothing has to be looked for.
        self.engine = sa.create_engine(self.cloud.database_url)
        db._make_safe(self.engine)
        self.fault = ""
        sa.event.listen(self.engine, "begin", self._at_begin)
        sa.event.listen(self.engine, "commit", self._at_commit)
        self.store = FolderStore(self.cloud.folder)
        self.open_ingest()

    def open_ingest(self) -> None:
        """`cloud ingest` begins anew."""
        made, mqtt_client.make = mqtt_client.make, lambda *_, **__: Client(self.broker)
        try:
            self.listener = ingest.Listener(self.cloud, Intake(self.engine, self.store, max_clip_bytes=10_000_000))
        finally:
            mqtt_client.make = made
        self.client: Client = self.listener._client

    def _at_begin(self, _connection: object) -> None:
        if self.fault == "the database is away":
            raise sa.exc.OperationalError("begin", {}, Exception("away"))

    def _at_commit(self, _connection: object) -> None:
        if self.fault == "before the commit":
            raise Died

    @rule(count=st.sampled_from([1, 4, 40]), fault=st.sampled_from(["", "", "", *CLOUD_FAULTS]))
    def cloud_takes_in(self, count: int, fault: str) -> None:
        """One turn of the listener's loop."""
        self.fault = self.client.dies = fault
        self.client.give = count
        # The pause after a commit is for others who would write; here is nobody.
        self.listener._committed_at_s = 0.0
        turns = iter([False])
        try:
            self.listener.listen(lambda: next(turns, True), lambda _: None)
        except Died:
            self.client.die()
            self.open_ingest()
        finally:
            self.fault = self.client.dies = ""

    @rule(fault=st.sampled_from(CLOUD_FAULTS))
    def cloud_fails_while_much_arrives(self, fault: str) -> None:
        """And whatever it has said by then is heard."""
        self.device_connects()
        self.step(0.0)
        if self.unacknowledged:
            self.broker_takes(INFLIGHT, True)
        self.cloud_takes_in(40, fault)
        if self.broker.to_device:
            self.receipts_come(200, True)
        self.step(0.0)

    @rule()
    def cloud_is_cut_off(self) -> None:
        self.client.lose()

    @rule()
    def cloud_loses_everything_and_asks_again(self) -> None:
        """Restored from an empty backup. Records of the last 30 days are on the device."""
        if self.spoken.keys() - set(self.outbox.spool.case_ids()):
            return
        self.cloud_is_cut_off()
        self.engine.dispose()
        shutil.rmtree(self.cloud.folder)
        self.broker.let_go.clear()
        self.open_cloud()
        # An order that comes twice is carried out once: a second loss in the same second has to ask under another id.
        self.orders += 1
        command = Command(id=f"again-{self.orders}", order="resend_since", since="2026-01-01T00:00:00Z")
        # Behind what the former cloud has said: a session's messages come in their order.
        self.broker.to_device.append((TOPICS.command(command.id), wire.encode(command)))
        self.device_connects()
        self.receipts_come(len(self.broker.to_device), True)
        self.step(0.0)

    @rule()
    def all_goes_well(self) -> None:
        """For a while, which is what most of a year is like."""
        self.device_connects()
        self.step(11.0)
        for _ in range(PASSES):
            self.all_is_passed_on()

    # -- what always holds

    @invariant()
    def what_does_not_wait_is_held(self) -> None:
        """No record stops waiting before the cloud's database has it."""
        if not self.spoken:
            return
        waiting, held = {case.case_id for case in self.outbox.waiting_cases(10_000)}, self.held()
        assert self.spoken.keys() <= waiting | held.keys(), "a case that nobody has does not wait"
        assert held.keys() <= self.spoken.keys(), "the cloud holds what was never said"
        assert all(self.spoken[id].sha256 == sha256 for id, sha256 in held.items()), "the cloud holds other bytes"
        assert waiting <= set(self.outbox.spool.case_ids()), "a case that waits has no file"

    @invariant()
    def numbers_have_no_gap(self) -> None:
        numbers = [case.sequence for case in self.spoken.values()]
        assert numbers == list(range(1, len(numbers) + 1)), f"numbers {numbers}"

    @invariant()
    def the_broker_is_not_flooded(self) -> None:
        # The window is for what the device says by itself: besides, each order is answered, once for each time it came.
        replies = [message for message in self.unacknowledged if "/reply/" in message.topic]
        assert len(self.unacknowledged) - len(replies) <= INFLIGHT + 5, "more at the broker than the window"
        assert len(replies) <= self.orders, "an order is answered more often than it came"
        assert len(self.uplink.deliveries._cases) <= deliveries.UNRECEIPTED_CASES

    @invariant()
    def nothing_is_thrown_away_in_silence(self) -> None:
        refused = {payload for topic, payload in self.broker.let_go if topic == TOPICS.case and payload in NO_CASES}
        if refused:
            with self.engine.connect() as connection:
                assert refused <= set(connection.scalars(sa.select(dead_letters.c.payload))), "no dead letter"

    def held(self) -> dict[str, str]:
        with self.engine.connect() as connection:
            return {row.case_id: row.sha256 for row in connection.execute(sa.select(cases.c.case_id, cases.c.sha256))}

    # -- and in the end

    def teardown(self) -> None:
        if not hasattr(self, "folder"):
            return
        try:
            self.heal()
            self.settled()
        finally:
            self.outbox.close()
            self.sender.close()
            self.engine.dispose()
            shutil.rmtree(self.folder, ignore_errors=True)

    def heal(self) -> None:
        """All is well from now on, for as long as it takes."""
        self.say(self.pending.retry())
        for round in range(HEALED_ROUNDS):
            self.device_connects()
            # A clip that was refused again and again waits up to an hour.
            self.step(11.0 if round % 8 else 3601.0)
            for _ in range(3):
                self.all_is_passed_on()
            backlog = self.sender.backlog()
            if not (backlog.cases or backlog.clips or self.unacknowledged or self.broker.to_cloud):
                return

    def all_is_passed_on(self) -> None:
        if self.unacknowledged:
            self.broker_takes(100, True)
        self.cloud_takes_in(200, "")
        if self.broker.to_device:
            self.receipts_come(200, True)
        self.step(0.0)

    def settled(self) -> None:
        backlog = self.sender.backlog()
        assert (backlog.cases, backlog.clips) == (0, 0), f"{backlog} waits for ever"
        assert sorted(self.handed) == sorted(self.spoken), "a case that the disk refused for a while was never said"
        found = ledger.compare(self.engine, self.spoken)
        assert ledger.is_clean(found), found
        assert cloud_cases.summary(self.engine)["missing"] == 0, "a gap that was filled is still told"
        with self.engine.connect() as connection:
            stored = set(connection.scalars(sa.select(clips.c.sha256).where(clips.c.state == "stored")))
        for case_id, sha256 in self.clip_of.items():
            if case_id in self.spoken and case_id not in self.spoilt_clips:
                assert sha256 in stored and ledger.is_whole(self.store, sha256), f"clip of {case_id} is not there"


@functools.lru_cache(maxsize=512)
def clip_of(number: int, several_parts: bool) -> tuple[ClipRef, bytes]:
    """The clip of a made case; of several parts where wanted."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip"
        view_px = SEVERAL_PARTS if several_parts else (80, 60)
        return write_clip(path, make_case(number), frames=3, view_px=view_px), path.read_bytes()


@functools.cache
def template() -> Path:
    """An empty cloud's database, made once."""
    folder = Path(tempfile.mkdtemp(prefix="tankwatch-template-"))
    db.open_database(CloudConfig(data_dir=str(folder))).dispose()
    (path,) = folder.glob("*.db")
    return path
