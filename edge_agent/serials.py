"""Serial numbers that the line reads -> the unit that each belongs to: the one in the water, or the next. PURE.

A number is read once or twice, a little before the unit is in sight or while it is under water; none is better than
another unit's.
"""

from edge_agent.case import OpenCase

KEPT_S = 120.0
"""A number that was read so long ago is not the next unit's any more."""


class Serials:
    """What was read and has not been given to a case."""

    def __init__(self) -> None:
        self._next: tuple[str, float] | None = None
        """Of the unit that comes next, and when it was read."""
        self._said: str | None = None
        """Of the unit whose case was closed last."""

    def read(self, serial: str, case: OpenCase | None, *, in_water: bool, now_s: float) -> None:
        """Of the unit in the water where that has none yet, else of the next one. Read again before the unit is out,
        the same number is the same unit's. `in_water`: a unit is, whether or not its case is open still."""
        serial = serial.strip()
        if serial and serial == (case.serial if case else self._said if in_water else None):
            return
        if case and case.left_s is None and case.decision == "none" and case.serial in (None, serial):
            case.serial = serial or None
        else:
            self._next = (serial, now_s) if serial else None

    def taken(self, now_s: float) -> str | None:
        """For the case that opens; each number is given once."""
        awaited, self._next = self._next, None
        return awaited[0] if awaited and now_s - awaited[1] <= KEPT_S else None

    def closed(self, serial: str | None) -> None:
        """The case of that number has ended."""
        self._said = serial

    def given_back(self, serial: str | None, now_s: float) -> None:
        """What the case was opened for was no unit: its number is the next one's."""
        if serial and self._next is None:
            self._next = serial, now_s
