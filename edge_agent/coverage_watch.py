"""Answers of the machine, one by one -> whether it has come to be silent far more often than it was certified. PURE.

A bettor stakes half of what he has on `uncertain`, at odds that are fair where the machine is silent as often as is
tolerated. What he has never falls below 1, so while nothing is wrong it passes FALSE_ALARM_EVERY once in that many
cases at most, on average (an e-detector: Shin, Ramdas & Rinaldo 2023).
"""

from edge_agent.records import VerdictWord

FALSE_ALARM_EVERY = 10_000
SILENT_TIMES = 2.0
"""Twice as many uncertain units as in the certificate are a bad week, and no other world yet."""
LEAST_SILENT = 0.05
"""A station that was nearly always certain may be uncertain so often before anybody is called."""
STAKE = 0.5


class CoverageWatch:
    """Follows one bundle at one station; a newly ordered mode begins with a new one."""

    def __init__(self, coverage: float) -> None:
        """`coverage`: the share of tested units that was answered, by the certificate."""
        self._tolerated = min(1.0, max(LEAST_SILENT, SILENT_TIMES * (1 - coverage)))
        self._has = 1.0
        self.drifted = False

    def see(self, verdict: VerdictWord) -> None:
        """The next unit's verdict; one that was not tested tells of the tank, not of the machine."""
        if verdict == "not_tested":
            return
        won = (1 / self._tolerated) if verdict == "uncertain" else 0.0
        self._has = max(1.0, self._has * (1 - STAKE + STAKE * won))
        self.drifted |= self._has >= FALSE_ALARM_EVERY
