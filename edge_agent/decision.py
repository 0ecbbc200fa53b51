"""Lit probabilities of the lamps over time -> the inspector's decision, debounced. PURE."""

from collections import deque
from dataclasses import dataclass

from edge_agent.records import DecisionWord

WINDOW_S = 0.3
LIT_SHARE = 0.5
"""A lamp driven by PWM beats with the frame rate: it is lit when half of the readings in the window say so."""


@dataclass(frozen=True, slots=True)
class Signal:
    """What the lamps say now. `since_s`: when the lamp was first seen lit; `fresh`: only just become lit."""

    decision: DecisionWord
    since_s: float | None = None
    fresh: bool = False


class DecisionWatch:
    """Follows both lamps; two lit at once are no decision."""

    def __init__(self, lit_above: float) -> None:
        self._lit_above = lit_above
        self._readings: deque[tuple[float, frozenset[str]]] = deque()
        self._signal = Signal("none")

    def step(self, lit: dict[str, float], now_s: float) -> Signal:
        """`lit`: lamp meaning -> probability that it is lit, read at `now_s`."""
        if self._readings and now_s < self._readings[-1][0]:
            self._readings.clear()
        self._readings.append((now_s, frozenset(lamp for lamp, p in lit.items() if p > self._lit_above)))
        while now_s - self._readings[0][0] > WINDOW_S:
            self._readings.popleft()
        decision = self._majority()
        if decision == self._signal.decision:
            self._signal = Signal(decision, self._signal.since_s)
        elif decision == "none":
            self._signal = Signal("none")
        else:
            since_s = next(at_s for at_s, lamps in self._readings if decision in lamps)
            self._signal = Signal(decision, since_s, fresh=True)
        return self._signal

    def _majority(self) -> DecisionWord:
        count = len(self._readings)
        if self._readings[-1][0] - self._readings[0][0] < WINDOW_S / 2:
            return "none"
        lit = {lamp for lamp in ("ok", "leak") if sum(lamp in seen for _, seen in self._readings) >= LIT_SHARE * count}
        if lit == {"ok"}:
            return "ok"
        return "leak" if lit == {"leak"} else "none"
