"""What challengers said of the units that they ran beside, and the runs of the one beside the other."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "second_words",
        sa.Column("case_id", sa.Text, sa.ForeignKey("cases.case_id", name="fk_second_words_case_id"), nullable=False),
        sa.Column("bundle_sha256", sa.Text, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("due_verdict", sa.Text),
        sa.Column("score", sa.Double),
        sa.Column("reason", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("case_id", name="pk_second_words"),
    )
    op.create_index("ix_second_words_bundle_sha256", "second_words", ["bundle_sha256"])
    op.create_table(
        "parallel_runs",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("champion", sa.Text, nullable=False),
        sa.Column("challenger", sa.Text, nullable=False),
        sa.Column("year", sa.Integer, nullable=False),
        sa.Column("alpha", sa.Double, nullable=False),
        sa.Column("rules", sa.LargeBinary, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("why", sa.Text, nullable=False, server_default=""),
        sa.Column("started_by", sa.Text, nullable=False),
        sa.Column("started_at", sa.Double, nullable=False),
        sa.Column("decided_at", sa.Double),
        sa.Column("result", sa.LargeBinary),
        sa.PrimaryKeyConstraint("id", name="pk_parallel_runs"),
    )
    op.create_index("ix_parallel_runs_state", "parallel_runs", ["state"])
    op.create_table(
        "parallel_places",
        sa.Column("run_id", sa.Integer, sa.ForeignKey("parallel_runs.id", name="fk_parallel_places_run_id")),
        sa.Column("site", sa.Text, nullable=False),
        sa.Column("station", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "site", "station", name="pk_parallel_places"),
    )
    op.create_index("ix_parallel_places_site", "parallel_places", ["site", "station"])


def downgrade() -> None:
    for table in ("parallel_places", "parallel_runs", "second_words"):
        op.drop_table(table)
