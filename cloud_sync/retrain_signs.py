"""The database -> what the triggers are asked about, and how each station's champion does."""

import sqlalchemy as sa

from cloud_sync import first_champion, runs
from cloud_sync.policy import Policy
from cloud_sync.retrain_triggers import Answers, Signs
from cloud_sync.scopes import AtStation
from cloud_sync.tables import cases, truths

DAY_S = 86_400.0
LATELY_S, BEFORE_S = 7 * DAY_S, 35 * DAY_S
"""Agreement of the last week is held against that of the four weeks before it."""
WATCHED_S = 30 * DAY_S
"""So far back a station's errors count against its champion."""
ANSWERS = ("leak", "ok")


def of_general(
    connection: sa.Connection, policy: Policy, now: float, *, code: str, drift: tuple[str, ...] = ()
) -> Signs:
    """`drift`: alarms that stand, in words."""
    last, champion = runs.latest(connection, "general"), first_champion.of_scope(connection, "general")
    made_by = runs.find(connection, champion.run_id) if champion and champion.run_id else None
    return Signs(
        now=now,
        last_run_at=last.queued_at if last else None,
        new_examples=_judged_since(connection, last.queued_at if last else 0.0),
        enough_examples=policy.judgements_for_training,
        drift=drift,
        before=_answers(connection, now - BEFORE_S, now - LATELY_S),
        lately=_answers(connection, now - LATELY_S, now),
        code=code,
        last_code=last.code if last else None,
        champion_code=made_by.code if made_by else None,
    )


def stations(connection: sa.Connection, now: float) -> list[AtStation]:
    """Each place's answered units of late and the errors among them that are known.

    What nobody judged counts as right, so that no station is said to fall short that may not.
    """
    wrong = sa.case((truths.c.judgement.in_(ANSWERS) & (truths.c.judgement != cases.c.verdict), 1), else_=0)
    query = (
        sa.select(cases.c.site, cases.c.station, sa.func.count(), sa.func.sum(wrong))
        .select_from(cases.outerjoin(truths, truths.c.case_id == cases.c.case_id))
        .where(cases.c.started_at >= now - WATCHED_S, cases.c.verdict.in_(ANSWERS))
        .group_by(cases.c.site, cases.c.station)
        .order_by(cases.c.site, cases.c.station)
    )
    return [AtStation(f"{row[0]}/{row[1]}", int(row[2]), int(row[3])) for row in connection.execute(query)]


def _judged_since(connection: sa.Connection, moment: float) -> int:
    query = sa.select(sa.func.count()).where(truths.c.at > moment, truths.c.judgement.in_(ANSWERS))
    return connection.scalar(query) or 0


def _answers(connection: sa.Connection, since: float, until: float) -> Answers:
    both = cases.c.verdict.in_(ANSWERS) & cases.c.decision.in_(ANSWERS)
    alike = sa.func.coalesce(sa.func.sum(sa.case((cases.c.verdict == cases.c.decision, 1), else_=0)), 0)
    query = sa.select(sa.func.count(), alike).where(both, cases.c.started_at >= since, cases.c.started_at < until)
    row = connection.execute(query).one()
    return Answers(int(row[0]), int(row[1]))
