"""Cases on which experts disagree, or did until a third settled it, grouped by what they saw, by tag or by station."""

from collections import defaultdict
from typing import Literal

import msgspec
import sqlalchemy as sa

from cloud_sync.tables import cases, reviews, tags, truths, withdrawals

Grouping = Literal["seen", "tag", "station"]
MOST = 1000


class Dispute(msgspec.Struct, frozen=True):
    """One case and the last word of each expert: (who, judgement, kind seen)."""

    case_id: str
    place: str
    state: str
    """conflict, adjudicated"""
    judgement: str | None
    said: tuple[tuple[str, str, str | None], ...]
    tags: tuple[str, ...]


def disputes(connection: sa.Connection) -> list[Dispute]:
    """Open ones first, then the latest."""
    query = (
        sa.select(truths, cases.c.site, cases.c.station)
        .join(cases, cases.c.case_id == truths.c.case_id)
        .where(truths.c.state.in_(("conflict", "adjudicated")))
        .order_by(truths.c.state.desc(), truths.c.at.desc())
        .limit(MOST)
    )
    rows = connection.execute(query).all()
    said, named = _said(connection), _tags(connection)
    return [
        Dispute(
            row.case_id,
            f"{row.site}/{row.station}",
            row.state,
            row.judgement,
            tuple(said.get(row.case_id, {}).values()),
            tuple(sorted(named.get(row.case_id, ()))),
        )
        for row in rows
    ]


def grouped(found: list[Dispute], by: Grouping) -> list[tuple[str, list[Dispute]]]:
    """(name, cases), the largest group first; a case with several tags is in several groups."""
    groups: dict[str, list[Dispute]] = defaultdict(list)
    for one in found:
        for name in _names(one, by):
            groups[name].append(one)
    return sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))


def _names(one: Dispute, by: Grouping) -> tuple[str, ...]:
    if by == "station":
        return (one.place,)
    if by == "tag":
        return one.tags or ("no tag",)
    words = {
        f"{judgement.replace('_', ' ')}: {seen}" if seen else judgement.replace("_", " ")
        for _, judgement, seen in one.said
    }
    return (" / ".join(sorted(words)),)


def _said(connection: sa.Connection) -> dict[str, dict[str, tuple[str, str, str | None]]]:
    disputed = sa.select(truths.c.case_id).where(truths.c.state.in_(("conflict", "adjudicated")))
    query = (
        sa.select(reviews)
        .outerjoin(withdrawals, withdrawals.c.review_id == reviews.c.id)
        .where(withdrawals.c.review_id.is_(None), reviews.c.purpose != "gold", reviews.c.case_id.in_(disputed))
        .order_by(reviews.c.id)
    )
    found: dict[str, dict[str, tuple[str, str, str | None]]] = defaultdict(dict)
    for row in connection.execute(query):
        found[row.case_id][row.reviewer] = (row.reviewer, row.judgement, row.seen)
    return found


def _tags(connection: sa.Connection) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for row in connection.execute(sa.select(tags.c.case_id, tags.c.tag).where(tags.c.removed_at.is_(None))):
        found[row.case_id].add(row.tag)
    return found
