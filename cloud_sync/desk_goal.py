"""An expert's goal for the day: how many judgements there are until the next training, and how long his own took."""

import msgspec
import sqlalchemy as sa

from cloud_sync.looks import DAY_S
from cloud_sync.policy import Policy
from cloud_sync.tables import datasets, reviews, truths, withdrawals


class Goal(msgspec.Struct, frozen=True):
    """What the queue page says above the list, to one expert."""

    until_training: int
    """Judged cases that are missing; 0: there are enough."""
    enough: int
    mine_today: int
    median_s: float | None
    """From the first picture to the judgement; nobody else is shown it."""

    @property
    def done(self) -> int:
        return self.enough - self.until_training


def of(connection: sa.Connection, policy: Policy, expert: str, now: float) -> Goal:
    """Counts no further than the goal, however many cases there are."""
    enough = policy.judgements_for_training
    last = connection.scalar(sa.select(sa.func.max(datasets.c.created_at))) or 0.0
    new = sa.select(sa.literal(1)).where(truths.c.at > last, truths.c.judgement.isnot(None)).limit(enough).subquery()
    judged = connection.scalar(sa.select(sa.func.count()).select_from(new)) or 0
    today = (
        sa.select(reviews.c.took_s)
        .outerjoin(withdrawals, withdrawals.c.review_id == reviews.c.id)
        .where(reviews.c.reviewer == expert, reviews.c.at >= now // DAY_S * DAY_S, withdrawals.c.review_id.is_(None))
    )
    took = list(connection.scalars(today))
    return Goal(enough - judged, enough, len(took), _median([seconds for seconds in took if seconds is not None]))


def _median(values: list[float]) -> float | None:
    return sorted(values)[len(values) // 2] if values else None
