"""The database -> every example that counts now, with its lineage: what is true of each judged case whose clip is held.

Which set an example goes to is `draw`'s matter; here it has the set that the policy's rules send it to.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec
import sqlalchemy as sa

from cloud_sync import policy
from cloud_sync.draw import Candidate, unit_of
from cloud_sync.manifest import Example, Lineage, Word
from cloud_sync.policy import Policy
from cloud_sync.routing import Split
from cloud_sync.tables import (
    cases,
    clips,
    datasets,
    examples,
    members,
    points,
    reviews,
    sent,
    tags,
    truths,
    withdrawals,
)
from edge_agent.clips import SUFFIX


class Standing(msgspec.Struct, frozen=True):
    """An example with its key and what the draw needs to know of it."""

    key: int
    example: Example
    candidate: Candidate


class Beside(msgspec.Struct, frozen=True):
    """What belongs to cases and stands in other tables, by case id."""

    words: dict[str, list[Word]]
    origins: dict[str, list[tuple[float, float, int, float]]]
    tags: dict[str, list[str]]
    sent_by: dict[str, str]
    released: dict[str, Split]
    released_units: dict[str, list[Split]]
    """By `draw.unit_of`."""


def standing(connection: sa.Connection, rules: Policy) -> list[Standing]:
    """By case id."""
    query = (
        sa.select(examples.c.id.label("example_id"), truths.c.state, reviews, cases)
        .select_from(truths)
        .join(reviews, reviews.c.id == truths.c.review_id)
        .join(examples, examples.c.review_id == reviews.c.id)
        .join(cases, cases.c.case_id == truths.c.case_id)
        .join(clips, (clips.c.sha256 == examples.c.clip_sha256) & (clips.c.state == "stored"))
        .where(truths.c.judgement.in_(("leak", "ok")))
    )
    beside = _beside(connection)
    # Not by the database, whose order depends on its language: the same judgements give the same bytes everywhere.
    rows = sorted(connection.execute(query), key=lambda row: row.case_id)
    return [_standing(row, beside, rules) for row in rows]


def conflicts(connection: sa.Connection) -> int:
    """Cases on which experts disagree."""
    return connection.scalar(sa.select(sa.func.count()).where(truths.c.state == "conflict")) or 0


def released_splits(connection: sa.Connection) -> dict[str, Split]:
    """In which set each case was when it was last released, in any dataset."""
    query = (
        sa.select(examples.c.case_id, members.c.split)
        .join(examples, examples.c.id == members.c.example_id)
        .join(datasets, datasets.c.id == members.c.dataset_id)
        .order_by(datasets.c.created_at, datasets.c.id)
    )
    return {row.case_id: row.split for row in connection.execute(query)}


def released_units(connection: sa.Connection, released: dict[str, Split]) -> dict[str, list[Split]]:
    """By unit: the sets that its cases were in; a case without a serial number is a unit of its own."""
    known = sa.select(cases.c.site, cases.c.serial, cases.c.case_id).where(
        cases.c.case_id.in_(sa.select(examples.c.case_id))
    )
    return _grouped(
        (unit_of(*row), released[row.case_id]) for row in connection.execute(known) if row.case_id in released
    )


def _beside(connection: sa.Connection) -> Beside:
    marks = (
        sa.select(truths.c.case_id, points.c.x_px, points.c.y_px, points.c.frame, points.c.time_s)
        .join(points, points.c.review_id == truths.c.review_id)
        .order_by(points.c.id)
    )
    released = released_splits(connection)
    named = sa.select(tags.c.case_id, tags.c.tag).where(tags.c.removed_at.is_(None)).order_by(tags.c.tag).distinct()
    return Beside(
        words=_grouped((row.case_id, _word(row)) for row in connection.execute(_said())),
        origins=_grouped((row[0], tuple(row[1:])) for row in connection.execute(marks)),
        tags=_grouped((row.case_id, row.tag) for row in connection.execute(named)),
        sent_by={row.case_id: row.sent_by for row in connection.execute(sa.select(sent))},
        released=released,
        released_units=released_units(connection, released),
    )


def _said() -> sa.Select:
    """What stands; what is said of a gold case measures the expert and never the case."""
    return (
        sa.select(reviews)
        .outerjoin(withdrawals, withdrawals.c.review_id == reviews.c.id)
        .where(withdrawals.c.review_id.is_(None), reviews.c.purpose != "gold")
        .order_by(reviews.c.case_id, reviews.c.revision)
    )


def _grouped(pairs: Iterable[tuple[str, object]]) -> dict[str, list]:
    found: dict[str, list] = defaultdict(list)
    for key, value in pairs:
        found[key].append(value)
    return found


def _word(row: sa.Row) -> Word:
    return Word(
        by=row.reviewer,
        at=_utc(row.at),
        judgement=row.judgement,
        revision=row.revision,
        seen=row.seen,
        familiar=row.familiar,
        purpose=row.purpose,
        blind=row.blind,
    )


def _standing(row: sa.Row, beside: Beside, rules: Policy) -> Standing:
    split = policy.split_of(rules.routing, row.verdict, row.judgement, row.familiar) or "pool"
    unit = unit_of(row.site, row.serial, row.case_id)
    candidate = Candidate(
        case_id=row.case_id,
        place=f"{row.site}/{row.station}",
        serial=row.serial,
        routed=split,
        label=row.judgement,
        state=row.state,
        sent=row.case_id in beside.sent_by,
        released=beside.released.get(row.case_id),
        unit_released=tuple(beside.released_units.get(unit, ())),
        challenge=row.sampled_for == "challenge",
    )
    example = Example(
        video=f"clips/{row.clip_sha256}{SUFFIX}",
        label=row.judgement,
        decision=row.decision,
        split=split,
        case_id=row.case_id,
        site=row.site,
        station_id=row.station,
        lineage=_lineage(row, beside),
    )
    return Standing(row.example_id, example, candidate)


def _lineage(row: sa.Row, beside: Beside) -> Lineage:
    return Lineage(
        clip_sha256=row.clip_sha256,
        bundle_sha256=row.bundle_sha256,
        bundle_version=row.bundle_version,
        profile_sha256=row.profile_sha256,
        verdict=row.verdict,
        score=row.score,
        sampled_for=row.sampled_for,
        sampled_probability=row.sampled_probability,
        judged_by=row.reviewer,
        judged_at=_utc(row.at),
        revision=row.revision,
        seen=row.seen,
        familiar=row.familiar,
        note=row.note,
        started_at=row.started_at,
        usable_s=row.usable_s,
        clarity=row.clarity,
        light_levels=row.light_levels,
        label_state=row.state,
        words=tuple(beside.words.get(row.case_id, ())),
        origins=tuple(beside.origins.get(row.case_id, ())),
        tags=tuple(beside.tags.get(row.case_id, ())),
        serial=row.serial,
        sent_by=beside.sent_by.get(row.case_id),
    )


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
