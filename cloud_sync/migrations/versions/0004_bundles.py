"""Which bundles there are, and how each came to be what it is."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "bundles",
        sa.Column("sha256", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("manifest", sa.LargeBinary, nullable=False),
        sa.Column("parent_sha256", sa.Text),
        sa.Column("dataset_sha256", sa.Text),
        sa.Column("run_id", sa.Integer),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("added_by", sa.Text, nullable=False),
        sa.Column("added_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("sha256", name="pk_bundles"),
    )
    for column in ("parent_sha256", "dataset_sha256", "state"):
        op.create_index(f"ix_bundles_{column}", "bundles", [column])
    op.create_table(
        "bundle_states",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("sha256", sa.Text, sa.ForeignKey("bundles.sha256", name="fk_bundle_states_sha256"), nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_bundle_states"),
    )
    op.create_index("ix_bundle_states_sha256", "bundle_states", ["sha256"])
    _refuse_changes("bundle_states")


def downgrade() -> None:
    op.drop_table("bundle_states")
    op.drop_table("bundles")


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
