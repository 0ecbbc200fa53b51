"""Stations in logical time: units drawn from a pool -> the messages of a device with champion and challenger.

No frame is filmed here: what each bundle says of a unit is known from the pool (`twin_units`). Outcome, sampling,
wishes and messages are the device's own.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from benchmarks.made_cases import make_case, write_clip
from benchmarks.twin_units import Unit, words
from cloud_sync.dead_letters import Message
from edge_agent import compare, wire
from edge_agent.bundle import Bundle
from edge_agent.messages import (
    PART_BYTES,
    ClipManifest,
    Desired,
    Metrics,
    OutputMetrics,
    SoftwareMetrics,
    Status,
    UpdateReport,
)
from edge_agent.records import Case, ChallengerVerdict, ClipRef, DecisionWord, Verdict

AUDIT_FLOOR = 0.02
"""What a device has where its configuration says nothing else."""
VERDICT_MS = 120.0
UNIT_S = 8.7
SOFTWARE = "drill"


@dataclass(frozen=True, slots=True)
class Line:
    """What comes to a station, and who stands there; shares."""

    leaky: float
    missed: float = 0.05
    """Leaks that the inspector lets pass."""
    alarmed: float = 0.01
    """Good units that he takes out."""


class Pool:
    """Units by kind, what each bundle says of them, and their clips."""

    def __init__(self, units: Sequence[Unit], fetch: Callable[[str], Bundle], folder: Path) -> None:
        """`fetch`: hash -> the bundle, as a device would have got and tried it. `folder`: for the one clip that stands
        in for all units that were not filmed."""
        self.units = units
        self._fetch, self._folder = fetch, folder
        self._said: dict[str, tuple[Bundle, list[Verdict]]] = {}
        self._clips: dict[Path, ClipRef] = {}
        self._of = {leaky: [n for n, unit in enumerate(units) if unit.leaky is leaky] for leaky in (True, False)}

    def draw(self, chance: random.Random, line: Line) -> int:
        """Number of the next unit."""
        return chance.choice(self._of[chance.random() < line.leaky])

    def bundle(self, sha256: str) -> Bundle:
        return self._known(sha256)[0]

    def word(self, sha256: str, number: int) -> Verdict:
        """What this bundle says of the unit."""
        return self._known(sha256)[1][number]

    def words(self, sha256: str) -> list[Verdict]:
        """What this bundle says of every unit."""
        return self._known(sha256)[1]

    def film(self, number: int, case: Case) -> tuple[ClipRef, list[Message]]:
        """The unit's clip, and its messages the first time that it is asked for."""
        path = self.units[number].clip or self._folder / "stand-in.twclip"
        if path in self._clips:
            return self._clips[path], []
        if not path.exists():
            write_clip(path, case)
        data = path.read_bytes()
        self._clips[path] = ClipRef(wire.sha256_of(data), len(data))
        return self._clips[path], list(_clip_messages(case, data))

    def _known(self, sha256: str) -> tuple[Bundle, list[Verdict]]:
        if sha256 not in self._said:
            bundle = self._fetch(sha256)
            self._said[sha256] = bundle, words(self.units, bundle)
        return self._said[sha256]


