"""The expert's desk: looks and what is true, gold, points, the vocabulary, studies, tokens, a chained audit log.

Names and formulae are copied here on purpose: a migration must go on doing what it did when it was written.
"""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
CHUNK = 1000
DAY_S = 86400
OLD_APPEND_ONLY = ("reviews", "examples")
NEW_APPEND_ONLY = ("withdrawals", "points", "standards", "audit_heads")
EYE_OUTCOMES = ("machine_leak", "human_leak", "unsure", "not_tested")
VALUES = {"disagreement": 1.0, "challenge": 0.9, "unsure": 0.3, "not_tested": 0.2}
KINDS = {
    "leak": {
        "stream": "Steady stream",
        "single": "Single bubbles, slowly",
        "many": "From several points",
        "fine": "Fine mist",
        "other_leak": "Something else",
    },
    "ok": {
        "nothing": "Nothing rises",
        "trapped": "Trapped air that stops",
        "debris": "Particles or dirt",
        "surface": "Ripples or reflections",
        "hand": "Hand or tool",
        "other_ok": "Something else",
    },
    "cannot_tell": {
        "murky": "Water too murky",
        "hidden": "View blocked or moved",
        "short": "Too short",
        "no_video": "No video",
        "other_cannot_tell": "Something else",
    },
}
metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)
ADDED = {
    "cases": (
        sa.Column("clarity", sa.Double),
        sa.Column("light_levels", sa.Double),
        sa.Column("serial", sa.Text),
        sa.Column("inspector", sa.Text),
        sa.Column("smallest_leak_std_cm3_s", sa.Double),
        sa.Column("group_id", sa.BigInteger),
    ),
    "users": (
        sa.Column("epoch", sa.Integer, nullable=False, server_default="0"),
        sa.Column("subject", sa.Text),
        sa.Column("disabled_at", sa.Double),
    ),
    "reviews": (
        sa.Column("purpose", sa.Text, nullable=False, server_default="first"),
        sa.Column("blind", sa.Boolean, nullable=False, server_default=sa.true()),
        sa.Column("took_s", sa.Double),
    ),
    "datasets": (sa.Column("policy_sha256", sa.Text), sa.Column("statistics", sa.LargeBinary)),
    "audit": (sa.Column("hash", sa.Text, nullable=False, server_default=""),),
}


def _key() -> sa.Column:
    return sa.Column("id", sa.Integer, primary_key=True)


def _of(target: str, name: str, kind: type = sa.Integer, **more) -> sa.Column:
    return sa.Column(name, kind, sa.ForeignKey(target), **({"nullable": False} | more))


def _text(*names: str) -> Iterator[sa.Column]:
    return (sa.Column(name.rstrip("?"), sa.Text, nullable=name.endswith("?")) for name in names)


def _whole(*names: str) -> Iterator[sa.Column]:
    return (sa.Column(name.rstrip("?"), sa.Integer, nullable=name.endswith("?")) for name in names)


def _real(*names: str) -> Iterator[sa.Column]:
    return (sa.Column(name.rstrip("?"), sa.Double, nullable=name.endswith("?")) for name in names)


