"""Database -> counts of units alike, for the statistics of agreement, value and human level; counted by the database.

A case that was drawn for review and has no settled truth stays in the counts, as drawn and unjudged.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec
import sqlalchemy as sa

from cloud_sync.config import ShiftConfig
from cloud_sync.estimates import Tally
from cloud_sync.human_level import Look
from cloud_sync.tables import cases, gold, reviews, truths, withdrawals
from cloud_sync.triage import EYE_OUTCOMES
from cloud_sync.value import Scored

DAY_S = 86_400
SETTLED = ("agreed", "adjudicated")
"""By more than one expert."""


class Choice(msgspec.Struct, frozen=True):
    """Which cases are counted; an empty text and None choose all. Times in UTC, seconds since 1970."""

    station: str = ""
    bundle_version: int | None = None
    started_from: float | None = None
    started_until: float | None = None


def tallies(
    connection: sa.Connection, choice: Choice, shifts: Sequence[ShiftConfig], *, inspectors: bool = False
) -> list[Tally]:
    """Every case that was chosen, by day, station, shift and what was said; by inspector only where asked for."""
    who = sa.func.coalesce(cases.c.inspector, "") if inspectors else sa.literal("")
    keys = {
        "day": _day(),
        "station": cases.c.station,
        "shift": _shift(shifts),
        "inspector": who,
        "verdict": cases.c.verdict,
        "decision": cases.c.decision,
    }
    return [Tally(**row) for row in _counted(connection, choice, keys)]


def scored(connection: sa.Connection, choice: Choice) -> list[Scored]:
    """Tested units with a score and a decision, by day and hundredth of the score."""
    keys = {
        "day": _day(),
        "score": sa.func.floor(100 * cases.c.score),
        "verdict": cases.c.verdict,
        "decision": cases.c.decision,
    }
    usable = [cases.c.score.isnot(None), cases.c.verdict != "not_tested", cases.c.decision.in_(("ok", "leak"))]
    return [Scored(**{**row, "score": int(row["score"])}) for row in _counted(connection, choice, keys, usable)]


def skills(connection: sa.Connection, choice: Choice, *, by: Literal["expert", "inspector", "role"]) -> list[Look]:
    """Single judgements on cases that more than one expert has seen, and inspectors' decisions on the same cases."""
    found = [] if by == "inspector" else _experts(connection, choice, named=by == "expert")
    return found if by == "expert" else found + _inspectors(connection, choice, named=by == "inspector")


def stations(connection: sa.Connection) -> list[str]:
    return list(connection.scalars(sa.select(cases.c.station).distinct().order_by(cases.c.station)))


def first_day(connection: sa.Connection) -> float | None:
    """When the first case began."""
    return connection.scalar(sa.select(sa.func.min(cases.c.started_at)))


def is_drawn() -> sa.ColumnElement[bool]:
    """For a review, by chance or because of what was said; others were judged because somebody picked them."""
    return sa.or_(cases.c.sampled_for != "none", cases.c.outcome.in_(EYE_OUTCOMES))


def is_unit() -> sa.ColumnElement[bool]:
    """No challenge part: somebody chose when to show that, so it stands for no unit."""
    return cases.c.sampled_for != "challenge"


def chance_of_draw() -> sa.ColumnElement[float]:
    """0..1, of a case to be drawn; what always is has 1, whatever its station says."""
    return sa.case((cases.c.outcome.in_(EYE_OUTCOMES), 1.0), else_=cases.c.sampled_probability)


def _counted(
    connection: sa.Connection, choice: Choice, keys: dict, conditions: Sequence[sa.ColumnElement[bool]] = ()
) -> list[dict]:
    drawn, chance = is_drawn(), chance_of_draw()
    inner = (
        sa.select(
            *(value.label(name) for name, value in keys.items()),
            sa.case((drawn, 1), else_=0).label("drawn"),
            sa.case((drawn, chance), else_=0.0).label("apart"),
            chance.label("chance"),
            sa.case((drawn, truths.c.judgement), else_=None).label("truth"),
        )
        .select_from(cases.outerjoin(truths, truths.c.case_id == cases.c.case_id))
        .where(is_unit(), *_conditions(choice), *conditions)
        .subquery()
    )
    alike = [inner.c[name] for name in (*keys, "drawn", "truth")]
    # Grouped by column of the subquery: two parameters of the same value are not the same to PostgreSQL.
    query = sa.select(
        *alike, sa.func.min(inner.c.chance).label("probability"), sa.func.count().label("units")
    ).group_by(*alike, inner.c.apart)
    return [_as_python(row) for row in connection.execute(query).mappings()]