@dataclass(slots=True)
class Device:
    """One station: it runs what it is wished and says what its bundles say."""

    site: str
    station: str
    champion: str
    """Hashes of bundles."""
    pool: Pool
    line: Line
    chance: random.Random
    wanted: Desired = Desired(counter=0)
    challenger: str | None = None
    update: UpdateReport | None = None
    said: dict[str, str] = field(default_factory=dict)
    """Hash of the payload by case id."""
    leaky: dict[str, bool] = field(default_factory=dict)
    """What is true, by case id; nobody but the experts is told."""

    @property
    def topics(self) -> wire.Topics:
        return wire.Topics(self.site, self.station)

    def take(self, payload: bytes, now: float) -> bool:
        """A wish from the broker. False: it is not newer than the last one, and ignored."""
        wanted = wire.decode(payload, Desired)
        if wanted.counter <= self.wanted.counter:
            return False
        self.wanted = wanted
        if wanted.bundle is not None and wanted.bundle.sha256 != self.champion:
            self.champion = self.pool.bundle(wanted.bundle.sha256).sha256
            self.update = UpdateReport(bundle=wanted.bundle, state="running", at=utc(now))
        challenger = wanted.challenger.sha256 if wanted.challenger else None
        self.challenger = challenger if challenger != self.champion else None
        return True

    def reports(self, now: float) -> list[Message]:
        """Status and metrics."""
        challenger = self.pool.bundle(self.challenger).ref if self.challenger else None
        status = Status(
            status="online",
            mode="shadow",
            bundle=self.pool.bundle(self.champion).ref,
            challenger=challenger,
            update=self.update,
            software=SOFTWARE,
            since=utc(now),
        )
        software = SoftwareMetrics(
            version=SOFTWARE, uptime_s=0, disk_free_mb=10_000, waiting_cases=0, waiting_clips=0, inspect_starts=1
        )
        output = OutputMetrics(cases=len(self.said), verdict_ms=VERDICT_MS)
        metrics = Metrics(at=utc(now), boot_id=f"boot-{self.station}", software=software, output=output)
        return [
            Message(self.topics.status, wire.encode(status)),
            Message(self.topics.metrics, wire.encode(metrics)),
        ]

    def works(self, units: int, begin: float, end: float) -> list[Message]:
        """So many units between two moments: their cases, and the clips that go with them."""
        messages = []
        for at in range(units):
            messages += self._inspects(begin + (end - begin) * at / units)
        return messages

    def _inspects(self, now: float) -> list[Message]:
        number = self.pool.draw(self.chance, self.line)
        unit = self.pool.units[number]
        case, clips = self._case(number, unit.leaky, now), list[Message]()
        if case.sampled.reason != "none":
            clip, clips = self.pool.film(number, case)
            case = msgspec.structs.replace(case, clip=clip)
        payload = wire.encode(case)
        self.said[case.case_id] = wire.sha256_of(payload)
        self.leaky[case.case_id] = unit.leaky
        return [*clips, Message(self.topics.case, payload)]

    def _case(self, number: int, leaky: bool, now: float) -> Case:
        word, second = self.pool.word(self.champion, number), self._second(number)
        decision, sequence = self._decision(leaky), len(self.said) + 1
        outcome = compare.outcome(word.verdict, decision, "human")
        seen = compare.Seen(word.verdict, word.score, None, None, now)
        sampled = compare.sampled(
            outcome,
            word.score,
            audit_floor=AUDIT_FLOOR,
            draw=self.chance.random(),
            wished=compare.wished(self.wanted.sampling, seen),
        )
        return make_case(
            case_id=f"{self.station}-drill-{sequence:07d}",
            site=self.site,
            station=self.station,
            boot_id=f"boot-{self.station}",
            sequence=sequence,
            started_at=utc(now),
            ended_at=utc(now + UNIT_S),
            verdict=word.verdict,
            score=word.score,
            reason=word.reason,
            decision=decision,
            outcome=outcome,
            sampled=compare.beside(sampled, word.verdict, second.verdict if second else None),
            bundle=self.pool.bundle(self.champion).ref,
            challenger=second,
        )

    def _second(self, number: int) -> ChallengerVerdict | None:
        if self.challenger is None:
            return None
        return ChallengerVerdict.of(self.pool.bundle(self.challenger).ref, self.pool.word(self.challenger, number))

    def _decision(self, leaky: bool) -> DecisionWord:
        errs = self.chance.random() < (self.line.missed if leaky else self.line.alarmed)
        return "leak" if leaky != errs else "ok"


def utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def _clip_messages(case: Case, data: bytes) -> Iterator[Message]:
    """The manifest and every part."""
    topics, sha256 = wire.Topics(case.site, case.station), wire.sha256_of(data)
    parts = [data[at : at + PART_BYTES] for at in range(0, len(data), PART_BYTES)]
    manifest = ClipManifest(sha256=sha256, bytes=len(data), parts=len(parts), case_id=case.case_id)
    yield Message(topics.clip_manifest(sha256), wire.encode(manifest))
    for number, part in enumerate(parts):
        yield Message(topics.clip_part(sha256, number), part)
