"""The cloud's tables. `db` opens them; migrations/ makes them; a test holds the two together.

Reviews, examples and the audit log are only ever added to; the database itself refuses to change them.
"""

import sqlalchemy as sa

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)
APPEND_ONLY = ("reviews", "examples", "audit")


def _key() -> sa.Column:
    return sa.Column("id", sa.Integer, primary_key=True)


def _text(name: str, *, null: bool = False, index: bool = False) -> sa.Column:
    return sa.Column(name, sa.Text, nullable=null, index=index)


def _number(name: str, *, null: bool = False) -> sa.Column:
    return sa.Column(name, sa.Integer, nullable=null)


def _time(name: str, *, null: bool = False, index: bool = False) -> sa.Column:
    """UTC, seconds since 1970."""
    return sa.Column(name, sa.Double, nullable=null, index=index)


stations = sa.Table(
    "stations",
    metadata,
    sa.Column("site", sa.Text, primary_key=True),
    sa.Column("station", sa.Text, primary_key=True),
    _text("status", null=True),  # the retained status message, JSON
    _time("seen_at"),
)

cases = sa.Table(
    "cases",
    metadata,
    sa.Column("case_id", sa.Text, primary_key=True),
    _text("sha256"),
    sa.Column("payload", sa.LargeBinary, nullable=False),
    _text("site"),
    _text("station"),
    _text("boot_id"),
    _number("sequence"),
    _time("started_at", index=True),
    _time("ended_at"),
    sa.Column("usable_s", sa.Double, nullable=False),
    _text("verdict"),
    sa.Column("score", sa.Double),
    _text("decision"),
    _text("decided_by"),
    _text("outcome"),
    _text("sampled_for", index=True),
    sa.Column("sampled_probability", sa.Double, nullable=False),
    _number("bundle_version"),
    _text("bundle_sha256"),
    _text("profile_sha256", null=True),
    _text("clip_sha256", null=True, index=True),
    _number("clip_bytes", null=True),
    _time("received_at"),
    sa.Index("ix_cases_station_sequence", "site", "station", "sequence"),
)

clips = sa.Table(
    "clips",
    metadata,
    sa.Column("sha256", sa.Text, primary_key=True),
    _text("state"),  # partial, stored
    _text("case_id"),
    _number("bytes"),
    _number("parts"),
    _number("part_bytes"),
    _number("next_part"),
    _time("stored_at", null=True),
)

gaps = sa.Table(
    "gaps",
    metadata,
    _key(),
    _text("site"),
    _text("station"),
    _number("first"),
    _number("last"),
    _time("noticed_at"),
    _time("closed_at", null=True),
    sa.Index("ix_gaps_station", "site", "station"),
)

dead_letters = sa.Table(
    "dead_letters",
    metadata,
    _key(),
    _text("topic"),
    _text("sha256"),
    _text("reason"),
    _number("bytes"),
    sa.Column("payload", sa.LargeBinary, nullable=False),  # its beginning
    _number("count"),
    _time("first_at"),
    _time("last_at"),
    sa.UniqueConstraint("topic", "sha256"),
)

users = sa.Table(
    "users",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    _text("password"),  # argon2id
    _text("role"),
    _time("created_at"),
)

reviews = sa.Table(
    "reviews",
    metadata,
    _key(),
    sa.Column("case_id", sa.Text, sa.ForeignKey("cases.case_id"), nullable=False),
    _number("revision"),
    _text("reviewer"),
    _text("judgement"),
    _text("seen", null=True),
    sa.Column("familiar", sa.Boolean),
    _text("note"),
    _text("clip_sha256", null=True),
    _time("at"),
    sa.UniqueConstraint("case_id", "revision"),
)

examples = sa.Table(
    "examples",
    metadata,
    _key(),
    sa.Column("review_id", sa.Integer, sa.ForeignKey("reviews.id"), nullable=False, unique=True),
    sa.Column("case_id", sa.Text, sa.ForeignKey("cases.case_id"), nullable=False, index=True),
    _text("label"),
    _text("split"),
    _text("clip_sha256"),
)

datasets = sa.Table(
    "datasets",
    metadata,
    _key(),
    _text("name"),
    _number("version"),
    _text("sha256"),
    sa.Column("manifest", sa.LargeBinary, nullable=False),
    _time("created_at"),
    sa.UniqueConstraint("name", "version"),
)

members = sa.Table(
    "dataset_members",
    metadata,
    sa.Column("dataset_id", sa.Integer, sa.ForeignKey("datasets.id"), primary_key=True),
    sa.Column("example_id", sa.Integer, sa.ForeignKey("examples.id"), primary_key=True),
    _text("split"),
)

audit = sa.Table(
    "audit",
    metadata,
    _key(),
    _time("at", index=True),
    _text("who"),
    _text("address"),
    _text("did"),
    _text("about"),
)
