"""Case rows -> the groups they belong to, with a count for each: cases alike in all that has few values.

A group's id follows from what its cases have in common, so that several ingests need not agree on it first.
"""

import bisect
import functools
import hashlib
import json
import operator
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from cloud_sync.tables import case_groups

SHARED = (
    "site",
    "station",
    "verdict",
    "decision",
    "decided_by",
    "outcome",
    "sampled_for",
    "bundle_version",
    "bundle_sha256",
    "profile_sha256",
)
"""What the cases of a group have in common, beside the tenth of clarity they are in."""
_shared = operator.itemgetter(*SHARED)
TENTHS = tuple(tenth / 10 for tenth in range(1, 11))


def group_id(row: Mapping[str, Any]) -> int:
    """Of a row of `cases`."""
    return _hashed(*_key(row))


def tenths(clarity: float | None) -> int | None:
    """Clarity 0..1 in tenths, rounded down; None where it is not known."""
    return None if clarity is None else bisect.bisect_right(TENTHS, clarity)


def count_in(connection: sa.Connection, rows: Iterable[Mapping[str, Any]]) -> None:
    """Adds rows that are new in `cases` to the counts; the caller commits."""
    groups: dict[int, dict[str, Any]] = {}
    for row in rows:
        number, at = row["group_id"], row["started_at"]
        group = groups.get(number)
        if group is None:
            shared = dict(zip((*SHARED, "clarity_tenths"), _key(row), strict=True))
            group = groups[number] = shared | {"id": number, "cases": 0, "first_at": at, "last_at": at}
        group["cases"] += 1
        group["first_at"], group["last_at"] = min(at, group["first_at"]), max(at, group["last_at"])
    if groups:  # in one order, so that two ingests cannot wait for each other
        connection.execute(_upsert(connection.dialect.name), [groups[number] for number in sorted(groups)])


def _key(row: Mapping[str, Any]) -> tuple:
    return (*_shared(row), tenths(row["clarity"]))


@functools.lru_cache(maxsize=4096)
def _hashed(*key: object) -> int:
    """63 bits, since that is what both databases hold."""
    text = json.dumps(key, separators=(",", ":"))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 1


@functools.cache
def _upsert(dialect: str) -> postgresql.Insert | sqlite.Insert:
    """Both dialects say it alike, each with its own words for the smaller and the larger of two."""
    added = (postgresql.insert if dialect == "postgresql" else sqlite.insert)(case_groups)
    least, greatest = (sa.func.least, sa.func.greatest) if dialect == "postgresql" else (sa.func.min, sa.func.max)
    return added.on_conflict_do_update(
        index_elements=["id"],
        set_={
            "cases": case_groups.c.cases + added.excluded.cases,
            "first_at": least(case_groups.c.first_at, added.excluded.first_at),
            "last_at": greatest(case_groups.c.last_at, added.excluded.last_at),
        },
    )
