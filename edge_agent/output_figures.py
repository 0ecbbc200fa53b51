"""Cases and durations -> how the device answers: scores, decisions, how long each step takes, the line's rhythm. PURE.

Counts since start; the reporting thread reads what the frame loop and the keeper write.
"""

from edge_agent import histogram
from edge_agent.messages import DeciderCounts, DecisionCounts, LatencyMetrics
from edge_agent.records import Case

STEP_S = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.033, 0.05, 0.066, 0.1, 0.25, 0.5, 1.0)
"""With the times between two frames at 30, 20 and 15 fps among them: a step that takes longer loses frames."""
ANSWER_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""A robot waits for half a second at most; a disk in trouble takes seconds."""
SCORES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
"""Close at both ends, where nearly all scores of a good bundle are and where thresholds lie."""
CYCLE_S = (5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 300.0)
USABLE_S = (1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 60.0)
PAUSE_S = 600.0
"""Two units that are further apart are no cycle: the line stood."""


class OutputFigures:
    """One run of the inspection. Each figure is written by one thread alone."""

    def __init__(self) -> None:
        self._step, self._composite = histogram.empty(STEP_S), histogram.empty(STEP_S)
        self._verdict, self._record, self._put = (histogram.empty(ANSWER_S) for _ in range(3))
        self.scores = histogram.empty(SCORES)
        self.cycle_s, self.usable_s = histogram.empty(CYCLE_S), histogram.empty(USABLE_S)
        self._decisions: dict[str, int] = {}
        self._deciders: dict[str, int] = {}
        self._began_s: float | None = None
        """When the last case began, in seconds since the first frame."""

    @property
    def decisions(self) -> DecisionCounts:
        return DecisionCounts(**self._decisions)

    @property
    def deciders(self) -> DeciderCounts:
        return DeciderCounts(**self._deciders)

    @property
    def latency(self) -> LatencyMetrics:
        return LatencyMetrics(
            step=self._step, composite=self._composite, verdict=self._verdict, record=self._record, put=self._put
        )

    def stepped(self, step_s: float, composite_s: float | None, verdict_s: float | None) -> None:
        """One frame was looked at; None where it made no composite, or asked for no verdict. For the frame loop."""
        self._step = self._step.seen(step_s)
        if composite_s is not None:
            self._composite = self._composite.seen(composite_s)
        if verdict_s is not None:
            self._verdict = self._verdict.seen(verdict_s)

    def put(self, seconds: float) -> None:
        """The outbox has taken so long for a case, or for saying that it cannot. For the keeper, as what follows."""
        self._put = self._put.seen(seconds)

    def recorded(self, seconds: float) -> None:
        """From a case's last frame to its record."""
        self._record = self._record.seen(seconds)

    def said(self, case: Case) -> None:
        """One more case is on the disk."""
        self._decisions[case.decision] = self._decisions.get(case.decision, 0) + 1
        self._deciders[case.decided_by] = self._deciders.get(case.decided_by, 0) + 1
        self.usable_s = self.usable_s.seen(case.usable_s)
        if case.score is not None:
            self.scores = self.scores.seen(case.score)
        since_s = None if self._began_s is None else case.started_s - self._began_s
        if since_s is not None and 0 < since_s < PAUSE_S:
            self.cycle_s = self.cycle_s.seen(since_s)
        self._began_s = case.started_s