sa.Table("cases", metadata, sa.Column("case_id", sa.Text, primary_key=True))
sa.Table("reviews", metadata, _key())
OPEN = sa.text("state != 'judged'")
looks = sa.Table(
    "looks",
    metadata,
    _key(),
    _of("cases.case_id", "case_id", sa.Text, index=True),
    *_text("purpose", "lane", "state"),
    *_whole("day"),
    *_real("rank", "wanted_at"),
    *_text("reserved_by?"),
    *_real("reserved_until?"),
    *_whole("review_id?"),
    *_real("revealed_at?"),
    sa.Index("ix_looks_queue", "state", "lane", "day", "rank", "id"),
    sa.Index("ix_looks_reserved", "reserved_by", "state"),
    sa.Index("ix_looks_open", "id", sqlite_where=OPEN, postgresql_where=OPEN),
)
case_groups = sa.Table(
    "case_groups",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
    *_text("site", "station", "verdict", "decision", "decided_by", "outcome", "sampled_for"),
    *_whole("bundle_version"),
    *_text("bundle_sha256", "profile_sha256?"),
    *_whole("clarity_tenths?", "cases"),
    *_real("first_at", "last_at"),
    sa.Index("ix_case_groups_station", "station", "site"),
    sa.Index("ix_case_groups_clarity", "clarity_tenths", "decided_by", "decision", "verdict"),
    sa.Index("ix_case_groups_words", "verdict", "decision", "decided_by", "outcome"),
)
GROUPED_BY = [column.name for column in case_groups.columns][1:12]
truths = sa.Table(
    "truths",
    metadata,
    _of("cases.case_id", "case_id", sa.Text, primary_key=True),
    *_text("judgement?"),
    sa.Column("state", sa.Text, nullable=False, index=True),
    *_whole("review_id?"),
    sa.Column("at", sa.Double, nullable=False, index=True),
    *_real("started_at?"),
    sa.Index("ix_truths_judged", "judgement", "started_at", "case_id"),
)
counters = sa.Table("counters", metadata, sa.Column("name", sa.Text, primary_key=True), *_whole("value"))
tokens = sa.Table(
    "tokens",
    metadata,
    _key(),
    *_text("name"),
    sa.Column("sha256", sa.Text, nullable=False, unique=True),
    *_text("role", "made_by"),
    *_real("made_at", "expires_at", "revoked_at?", "used_at?"),
)
withdrawals = sa.Table("withdrawals", metadata, _of("reviews.id", "review_id", primary_key=True), *_real("at"))
points = sa.Table(
    "points",
    metadata,
    _key(),
    _of("reviews.id", "review_id", index=True),
    *_real("x_px", "y_px"),
    *_whole("frame"),
    *_real("time_s"),
)
kinds = sa.Table(
    "kinds",
    metadata,
    sa.Column("judgement", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    *_text("words"),
    *_whole("place"),
    *_real("retired_at?"),
)
gold = sa.Table(
    "gold",
    metadata,
    _of("cases.case_id", "case_id", sa.Text, primary_key=True),
    *_text("truth", "set_by"),
    *_real("set_at", "retired_at?"),
)
tags = sa.Table(
    "tags",
    metadata,
    _key(),
    _of("cases.case_id", "case_id", sa.Text, index=True),
    sa.Column("tag", sa.Text, nullable=False, index=True),
    *_text("added_by"),
    *_real("added_at", "removed_at?"),
)
standards = sa.Table(
    "standards",
    metadata,
    _key(),
    sa.Column("subject", sa.Text, nullable=False, index=True),
    *_text("text", "written_by"),
    *_real("at"),
)
studies = sa.Table(
    "studies",
    metadata,
    _key(),
    *_text("name"),
    sa.Column("plan", sa.LargeBinary, nullable=False),
    *_text("made_by"),
    *_real("made_at", "closed_at?"),
)
study_parts = sa.Table(
    "study_parts",
    metadata,
    _of("studies.id", "study_id", primary_key=True),
    sa.Column("part", sa.Integer, primary_key=True),
    _of("cases.case_id", "case_id", sa.Text),
    *_text("truth"),
    sa.Column("borderline", sa.Boolean, nullable=False),
)
study_trials = sa.Table(
    "study_trials",
    metadata,
    _key(),
    _of("studies.id", "study_id"),
    *_whole("part"),
    *_text("appraiser"),
    *_whole("trial", "place"),
    *_text("judgement?"),
    *_real("judged_at?"),
    sa.UniqueConstraint("study_id", "appraiser", "part", "trial"),
)
sent = sa.Table(
    "sent",
    metadata,
    sa.Column("case_id", sa.Text, sa.ForeignKey("cases.case_id"), primary_key=True),
    *_text("sent_by", "reason"),
    *_real("sent_at"),
)
desired = sa.Table(
    "desired",
    metadata,
    sa.Column("site", sa.Text, primary_key=True),
    sa.Column("station", sa.Text, primary_key=True),
    *_whole("counter"),
    sa.Column("payload", sa.LargeBinary, nullable=False),
    *_text("changed_by"),
    *_real("changed_at", "sent_at?"),
)
audit_end = sa.Table("audit_end", metadata, _key(), *_whole("last_id"), *_text("hash"))
audit_heads = sa.Table("audit_heads", metadata, _key(), *_real("at"), *_whole("last_id"), *_text("hash"))
MADE = [table for name, table in metadata.tables.items() if name not in ("cases", "reviews")]


def upgrade() -> None:
    connection = op.get_bind()
    sqlite = connection.dialect.name == "sqlite"
    for table, columns in ADDED.items():
        for column in columns:
            op.add_column(table, column)
    metadata.create_all(connection, tables=MADE)
    op.create_index("ix_reviews_reviewer", "reviews", ["reviewer", "at"])
    if sqlite:
        _allow_changes("audit")
    for fill in (_fill_kinds, _fill_audit, _fill_cases, _fill_truths, _fill_looks):
        fill(connection)
    _index_cases(sqlite)
    if sqlite:
        _refuse_changes("audit", *NEW_APPEND_ONLY)
    elif connection.dialect.name == "postgresql":
        _refuse_changes_in_postgresql("audit", *OLD_APPEND_ONLY, *NEW_APPEND_ONLY)


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION only_added_to CASCADE")
    op.create_index("ix_cases_started_at", "cases", ["started_at"])
    for name in ("ix_cases_started", "ix_cases_group", "ix_cases_serial"):
        op.drop_index(name, "cases")
    if op.get_bind().dialect.name == "postgresql":
        op.drop_index("ix_cases_id_begins", "cases")
    metadata.drop_all(op.get_bind(), tables=MADE)
    op.drop_index("ix_reviews_reviewer", "reviews")
    for table, columns in ADDED.items():
        for column in columns:
            op.drop_column(table, column.name)


def _index_cases(sqlite: bool) -> None:
    op.drop_index("ix_cases_started_at", "cases")
    op.create_index("ix_cases_started", "cases", ["started_at", "case_id"])
    op.create_index("ix_cases_group", "cases", ["group_id", "started_at", "case_id"])
    op.create_index("ix_cases_serial", "cases", ["serial"], postgresql_ops={"serial": "text_pattern_ops"})
    if not sqlite:
        op.create_index("ix_cases_id_begins", "cases", ["case_id"], postgresql_ops={"case_id": "text_pattern_ops"})


def _refuse_changes(*tables: str) -> None:
    for table in tables:
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} are only added to'); END"
            )


