"""What stations and clouds say when they are sound: one message of every kind and topic, the seeds of `mutations`."""

import msgspec

from benchmarks.made_cases import BUNDLE, SITE, make_case
from cloud_sync.dead_letters import Message
from edge_agent import wire
from edge_agent.histogram import Histogram
from edge_agent.messages import (
    Alarm,
    ClipManifest,
    Command,
    Desired,
    LatencyMetrics,
    Metrics,
    OutputMetrics,
    Receipt,
    SamplingWish,
    SoftwareMetrics,
    Status,
    UpdateReport,
)
from edge_agent.records import Case, ChallengerVerdict, ClipRef, DueWord, Emission, Visibility

AT = "2026-11-29T20:00:00Z"
STATIONS = tuple(f"TANK{number}" for number in range(1, 6))
"""Whose messages are spoilt."""
GOOD = "TANK9"
"""Whose messages are sound."""
PART = bytes(range(256)) * 3


def from_station(station: str, number: int) -> list[Message]:
    """One of each kind that a station says; `number` makes its case another one."""
    topics = wire.Topics(SITE, station)
    data = PART + number.to_bytes(8, "little")
    sha256 = wire.sha256_of(data)
    manifest = ClipManifest(sha256=sha256, bytes=len(data), parts=2, part_bytes=512, case_id=f"{station}-c{number}")
    said: list[tuple[str, msgspec.Struct | bytes]] = [
        (topics.case, _case(station, number)),
        (topics.status, _status()),
        (topics.metrics, _metrics()),
        (topics.alarm("camera"), _alarm()),
        (topics.clip_manifest(sha256), manifest),
        (topics.clip_part(sha256, 0), data[:512]),
        (topics.clip_part(sha256, 1), data[512:]),
    ]
    return [Message(topic, what if isinstance(what, bytes) else wire.encode(what)) for topic, what in said]


def good(number: int, seed: int) -> Message:
    """A sound case; its number counts without gaps."""
    case = msgspec.structs.replace(make_case(number, seed=seed), station=GOOD, sequence=number)
    return Message(wire.Topics(SITE, GOOD).case, wire.encode(case))


def from_cloud(topics: wire.Topics, number: int) -> list[Message]:
    """One of each kind that a cloud says. The receipt names nothing that the device holds."""
    wish = SamplingWish(id="w1", probability=0.5, until="2030-01-01T00:00:00Z", reason="murky", clarity_below=0.5)
    hashes = [wire.sha256_of(str(number + n).encode()) for n in range(3)]
    said: list[tuple[str, msgspec.Struct]] = [
        (
            topics.receipt,
            Receipt(cases=((f"none-{number}", hashes[0]),), clips=(hashes[1],), parts=((hashes[2], 3),)),
        ),
        (
            topics.desired,
            Desired(counter=number, bundle=BUNDLE, mode="shadow", audit_probability=0.1, sampling=(wish,)),
        ),
        (topics.command(f"c{number}"), Command(id=f"c{number}", order="resend_since", since="2030-01-01T00:00:00Z")),
        (topics.command(f"d{number}"), Command(id=f"d{number}", order="send_clip", case_id="none", expires_at=AT)),
        (topics.alarm("old"), _alarm()),
    ]
    return [Message(topic, wire.encode(what)) for topic, what in said]


def _case(station: str, number: int) -> Case:
    due = DueWord("leak", 0.9, 4.0)
    return msgspec.structs.replace(
        make_case(number),
        case_id=f"{station}-h{number:09d}",
        station=station,
        sequence=number,
        emission=Emission(4, 1.2, 2.0, 200.0, 4e-3, 1e-3, 8e-3),
        clip=ClipRef("d" * 64, 50_000) if number % 2 else None,
        challenger=ChallengerVerdict(BUNDLE, "leak", 0.8, "bubbles", due),
        visibility=Visibility(noise_levels=2.0, light_levels=120.0, clarity=0.9),
        serial=f"SN{number}",
        inspector="p-7",
        due=due,
    )


def _status() -> Status:
    update = UpdateReport(bundle=BUNDLE, state="trying", at=AT)
    return Status(status="online", mode="shadow", bundle=BUNDLE, update=update, software="1.0", since=AT)


def _metrics() -> Metrics:
    software = SoftwareMetrics(version="1.0", uptime_s=10.0, disk_free_mb=900.0, waiting_cases=1, waiting_clips=0)
    steps = Histogram((0.01, 0.1), (3, 2, 1), 0.4)
    output = OutputMetrics(cases=6, latency=LatencyMetrics(step=steps), scores=steps)
    return Metrics(at=AT, boot_id="boot", software=software, output=output)


def _alarm() -> Alarm:
    return Alarm(id="camera", priority="high", text="camera lost", since=AT, cause="c", consequence="d", action="e")
