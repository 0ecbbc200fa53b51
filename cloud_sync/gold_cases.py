"""Gold: cases whose truth is known, mixed in to measure experts. A case becomes gold when experts agree on it, when a
third has settled it, or when it was a challenge; a retired one keeps what was said of it.
"""

from collections import defaultdict

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from cloud_sync import audit_log
from cloud_sync.tables import cases, challenge_runs, clips, gold, reviews, truths, withdrawals
from edge_agent.errors import ConfigError
from models import bounds

TRUTHS = ("leak", "ok")
SETTLED = ("agreed", "adjudicated")


class Known(msgspec.Struct, frozen=True):
    """One gold case and what experts said of it when it was mixed in."""

    case_id: str
    truth: str
    set_by: str
    set_at: float
    retired_at: float | None
    judged: int
    right: int


class Measured(msgspec.Struct, frozen=True):
    """One expert against gold; "cannot tell" is neither a miss nor a false alarm, but not right either."""

    expert: str
    leaks: int
    missed: int
    good: int
    alarms: int
    unsure: int
    most_missed: float | None
    """Upper bound of the miss rate, one-sided 95 % (Clopper and Pearson); None without a gold leak."""
    most_alarms: float | None


def declare(engine: Engine, case_id: str, truth: str, *, who: str, now: float) -> None:
    """The case is gold from now on, or again. Raises ConfigError where its truth is not known well enough."""
    with engine.begin() as connection:
        audit_log.take_turn(connection)
        _check(connection, case_id, truth)
        values = {"truth": truth, "set_by": who, "set_at": now, "retired_at": None}
        if connection.execute(sa.update(gold).where(gold.c.case_id == case_id).values(values)).rowcount == 0:
            connection.execute(sa.insert(gold).values(case_id=case_id, **values))
        audit_log.note(connection, who=who, did="gold_set", about=f"{case_id}: {truth}", now=now)


def retire(engine: Engine, case_id: str, *, who: str, now: float) -> None:
    """No longer mixed in; harmless where it is not gold."""
    active = (gold.c.case_id == case_id) & gold.c.retired_at.is_(None)
    with engine.begin() as connection:
        audit_log.take_turn(connection)
        if connection.execute(sa.update(gold).where(active).values(retired_at=now)).rowcount:
            audit_log.note(connection, who=who, did="gold_retired", about=case_id, now=now)


def every(connection: sa.Connection) -> list[Known]:
    """Every gold case, the latest first, retired ones last."""
    said: dict[str, list[bool]] = defaultdict(list)
    for row in connection.execute(_answers()):
        said[row.case_id].append(row.judgement == row.truth)
    rows = connection.execute(sa.select(gold).order_by(gold.c.retired_at.isnot(None), gold.c.set_at.desc()))
    return [Known(**row._mapping, judged=len(said[row.case_id]), right=sum(said[row.case_id])) for row in rows]


def experts(connection: sa.Connection) -> list[Measured]:
    """Each expert's first answers on gold cases, by name."""
    answers: dict[str, dict[str, list[str]]] = defaultdict(lambda: {"leak": [], "ok": []})
    for row in connection.execute(_answers()):
        answers[row.reviewer][row.truth].append(row.judgement)
    return [_measured(expert, said["leak"], said["ok"]) for expert, said in sorted(answers.items())]


def _measured(expert: str, leaks: list[str], good: list[str]) -> Measured:
    missed, alarms = leaks.count("ok"), good.count("leak")
    return Measured(
        expert=expert,
        leaks=len(leaks),
        missed=missed,
        good=len(good),
        alarms=alarms,
        unsure=[*leaks, *good].count("cannot_tell"),
        most_missed=bounds.upper(missed, len(leaks), bounds.CONFIDENCE),
        most_alarms=bounds.upper(alarms, len(good), bounds.CONFIDENCE),
    )


def _answers() -> sa.Select:
    """The first judgement of each expert on each gold case that was mixed in for him."""
    first = (
        sa.select(sa.func.min(reviews.c.id).label("id"))
        .outerjoin(withdrawals, withdrawals.c.review_id == reviews.c.id)
        .where(reviews.c.purpose == "gold", reviews.c.blind, withdrawals.c.review_id.is_(None))
        .group_by(reviews.c.case_id, reviews.c.reviewer)
    )
    return (
        sa.select(reviews.c.case_id, reviews.c.reviewer, reviews.c.judgement, gold.c.truth)
        .join(gold, gold.c.case_id == reviews.c.case_id)
        .where(reviews.c.id.in_(first))
    )


def _check(connection: sa.Connection, case_id: str, truth: str) -> None:
    if truth not in TRUTHS:
        raise ConfigError(f"truth {truth[:40]!r} is none: choose leak or ok")
    known = challenge_runs.c.truth.label("known")
    query = (
        sa.select(cases.c.sampled_for, clips.c.state, truths.c.judgement, truths.c.state.label("settled"), known)
        .outerjoin(clips, clips.c.sha256 == cases.c.clip_sha256)
        .outerjoin(challenge_runs, challenge_runs.c.case_id == cases.c.case_id)
        .outerjoin(truths, truths.c.case_id == cases.c.case_id)
    )
    row = connection.execute(query.where(cases.c.case_id == case_id)).first()
    if row is None:
        raise ConfigError(f"there is no case {case_id[:80]!r}: copy its name from the page of cases")
    if row.state != "stored":
        raise ConfigError(f"case {case_id} has no clip that could be shown: choose another one")
    if row.sampled_for != "challenge" and row.settled not in SETTLED:
        raise ConfigError(f"the truth of case {case_id} is not settled: let a second expert judge it first")
    if row.known not in (None, truth):
        raise ConfigError(
            f"case {case_id} showed a challenge part whose truth is {row.known}: it cannot be gold as {truth}"
        )
    if row.settled in SETTLED and row.judgement != truth:
        raise ConfigError(f"experts settled on {row.judgement} for case {case_id}: it cannot be gold as {truth}")
