"""The device's writers while every k-th write is refused, each k in a process of its own -> what was kept of it.

Clip writer, keeper, outbox, alarms, state and the uplink's whole conversation, with a cloud that gives receipts at
once. Then the disk takes everything again, and nothing may be missing, doubled or half.
"""

import json
import logging
import multiprocessing
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from benchmarks.made_cases import SITE, STATION, make_case, write_clip
from benchmarks.refusing import RefusingDisk
from edge_agent import clips, durable, state, utc, wire
from edge_agent.alarm_keeper import AlarmKeeper
from edge_agent.alarms import Condition
from edge_agent.deliveries import LONGEST_CLIP_RETRY_S, Publish
from edge_agent.errors import StoreError
from edge_agent.keeper import Keeper
from edge_agent.messages import ClipManifest, Receipt
from edge_agent.outbox import Outbox, PendingCases
from edge_agent.records import Case
from edge_agent.rhythm import Patient
from edge_agent.spool import Spool
from edge_agent.state import DeviceState
from edge_agent.uplink_state import Acknowledged, Connected, Device, Event, Now, Received, UplinkState

COUNTS = (
    "made", "said", "lost", "twice", "gaps", "half", "unlike", "without_clip", "waiting", "writes", "refused", "warned",
)  # fmt: skip
FAULTS = ("lost", "twice", "gaps", "half", "unlike", "waiting")
"""Of COUNTS: those that must be 0."""
RETRY_S = 0.002
STARTS = 20
"""After so many refused starts of the outbox the disk takes one."""
TOPICS = wire.Topics(SITE, STATION)
_FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True, slots=True)
class Refusals:
    """Each of `every` with so many cases."""

    every: tuple[int, ...]
    cases: int
    seed: int


def under_refusals(plan: Refusals, folder: Path, say: Callable[[str], None]) -> dict:
    """COUNTS of all, added up; `crashed`: the k at which a process ended by itself; `bad`: those with a fault."""
    total, crashed, bad = Counter[str](), [], []
    for every in plan.every:
        found = _in_a_process(folder / f"every{every}", every, plan)
        if found is None:
            crashed.append(every)
            continue
        total.update(found)
        if any(found[name] for name in FAULTS):
            bad.append(every)
    refused = f"{total['refused']} of {total['writes']} writes refused"
    say(f"every k-th write, {len(plan.every)} k: {refused}, with faults: {bad or 'none'}, ended: {crashed or 'none'}")
    return {"k": len(plan.every), **{name: total[name] for name in COUNTS}, "crashed": crashed, "bad": bad}


def _in_a_process(folder: Path, every: int, plan: Refusals) -> dict[str, int] | None:
    folder.mkdir()
    process = _FORK.Process(target=_live, args=(folder, every, plan), name=f"every-{every}")
    process.start()
    process.join()
    told = folder / "found.json"
    return json.loads(told.read_bytes()) if process.exitcode == 0 and told.is_file() else None


def _live(folder: Path, every: int, plan: Refusals) -> None:
    logging.basicConfig(filename=folder / "log", force=True)
    data = folder / "device"
    data.mkdir()
    disk = RefusingDisk(data, first=random.Random(f"{plan.seed}/{every}").randrange(every))
    with disk.installed():
        device = _Device.started(data, disk, every)
        for number in range(1, plan.cases + 1):
            device.works(make_case(number, seed=plan.seed))
        disk.every = None
        device.ends()
    found = _kept(data, device, plan.cases)
    found |= {"writes": disk.writes, "refused": disk.refused, "warned": len(device.words)}
    (folder / "found.json").write_text(json.dumps(found))


