"""Sums that pages show, kept up with each change: nobody counts a million rows for a figure at the top of a page."""

from collections.abc import Mapping

import sqlalchemy as sa

from cloud_sync.db import take_turns
from cloud_sync.tables import counters


def add(connection: sa.Connection, changes: Mapping[str, int]) -> None:
    """Adds to each sum; the caller commits. Writers take turns, so that no two wait for each other."""
    take_turns(connection, ["counters"])
    for name in sorted(name for name, change in changes.items() if change):
        change = changes[name]
        raised = sa.update(counters).where(counters.c.name == name).values(value=counters.c.value + change)
        if connection.execute(raised).rowcount == 0:
            connection.execute(sa.insert(counters).values(name=name, value=change))


def put(connection: sa.Connection, name: str, value: int) -> None:
    """A figure that is no sum: the newest counts; the caller commits."""
    take_turns(connection, ["counters"])
    connection.execute(sa.delete(counters).where(counters.c.name == name))
    connection.execute(sa.insert(counters).values(name=name, value=value))


def values(connection: sa.Connection, prefix: str) -> dict[str, int]:
    """Every sum under `prefix.`, without the prefix."""
    wanted = counters.c.name.startswith(f"{prefix}.", autoescape=True)
    rows = connection.execute(sa.select(counters.c.name, counters.c.value).where(wanted))
    return {row.name.removeprefix(f"{prefix}."): row.value for row in rows}
