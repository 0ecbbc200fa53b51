"""Lit probabilities of the lamps over time -> the inspector's decision, debounced. PURE."""

from collections import deque
from dataclasses import dataclass, replace

from edge_agent.records import DecisionWord

WINDOW_S = 0.3
LIT_SHARE = 0.5
"""A lamp driven by PWM beats with the frame rate: it is lit when half of the readings in the window say so."""
LEAST_READINGS = 2
"""However slow the camera: one reading alone is no decision, and what was read before a gap counts with it."""
DARK_S = 1.0
"""A lamp that is dark for less has not gone out: it blinks, or an arm has passed before it."""


@dataclass(frozen=True, slots=True)
class Signal:
    """What the lamps say now. `since_s`: when the lamp was first seen lit; `fresh`: only just become lit."""

    decision: DecisionWord
    since_s: float | None = None
    fresh: bool = False


class DecisionWatch:
    """Follows both lamps; two lit at once are no decision."""

    def __init__(self, lit_above: float) -> None:
        self.lit_above = lit_above
        self._readings: deque[tuple[float, frozenset[str]]] = deque()
        self._lit_since: dict[DecisionWord, float] = {}
        self._seen_lit: dict[DecisionWord, float] = {}
        """When each lamp that is lit, or was less than DARK_S ago, was lit last."""
        self._said: Signal | None = None
        self._signal = Signal("none")

    def step(self, lit: dict[str, float], now_s: float) -> Signal:
        """`lit`: lamp meaning -> probability that it is lit, read at `now_s`. Where too little was read, all stays."""
        if self._readings and now_s < self._readings[-1][0]:
            self._readings.clear()
        self._readings.append((now_s, frozenset(lamp for lamp, p in lit.items() if p > self.lit_above)))
        while len(self._readings) > LEAST_READINGS and now_s - self._readings[0][0] > WINDOW_S:
            self._readings.popleft()
        shining = self._shining(now_s)
        self._signal = replace(self._signal, fresh=False) if shining is None else self._read(shining, now_s)
        return self._signal

    def _read(self, shining: frozenset[DecisionWord], now_s: float) -> Signal:
        """What these lamps say. One that was lit all the while says nothing new when the other goes out."""
        for lamp in shining:
            self._lit_since.setdefault(lamp, next(at_s for at_s, lamps in self._readings if lamp in lamps))
            self._seen_lit[lamp] = now_s
        for lamp in [lamp for lamp, at_s in self._seen_lit.items() if now_s - at_s >= DARK_S]:
            del self._seen_lit[lamp], self._lit_since[lamp]
        lit = shining or frozenset(self._lit_since)
        if len(lit) != 1:
            return Signal("none")
        (decision,) = lit
        signal = Signal(decision, self._lit_since[decision])
        known, self._said = signal == self._said, signal
        return replace(signal, fresh=not known)

    def _shining(self, now_s: float) -> frozenset[DecisionWord] | None:
        """The lamps that are lit; None where the readings are too few to say."""
        count = len(self._readings)
        if count < LEAST_READINGS or now_s - self._readings[0][0] < WINDOW_S / 2:
            return None
        least = max(LEAST_READINGS, LIT_SHARE * count)
        lamps: tuple[DecisionWord, ...] = ("ok", "leak")
        return frozenset(lamp for lamp in lamps if sum(lamp in seen for _, seen in self._readings) >= least)
