"""A case id -> everything on record of it: the record itself, what experts said and when, and where it went."""

import msgspec
import sqlalchemy as sa

from cloud_sync import judgement, triage, vocabulary
from cloud_sync.judgement import Kept, Kinds
from cloud_sync.search_terms import result_of
from cloud_sync.store import ClipStore
from cloud_sync.tables import cases, clips, datasets, examples, members, tags, truths
from edge_agent import clips as clip_files
from edge_agent.errors import StoreError
from edge_agent.records import Case

_ROW = sa.select(
    cases, clips.c.state.label("clip_state"), truths.c.judgement, truths.c.state.label("judgement_state")
).select_from(
    cases.outerjoin(clips, clips.c.sha256 == cases.c.clip_sha256).outerjoin(truths, truths.c.case_id == cases.c.case_id)
)


class CaseFile(msgspec.Struct, frozen=True):
    """What an auditor gets to see of one case."""

    row: sa.Row
    """Of `cases`, with `clip_state`, `judgement` and `judgement_state`."""
    record: Case
    result: str
    clip: str
    """A key of CLIP_WORDS."""
    reviews: list[Kept]
    kinds: Kinds
    datasets: list[sa.Row]
    """name, version and split of every dataset that it is in."""
    tags: list[str]


def of(connection: sa.Connection, store: ClipStore, case_id: str, *, now: float, overdue_h: int) -> CaseFile | None:
    """None: no such case."""
    row = connection.execute(_ROW.where(cases.c.case_id == case_id)).first()
    if row is None:
        return None
    return CaseFile(
        row=row,
        record=msgspec.json.decode(row.payload, type=Case),
        result=result_of(row),
        clip=_clip_word(row, store, now, overdue_h),
        reviews=judgement.reviews_of(connection, case_id),
        kinds=vocabulary.every(connection),
        datasets=_datasets(connection, case_id),
        tags=list(connection.scalars(_tags(case_id))),
    )


def _clip_word(row: sa.Row, store: ClipStore, now: float, overdue_h: int) -> str:
    """What the tables say, held against what the store has."""
    word = triage.clip_word(row.clip_sha256, row.clip_state, now - row.received_at, overdue_h)
    if word != "ready":
        return word
    if not store.holds(row.clip_sha256):
        return "lost"
    try:
        return "ready" if clip_files.read(store.clip(row.clip_sha256)).whole else "damaged"
    except StoreError:
        return "damaged"


def _datasets(connection: sa.Connection, case_id: str) -> list[sa.Row]:
    joined = members.join(examples, examples.c.id == members.c.example_id).join(
        datasets, datasets.c.id == members.c.dataset_id
    )
    query = sa.select(datasets.c.name, datasets.c.version, members.c.split).select_from(joined)
    return list(
        connection.execute(query.where(examples.c.case_id == case_id).order_by(datasets.c.name, datasets.c.version))
    )


def _tags(case_id: str) -> sa.Select:
    held = (tags.c.case_id == case_id) & tags.c.removed_at.is_(None)
    return sa.select(tags.c.tag).where(held).distinct().order_by(tags.c.tag)
