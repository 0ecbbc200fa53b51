"""Tags: words by which somebody wants to find cases again. Each adding and removing is kept with who did it."""

import re
from collections.abc import Sequence

import sqlalchemy as sa

from cloud_sync import audit_log
from cloud_sync.tables import cases, tags
from edge_agent.errors import ConfigError

TAG = r"[\w][\w .+-]{0,39}"


def add(connection: sa.Connection, case_ids: Sequence[str], tag: str, *, who: str, now: float) -> int:
    """How many cases did not have it yet; the caller commits. Raises ConfigError for what is no tag."""
    tag = _checked(tag)
    audit_log.take_turn(connection)
    has = sa.select(tags.c.case_id).where(tags.c.tag == tag, tags.c.removed_at.is_(None))
    wanted = sa.select(cases.c.case_id).where(cases.c.case_id.in_(case_ids), cases.c.case_id.not_in(has))
    rows = [{"case_id": key, "tag": tag, "added_by": who, "added_at": now} for key in connection.scalars(wanted)]
    if rows:
        connection.execute(sa.insert(tags), rows)
        about = f"{tag}: {len(rows)} cases: {_some([str(row['case_id']) for row in rows])}"
        audit_log.note(connection, who=who, did="tag_added", about=about, now=now)
    return len(rows)


def remove(connection: sa.Connection, case_ids: Sequence[str], tag: str, *, who: str, now: float) -> int:
    """How many cases had it; the caller commits."""
    audit_log.take_turn(connection)
    mine = (tags.c.tag == tag.strip()) & tags.c.case_id.in_(case_ids) & tags.c.removed_at.is_(None)
    count = connection.execute(sa.update(tags).where(mine).values(removed_at=now)).rowcount
    if count:
        about = f"{tag.strip()}: {count} cases: {_some(case_ids)}"
        audit_log.note(connection, who=who, did="tag_removed", about=about, now=now)
    return count


def every(connection: sa.Connection) -> list[str]:
    """Every tag in use."""
    return list(
        connection.scalars(sa.select(tags.c.tag).where(tags.c.removed_at.is_(None)).distinct().order_by(tags.c.tag))
    )


def of_case(connection: sa.Connection, case_id: str) -> list[str]:
    mine = (tags.c.case_id == case_id) & tags.c.removed_at.is_(None)
    return list(connection.scalars(sa.select(tags.c.tag).where(mine).distinct().order_by(tags.c.tag)))


def _checked(tag: str) -> str:
    tag = tag.strip()
    if not re.fullmatch(TAG, tag):
        raise ConfigError(f"{tag[:40]!r} is no tag: use 1 to 40 letters, digits, spaces, dots, dashes, + and _")
    return tag


def _some(case_ids: Sequence[str]) -> str:
    return " ".join(case_ids[:20]) + (" …" if len(case_ids) > 20 else "")
