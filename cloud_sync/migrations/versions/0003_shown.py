"""Who was shown a case's verdict elsewhere than by judging it."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "shown",
        sa.Column("case_id", sa.Text, sa.ForeignKey("cases.case_id", name="fk_shown_case_id"), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("case_id", "name", name="pk_shown"),
    )


def downgrade() -> None:
    op.drop_table("shown")
