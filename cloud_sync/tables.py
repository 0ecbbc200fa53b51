"""The cloud's tables. `db` opens them; migrations/ makes them; a test holds the two together.

What experts said, what followed from it and the audit log are only ever added to; the database itself refuses to
change them.
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
APPEND_ONLY = (
    "reviews",
    "withdrawals",
    "points",
    "examples",
    "standards",
    "audit",
    "audit_heads",
    "bundle_states",
    "challenge_runs",
    "rollout_events",
    "mode_orders",
)


def _key() -> sa.Column:
    return sa.Column("id", sa.Integer, primary_key=True)


def _text(name: str, *, null: bool = False, index: bool = False, default: str | None = None) -> sa.Column:
    return sa.Column(name, sa.Text, nullable=null, index=index, server_default=default)


def _number(name: str, *, null: bool = False, default: str | None = None) -> sa.Column:
    return sa.Column(name, sa.Integer, nullable=null, server_default=default)


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
    _time("started_at"),
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
    sa.Column("clarity", sa.Double),  # of the water, 0..1
    sa.Column("light_levels", sa.Double),  # grey level of the water: the light from behind
    _text("serial", null=True),
    _text("inspector", null=True),  # a pseudonym, where the station sends one
    sa.Column("smallest_leak_std_cm3_s", sa.Double),  # the smallest leak that would have shown
    _text("due_verdict", null=True),  # what the line was told or would have been
    sa.Column("group_id", sa.BigInteger),  # of case_groups: cases are added by `intake`, which counts them there
    sa.Index("ix_cases_station_sequence", "site", "station", "sequence"),
    sa.Index("ix_cases_started", "started_at", "case_id"),
    sa.Index("ix_cases_group", "group_id", "started_at", "case_id"),
    sa.Index("ix_cases_serial", "serial", postgresql_ops={"serial": "text_pattern_ops"}),
    # SQLite compares text byte by byte and finds the beginning of an id by the primary key.
    sa.Index("ix_cases_id_begins", "case_id", postgresql_ops={"case_id": "text_pattern_ops"}).ddl_if("postgresql"),
)

case_groups = sa.Table(
    # Cases that are alike in everything that has few values, and how many there are: counts and rare answers in a
    # million cases cost what they cost in a thousand. Kept up by `intake`, with the cases.
    "case_groups",
    metadata,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),  # from the hash of what follows
    _text("site"),
    _text("station"),
    _text("verdict"),
    _text("decision"),
    _text("decided_by"),
    _text("outcome"),
    _text("sampled_for"),
    _number("bundle_version"),
    _text("bundle_sha256"),
    _text("profile_sha256", null=True),
    _number("clarity_tenths", null=True),  # clarity in tenths, rounded down
    _number("cases"),
    _time("first_at"),  # their earliest and latest started_at
    _time("last_at"),
    sa.Index("ix_case_groups_station", "station", "site"),
    sa.Index("ix_case_groups_clarity", "clarity_tenths", "decided_by", "decision", "verdict"),
    sa.Index("ix_case_groups_bundle", "bundle_sha256"),
    sa.Index("ix_case_groups_words", "verdict", "decision", "decided_by", "outcome"),
)

_OPEN = sa.text("state != 'judged'")
looks = sa.Table(
    # One wanted judgement of a case: who is to look, why, in which order, and what became of it.
    "looks",
    metadata,
    _key(),
    sa.Column("case_id", sa.Text, sa.ForeignKey("cases.case_id"), nullable=False, index=True),
    _text("purpose"),  # first, second, adjudication, gold
    _text("lane"),  # value, audit, gold: from which of them it is drawn
    _text("state"),  # coming (its clip), waiting, bare (no clip will come), judged
    _number("day"),  # days since 1970 on which it was wanted
    sa.Column("rank", sa.Double, nullable=False),  # the smallest of a day comes first: minus the judgement's value
    _time("wanted_at"),
    _text("reserved_by", null=True),
    _time("reserved_until", null=True),
    _number("review_id", null=True),
    _time("revealed_at", null=True),  # when the expert saw what others said
    sa.Index("ix_looks_queue", "state", "lane", "day", "rank", "id"),
    sa.Index("ix_looks_reserved", "reserved_by", "state"),
    # The list of those that wait, by arrival, however many were judged before them.
    sa.Index("ix_looks_open", "id", sqlite_where=_OPEN, postgresql_where=_OPEN),
)

truths = sa.Table(
    # What counts as true of a case now: follows from its reviews (`settling`), kept so that nobody has to add them up.
    "truths",
    metadata,
    sa.Column("case_id", sa.Text, sa.ForeignKey("cases.case_id"), primary_key=True),
    _text("judgement", null=True),  # None while experts disagree
    _text("state", index=True),  # single, agreed, conflict, adjudicated, withdrawn
    _number("review_id", null=True),  # the one whose details count
    _time("at", index=True),
    _time("started_at", null=True),  # the case's, so that a search by what experts say goes on in the order of time
    sa.Index("ix_truths_judged", "judgement", "started_at", "case_id"),
)

counters = sa.Table(
    # Sums that pages show, kept up with each change.
    "counters",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    _number("value"),
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
    _text("site", null=True),  # who sends it, as the topic says
    _text("station", null=True),
    _time("seen_at", null=True),  # when its manifest or a part of it came last
    sa.Index("ix_clips_station", "site", "station", "state"),
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
    _number("epoch", default="0"),  # goes up with each new password or role: older sessions end
    _text("subject", null=True),  # who this is to the company's own provider (OIDC: issuer and sub)
    _time("disabled_at", null=True),
)

sessions = sa.Table(
    # Who is signed in where: a cookie whose row is gone is nobody's, however well it is signed.
    "sessions",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    _text("name"),
    _time("began_at"),
    _text("address"),
    _text("browser"),  # as it calls itself
)

tokens = sa.Table(
    # Bearer tokens for /api/v1; only their hash is kept.
    "tokens",
    metadata,
    _key(),
    _text("name"),
    sa.Column("sha256", sa.Text, nullable=False, unique=True),
    _text("role"),
    _text("made_by"),
    _time("made_at"),
    _time("expires_at"),
    _time("revoked_at", null=True),
    _time("used_at", null=True),
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
    _text("purpose", default="first"),  # of the look that asked for it
    sa.Column("blind", sa.Boolean, nullable=False, server_default=sa.true()),  # nothing was revealed to this expert yet
    sa.Column("took_s", sa.Double),  # from the first picture to the judgement
    sa.UniqueConstraint("case_id", "revision"),
    sa.Index("ix_reviews_reviewer", "reviewer", "at"),
)

withdrawals = sa.Table(
    # Taken back within seconds, before anything was revealed: a slip of the finger.
    "withdrawals",
    metadata,
    sa.Column("review_id", sa.Integer, sa.ForeignKey("reviews.id"), primary_key=True),
    _time("at"),
)

shown = sa.Table(
    # Who opened a case's own page, with verdict and decision, and may judge: from then on no word of theirs is blind.
    "shown",
    metadata,
    sa.Column("case_id", sa.Text, sa.ForeignKey("cases.case_id"), primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    _time("at"),
)

points = sa.Table(
    # Where an expert says that bubbles come from, in the tank view.
    "points",
    metadata,
    _key(),
    sa.Column("review_id", sa.Integer, sa.ForeignKey("reviews.id"), nullable=False, index=True),
    sa.Column("x_px", sa.Double, nullable=False),
    sa.Column("y_px", sa.Double, nullable=False),
    _number("frame"),
    sa.Column("time_s", sa.Double, nullable=False),
)

kinds = sa.Table(
    # The vocabulary of what is seen; an administrator adds to it.
    "kinds",
    metadata,
    sa.Column("judgement", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    _text("words"),
    _number("place"),
    _time("retired_at", null=True),
)

gold = sa.Table(
    # Cases whose truth is known, by which experts are measured.
    "gold",
    metadata,
    sa.Column("case_id", sa.Text, sa.ForeignKey("cases.case_id"), primary_key=True),
    _text("truth"),
    _text("set_by"),
    _time("set_at"),
    _time("retired_at", null=True),
)

tags = sa.Table(
    # What somebody wants to find a case by again.
    "tags",
    metadata,
    _key(),
    sa.Column("case_id", sa.Text, sa.ForeignKey("cases.case_id"), nullable=False, index=True),
    _text("tag", index=True),
    _text("added_by"),
    _time("added_at"),
    _time("removed_at", null=True),
)

sent = sa.Table(
    # Cases that somebody sent to training, whatever the pool's draw says.
    "sent",
    metadata,
    sa.Column("case_id", sa.Text, sa.ForeignKey("cases.case_id"), primary_key=True),
    _text("sent_by"),
    _text("reason"),
    _time("sent_at"),
)

standards = sa.Table(
    # The labelling standard: how to judge what experts once disagreed on. The latest text on a subject holds.
    "standards",
    metadata,
    _key(),
    _text("subject", index=True),
    _text("text"),
    _text("written_by"),
    _time("at"),
)

studies = sa.Table(
    # Attribute agreement studies (AIAG).
    "studies",
    metadata,
    _key(),
    _text("name"),
    sa.Column("plan", sa.LargeBinary, nullable=False),  # JSON
    _text("made_by"),
    _time("made_at"),
    _time("closed_at", null=True),
)

study_parts = sa.Table(
    "study_parts",
    metadata,
    sa.Column("study_id", sa.Integer, sa.ForeignKey("studies.id"), primary_key=True),
    sa.Column("part", sa.Integer, primary_key=True),
    sa.Column("case_id", sa.Text, sa.ForeignKey("cases.case_id"), nullable=False),
    _text("truth"),
    sa.Column("borderline", sa.Boolean, nullable=False),
)

study_trials = sa.Table(
    "study_trials",
    metadata,
    _key(),
    sa.Column("study_id", sa.Integer, sa.ForeignKey("studies.id"), nullable=False),
    _number("part"),
    _text("appraiser"),
    _number("trial"),
    _number("place"),  # in the appraiser's own random order
    _text("judgement", null=True),
    _time("judged_at", null=True),
    sa.UniqueConstraint("study_id", "appraiser", "part", "trial"),
)

desired = sa.Table(
    # What each device is asked to be and to send: the retained message, and the counter that only rises.
    "desired",
    metadata,
    sa.Column("site", sa.Text, primary_key=True),
    sa.Column("station", sa.Text, primary_key=True),
    _number("counter"),
    sa.Column("payload", sa.LargeBinary, nullable=False),  # JSON
    _text("changed_by"),
    _time("changed_at"),
    _time("sent_at", null=True),
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
    _text("policy_sha256", null=True),  # of the policy file that drew it
    sa.Column("statistics", sa.LargeBinary),  # JSON: what drift is measured against
    sa.UniqueConstraint("name", "version"),
)

members = sa.Table(
    "dataset_members",
    metadata,
    sa.Column("dataset_id", sa.Integer, sa.ForeignKey("datasets.id"), primary_key=True),
    sa.Column("example_id", sa.Integer, sa.ForeignKey("examples.id"), primary_key=True),
    _text("split"),
)

bundles = sa.Table(
    # Every bundle that the cloud knows; its file lies in data_dir/bundles/.
    "bundles",
    metadata,
    sa.Column("sha256", sa.Text, primary_key=True),  # of the file
    _number("version"),
    _text("name"),
    _text("scope"),  # general, site/<site> or station/<site>/<station>: for whom it was made
    sa.Column("manifest", sa.LargeBinary, nullable=False),  # its manifest.json
    _text("parent_sha256", null=True, index=True),
    _text("dataset_sha256", null=True, index=True),
    _number("run_id", null=True),  # of the training run that made it
    _text("state", index=True),  # the latest of bundle_states
    _text("added_by"),
    _time("added_at"),
)

bundle_states = sa.Table(
    # How a bundle came to be what it is: candidate, challenger, champion, retired.
    "bundle_states",
    metadata,
    _key(),
    sa.Column("sha256", sa.Text, sa.ForeignKey("bundles.sha256"), nullable=False, index=True),
    _text("state"),
    _text("reason"),
    _text("who"),
    _time("at"),
)

challenge_parts = sa.Table(
    # Parts of known truth, known by their serial. Only `retired_*` is ever written a second time.
    "challenge_parts",
    metadata,
    _key(),
    _text("site"),
    _text("station", null=True),  # where it is due; None: at every station of the site
    _text("serial"),
    _text("truth"),  # leak, ok
    sa.Column("leak_std_cm3_s", sa.Double),  # as calibrated
    _text("registered_by"),
    _time("registered_at"),
    _text("retired_by", null=True),
    _time("retired_at", null=True),
    sa.Index("ix_challenge_parts_serial", "site", "serial"),
    sa.Index(
        "uq_challenge_parts_active",
        "site",
        "serial",
        unique=True,
        sqlite_where=sa.text("retired_at IS NULL"),
        postgresql_where=sa.text("retired_at IS NULL"),
    ),
)

challenge_runs = sa.Table(
    # What stations and inspectors said of challenge parts: a row a case, with the truth as it was registered then.
    "challenge_runs",
    metadata,
    sa.Column("case_id", sa.Text, sa.ForeignKey("cases.case_id"), primary_key=True),
    sa.Column("part_id", sa.Integer, sa.ForeignKey("challenge_parts.id"), nullable=False, index=True),
    _text("site"),
    _text("station"),
    _text("serial"),
    _text("truth"),
    sa.Column("leak_std_cm3_s", sa.Double),
    _text("boot_id"),
    _number("sequence"),
    _time("started_at"),
    _text("verdict"),
    _text("disposition", null=True),  # what the line was told, where the machine told it anything
    _text("decision"),  # the inspector's; none where no human decided
    _text("result"),  # passed, missed, false_alarm, repeat: of the machine's words
    _time("noted_at"),
    sa.Index("ix_challenge_runs_station", "site", "station", "started_at"),
)

rollouts = sa.Table(
    # Moving devices to a bundle in steps: the plan, and the whole of the rollout as `rollout_state` knows it.
    "rollouts",
    metadata,
    _key(),
    sa.Column("bundle_sha256", sa.Text, sa.ForeignKey("bundles.sha256"), nullable=False, index=True),
    sa.Column("plan", sa.LargeBinary, nullable=False),  # JSON
    sa.Column("record", sa.LargeBinary, nullable=False),  # JSON
    _text("state", index=True),  # the record's
    _number("revision"),  # of the record: whoever decides on an older one has come too late
    _text("begun_by"),
    _text("reason"),
    _time("begun_at"),
    _time("changed_at"),
)

rollout_events = sa.Table(
    "rollout_events",
    metadata,
    _key(),
    sa.Column("rollout_id", sa.Integer, sa.ForeignKey("rollouts.id"), nullable=False, index=True),
    _text("kind"),
    _text("site", null=True),  # None: of the whole rollout
    _text("station", null=True),
    _text("words"),
    _text("who"),
    _time("at"),
)

device_health = sa.Table(
    # The latest metrics of each device.
    "device_health",
    metadata,
    sa.Column("site", sa.Text, primary_key=True),
    sa.Column("station", sa.Text, primary_key=True),
    sa.Column("metrics", sa.LargeBinary, nullable=False),  # the message, JSON
    _time("at"),  # when it came
)

device_alarms = sa.Table(
    # Active ones; an alarm that ends is taken out.
    "device_alarms",
    metadata,
    sa.Column("site", sa.Text, primary_key=True),
    sa.Column("station", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    _text("priority"),
    sa.Column("alarm", sa.LargeBinary, nullable=False),  # the message, JSON
    _time("first_at"),  # when the cloud first heard of it
)

second_words = sa.Table(
    # What the challenger said of a unit of which the champion spoke.
    "second_words",
    metadata,
    sa.Column("case_id", sa.Text, sa.ForeignKey("cases.case_id"), primary_key=True),
    _text("bundle_sha256", index=True),
    _text("verdict"),
    sa.Column("due_verdict", sa.Text),  # what the line would have been told by then; NULL: no word was due
    sa.Column("score", sa.Double),
    _text("reason"),
)

parallel_runs = sa.Table(
    # A challenger beside a champion, from its start to what came of it.
    "parallel_runs",
    metadata,
    _key(),
    _text("champion"),  # hashes of the bundles
    _text("challenger"),
    _number("year"),  # UTC, in which it began
    sa.Column("alpha", sa.Double, nullable=False),  # of the year's chance of a wrong promotion
    sa.Column("rules", sa.LargeBinary, nullable=False),  # JSON: policy.Promotion as it was at the start
    _text("state", index=True),  # running, won, lost, futile, stopped
    _text("why", default=""),
    _text("started_by"),
    _time("started_at"),
    _time("decided_at", null=True),
    sa.Column("result", sa.LargeBinary),  # JSON: promotion.Evidence as it was when it ended
)

parallel_places = sa.Table(
    "parallel_places",
    metadata,
    sa.Column("run_id", sa.Integer, sa.ForeignKey("parallel_runs.id"), primary_key=True),
    sa.Column("site", sa.Text, primary_key=True),
    sa.Column("station", sa.Text, primary_key=True),
    _number("number"),  # of the station's challengers of that year
    sa.Index("ix_parallel_places_site", "site", "station"),
)

mode_orders = sa.Table(
    # How much a station may decide: what was ordered, by whom and why. The payload is signed and delivered.
    "mode_orders",
    metadata,
    _key(),
    _text("site"),
    _text("station"),
    _text("mode"),
    _number("counter"),
    sa.Column("payload", sa.LargeBinary, nullable=False),  # the ModeOrder, JSON
    _text("reason"),
    _text("who"),
    _time("at"),
    sa.UniqueConstraint("site", "station", "counter"),
)

runs = sa.Table(
    # Training runs: what was asked for, how far it is, what came of it.
    "runs",
    metadata,
    _key(),
    _text("state", index=True),  # queued, checking, training, evaluating, done, failed, skipped
    _text("scope"),  # as of bundles
    _text("want", index=True),  # hash over scope, manifest, code and recipes: there is one run of each; empty = not yet
    _text("dataset", null=True),
    _number("dataset_version", null=True),
    _text("dataset_sha256", null=True),  # of the manifest that it was trained on: a scope has its own part
    _text("parent_sha256", null=True),
    _text("recipes"),  # their names, by commas; empty = all of them compete
    _text("code", null=True),  # models.code_version.of_training
    _number("seed"),
    sa.Column("settings", sa.LargeBinary, nullable=False),  # JSON
    _text("started_by"),
    _text("why"),
    sa.Column("metrics", sa.LargeBinary),  # JSON
    _text("bundle_sha256", null=True, index=True),
    _time("queued_at"),
    _time("started_at", null=True),
    _time("ended_at", null=True),
    _text("progress"),
    sa.Column("share", sa.Double, nullable=False),  # of the work that is done, 0..1
    _text("fault", null=True),
)

evaluated = sa.Table(
    # What a bundle said of each case that a run evaluated it on.
    "evaluated",
    metadata,
    sa.Column("run_id", sa.Integer, sa.ForeignKey("runs.id"), primary_key=True),
    sa.Column("bundle_sha256", sa.Text, primary_key=True, index=True),
    sa.Column("source", sa.Text, primary_key=True),  # a case's id, or a recording of the twin
    _text("part"),  # random, chosen, twin: how its cases came to be
    _text("label"),
    _text("verdict"),
    sa.Column("score", sa.Double),
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
    _text("hash"),  # over the hash before it and this line: what was written cannot be changed unnoticed
)

audit_end = sa.Table(
    # The one row that writers of the audit log take turns at.
    "audit_end",
    metadata,
    _key(),
    _number("last_id"),
    _text("hash"),
)

audit_heads = sa.Table(
    # Ends of the audit log that were published, so that a shortened log shows.
    "audit_heads",
    metadata,
    _key(),
    _time("at"),
    _number("last_id"),
    _text("hash"),
)
