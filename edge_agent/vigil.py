"""What the champion that speaks costs, frame by frame -> words where it is not fit, and whether it has held. PURE.

Hangs, slowness and memory are seen from beside the frame loop; answers that are no numbers are seen in it.
"""

from edge_agent.references import SLOWEST
from edge_agent.trial_run import STABLE_S

STUCK_S = 10.0
"""A frame usually takes some milliseconds; on a busy device with a slow disk it has taken a second."""
SLOW_TIMES = SLOWEST
"""What a composite may cost in a bundle's exam, beside the champion; a whole frame grows by less. With a detector ten
times slower frames were seen to cost 4.0 to 4.7 times what they did."""
SLOW_FRAMES = 40
"""Frames whose mean is believed; of older ones than ten times as many half is forgotten."""
GROWN_MB = 256.0
"""Above what the process held when the champion began; the sessions of one bundle hold some 30 MB."""
LONGEST_GAP_S = 1.0
"""A camera that gives no frames is no time of inspection."""


class _Mean:
    """Of the newer frames: CPU time, and the time between two of the camera's, in s."""

    def __init__(self) -> None:
        self.frames, self._cpu_s, self._apart_s = 0.0, 0.0, 0.0

    def add(self, cpu_s: float, apart_s: float) -> None:
        keep = 0.5 if self.frames >= 10 * SLOW_FRAMES else 1.0
        self.frames = keep * self.frames + 1
        self._cpu_s, self._apart_s = keep * self._cpu_s + cpu_s, keep * self._apart_s + apart_s

    @property
    def ms(self) -> float | None:
        """CPU time a frame; None before there were enough."""
        return self._cpu_s / self.frames * 1000 if self.frames >= SLOW_FRAMES else None

    @property
    def apart_ms(self) -> float:
        return self._apart_s / self.frames * 1000


class Vigil:
    """Watches over one champion from its first frame on.

    `usual_ms`: CPU time a frame of the one before, with a unit at rest; None = not known. `resident_mb`: memory now.
    """

    def __init__(self, usual_ms: float | None, resident_mb: float) -> None:
        self._usual_ms, self._resident_mb = usual_ms, resident_mb
        self._stepping_since_s: float | None = None
        self._before: tuple[int, float] | None = None
        self._all, self._watched = _Mean(), _Mean()
        self._inspected_s = 0.0
        self._cases = 0

    def stepping(self, now_s: float) -> None:
        """The frame loop begins with a frame."""
        self._stepping_since_s = now_s

    def stepped(self, sequence: int, taken_s: float, cpu_s: float, *, watching: bool) -> None:
        """It is done with the frame of that number, taken at `taken_s`; `watching`: a unit was at rest in it."""
        self._stepping_since_s = None
        before, self._before = self._before, (sequence, taken_s)
        if before is None or sequence <= before[0]:
            return
        passed_s = taken_s - before[1]
        if not 0 < passed_s <= LONGEST_GAP_S:
            return
        self._inspected_s += passed_s
        # Who is too slow loses frames: what counts is how many the camera gave.
        apart_s = passed_s / (sequence - before[0])
        for mean in (self._all, self._watched) if watching else (self._all,):
            mean.add(cpu_s, apart_s)

    def said(self, cases: int) -> None:
        """So many more cases were judged."""
        self._cases += cases

    def weighed(self, resident_mb: float) -> None:
        """What the process holds now is usual: something else than this champion has come or gone."""
        self._resident_mb = resident_mb

    @property
    def mean_ms(self) -> float | None:
        """CPU time a frame with a unit at rest; None before there were enough."""
        return self._watched.ms

    @property
    def has_held(self) -> bool:
        """It has inspected long enough; whoever asks has seen no trouble."""
        return self._inspected_s >= STABLE_S and self._cases > 0

    def stuck(self, now_s: float) -> str:
        """Words where a frame has not come back."""
        since_s = self._stepping_since_s
        if since_s is None or now_s - since_s <= STUCK_S:
            return ""
        return f"a frame has not come back for {now_s - since_s:.0f} s (limit {STUCK_S:.0f} s): use another bundle"

    def trouble(self, resident_mb: float) -> str:
        """Words where it is too slow or takes too much memory."""
        return self._slow() or self.grown(resident_mb)

    def grown(self, resident_mb: float) -> str:
        """Words where the process has grown."""
        more_mb = resident_mb - self._resident_mb
        if more_mb <= GROWN_MB:
            return ""
        return f"memory grew by {more_mb:.0f} MB (limit {GROWN_MB:.0f} MB) since it speaks: use another bundle"

    def _slow(self) -> str:
        any_ms, watched_ms = self._all.ms, self._watched.ms
        if any_ms is not None and any_ms > self._all.apart_ms:
            return f"a frame takes {any_ms:.0f} ms, one comes every {self._all.apart_ms:.0f} ms: use a smaller bundle"
        if watched_ms is not None and self._usual_ms is not None and watched_ms > SLOW_TIMES * self._usual_ms:
            times = watched_ms / self._usual_ms
            return f"a frame takes {times:.1f} times as long as before (limit {SLOW_TIMES:g}): use a smaller bundle"
        return ""