def _refuse_changes_in_postgresql(*tables: str) -> None:
    op.execute(
        "CREATE FUNCTION only_added_to() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE integrity_constraint_violation USING MESSAGE = TG_TABLE_NAME || ' are only added to'; END $$"
    )
    for table in tables:
        for name, when in (("change", "UPDATE OR DELETE ON {} FOR EACH ROW"), ("truncate", "TRUNCATE ON {}")):
            op.execute(f"CREATE TRIGGER {table}_no_{name} BEFORE {when.format(table)} EXECUTE FUNCTION only_added_to()")


def _allow_changes(table: str) -> None:
    for verb in ("update", "delete"):
        op.execute(f"DROP TRIGGER {table}_no_{verb}")


def _fill_kinds(connection: sa.Connection) -> None:
    rows = [
        {"judgement": judgement, "kind": kind, "words": words, "place": place}
        for judgement, named in KINDS.items()
        for place, (kind, words) in enumerate(named.items(), 1)
    ]
    connection.execute(sa.insert(kinds), rows)


def _fill_audit(connection: sa.Connection) -> None:
    last_id, chain = 0, ""
    lines = connection.execute(sa.text("SELECT id, at, who, address, did, about FROM audit ORDER BY id")).all()
    for line in lines:
        text = json.dumps(list(line), separators=(",", ":"), ensure_ascii=False)
        last_id, chain = line.id, hashlib.sha256((chain + text).encode()).hexdigest()
        connection.execute(sa.text("UPDATE audit SET hash = :hash WHERE id = :id"), {"hash": chain, "id": last_id})
    connection.execute(sa.insert(audit_end), {"id": 1, "last_id": last_id, "hash": chain})


