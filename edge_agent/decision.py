"""What the lamps' pictures say over time -> the inspector's decision, debounced. PURE.

A lamp that cannot be read says nothing: what was decided stays for as long as an arm takes to pass, and is forgotten
after that. Nothing new is decided before both lamps can be read again.
"""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from edge_agent.lamp_reading import USUAL_LIMITS, LampLimits, LampMemory, LampReading, LampWord
from edge_agent.records import DecisionWord

PanelWord = Literal["off", "ok", "leak", "both", "unreadable"]

LAMPS: tuple[Literal["ok", "leak"], ...] = ("ok", "leak")
WINDOW_S = 0.3
LIT_SHARE = 0.5
"""A lamp driven by PWM beats with the frame rate: it is lit when half of the readings in the window say so."""
UNREADABLE_SHARE = 0.5
"""Where more of the window than this cannot be read, the rest is no majority of anything."""
LEAST_READINGS = 2
"""However slow the camera: one reading alone is no decision, and what was read before a gap counts with it."""
DARK_S = 1.0
"""A lamp that is dark for less has not gone out: it blinks, or an arm has passed before it."""
FORGET_S = 3.0
"""An arm passes in up to two seconds. After longer than this the lamps may have been out and lit again."""
REPORT_S = 10.0
"""Lamps that cannot be read for longer are somebody's work."""


@dataclass(frozen=True, slots=True)
class Signal:
    """What the lamps say now. `since_s`: when the lamp was first seen lit; `fresh`: only just become lit."""

    decision: DecisionWord
    since_s: float | None = None
    fresh: bool = False
    panel: PanelWord = "off"
    """Both lamps together; while it is `unreadable`, `decision` is the one that was read before."""
    words: str = ""
    """Which lamp could not be read for long, the limit and the cure; empty while all is well."""


class DecisionWatch:
    """Follows both lamps; two lit at once are no decision."""

    def __init__(self, limits: LampLimits = USUAL_LIMITS) -> None:
        self.limits = limits
        self._memories: dict[str, LampMemory] = {lamp: LampMemory() for lamp in LAMPS}
        self._readings: deque[tuple[float, dict[str, LampWord]]] = deque()
        self._lit_since: dict[DecisionWord, float] = {}
        self._seen_lit: dict[DecisionWord, float] = {}
        """When each lamp that is lit, or was less than DARK_S ago, was lit last."""
        self._both = False
        self._blind_since_s: float | None = None
        self._said: tuple[DecisionWord, float] | None = None
        self._signal = Signal("none")

    def look_anew(self) -> None:
        """The lamps may be others, or elsewhere: what they look like when they are dark is forgotten."""
        self._memories = {lamp: LampMemory() for lamp in LAMPS}

    def step(self, readings: Mapping[str, LampReading], now_s: float) -> Signal:
        """`readings`: lamp meaning -> what was read at `now_s`. Where too little was read, all stays."""
        if self._readings and now_s < self._readings[-1][0]:
            self._readings.clear()
        words = {lamp: self._memories[lamp].word(reading, self.limits, now_s) for lamp, reading in readings.items()}
        self._readings.append((now_s, words))
        while len(self._readings) > LEAST_READINGS and now_s - self._readings[0][0] > WINDOW_S:
            self._readings.popleft()
        self._signal = self._next(now_s)
        return self._signal

    def _next(self, now_s: float) -> Signal:
        stays = replace(self._signal, fresh=False)
        if len(self._readings) < LEAST_READINGS or now_s - self._readings[0][0] < WINDOW_S / 2:
            return stays
        counts = self._counts()
        blind = [lamp for lamp, count in counts.items() if count["unreadable"] > UNREADABLE_SHARE * len(self._readings)]
        if blind:
            return self._unread(blind, now_s)
        self._blind_since_s = None
        shining = frozenset(lamp for lamp, count in counts.items() if _is_lit(count))
        if any(count["lit"] for lamp, count in counts.items() if lamp not in shining) or not self._are_clear(shining):
            # Perhaps it is just being lit or going out, and the other one with it.
            return stays if stays.panel != "unreadable" else replace(stays, panel="off", words="")
        return self._read(shining, now_s)

    def _counts(self) -> dict[DecisionWord, Counter[LampWord]]:
        return {lamp: Counter(seen[lamp] for _, seen in self._readings if lamp in seen) for lamp in LAMPS}

    def _are_clear(self, shining: frozenset[DecisionWord]) -> bool:
        """The lamps were seen so in the same pictures: not one after the other, nor while the other was covered."""
        wanted = {lamp: "lit" if lamp in shining else "dark" for lamp in LAMPS}
        together = sum(
            all(seen.get(lamp, "dark") == word for lamp, word in wanted.items()) for _, seen in self._readings
        )
        return not shining or together >= LEAST_READINGS

    def _unread(self, blind: list[DecisionWord], now_s: float) -> Signal:
        """All stays, and is forgotten after a while."""
        self._blind_since_s = now_s if self._blind_since_s is None else self._blind_since_s
        blind_s = now_s - self._blind_since_s
        if blind_s > FORGET_S:
            self._lit_since, self._seen_lit, self._both = {}, {}, False
            self._signal = Signal("none")
        return replace(self._signal, fresh=False, panel="unreadable", words=_words(blind, blind_s))

    def _read(self, shining: frozenset[DecisionWord], now_s: float) -> Signal:
        """What these lamps say. One that was lit all the while says nothing new when the other goes out."""
        for lamp in shining:
            first_s = next(at_s for at_s, seen in self._readings if seen.get(lamp) == "lit")
            self._lit_since.setdefault(lamp, first_s)
            self._seen_lit[lamp] = now_s
        for lamp in [lamp for lamp, at_s in self._seen_lit.items() if now_s - at_s >= DARK_S]:
            del self._seen_lit[lamp], self._lit_since[lamp]
        # Two that were lit at once stay two until one has gone out: one of them may only be between two beats.
        self._both = len(self._lit_since) == 2 and (self._both or len(shining) == 2)
        lit = frozenset(self._lit_since) if self._both else shining or frozenset(self._lit_since)
        if len(lit) != 1:
            return Signal("none", panel="both" if lit else "off")
        (decision,) = lit
        since_s = self._lit_since[decision]
        known, self._said = (decision, since_s) == self._said, (decision, since_s)
        return Signal(decision, since_s, not known, "ok" if decision == "ok" else "leak")


def _is_lit(count: Counter[LampWord]) -> bool:
    return count["lit"] >= max(LEAST_READINGS, LIT_SHARE * (count["lit"] + count["dark"]))


def _words(blind: list[DecisionWord], blind_s: float) -> str:
    if blind_s <= REPORT_S:
        return ""
    which = f"the {blind[0]} lamp" if len(blind) == 1 else "neither lamp"
    can = "cannot" if len(blind) == 1 else "can"
    return (
        f"{which} {can} be read for {blind_s:.0f} s (limit {REPORT_S:.0f} s): "
        "clear the view of the lamps and shade them, or mark them again with 'calibrate fit'"
    )
