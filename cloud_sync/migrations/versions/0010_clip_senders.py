"""Which station sends a clip, and when something of it came last: for quotas, and for parts that never become whole."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
OWNER = "(SELECT min({0}) FROM cases WHERE cases.clip_sha256 = clips.sha256)"


def upgrade() -> None:
    op.add_column("clips", sa.Column("site", sa.Text))
    op.add_column("clips", sa.Column("station", sa.Text))
    op.add_column("clips", sa.Column("seen_at", sa.Double))
    op.create_index("ix_clips_station", "clips", ["site", "station", "state"])
    op.execute(f"UPDATE clips SET site = {OWNER.format('site')}, station = {OWNER.format('station')}")
    # Nobody knows when a part came last; a clip that goes by this begins again with its first one.
    op.execute(f"UPDATE clips SET seen_at = {OWNER.format('received_at')} WHERE state = 'partial'")


def downgrade() -> None:
    op.drop_index("ix_clips_station", "clips")
    for name in ("seen_at", "station", "site"):
        op.drop_column("clips", name)
