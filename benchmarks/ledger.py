"""What a device has said against what a cloud holds -> counts: set for set, each once, byte for byte.

What counts as said is the drill's matter: what lies in the spool, or what a journal holds that was synced after `put`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from cloud_sync import triage
from cloud_sync.partial_clips import ClipLost
from cloud_sync.store import ClipStore
from cloud_sync.tables import cases, clips, looks
from edge_agent import wire
from edge_agent.errors import StoreError
from edge_agent.records import Case
from edge_agent.spool import Spool

FAULTS = ("lost", "gaps", "duplicated", "changed", "queue_lost", "queue_extra", "clips_lost")
"""Keys of `compare` that must all be 0."""


@dataclass(frozen=True, slots=True)
class SaidCase:
    """One case as its device has said it."""

    sha256: str
    sequence: int
    clip_sha256: str | None
    needs_eye: bool
    """The rules send it to review."""


def said(payload: bytes) -> SaidCase:
    """What was said with these bytes."""
    case = wire.decode(payload, Case)
    clip = case.clip.sha256 if case.clip else None
    return SaidCase(wire.sha256_of(payload), case.sequence, clip, triage.needs_eye(case.sampled.reason, case.outcome))


def said_in(spool: Spool) -> dict[str, SaidCase]:
    """All that lies in the spool, by case id."""
    return {id: said(spool.case_path(id).read_bytes()) for id in spool.case_ids()}


def compare(
    engine: sa.Engine, spoken: Mapping[str, SaidCase], *, journal: Iterable[str] = (), store: ClipStore | None = None
) -> dict[str, int]:
    """Counts; every one of FAULTS has to be 0. `journal`: ids said as well, whatever has become of their files.

    `lost`: said, but not held. `gaps`: numbers between 1 and the highest that no held case carries. `duplicated`: held,
    but not said, or with a number that another carries. `changed`: held with other bytes. `queue_lost`, `queue_extra`:
    looks against the cases that the rules send to review, one look each. `clips_lost`: clips of those that are not
    stored; with a `store` also those whose bytes are not the ones named.
    """
    held = _held(engine)
    numbers = Counter(number for _, number in held.values())
    queue, stored = _queue(engine), _stored(engine)
    wanted = Counter(id for id, case in spoken.items() if case.needs_eye)
    clips_wanted = {case.clip_sha256 for case in spoken.values() if case.needs_eye and case.clip_sha256}
    lost_clips = clips_wanted - stored
    if store is not None:
        lost_clips |= {sha256 for sha256 in clips_wanted & stored if not is_whole(store, sha256)}
    return {
        "cases": len(spoken),
        "lost": len((spoken.keys() | set(journal)) - held.keys()),
        "gaps": max(numbers, default=0) - len(numbers),
        "duplicated": len(held.keys() - spoken.keys()) + numbers.total() - len(numbers),
        "changed": sum(held[id][0] != case.sha256 for id, case in spoken.items() if id in held),
        "queued": queue.total(),
        "queue_lost": (wanted - queue).total(),
        "queue_extra": (queue - wanted).total(),
        "clips": len(stored),
        "clips_lost": len(lost_clips),
    }


def is_clean(ledger: Mapping[str, int]) -> bool:
    """Nothing lost, nothing twice, nothing changed."""
    return not any(ledger[name] for name in FAULTS)


def is_whole(store: ClipStore, sha256: str) -> bool:
    """Whether the store gives the very bytes that the hash names."""
    try:
        return wire.sha256_of(store.clip(sha256).read_bytes()) == sha256
    except (ClipLost, StoreError):
        return False


def _held(engine: sa.Engine) -> dict[str, tuple[str, int]]:
    """Hash of the bytes and number, by case id; a row at a time, since there may be a hundred thousand."""
    query = sa.select(cases.c.case_id, cases.c.payload, cases.c.sequence).execution_options(yield_per=1000)
    with engine.connect() as connection:
        return {row.case_id: (wire.sha256_of(row.payload), row.sequence) for row in connection.execute(query)}


def _queue(engine: sa.Engine) -> Counter[str]:
    with engine.connect() as connection:
        return Counter(connection.scalars(sa.select(looks.c.case_id).where(looks.c.purpose == "first")))


def _stored(engine: sa.Engine) -> set[str]:
    with engine.connect() as connection:
        return set(connection.scalars(sa.select(clips.c.sha256).where(clips.c.state == "stored")))
