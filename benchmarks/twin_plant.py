"""Devices and a cloud in logical time: wishes go out, reports and cases come in, experts judge on the next morning.

Intake, queue, judgements, parallel runs and rollouts are the cloud's own; `now` is handed in, so that a year takes
minutes. What is drawn comes from a seed.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from benchmarks.twin_devices import Device
from cloud_sync import cases as cloud_cases
from cloud_sync import desire, judgement, review_queue
from cloud_sync.intake import Intake
from cloud_sync.judgement import Desk, Review
from cloud_sync.policy import Policy
from cloud_sync.tables import cases

EXPERTS = ("erna", "emil")
"""Two, because who judged first gives no second look."""
DAY_S, SHIFT_S = 86_400.0, 28_800.0
CANNOT_TELL = 0.02
"""Of the looks: share in which an expert can tell nothing."""
BATCH = 500
"""Messages that are committed together."""


@dataclass(slots=True)
class Counts:
    """What was delivered."""

    wishes: int = 0
    stale_taken: int = 0
    """Wishes that came again and were taken all the same."""
    newer_ignored: int = 0
    """Wishes that were newer and were not taken."""
    judged: int = 0


@dataclass(slots=True)
class Plant:
    """Devices, the cloud's database behind its intake, and experts."""

    engine: Engine
    intake: Intake
    devices: Sequence[Device]
    policy: Policy
    chance: random.Random
    counts: Counts = field(default_factory=Counts)

    def morning(self, now: float) -> None:
        """Experts judge all that the queue has for them; each second look goes to the other one."""
        desk = Desk(self.policy, self.chance)
        for expert in EXPERTS:
            while (case_id := review_queue.draw(self.engine, desk, expert, now)) is not None:
                judgement.record(self.engine, desk, case_id, self._review(case_id), expert, now)
                self.counts.judged += 1

    def shift(self, units: int, begin: float) -> None:
        """Wishes reach their devices, each device reports and tests so many units. The first batch of each comes twice,
        as after a receipt that was lost."""
        self._deliver(begin)
        for device in self.devices:
            messages = [*device.reports(begin), *device.works(units, begin, begin + SHIFT_S)]
            for at in range(0, len(messages), BATCH):
                self.intake.handle(messages[at : at + BATCH], begin + SHIFT_S)
            self.intake.handle(messages[:BATCH], begin + SHIFT_S)

    def ledger(self) -> dict[str, int]:
        """What the devices have said against what the cloud holds, byte for byte."""
        said = {case_id: sha256 for device in self.devices for case_id, sha256 in device.said.items()}
        with self.engine.connect() as connection:
            rows = connection.execute(sa.select(cases.c.case_id, cases.c.sha256))
            held = {row.case_id: row.sha256 for row in rows}
        summary = cloud_cases.summary(self.engine)
        return {
            "cases": len(said),
            "lost": sum(held.get(case_id) != sha256 for case_id, sha256 in said.items()) + summary["missing"],
            "duplicated": summary["duplicated"] + len(held.keys() - said.keys()),
            "refused": summary["dead_letters"],
        }

    def _review(self, case_id: str) -> Review:
        if self.chance.random() < CANNOT_TELL:
            return Review(judgement="cannot_tell")
        leaky = next(device.leaky[case_id] for device in self.devices if case_id in device.leaky)
        return Review(judgement="leak" if leaky else "ok", familiar=True)

    def _deliver(self, now: float) -> None:
        """As the broker does: what has changed, and once more, as at a new connection."""
        with self.engine.begin() as connection:
            due = desire.due(connection)
            for one in due:
                desire.sent(connection, one, now)
        for one in due:
            device = next(device for device in self.devices if device.topics.desired == one.topic)
            self.counts.wishes += 1
            self.counts.newer_ignored += not device.take(one.payload, now)
            self.counts.stale_taken += device.take(one.payload, now)
