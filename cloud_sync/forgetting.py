"""A user who has left -> a pseudonym in everything that he judged and did; figures stay as they are.

What has a hash over it keeps the name, for without it nothing there could be proved any more: the audit log, released
manifests, signed orders (docs/privacy.md). Tables that are only added to are opened for this one change, within the
transaction that makes it.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from cloud_sync import accounts, audit_log, tables
from cloud_sync.accounts import Act, Change
from cloud_sync.config import RetentionConfig
from cloud_sync.tables import APPEND_ONLY, users
from edge_agent.errors import ConfigError

DAY_S = 86_400
NAMED = {
    tables.looks: ("reserved_by",),
    tables.reviews: ("reviewer",),
    tables.shown: ("name",),
    tables.gold: ("set_by",),
    tables.tags: ("added_by",),
    tables.sent: ("sent_by",),
    tables.standards: ("written_by",),
    tables.studies: ("made_by",),
    tables.study_trials: ("appraiser",),
    tables.tokens: ("made_by",),
    tables.desired: ("changed_by",),
    tables.bundles: ("added_by",),
    tables.bundle_states: ("who",),
    tables.challenge_parts: ("registered_by", "retired_by"),
    tables.rollouts: ("begun_by",),
    tables.rollout_events: ("who",),
    tables.parallel_runs: ("started_by",),
    tables.mode_orders: ("who",),
    tables.runs: ("started_by",),
}
"""Columns with names of users."""


def forget(connection: sa.Connection, name: str, act: Act) -> str:
    """Gives the pseudonym. The caller commits. Raises ConfigError: no such user, the last administrator."""
    accounts.change(connection, name, Change(disabled=True), _nameless(act, name))
    connection.execute(sa.delete(users).where(users.c.name == name))
    pseudonym = f"gone-{secrets.token_hex(4)}"
    changed = 0
    for table, columns in NAMED.items():
        with _opened(connection, table):
            for column in columns:
                mine = table.c[column] == name
                changed += connection.execute(sa.update(table).where(mine).values({column: pseudonym})).rowcount
    accounts.note(connection, _nameless(act, name), "user_forgotten", f"{pseudonym}: {changed} entries")
    return pseudonym


def forget_overdue(engine: Engine, policy: RetentionConfig, now: float) -> list[str]:
    """Those who have been disabled for longer than names are kept; their pseudonyms."""
    if policy.names_days is None:
        return []
    long_ago = users.c.disabled_at < now - policy.names_days * DAY_S
    found = []
    with engine.connect() as connection:
        names = connection.scalars(sa.select(users.c.name).where(long_ago)).all()
    for name in names:
        with engine.begin() as connection:
            audit_log.take_turn(connection)
            found.append(forget(connection, name, Act(at=now)))
    return found


def _nameless(act: Act, name: str) -> Act:
    """Nobody forgets himself: the line would hold the name again."""
    if act.who == name:
        raise ConfigError(f"{name} cannot forget {name}: let another administrator do it")
    return act


@contextmanager
def _opened(connection: sa.Connection, table: sa.Table) -> Iterator[None]:
    """The table takes changes meanwhile."""
    if table.name not in APPEND_ONLY:
        yield
        return
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text(f'ALTER TABLE "{table.name}" DISABLE TRIGGER USER'))
        yield
        connection.execute(sa.text(f'ALTER TABLE "{table.name}" ENABLE TRIGGER USER'))
        return
    trigger = f"{table.name}_no_update"
    query = sa.text("SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name = :name")
    made = connection.scalar(query, {"name": trigger})
    connection.exec_driver_sql(f"DROP TRIGGER {trigger}")
    yield
    connection.exec_driver_sql(str(made))
