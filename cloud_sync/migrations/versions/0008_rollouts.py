"""Rollouts and their events, and what devices say of their health."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0006"


def upgrade() -> None:
    op.create_index("ix_case_groups_bundle", "case_groups", ["bundle_sha256"])
    op.create_table(
        "rollouts",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column(
            "bundle_sha256", sa.Text, sa.ForeignKey("bundles.sha256", name="fk_rollouts_bundle_sha256"), nullable=False
        ),
        sa.Column("plan", sa.LargeBinary, nullable=False),
        sa.Column("record", sa.LargeBinary, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("begun_by", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("begun_at", sa.Double, nullable=False),
        sa.Column("changed_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_rollouts"),
    )
    for column in ("bundle_sha256", "state"):
        op.create_index(f"ix_rollouts_{column}", "rollouts", [column])
    op.create_table(
        "rollout_events",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column(
            "rollout_id", sa.Integer, sa.ForeignKey("rollouts.id", name="fk_rollout_events_rollout_id"), nullable=False
        ),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("site", sa.Text),
        sa.Column("station", sa.Text),
        sa.Column("words", sa.Text, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_rollout_events"),
    )
    op.create_index("ix_rollout_events_rollout_id", "rollout_events", ["rollout_id"])
    _refuse_changes("rollout_events")
    op.create_table(
        "device_health",
        sa.Column("site", sa.Text, nullable=False),
        sa.Column("station", sa.Text, nullable=False),
        sa.Column("metrics", sa.LargeBinary, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("site", "station", name="pk_device_health"),
    )
    op.create_table(
        "device_alarms",
        sa.Column("site", sa.Text, nullable=False),
        sa.Column("station", sa.Text, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("priority", sa.Text, nullable=False),
        sa.Column("alarm", sa.LargeBinary, nullable=False),
        sa.Column("first_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("site", "station", "id", name="pk_device_alarms"),
    )


def downgrade() -> None:
    for table in ("device_alarms", "device_health", "rollout_events", "rollouts"):
        op.drop_table(table)
    op.drop_index("ix_case_groups_bundle", "case_groups")


def _refuse_changes(table: str) -> None:
    """PostgreSQL has the function `only_added_to` since 0002."""
    if op.get_bind().dialect.name == "postgresql":
        for name, when in (("change", "UPDATE OR DELETE ON {} FOR EACH ROW"), ("truncate", "TRUNCATE ON {}")):
            op.execute(f"CREATE TRIGGER {table}_no_{name} BEFORE {when.format(table)} EXECUTE FUNCTION only_added_to()")
        return
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} are only added to'); END"
        )
