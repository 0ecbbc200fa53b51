"""Parallel runs -> the rollouts that they have earned; and what runs have left behind at stations is cleared away.

A winner takes the place of the champion that it was measured against, at the stations where it was measured: elsewhere
it is heard first.
"""

import sqlalchemy as sa

from cloud_sync import audit_log, desire, fleet_reports, parallel, registry, rollouts
from cloud_sync.db import take_turns
from cloud_sync.parallel import Run
from cloud_sync.rollout_plan import Plan
from cloud_sync.rollout_records import Place

WHO = parallel.WHO


def decide(connection: sa.Connection, now: float) -> list[Run]:
    """Ends the runs that are decided, and those whose champion speaks nowhere any more; the caller commits."""
    audit_log.take_turn(connection)
    ended = []
    for run in parallel.runs(connection, "running"):
        if _is_retired(connection, run.champion):
            parallel.stop(connection, run.id, why="its champion is retired", who=WHO, now=now)
            ended.append(parallel.find(connection, run.id))
    ended += parallel.decide(connection, now)
    _hear_no_retired(connection, now)
    return ended


def begin_rollouts(connection: sa.Connection, plan: Plan, now: float) -> list[int]:
    """A rollout for each run that was won and has had none since, to the stations that it is for; the caller commits.
    Their numbers."""
    take_turns(connection, ["rollouts"])
    begun = [(kept.rollout.bundle.sha256, kept.begun_at) for kept in rollouts.everyone(connection)]
    numbers = []
    for run in parallel.won(connection):
        had = any(sha256 == run.challenger and at >= (run.decided_at or 0.0) for sha256, at in begun)
        if not had and (places := _places(connection, run)):
            reason = f"won parallel run {run.id}: {run.why}"
            numbers.append(
                rollouts.begin(connection, run.challenger, places, plan=plan, who=rollouts.WHO, reason=reason, now=now)
            )
    return numbers


def _places(connection: sa.Connection, run: Run) -> tuple[Place, ...]:
    known = registry.find(connection, run.challenger)
    present = fleet_reports.present_bundles(connection)
    meant = rollouts.places_for(connection, known) if known else []
    return tuple(place for place in meant if place in run.places and present.get(place) == run.champion)


def _hear_no_retired(connection: sa.Connection, now: float) -> None:
    """A winner that was taken back is asked for at the run's other stations still."""
    for place, wish in desire.all_wanted(connection).items():
        if wish.challenger is not None and _is_retired(connection, wish.challenger.sha256):
            desire.want(connection, place, who=WHO, reason="that bundle is retired", now=now, challenger=None)


def _is_retired(connection: sa.Connection, sha256: str) -> bool:
    known = registry.find(connection, sha256)
    return known is not None and known.state == "retired"
