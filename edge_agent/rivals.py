"""Statuses on the device's own topic -> whether another device speaks in its name: a copied disk, a copied certificate.

Whoever connects under one client id throws the other off, so neither hears the other speak; what the broker has
retained when this one comes back is the other's.
"""

from edge_agent.alarms import Condition
from edge_agent.messages import Status

ALARM = "client-id"
LASTING_S = 300.0
"""Two that take turns meet at least twice a minute (`link.LONGEST_WAIT_S`)."""


class Rivals:
    """`own_id`: of this start of the uplink, random."""

    def __init__(self, own_id: str | None) -> None:
        self._own_id = own_id
        self._has_spoken = False
        """The broker has had a status of this start: whatever it retains from then on is later."""
        self._heard_s = float("-inf")
        self._times = 0

    def heard(self, status: Status, now_s: float) -> None:
        if status.uplink_id is None:
            return
        if status.uplink_id == self._own_id:
            self._has_spoken = True
        elif self._has_spoken:
            self._heard_s, self._times = now_s, self._times + 1

    def conditions(self, now_s: float) -> tuple[Condition, ...]:
        """None while there is nobody, or was nobody lately."""
        if now_s - self._heard_s > LASTING_S:
            return ()
        return (Condition(id=ALARM, words=f"another device uses this one's name at the broker, {self._times} times"),)
