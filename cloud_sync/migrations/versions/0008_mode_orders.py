"""What stations may decide, and the words that lines were told or would have been."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "mode_orders",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("site", sa.Text, nullable=False),
        sa.Column("station", sa.Text, nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("counter", sa.Integer, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_mode_orders"),
        sa.UniqueConstraint("site", "station", "counter", name="uq_mode_orders_site"),
    )
    _refuse_changes("mode_orders")
    op.add_column("cases", sa.Column("due_verdict", sa.Text))


def downgrade() -> None:
    op.drop_column("cases", "due_verdict")
    op.drop_table("mode_orders")


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
