"""Where the API meets the experts' desk: what waits, who may know, and adding a judgement, each in one small place."""

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from cloud_sync import db, judgement, looks, vocabulary
from cloud_sync.api_records import Judgement, QueueCounts
from cloud_sync.judgement import Desk, Review


def queue_counts(connection: sa.Connection) -> QueueCounts:
    counts = looks.counts(connection)
    return QueueCounts(
        waiting=counts["waiting"], coming=counts["coming"], without_clip=counts["bare"], reviewed=counts["judged"]
    )


def may_know(connection: sa.Connection, case_id: str, reviewer: str) -> bool:
    """Has this reviewer judged the case, and may no longer take it back?"""
    return judgement.is_revealed(connection, case_id, reviewer, db.now())


def incomplete(connection: sa.Connection, said: Judgement) -> str | None:
    """What is still missing or contradictory, for a person; None = complete."""
    return judgement.incomplete(_review(said), vocabulary.offered(connection))


def add_judgement(
    engine: Engine, desk: Desk, case_id: str, said: Judgement, *, reviewer: str, now: float
) -> int | None:
    """The new review's revision; None: no such case. The answer tells everything, so nothing can be taken back."""
    kept = judgement.record(engine, desk, case_id, _review(said), reviewer, now)
    if kept is None:
        return None
    judgement.reveal(engine, case_id, reviewer, now)
    return kept.revision


def _review(said: Judgement) -> Review:
    return Review(judgement=said.judgement, seen=said.seen or None, familiar=said.familiar, note=said.note.strip())