def _as_python(row: sa.RowMapping) -> dict:
    return {**row, "day": int(row["day"]), "drawn": bool(row["drawn"]), "probability": float(row["probability"])}


def _conditions(choice: Choice) -> list[sa.ColumnElement[bool]]:
    found = []
    if choice.station:
        found.append(cases.c.station == choice.station)
    if choice.bundle_version is not None:
        found.append(cases.c.bundle_version == choice.bundle_version)
    if choice.started_from is not None:
        found.append(cases.c.started_at >= choice.started_from)
    if choice.started_until is not None:
        found.append(cases.c.started_at < choice.started_until)
    return found


def _day() -> sa.ColumnElement:
    return sa.func.floor(cases.c.started_at / DAY_S)


def _shift(shifts: Sequence[ShiftConfig]) -> sa.ColumnElement:
    """The name of the shift that began last; before the first of a day it is yesterday's last."""
    if not shifts:
        return sa.literal("")
    ordered = sorted(shifts, key=lambda shift: shift.start_s, reverse=True)
    second = cases.c.started_at - DAY_S * _day()
    return sa.case(*((second >= shift.start_s, shift.name) for shift in ordered), else_=ordered[0].name)


def _experts(connection: sa.Connection, choice: Choice, *, named: bool) -> list[Look]:
    query = (
        sa.select(reviews.c.reviewer, reviews.c.judgement, _truth(), sa.func.count().label("looks"))
        .select_from(reviews)
        .join(truths, truths.c.case_id == reviews.c.case_id)
        .join(cases, cases.c.case_id == reviews.c.case_id)
        .where(reviews.c.id.in_(_first_words("first", "second")), is_unit(), *_conditions(choice))
        .where(truths.c.state.in_((*SETTLED, "conflict")))
        .group_by(reviews.c.reviewer, reviews.c.judgement, truths.c.judgement)
    )
    rows = [*connection.execute(query), *connection.execute(_gold_looks(choice))]
    return _looks([(row[0] if named else "single expert", *row[1:]) for row in rows])


def _gold_looks(choice: Choice) -> sa.Select:
    """Judgements on cases whose truth was known before."""
    return (
        sa.select(reviews.c.reviewer, reviews.c.judgement, gold.c.truth, sa.func.count())
        .join(gold, gold.c.case_id == reviews.c.case_id)
        .join(cases, cases.c.case_id == reviews.c.case_id)
        .where(reviews.c.id.in_(_first_words("gold")), *_conditions(choice))
        .group_by(reviews.c.reviewer, reviews.c.judgement, gold.c.truth)
    )


def _first_words(*purposes: str) -> sa.Select:
    """Each expert's first judgement on a case that was blind and not taken back."""
    return (
        sa.select(sa.func.min(reviews.c.id))
        .outerjoin(withdrawals, withdrawals.c.review_id == reviews.c.id)
        .where(reviews.c.blind, reviews.c.purpose.in_(purposes), withdrawals.c.review_id.is_(None))
        .group_by(reviews.c.case_id, reviews.c.reviewer)
    )


def _inspectors(connection: sa.Connection, choice: Choice, *, named: bool) -> list[Look]:
    query = (
        sa.select(cases.c.inspector, cases.c.decision, _truth(), sa.func.count().label("looks"))
        .join(truths, truths.c.case_id == cases.c.case_id)
        .where(truths.c.state.in_((*SETTLED, "conflict")), cases.c.decision != "none")
        .where(is_unit(), *_conditions(choice))
        .group_by(cases.c.inspector, cases.c.decision, truths.c.judgement)
    )
    rows = connection.execute(query).all()
    return _looks([((row[0] or "not named") if named else "inspector", *row[1:]) for row in rows])


def _truth() -> sa.ColumnElement:
    return truths.c.judgement.label("truth")


def _looks(rows: Sequence[tuple]) -> list[Look]:
    """Cases of which experts agree that nobody can tell measure nobody."""
    return [Look(who, said, truth, looks) for who, said, truth, looks in rows if truth != "cannot_tell"]
