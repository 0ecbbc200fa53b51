"""When the machine's word on a unit is due, while the unit is still in the water, and what it was then. PURE.

The word is due once the unit was watched for the required hold and the machine is certain; at the latest some time
after the hold, whatever the machine says then. It is asked for in every mode, so that a certificate speaks of the very
words that the line would be told.
"""

from dataclasses import dataclass

from edge_agent.records import DispositionWord, DueWord, Mode, Verdict

ASK_EVERY_S = 0.5
"""An answer takes 22 ms (median) of the time between two frames; a robot does not notice half a second."""
PATIENCE_S = 5.0
"""Unless the device file says otherwise."""
DECIDING: tuple[Mode, ...] = ("partial", "full")


@dataclass(slots=True)
class DueWatch:
    """One judge's word on the open case."""

    hold_s: float
    patience_s: float = PATIENCE_S
    word: DueWord | None = None
    _asked_s: float | None = None

    def asks(self, usable_s: float, since_settled_s: float) -> bool:
        """Whether the judge is to be asked now. `usable_s`: as far as leaks could be seen."""
        if self.word is not None:
            return False
        if self._is_late(since_settled_s):
            return self._asked_s is None or not self._is_late(self._asked_s)
        rested = self._asked_s is None or since_settled_s - self._asked_s >= ASK_EVERY_S
        return usable_s >= self.hold_s and rested

    def asked(self, since_settled_s: float) -> None:
        """The judge thinks; its answer comes later."""
        self._asked_s = since_settled_s

    def answer(self, verdict: Verdict, usable_s: float, since_settled_s: float) -> bool:
        """What the judge said; True where that is the word."""
        self.asked(since_settled_s)
        if verdict.verdict in ("ok", "leak") or self._is_late(since_settled_s):
            self.word = DueWord(verdict.verdict, verdict.score, round(usable_s, 2))
        return self.word is not None

    def _is_late(self, since_settled_s: float) -> bool:
        return since_settled_s >= self.hold_s + self.patience_s


def disposition(word: DueWord | None) -> DispositionWord:
    """What the line is told where the machine decides: everything but a certain word waits for the human."""
    if word is None or word.verdict not in ("ok", "leak"):
        return "wait"
    return "ok" if word.verdict == "ok" else "leak"
