"""Challenge parts, and what stations said of them."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
ACTIVE = sa.text("retired_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "challenge_parts",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("site", sa.Text, nullable=False),
        sa.Column("station", sa.Text),
        sa.Column("serial", sa.Text, nullable=False),
        sa.Column("truth", sa.Text, nullable=False),
        sa.Column("leak_std_cm3_s", sa.Double),
        sa.Column("registered_by", sa.Text, nullable=False),
        sa.Column("registered_at", sa.Double, nullable=False),
        sa.Column("retired_by", sa.Text),
        sa.Column("retired_at", sa.Double),
        sa.PrimaryKeyConstraint("id", name="pk_challenge_parts"),
    )
    op.create_index("ix_challenge_parts_serial", "challenge_parts", ["site", "serial"])
    op.create_index(
        "uq_challenge_parts_active",
        "challenge_parts",
        ["site", "serial"],
        unique=True,
        sqlite_where=ACTIVE,
        postgresql_where=ACTIVE,
    )
    _create_runs()
    _refuse_changes("challenge_runs")


def downgrade() -> None:
    op.drop_table("challenge_runs")
    op.drop_table("challenge_parts")


def _create_runs() -> None:
    op.create_table(
        "challenge_runs",
        sa.Column("case_id", sa.Text, sa.ForeignKey("cases.case_id", name="fk_challenge_runs_case_id"), nullable=False),
        sa.Column(
            "part_id",
            sa.Integer,
            sa.ForeignKey("challenge_parts.id", name="fk_challenge_runs_part_id"),
            nullable=False,
        ),
        sa.Column("site", sa.Text, nullable=False),
        sa.Column("station", sa.Text, nullable=False),
        sa.Column("serial", sa.Text, nullable=False),
        sa.Column("truth", sa.Text, nullable=False),
        sa.Column("leak_std_cm3_s", sa.Double),
        sa.Column("boot_id", sa.Text, nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("started_at", sa.Double, nullable=False),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("disposition", sa.Text),
        sa.Column("decision", sa.Text, nullable=False),
        sa.Column("result", sa.Text, nullable=False),
        sa.Column("noted_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("case_id", name="pk_challenge_runs"),
    )
    op.create_index("ix_challenge_runs_part_id", "challenge_runs", ["part_id"])
    op.create_index("ix_challenge_runs_station", "challenge_runs", ["site", "station", "started_at"])


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
