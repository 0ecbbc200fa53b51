"""The pages in the order in which they stand in every page's head, and who sees which. What is not configured is not
there.
"""

from typing import NamedTuple

from cloud_sync.accounts import User
from cloud_sync.roles import Right


class Place(NamedTuple):
    """One page: its words, its view, and whose it is."""

    words: str
    endpoint: str
    right: Right

    @property
    def blueprint(self) -> str:
        return self.endpoint.partition(".")[0]


DAILY = (
    Place("Review", "review.queue", "expert"),
    Place("Cases", "cases.case_list", "viewer"),
    Place("Agreement", "agreement.page", "viewer"),
    Place("Errors", "errors.page", "quality"),
    Place("Datasets", "datasets.page", "viewer"),
    Place("Models", "models.page", "viewer"),
    Place("Stations", "status.station_list", "viewer"),
)
"""In the head itself."""
SELDOM = (
    Place("Rollouts", "rollouts.page", "viewer"),
    Place("Parallel runs", "parallel.page", "viewer"),
    Place("Label consistency", "consistency.page", "quality"),
    Place("Studies", "studies.study_list", "expert"),
    Place("Value", "value.page", "viewer"),
    Place("Challenge parts", "challenge.page", "viewer"),
    Place("Automation", "automation.page", "viewer"),
    Place("Drift", "drift.page", "viewer"),
    Place("Gold cases", "gold.page", "quality"),
    Place("Audit log", "audit.log", "quality"),
    Place("Vocabulary", "vocabulary.page", "admin"),
    Place("Users", "users.user_list", "admin"),
)
"""Under “More”."""


def seen_by(user: User) -> list[Place]:
    """Of those under “More”."""
    return [place for place in SELDOM if user.may(place.right)]
