"""What is held in all: the summary that demo, drills and the page of stations show."""

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from cloud_sync import gaps, looks
from cloud_sync.tables import case_groups, cases, clips, dead_letters


def summary(engine: Engine) -> dict[str, int]:
    """Counts of everything held.

    `queued`: looks that are wanted and can be watched; `awaiting_clip`: the same, but the clip is still to come.
    `duplicated`: cases beyond the first that carry the same number of the same station. For it every case is read,
    and for `clips` every clip. `missing`: numbers that never came and do not wait at
    their station.
    """
    with engine.connect() as connection:
        numbers = sa.select(cases.c.site, cases.c.station, cases.c.sequence).distinct().subquery()
        distinct, every = (_count(connection, table) for table in (numbers, cases))
        stored = sa.select(clips.c.sha256).where(clips.c.state == "stored").subquery()
        return held(connection) | {"duplicated": every - distinct, "clips": _count(connection, stored)}


def held(connection: sa.Connection) -> dict[str, int]:
    """The same without `duplicated` and `clips`: from counters and small tables."""
    queue = looks.counts(connection)
    return {
        "cases": int(connection.scalar(sa.select(sa.func.sum(case_groups.c.cases))) or 0),
        "review_needed": sum(queue.values()),
        "queued": queue["waiting"],
        "awaiting_clip": queue["coming"],
        "without_clip": queue["bare"],
        "reviewed": queue["judged"],
        "missing": sum(gaps.lacking(connection).values()),
        "dead_letters": _count(connection, dead_letters),
    }


def _count(connection: sa.Connection, table: sa.FromClause) -> int:
    return connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
