"""What a station says on its own topics in another's name, to the real intake -> what the cloud took for the other's.

The broker lets a station speak below its own root; what stands in the message is for `intake` to check.
"""

from pathlib import Path

import msgspec
import sqlalchemy as sa

from benchmarks.made_cases import make_case, write_clip
from cloud_sync import db
from cloud_sync.config import CloudConfig
from cloud_sync.dead_letters import Message
from cloud_sync.intake import Intake
from cloud_sync.store import ClipStore, open_store
from cloud_sync.tables import cases, dead_letters
from edge_agent import wire
from edge_agent.messages import Alarm, ClipManifest, Receipt
from edge_agent.records import Case
from edge_agent.wire import Topics

PART = 2000


def taken(folder: Path, own: Topics, other: Topics) -> list[str]:
    """What was wrongly taken, or wrongly not. Needs no broker."""
    config = CloudConfig(data_dir=str(folder))
    engine, store = db.open_database(config), open_store(config)
    intake = Intake(engine, store, max_clip_bytes=10_000_000)
    try:
        return [*_cases(engine, intake, own, other), *_clips(folder, intake, store, own, other), *_alarms(intake, own)]
    finally:
        engine.dispose()


def _cases(engine: sa.Engine, intake: Intake, own: Topics, other: Topics) -> list[str]:
    said = _case(other, 1)
    theirs = intake.handle([Message(other.case, wire.encode(said))], 1.0)
    found = [] if _receipted(theirs.receipts, other) == {said.case_id} else ["the other's own case was not taken"]
    lies = {
        "a case with the other's station in it": _case(other, 2),
        "a case with the other's id": msgspec.structs.replace(_case(own, 3), case_id=said.case_id),
        "the other's case, word for word": said,
    }
    for name, lie in lies.items():
        answer = intake.handle([Message(own.case, wire.encode(lie))], 2.0)
        if any(receipt.topic != own.receipt for receipt in answer.receipts):
            found.append(f"{name}: a receipt went to the other")
        if _receipted(answer.receipts, own):
            found.append(f"{name}: it was receipted")
    with engine.connect() as connection:
        held = {row.case_id: row.sha256 for row in connection.execute(sa.select(cases))}
        letters = connection.scalar(sa.select(sa.func.count()).select_from(dead_letters))
    if held != {said.case_id: wire.sha256_of(wire.encode(said))}:
        found.append("the other's cases are not what the other said")
    return found + ([] if letters == len(lies) else [f"{letters} of {len(lies)} lies are dead letters"])


def _clips(folder: Path, intake: Intake, store: ClipStore, own: Topics, other: Topics) -> list[str]:
    """Whoever knows the hash of another's clip may announce it; its bytes are what the hash says all the same."""
    case = _case(other, 4)
    path = folder / "clip"
    clip = write_clip(path, case)
    data = path.read_bytes()
    parts = [data[at : at + PART] for at in range(0, len(data), PART)]
    sha256 = clip.sha256
    honest = ClipManifest(sha256=sha256, bytes=len(data), parts=len(parts), part_bytes=PART, case_id=case.case_id)
    forged = b"\0" * PART
    lie = ClipManifest(sha256=sha256, bytes=PART, parts=1, part_bytes=PART, case_id="lie")
    intake.handle([Message(other.clip_manifest(sha256), wire.encode(honest))], 3.0)
    intake.handle([Message(other.clip_part(sha256, 0), parts[0])], 3.0)
    intake.handle([Message(own.clip_manifest(sha256), wire.encode(lie))], 3.0)
    intake.handle([Message(own.clip_part(sha256, 0), forged)], 3.0)
    found = ["forged bytes are held as the other's clip"] if store.holds(sha256) else []
    intake.handle([Message(other.clip_manifest(sha256), wire.encode(honest))], 4.0)
    for number, part in enumerate(parts):
        intake.handle([Message(other.clip_part(sha256, number), part)], 4.0)
    return found + ([] if store.holds(sha256) else ["the other's clip was kept out"])


def _alarms(intake: Intake, own: Topics) -> list[str]:
    alarm = Alarm(id="y", priority="low", text="t", since="s", cause="c", consequence="c", action="a")
    before = intake.handle([Message(own.alarm("x"), wire.encode(alarm))], 5.0)
    return ["an alarm was receipted"] if before.receipts else []


def _case(place: Topics, number: int) -> Case:
    return make_case(number, site=place.site, station=place.station, case_id=f"{place.station}-made-{number}")


def _receipted(receipts: tuple[Message, ...], place: Topics) -> set[str]:
    mine = [wire.decode(one.payload, Receipt) for one in receipts if one.topic == place.receipt]
    return {case_id for receipt in mine for case_id, _ in receipt.cases}