def _fill_cases(connection: sa.Connection) -> None:
    groups: dict[int, dict] = {}
    few = [name for name in GROUPED_BY if name != "clarity_tenths"]
    for rows in _all_cases(connection, ", ".join(["payload", "started_at", *few])):
        seen = []
        for row in rows:
            case = json.loads(bytes(row.payload))
            clarity = (case.get("water") or {}).get("clarity")
            tenths = None if clarity is None else sum(clarity >= tenth / 10 for tenth in range(1, 11))
            key = [*(getattr(row, name) for name in few), tenths]
            group_id = _group_id(key)
            group = groups.setdefault(group_id, dict(zip(GROUPED_BY, key, strict=True)) | {"id": group_id, "cases": 0})
            group["cases"] += 1
            group["first_at"] = min(row.started_at, group.get("first_at", row.started_at))
            group["last_at"] = max(row.started_at, group.get("last_at", row.started_at))
            light = (case.get("visibility") or {}).get("light_levels")
            smallest = case.get("smallest_leak_std_cm3_s")
            seen.append(
                {"key": row.case_id, "clarity": clarity, "light": light, "smallest": smallest, "group": group_id}
            )
        connection.execute(
            sa.text(
                "UPDATE cases SET clarity = :clarity, light_levels = :light, smallest_leak_std_cm3_s = :smallest, "
                "group_id = :group WHERE case_id = :key"
            ),
            seen,
        )
    if groups:
        connection.execute(sa.insert(case_groups), list(groups.values()))


def _group_id(key: list[object]) -> int:
    text = json.dumps(key, separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 1


def _fill_truths(connection: sa.Connection) -> None:
    last: dict[str, dict[str, sa.Row]] = {}
    query = "SELECT id, case_id, reviewer, judgement, at FROM reviews ORDER BY case_id, revision"
    for row in connection.execute(sa.text(query)):
        last.setdefault(row.case_id, {})[row.reviewer] = row
    rows = []
    for case_id, by_reviewer in last.items():
        said = {row.judgement for row in by_reviewer.values()}
        newest = max(by_reviewer.values(), key=lambda row: row.id)
        state = "single" if len(by_reviewer) == 1 else "agreed" if len(said) == 1 else "conflict"
        judgement = None if state == "conflict" else newest.judgement
        values = {"judgement": judgement, "state": state, "review_id": newest.id, "at": newest.at}
        rows.append({"case_id": case_id, **values})
    if rows:
        connection.execute(sa.insert(truths), rows)
        began = sa.text("UPDATE truths SET started_at = (SELECT started_at FROM cases WHERE case_id = truths.case_id)")
        connection.execute(began)


def _fill_looks(connection: sa.Connection) -> None:
    reviewed = connection.execute(sa.text("SELECT case_id, id FROM reviews WHERE revision = 1"))
    first = {row.case_id: row.id for row in reviewed}  # their look is over
    stored = set(connection.scalars(sa.text("SELECT sha256 FROM clips WHERE state = 'stored'")))
    count: Counter[object] = Counter()
    for rows in _all_cases(connection, "sampled_for, outcome, score, clip_sha256, received_at"):
        made = [
            _look(row, first.get(row.case_id), stored)
            for row in rows
            if row.case_id in first or row.sampled_for != "none" or row.outcome in EYE_OUTCOMES
        ]
        count.update(look["state"] for look in made)
        if made:
            connection.execute(sa.insert(looks), made)
    for name in ("coming", "waiting", "bare", "judged"):
        connection.execute(sa.insert(counters), {"name": f"looks.{name}", "value": count[name]})


def _look(row: sa.Row, review_id: int | None, stored: set[str]) -> dict[str, object]:
    state = "bare" if row.clip_sha256 is None else "waiting" if row.clip_sha256 in stored else "coming"
    return {
        "case_id": row.case_id,
        "purpose": "first",
        "lane": "audit" if row.sampled_for == "audit" else "value",
        "state": state if review_id is None else "judged",
        "day": int(row.received_at // DAY_S),
        "rank": -VALUES.get(row.sampled_for, 0.1) - (0.5 * _bits(row.score) if row.sampled_for == "unsure" else 0),
        "wanted_at": row.received_at,
        "review_id": review_id,
    }


def _bits(score: float | None) -> float:
    if score is None or not 0 < score < 1:
        return 0.0
    return -score * math.log2(score) - (1 - score) * math.log2(1 - score)


def _all_cases(connection: sa.Connection, columns: str) -> Iterator[list[sa.Row]]:
    """In chunks, so that a million cases need no more memory than a thousand."""
    after = ""
    query = sa.text(f"SELECT case_id, {columns} FROM cases WHERE case_id > :after ORDER BY case_id LIMIT {CHUNK}")
    while rows := connection.execute(query, {"after": after}).all():
        yield list(rows)
        after = rows[-1].case_id
