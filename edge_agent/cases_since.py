"""outbox.db -> the cases that ended after a time, for pages that watch a station being set up. Reads alone."""

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

from edge_agent import wire
from edge_agent.errors import LinkError, StoreError
from edge_agent.records import Case

PATIENCE_S = 2.0
MOST = 200
"""Nobody watches more while setting a station up."""


def cases_since(database: Path, since: str) -> tuple[Case, ...]:
    """Those that ended after `since` (UTC, ISO 8601), the oldest first. Raises StoreError where it cannot be read."""
    # Before the first case of a new device there is no outbox.
    if not database.exists():
        return ()
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=PATIENCE_S)) as rows:
            found = rows.execute(
                "SELECT payload FROM cases WHERE ended_at > ? ORDER BY sequence DESC LIMIT ?", (since, MOST)
            ).fetchall()
        return tuple(wire.decode(payload, Case) for (payload,) in reversed(found))
    except (sqlite3.Error, LinkError, msgspec.DecodeError) as error:
        raise StoreError(f"the cases in {database} cannot be read ({error}): see that the inspection runs") from error
