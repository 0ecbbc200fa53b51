"""Database -> what `certify` measures: the words that a station's line was told of its units, or would have been.

Where the words come from makes no difference: the champion's are in `cases`, a challenger's in `second_words`, and
either earns its certificate at the stations where it has judged.
"""

import msgspec
import sqlalchemy as sa

from cloud_sync import certify, tallies
from cloud_sync.certify import Challenge, Measured
from cloud_sync.tables import cases, challenge_runs, second_words

Place = tuple[str, str]
"""Site and station."""


class Subject(msgspec.Struct, frozen=True):
    """What a certificate is of."""

    place: Place
    bundle_sha256: str
    profile_sha256: str


def measured(connection: sa.Connection, subject: Subject) -> Measured:
    """Of a bundle that speaks or has spoken at a station; a challenger's by what it would have said there."""
    spoken = _told(cases.c.verdict, cases.c.due_verdict)
    where = [*_at(subject), cases.c.bundle_sha256 == subject.bundle_sha256]
    units = tallies.of_words(connection, cases, spoken, where)
    challenge = _challenge(connection, cases, spoken, where)
    beside = cases.join(second_words, second_words.c.case_id == cases.c.case_id)
    logged = _told(second_words.c.verdict, second_words.c.due_verdict)
    there = [*_at(subject), second_words.c.bundle_sha256 == subject.bundle_sha256]
    units += tallies.of_words(connection, beside, logged, there)
    return certify.measure(units, _sum(challenge, _challenge(connection, beside, logged, there)))


def profile_of(connection: sa.Connection, place: Place) -> str | None:
    """The station's profile by its latest case; None where it has none."""
    here = (cases.c.site == place[0]) & (cases.c.station == place[1])
    return connection.scalar(sa.select(cases.c.profile_sha256).where(here).order_by(cases.c.started_at.desc()).limit(1))


def _at(subject: Subject) -> list[sa.ColumnElement[bool]]:
    return [
        cases.c.site == subject.place[0],
        cases.c.station == subject.place[1],
        cases.c.profile_sha256 == subject.profile_sha256,
    ]


def _told(verdict: sa.ColumnElement, due: sa.ColumnElement) -> sa.ColumnElement:
    """A unit that was decided on before a word was due would have waited, whatever the machine said in the end."""
    waits = sa.case((verdict == "not_tested", "not_tested"), else_="uncertain")
    return sa.func.coalesce(due, waits)


def _challenge(
    connection: sa.Connection, source: sa.FromClause, word: sa.ColumnElement, where: list[sa.ColumnElement[bool]]
) -> Challenge:
    """Answers on parts of known truth; what was not answered waited, and counts for nobody."""
    runs = challenge_runs.c
    shown = source.join(challenge_runs, runs.case_id == cases.c.case_id)
    query = sa.select(runs.truth, word.label("word"), sa.func.count()).select_from(shown).where(*where)
    counts = {(truth, said): number for truth, said, number in connection.execute(query.group_by(runs.truth, "word"))}
    answered = sa.select(sa.func.count(sa.distinct(runs.part_id))).select_from(shown)
    parts = connection.scalar(answered.where(*where, runs.truth == "leak", word.in_(("ok", "leak"))))
    missed, alarms = counts.get(("leak", "ok"), 0), counts.get(("ok", "leak"), 0)
    return Challenge(
        leaky=missed + counts.get(("leak", "leak"), 0),
        missed=missed,
        good=alarms + counts.get(("ok", "ok"), 0),
        false_alarms=alarms,
        parts=parts or 0,
    )


def _sum(one: Challenge, other: Challenge) -> Challenge:
    """Runs add up; the parts are the same ones."""
    pairs = zip(msgspec.structs.astuple(one), msgspec.structs.astuple(other), strict=True)
    both = Challenge(*(first + second for first, second in pairs))
    return msgspec.structs.replace(both, parts=max(one.parts, other.parts))
