"""Training runs, and what bundles said of the cases that a run evaluated them on."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("want", sa.Text, nullable=False),
        sa.Column("dataset", sa.Text),
        sa.Column("dataset_version", sa.Integer),
        sa.Column("dataset_sha256", sa.Text),
        sa.Column("parent_sha256", sa.Text),
        sa.Column("recipes", sa.Text, nullable=False),
        sa.Column("code", sa.Text),
        sa.Column("seed", sa.Integer, nullable=False),
        sa.Column("settings", sa.LargeBinary, nullable=False),
        sa.Column("started_by", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("metrics", sa.LargeBinary),
        sa.Column("bundle_sha256", sa.Text),
        sa.Column("queued_at", sa.Double, nullable=False),
        sa.Column("started_at", sa.Double),
        sa.Column("ended_at", sa.Double),
        sa.Column("progress", sa.Text, nullable=False),
        sa.Column("share", sa.Double, nullable=False),
        sa.Column("fault", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
    )
    for column in ("state", "want", "bundle_sha256"):
        op.create_index(f"ix_runs_{column}", "runs", [column])
    op.create_table(
        "evaluated",
        sa.Column("run_id", sa.Integer, sa.ForeignKey("runs.id", name="fk_evaluated_run_id"), nullable=False),
        sa.Column("bundle_sha256", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("part", sa.Text, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("score", sa.Double),
        sa.PrimaryKeyConstraint("run_id", "bundle_sha256", "source", name="pk_evaluated"),
    )
    op.create_index("ix_evaluated_bundle_sha256", "evaluated", ["bundle_sha256"])


def downgrade() -> None:
    op.drop_table("evaluated")
    op.drop_table("runs")
