"""Where the API meets the experts' desk: what waits, who may know, and adding a judgement, each in one small place."""

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from cloud_sync import judgement, review_queue
from cloud_sync.api_records import Judgement, QueueCounts
from cloud_sync.judgement import Review
from cloud_sync.tables import reviews


def queue_counts(connection: sa.Connection) -> QueueCounts:
    counts = review_queue.counts(connection)
    return QueueCounts(*(getattr(counts, name) for name in QueueCounts.__struct_fields__))


def may_know(connection: sa.Connection, case_id: str, reviewer: str) -> bool:
    """Has this reviewer judged the case?"""
    said = (reviews.c.case_id == case_id) & (reviews.c.reviewer == reviewer)
    return connection.execute(sa.select(reviews.c.id).where(said).limit(1)).first() is not None


def incomplete(said: Judgement) -> str | None:
    """What is still missing or contradictory, for a person; None = complete."""
    return judgement.incomplete(_review(said))


def add_judgement(engine: Engine, case_id: str, said: Judgement, *, reviewer: str, now: float) -> int | None:
    """The new review's revision; None: no such case."""
    kept = judgement.record(engine, case_id, _review(said), reviewer, now)
    return None if kept is None else kept.revision


def _review(said: Judgement) -> Review:
    return Review(judgement=said.judgement, seen=said.seen or None, familiar=said.familiar, note=said.note.strip())
