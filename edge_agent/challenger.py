"""The challenger beside the champion: the same views of the same units, and a word that is logged and never spoken.

`InTurn` judges a recording in the frame loop's own thread, the same result every time. `Beside` judges a live station
in a thread of its own: what it cannot keep up with it loses, and the frame loop waits for it no longer than it can.
"""

import contextlib
import os
import queue
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from typing import Protocol

from edge_agent.errors import ModelError
from edge_agent.judge import Judge
from edge_agent.records import BundleRef, TankView, Verdict
from edge_agent.verdict import not_tested

MOST_WAITING = 16
"""Views that wait for the challenger: half a second of a camera of 30 frames/s."""
LATE_S = 0.05
"""The frame loop waits so long for its word once the champion has given its own; a live camera keeps 0.13 s of frames
meanwhile, at 30 a second."""
STUCK_S = 10.0
"""A net that has not come back for so long hangs."""
NICE = 10
"""The challenger's thread gives way to the champion's where both want the processor."""
Work = Callable[[Judge], object]


class Challenger(Protocol):
    """What runs beside the champion. Nothing it does raises or holds up the frame loop."""

    @property
    def ref(self) -> BundleRef: ...
    @property
    def murky_below(self) -> float: ...
    def restart(self) -> None: ...
    def push(self, view: TankView, since_immersion_s: float) -> None: ...
    def give(self, work: Work) -> None: ...
    def ask(self, word: Callable[[Judge], Verdict]) -> None: ...
    def answer(self) -> Verdict: ...
    def cut(self, words: str) -> None: ...
    def close(self) -> None: ...


class InTurn:
    """After the champion, in the same thread; for recordings, which wait."""

    def __init__(self, judge: Judge) -> None:
        self._judge, self.ref = judge, judge.bundle.ref
        self.murky_below = judge.bundle.manifest.thresholds.murky_below
        self._fault = ""
        self._word: Callable[[Judge], Verdict] | None = None

    def restart(self) -> None:
        """A new case begins."""
        self._fault, self._word = "", None
        self._judge.restart()

    def push(self, view: TankView, since_immersion_s: float) -> None:
        """One more view, unless it is out for this case."""
        self.give(lambda judge: judge.push(view, since_immersion_s))

    def give(self, work: Work) -> None:
        """`work` is done at once; a challenger that fails is out for this case."""
        if self._fault:
            return
        try:
            work(self._judge)
        except ModelError as error:
            self._fault = str(error)

    def ask(self, word: Callable[[Judge], Verdict]) -> None:
        """`word`: the judge's verdict on the case that ends."""
        self._word = word

    def answer(self) -> Verdict:
        """Its verdict; `not_tested` with the reason where it failed."""
        if self._fault or self._word is None:
            return not_tested(self._fault)
        try:
            return self._word(self._judge)
        except ModelError as error:
            return not_tested(str(error))

    def cut(self, words: str) -> None:
        """It is out for the rest of this case."""
        self._fault = words

    def close(self) -> None:
        """Nothing runs between calls."""


class Beside:
    """In a thread of its own. `say_cut` hears why it was stopped, at most once a case."""

    def __init__(
        self,
        judge: Judge,
        *,
        say_cut: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.ref, self.murky_below = judge.bundle.ref, judge.bundle.manifest.thresholds.murky_below
        self._say_cut, self._clock = say_cut, clock
        self._changed = threading.Condition()
        self._waiting: deque[Work] = deque()
        self._busy_since_s: float | None = None
        self._fault = ""
        self._over = ""
        """Why it is out for good, until another challenger is heard."""
        self._closed = False
        self._answers: queue.SimpleQueue[Verdict] = queue.SimpleQueue()
        # The thread alone holds the judge: with the thread it is gone.
        threading.Thread(target=self._run, args=(judge,), name="challenger", daemon=True).start()

    def restart(self) -> None:
        """A new case begins; one that hangs is left behind."""
        with self._changed:
            since_s = self._busy_since_s
            if since_s is not None and self._clock() - since_s > STUCK_S:
                self._over = f"its nets have not come back for over {STUCK_S:.0f} s: use another challenger"
            self._fault = self._over
            self._waiting.clear()
            self._answers = queue.SimpleQueue()
        if self._over:
            self._say_cut(self._over)
        self.give(lambda judge: judge.restart())

    def push(self, view: TankView, since_immersion_s: float) -> None:
        """One more view, unless it is out for this case."""
        if len(self._waiting) >= MOST_WAITING:
            self.cut(f"{MOST_WAITING} views waited for it, limit {MOST_WAITING}")
        self.give(lambda judge: judge.push(view, since_immersion_s))

    def ask(self, word: Callable[[Judge], Verdict]) -> None:
        """`word` is asked of its judge after all views; meanwhile the champion is asked."""
        answers = self._answers
        self.give(lambda judge: answers.put(word(judge)))

    def answer(self) -> Verdict:
        """Its verdict; `not_tested` with the reason where it failed, was cut or is late."""
        try:
            return not_tested(self._fault) if self._fault else self._answers.get(timeout=LATE_S)
        except queue.Empty:
            self.cut(f"it had not answered {LATE_S * 1000:.0f} ms after the champion")
            return not_tested(self._fault)

    def cut(self, words: str) -> None:
        """Its budget goes first: it is out for the rest of this case."""
        with self._changed:
            if self._fault:
                return
            self._fault = f"the challenger was stopped so that the champion loses no frame ({words}): make it smaller"
            self._waiting.clear()
            said = self._fault
        self._say_cut(said)

    def close(self) -> None:
        """The thread ends with what it is at; its judge goes with it."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify()

    def give(self, work: Work) -> None:
        """`work` is done after all that was given before, unless it is out for this case."""
        with self._changed:
            if not self._fault:
                self._waiting.append(work)
                self._changed.notify()

    def _run(self, judge: Judge) -> None:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        while work := self._next():
            try:
                work(judge)
            except ModelError as error:
                self._failed(str(error))
            except Exception:  # noqa: BLE001 - outermost in its thread, and nothing of it may stop the champion
                traceback.print_exc()
                self._failed("the program failed in it: send the agent's log to the makers of Tankwatch")

    def _next(self) -> Work | None:
        with self._changed:
            self._busy_since_s = None
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if self._closed:
                return None
            self._busy_since_s = self._clock()
            return self._waiting.popleft()

    def _failed(self, words: str) -> None:
        with self._changed:
            self._fault = self._fault or words
            self._waiting.clear()
            self._answers.put(not_tested(words))