@dataclass
class _Device:
    """All that writes on a device."""

    data: Path
    outbox: Outbox
    uplink: UplinkState
    words: list[str] = field(default_factory=list)
    said: list[Case] = field(default_factory=list)
    now_s: float = 1000.0
    events: list[Event] = field(default_factory=lambda: [Connected()])

    def __post_init__(self) -> None:
        pending = PendingCases(self.outbox)
        self.keeper = Keeper(pending, said=self.said.append, warn=self.words.append, retry_s=RETRY_S)
        alarms = AlarmKeeper("inspect", self.data / "alarms", self.data / "alarms.toml", say=self.words.append)
        told = DeviceState(at=utc.text(self.now_s), boot_id="boot", mode="shadow")
        self._tell = Patient(lambda: state.write(self.data / "state.json", told), self.words.append)
        self._look = lambda: alarms.look([Condition(id="disk", words=str(pending.fault))] if pending.fault else [])

    @classmethod
    def started(cls, data: Path, disk: RefusingDisk, every: int) -> "_Device":
        outbox = _again(disk, every, lambda: Outbox.open(data / "outbox.db", data / "spool"))
        beside = _again(disk, every, lambda: Outbox.attach(data / "outbox.db", data / "spool"))
        about = Device(TOPICS, "1", "boot", data / "state.json", data / "desired.json", keep_free_bytes=0)
        alarms = AlarmKeeper("uplink", data / "alarms", data / "alarms.toml", say=lambda words: None)
        return cls(data, outbox, UplinkState(about, beside, Now(1000.0, 1000.0), alarms))

    def works(self, case: Case) -> None:
        """One unit: filmed, kept, told, sent."""
        case, draft = self._filmed(case)
        self.keeper.keep(case, draft)
        for _ in range(5):
            self._tell()
            self._look()
            self._talks(after_s=5.0)

    def ends(self) -> None:
        """The disk takes everything again."""
        self.keeper.close()
        for _ in range(40):
            self._tell()
            self._look()
            self._talks(after_s=LONGEST_CLIP_RETRY_S / 4)
        self.outbox.close()

    def _filmed(self, case: Case) -> tuple[Case, Path | None]:
        """As `filming` does: a disk that takes no clip costs the clip."""
        draft = self.outbox.spool.draft(case.case_id)
        try:
            return msgspec.structs.replace(case, clip=write_clip(draft, case)), draft
        except StoreError as error:
            self.words.append(str(error))
            return case, None

    def _talks(self, *, after_s: float) -> None:
        """The broker has everything at once, and so has the cloud."""
        self.now_s += after_s
        now, events = Now(self.now_s, self.now_s), self.events
        self.events = []
        for action in self.uplink.step(events, now):
            if isinstance(action, Publish):
                self.events += [Acknowledged(), *self._receipt(action)]
        self.uplink.report(now)

    def _receipt(self, sent: Publish) -> list[Event]:
        kind = wire.parse_topic(sent.topic).kind
        if kind == "case":
            case_id = wire.decode(sent.payload, Case).case_id
            return [_receipt(Receipt(cases=((case_id, wire.sha256_of(sent.payload)),)))]
        if kind == "clip_manifest":
            return [_receipt(Receipt(clips=(wire.decode(sent.payload, ClipManifest).sha256,)))]
        return []


def _again(disk: RefusingDisk, every: int, start: Callable[[], Outbox]) -> Outbox:
    """As its supervisor does."""
    disk.every = every
    for _ in range(STARTS):
        try:
            return start()
        except StoreError:
            continue
    disk.every = None
    outbox = start()
    disk.every = every
    return outbox


def _receipt(receipt: Receipt) -> Received:
    return Received(TOPICS.receipt, wire.encode(receipt))


def _kept(data: Path, device: _Device, made: int) -> dict[str, int]:
    """What a start after all of it finds."""
    outbox, spool = Outbox.open(data / "outbox.db", data / "spool"), Spool(data / "spool")
    backlog, ids = outbox.backlog(), {case.case_id for case in device.said}
    outbox.close()
    stored = {case_id: spool.case_path(case_id).read_bytes() for case_id in spool.case_ids()}
    numbers = [wire.decode(payload, Case).sequence for payload in stored.values()]
    return {
        "made": made,
        "said": len(device.said),
        "lost": made - len(ids & stored.keys()),
        "twice": len(device.said) - len(ids),
        "gaps": int(sorted(numbers) != list(range(1, made + 1))),
        "half": _half_files(data),
        "unlike": sum(stored.get(case.case_id) != wire.encode(case) for case in device.said),
        "without_clip": sum(case.clip is None for case in device.said),
        "waiting": backlog.cases + backlog.clips,
    }


def _half_files(data: Path) -> int:
    """Files under their final names that are not whole."""
    return sum(not _is_whole(path) for path in data.rglob("*") if path.is_file() and path.suffix != durable.TEMPORARY)


def _is_whole(path: Path) -> bool:
    if path.suffix == clips.SUFFIX:
        return clips.read(path).whole and wire.sha256_of(path.read_bytes()) == path.stem
    if path.suffix == ".json":
        try:
            msgspec.json.decode(path.read_bytes())
        except msgspec.DecodeError:
            return False
    return True
