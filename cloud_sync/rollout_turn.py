"""One turn of `cloud rollout`: evidence, winners, what devices may fetch, and the next step of every rollout.

Each part is a transaction of its own and may run twice, so a process that is killed at any moment goes on where it was.
"""

import logging
from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from cloud_sync import audit_log, challenge_history, fleet_reports, mode_orders, rollouts, winners
from cloud_sync.config import CloudConfig
from cloud_sync.kept_answers import KeptAnswers
from cloud_sync.offers import Offers
from cloud_sync.policy import Policy
from cloud_sync.rollout_records import Place
from edge_agent.errors import ConfigError
from edge_agent.records import BundleRef

EVIDENCE_EVERY_S = 3600.0
"""Experts judge by the hour at best; looking oftener costs no validity, but the database's time."""
SWITCH_EVERY_S, SWITCHES_A_TURN = 600.0, 2
"""Whether a device above shadow may switch takes a third of a second to find out, at 20,000 cases. Whoever is asked to
switch is looked at once more, when its order is made."""
TOLD_LOUDLY = ("breached", "late", "refused", "returned")
log = logging.getLogger(__name__)


class Turn:
    """Called with the time, again and again."""

    def __init__(self, config: CloudConfig, engine: Engine, policy: Policy) -> None:
        self._engine, self._policy = engine, policy
        self._offers = Offers(config, engine)
        self._judged_at = float("-inf")
        unknown = "its certificate has not been looked at yet: this takes a few turns"
        self._switches = KeptAnswers[tuple[Place, str]](SWITCH_EVERY_S, SWITCHES_A_TURN, unknown=unknown)

    def __call__(self, now: float) -> None:
        # A clock that was set back does not put evidence off.
        if not 0 <= now - self._judged_at < EVIDENCE_EVERY_S:
            self._look_at_evidence(now)
            self._judged_at = now
        self._offers.bring(now)
        self._switches.turn(now)
        for number, event in rollouts.step(self._engine, now, may_switch=self._may_switch, before=self._before):
            place = "/".join(event.place) if event.place else "-"
            level = logging.WARNING if event.kind in TOLD_LOUDLY else logging.INFO
            log.log(level, "rollout=%d event=%s place=%s words=%s", number, event.kind, place, event.words or "-")

    def _look_at_evidence(self, now: float) -> None:
        """Who has won begins a rollout; who can no longer show what its mode requires is lowered."""
        with self._engine.begin() as connection:
            for run in winners.decide(connection, now):
                log.info("parallel run=%d %s: %s", run.id, run.state, run.why)
        with self._engine.begin() as connection:
            for number in winners.begin_rollouts(connection, self._policy.rollout, now):
                log.info("rollout=%d begun", number)
        with self._engine.begin() as connection:
            audit_log.take_turn(connection)
            flags = challenge_history.missed_since(connection, mode_orders.ordered_at(connection))
            for place, reason in mode_orders.lapsed(connection, self._policy.automation, now, flags):
                log.warning("lowered place=%s reason=%s", "/".join(place), reason)
        self._offers.forget()

    def _may_switch(self, connection: sa.Connection, place: Place, bundle: BundleRef) -> str:
        certified = fleet_reports.certified(self._policy.automation)
        words = self._switches.answer((place, bundle.sha256), lambda: certified(connection, place, bundle))
        if words or not self._offers.fault or not mode_orders.is_above_shadow(connection, place):
            return words
        return f"its order for the new bundle cannot be signed: {self._offers.fault}"

    def _before(self, asked: Mapping[Place, BundleRef], now: float) -> set[Place]:
        """The order that names a bundle is offered before the device is asked to run it. Those that can have none."""
        unready: set[Place] = set()
        if not asked:
            return unready
        with self._engine.begin() as connection:
            audit_log.take_turn(connection)
            for place, bundle in asked.items():
                try:
                    mode_orders.follow(connection, place, bundle.sha256, self._policy.automation, now=now)
                except ConfigError as error:
                    unready.add(place)
                    self._switches.forget((place, bundle.sha256))
                    log.warning("no order place=%s bundle=%s: %s", "/".join(place), bundle.sha256[:12], error)
        self._offers.bring(now)
        return unready
