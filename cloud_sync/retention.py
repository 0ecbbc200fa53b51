"""`cloud retain`: clips that have had their time go, by kind of case, and names of users who left; records stay.

A clip stays whatever its age while it is in a dataset or a study, sent to training, gold, wanted by the queue, or
judged lately. Rows are mended by what the store holds first: nothing goes because an index is missing.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from cloud_sync import audit_log, clip_index, db, forgetting
from cloud_sync import config as cloud_config
from cloud_sync.config import RetentionConfig
from cloud_sync.store import ClipStore, open_store
from cloud_sync.tables import cases, clips, examples, gold, looks, members, reviews, sent, study_parts

DAY_S = 86_400
KINDS = {
    "agree": "agreement",
    "machine_only": "agreement",
    "machine_leak": "disagreement",
    "human_leak": "disagreement",
    "unsure": "uncertain",
    "undecided": "uncertain",
    "not_tested": "not_tested",
}
"""Outcome -> the kind that the policy names; what a newer station may add is kept as long as the longest."""


class Going(msgspec.Struct, frozen=True):
    """A clip that has had its time."""

    sha256: str
    bytes: int
    case_id: str
    kind: str


UNFINISHED = "unfinished"


def retain(argv: list[str]) -> int:
    """`tankwatch cloud retain --config cloud.toml [--dry-run]`"""
    parser = argparse.ArgumentParser(prog="tankwatch cloud retain", description="Removes clips that had their time.")
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="cloud.toml")
    parser.add_argument("--dry-run", action="store_true", help="only say what would go")
    parser.add_argument("--json", action="store_true", help="one JSON object a clip")
    options = parser.parse_args(argv)
    config = cloud_config.load(options.config)
    engine = db.open_database(config)
    if options.dry_run:
        with engine.connect() as connection:
            gone = [
                *plan(connection, config.retention, db.now()),
                *unfinished(connection, config.retention, db.now()),
            ]
    else:
        gone = run(engine, open_store(config), config.retention, db.now())
        for pseudonym in forgetting.forget_overdue(engine, config.retention, db.now()):
            print(f"a user who left long ago is {pseudonym} from now on", file=sys.stderr)
    engine.dispose()
    for going in gone:
        print(msgspec.json.encode(going).decode() if options.json else f"{going.sha256}  {_words(going)}")
    print(summary(gone, "would go" if options.dry_run else "are gone"), file=sys.stderr)
    return 0


def plan(connection: sa.Connection, policy: RetentionConfig, now: float) -> list[Going]:
    """Every clip that has had its time, by its hash; nothing is changed."""
    return [_going(row) for row in connection.execute(_due(policy, now).order_by(clips.c.sha256))]


def run(engine: Engine, store: ClipStore, policy: RetentionConfig, now: float) -> list[Going]:
    """Retires them one by one: row and line in the audit log with one commit, then the bytes. Raises StoreError."""
    with engine.begin() as connection:
        clip_index.mend(connection, store, now)
        wanted = plan(connection, policy, now)
        stale = unfinished(connection, policy, now)
    _finish_interrupted(engine, store)
    _drop_strays(engine, store, now - policy.partial_days * DAY_S)
    dropped = [going for going in stale if _drop(engine, store, policy, going, now=now)]
    return dropped + [going for going in wanted if _retire(engine, store, policy, going, now=now)]


def unfinished(connection: sa.Connection, policy: RetentionConfig, now: float) -> list[Going]:
    """Clips of which nothing has come for so long that nobody waits for the rest; nothing is changed."""
    return [
        Going(row.sha256, row.bytes, row.case_id, UNFINISHED)
        for row in connection.execute(_stale(policy, now).order_by(clips.c.sha256))
    ]


def summary(gone: list[Going], words: str) -> str:
    """Counts and bytes, for a person."""
    by_kind = Counter(going.kind for going in gone)
    kinds = "".join(f", {count} {kind}" for kind, count in sorted(by_kind.items()))
    return f"{len(gone)} clips of {sum(going.bytes for going in gone) / 1e6:.1f} MB {words}{kinds}"


def _retire(engine: Engine, store: ClipStore, policy: RetentionConfig, going: Going, *, now: float) -> bool:
    """False where somebody has judged or wanted it meanwhile."""
    with engine.begin() as connection:
        audit_log.take_turn(connection)
        if connection.execute(_due(policy, now).where(clips.c.sha256 == going.sha256)).first() is None:
            return False
        connection.execute(sa.update(clips).where(clips.c.sha256 == going.sha256).values(state="retired"))
        about = f"{going.sha256} of {_words(going)}"
        audit_log.note(connection, who="command line", did="clip_retired", about=about, now=now)
    store.remove(going.sha256)
    return True


def _drop(engine: Engine, store: ClipStore, policy: RetentionConfig, going: Going, *, now: float) -> bool:
    """Row and parts; the station offers the clip again. False where more of it has come meanwhile."""
    with engine.begin() as connection:
        db.take_turns(connection, [going.sha256])
        if connection.execute(_stale(policy, now).where(clips.c.sha256 == going.sha256)).first() is None:
            return False
        connection.execute(sa.delete(clips).where(clips.c.sha256 == going.sha256))
        store.parts.discard(going.sha256)
    return True


def _drop_strays(engine: Engine, store: ClipStore, before: float) -> None:
    """Parts that no row knows, as after a commit that failed."""
    for sha256 in list(store.parts.untouched_since(before)):
        with engine.begin() as connection:
            db.take_turns(connection, [sha256])
            if connection.scalar(sa.select(clips.c.state).where(clips.c.sha256 == sha256)) != "partial":
                store.parts.discard(sha256)


def _stale(policy: RetentionConfig, now: float) -> sa.Select:
    columns = (clips.c.sha256, clips.c.bytes, clips.c.case_id)
    return sa.select(*columns).where(
        clips.c.state == "partial", sa.func.coalesce(clips.c.seen_at, 0.0) < now - policy.partial_days * DAY_S
    )


def _finish_interrupted(engine: Engine, store: ClipStore) -> None:
    """Clips that were retired before their bytes could go."""
    with engine.connect() as connection:
        retired = set(connection.scalars(sa.select(clips.c.sha256).where(clips.c.state == "retired")))
    for sha256, _ in list(store.held()):
        if sha256 in retired:
            store.remove(sha256)


def _due(policy: RetentionConfig, now: float) -> sa.Select:
    """Clips none of whose cases is young, and that nobody needs. One without a case stays: that may be on its way."""
    days = {outcome: getattr(policy, f"{kind}_days") for outcome, kind in KINDS.items()}
    until = sa.case(
        {outcome: now - number * DAY_S for outcome, number in days.items()},
        value=cases.c.outcome,
        else_=now - max(days.values()) * DAY_S,
    )
    mine = cases.c.clip_sha256 == clips.c.sha256
    outcome = sa.select(sa.func.min(cases.c.outcome)).where(mine).scalar_subquery()
    case_id = sa.select(sa.func.min(cases.c.case_id)).where(mine).scalar_subquery()
    return sa.select(clips.c.sha256, clips.c.bytes, outcome.label("outcome"), case_id.label("case_id")).where(
        clips.c.state == "stored",
        sa.exists().where(mine),
        ~sa.exists().where(mine, cases.c.received_at >= until),
        ~_released(),
        *(~sa.exists().where(mine, *needed) for needed in _needed(now - policy.judged_days * DAY_S)),
    )


def _released() -> sa.ColumnElement[bool]:
    """In any version of any dataset."""
    return sa.exists().where(examples.c.clip_sha256 == clips.c.sha256, members.c.example_id == examples.c.id)


def _needed(judged_after: float) -> list[tuple[sa.ColumnElement[bool], ...]]:
    """What else keeps a case's clip."""
    return [
        (gold.c.case_id == cases.c.case_id,),
        (study_parts.c.case_id == cases.c.case_id,),
        (sent.c.case_id == cases.c.case_id,),
        (looks.c.case_id == cases.c.case_id, looks.c.state != "judged"),
        (reviews.c.case_id == cases.c.case_id, reviews.c.at >= judged_after),
    ]


def _going(row: sa.Row) -> Going:
    return Going(row.sha256, row.bytes, row.case_id, KINDS.get(row.outcome, "other"))


def _words(going: Going) -> str:
    return f"case {going.case_id}, {going.kind}, {going.bytes / 1e6:.1f} MB"
