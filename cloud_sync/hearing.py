"""A retraining's figures -> whether its candidate is worth a parallel run; then the run begins, where no other is.

Nothing is proven by it: a parallel run costs a share of the year's 5 %, so a candidate that looks worse gets none by
itself. A person may begin one all the same.
"""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from cloud_sync import fleet_reports, parallel, registry, rollouts
from cloud_sync.parallel import Beside, Place
from cloud_sync.policy import Promotion
from edge_agent.errors import ConfigError

WHO = "retraining"
COMPARED = ("random", "twin")
"""Cases drawn by lot; where there are none, the fresh set of the twin."""


def why_not(metrics: Mapping[str, Any]) -> str:
    """Empty where the candidate alone is right at least as often as the champion alone; else words."""
    part = next((metrics[name] for name in COMPARED if name in metrics), None)
    if part is None:
        return "the two were compared on nothing"
    candidate, champion = part["candidate_alone_right"], part["champion_alone_right"]
    if candidate < champion:
        return f"the champion alone was right {champion} times, the candidate alone {candidate}"
    return ""


def begin(connection: sa.Connection, candidate: str, champion: str, rules: Promotion, *, now: float) -> str:
    """Begins a parallel run of the two, by hashes, and says so, or why there is none. The caller commits."""
    places = free_places(connection, candidate, champion)
    if not places:
        return "no parallel run: no station where its champion speaks is free for one"
    try:
        number = parallel.start(connection, Beside(places, champion, candidate), rules, who=WHO, now=now)
    except ConfigError as error:
        return f"no parallel run: {error}"
    return f"parallel run {number} at {len(places)} stations"


def free_places(connection: sa.Connection, candidate: str, champion: str) -> tuple[Place, ...]:
    """Stations that the candidate is for, where the champion speaks and neither a run nor a rollout is under way."""
    known = registry.find(connection, candidate)
    if known is None:
        return ()
    present = fleet_reports.present_bundles(connection)
    taken = {place for run in parallel.runs(connection, "running") for place in run.places}
    taken |= {seat.place for kept in rollouts.active(connection) for seat in kept.rollout.seats}
    meant = rollouts.places_for(connection, known)
    return tuple(place for place in meant if present.get(place) == champion and place not in taken)
