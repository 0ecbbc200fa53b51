"""What each picture brings, and that none has come by now -> which may be looked at, and what is wrong with the camera.

The one place that decides on camera faults: `capture` feeds it live, `eyes` where nobody did before. PURE.
"""

from collections import Counter, deque
from dataclasses import replace

import numpy as np

from edge_agent import quick_median
from edge_agent.camera_glance import ExposureWatch, Glance, glance_of, noise_between
from edge_agent.records import CameraFault, FaultKind, Frame

BLACK_LEVEL, WHITE_LEVEL = 10.0, 247.0
FROZEN_S = 1.0
"""A sensor's noise changes every picture; codecs let some come twice. Short enough to be told within 2 s."""
SHOWN_S = 0.35
"""A picture that came later after it was taken shows nothing newer for that: the second above is counted from here on
at the latest, so that pictures which come later and later are told within 2 s too."""
SILENT_S = 1.2
"""A live camera of one frame a second or more is silent after this long."""
SILENT_STEPS = 3.0
"""A slower one, after so many of its own times between two pictures."""
LAG_S = 0.7
"""Pictures that are older when they come do not show the tank as it is; networks and decoders take less."""
LONGEST_LAG_S = 30.0
"""No camera holds pictures back for longer: then it is its clock that was set."""
FUTURE_S = 0.25
"""A picture from later than now has a wrong time; clocks that are laid on one another differ by less."""
ANEW_S = 1.0
"""Times that go on evenly for so long after the camera's clock was set are laid on ours anew."""
LATE_S = 1.0
"""A picture that was overtaken is late by less; more is a clock that was set back."""
WINDOW_S, LEAST_WINDOW_S = 1.6, 1.1
"""The rate is taken over so much: half of it shows after 1.1 s, and a stutter of 0.4 s does not."""
RATE_LOW, RATE_WELL = 0.65, 0.75
"""Shares of the usual rate: below the first too few pictures come, until they reach the second."""
LEAST_FPS = 4.0
"""Slower cameras give too few pictures in the window to tell their rate."""
LEARN_S, LEARN_UP_S, ADOPT_S = 30.0, 2.0, 60.0
"""The usual rate follows this slowly, upwards sooner; another one, or another size, that stays for the last of these is
the usual one."""
GAP_S = 0.5
"""After a longer one the rate is taken anew: the gap itself was told."""
NOISE_LEVELS = 20.0
"""Standard deviation that no lit sensor shows: above it bubbles of every size drown (docs/camera-faults.md)."""
NOISE_WELL = 0.8
REMEMBERED = 1024
"""Pictures that are known again: 50 s at 20 a second, more than any buffer in a camera holds."""
_LATE, _JUMP, _LAG, _AGAIN, _OLD = "late", "jump", "lag", "again", "old"
_WHEN_NONE_IS_NEW: dict[str, FaultKind] = {
    _LATE: "reordered", _JUMP: "time_jump", _LAG: "stale", _AGAIN: "frozen", _OLD: "stale",
}  # fmt: skip
_WHEN_FEW_ARE_NEW: dict[str, FaultKind] = {
    _LATE: "reordered", _JUMP: "time_jump", _LAG: "stale", _AGAIN: "duplicated", _OLD: "stale",
}  # fmt: skip


class CameraWatch:
    """Follows one camera. `of_station=False` is for recordings of unknown make: their times are taken as they are, and
    only black, white and frozen pictures are faults."""

    def __init__(self, name: str = "the camera", *, of_station: bool = True) -> None:
        self._name, self._of_station = name, of_station
        self.left_out: Counter[str] = Counter()
        """Pictures that were not handed on, by why."""
        self._came_s: float | None = None
        self._new_s = self._taken_s = float("-inf")
        """When the newest picture that showed anything new came, and when it was taken."""
        self._offset_s = 0.0
        """Laid on the camera's times since its clock was set."""
        self._jumped: tuple[float, float] | None = None
        """Our time and the camera's at the first of the pictures since its clock was set."""
        self._size_px: tuple[int, int] | None = None
        self._resized: tuple[float, tuple[int, int]] | None = None
        """Since when pictures of one size come, and of which."""
        self._glance: Glance | None = None
        self._known: dict[int, None] = {}
        self._rate = _Rate()
        self._exposure = ExposureWatch()
        self._noisy = False
        self._fault: CameraFault | None = None

    def see(self, frame: Frame, came_s: float) -> Frame | None:
        """`frame` as it may be looked at, its faults filled in; None where it shows nothing new.

        `came_s`: when it came, on the clock that stamps the frames; its capture time where only that is known.
        """
        first, self._came_s = self._came_s is None, came_s
        glance = glance_of(frame.image)
        cause = "" if first else self._why_not(frame, glance, came_s)
        if cause:
            self._leave_out(cause, came_s)
            return None
        taken_s = frame.monotonic_s + self._offset_s
        self._rate.new(taken_s)
        blind = self._other_size(frame.image.shape[1::-1], came_s) or self._blind(glance)
        self._new_s, self._taken_s = came_s, taken_s
        self._fault = blind or self._slow() or self._drifted(glance, came_s)
        self._remember(glance)
        return replace(frame, monotonic_s=taken_s, faults=(self._fault,) if self._fault else ())

    def fault(self, now_s: float) -> CameraFault | None:
        """What is wrong at `now_s`; None while nothing is, and before the first picture."""
        if self._came_s is not None and self._of_station:
            silent_s, limit_s = now_s - self._came_s, max(SILENT_S, SILENT_STEPS * self._rate.step_s)
            if silent_s > limit_s:
                fact = f"{self._name} has given no picture for {silent_s:.1f} s (limit {limit_s:.1f} s)"
                return CameraFault("silent", f"{fact}: check its cable and power")
        return self._fault

    @property
    def fps(self) -> float | None:
        """Of new pictures at present; None while that is not known."""
        return self._rate.fps

    def _why_not(self, frame: Frame, glance: Glance, came_s: float) -> str:
        """Why the picture is left out; empty where it shows something new that belongs to this moment."""
        dark_or_bright = _extreme(glance.level) is not None
        if not dark_or_bright and self._glance is not None and glance.key == self._glance.key:
            return _AGAIN
        if not self._of_station:
            return _LATE if frame.monotonic_s <= self._taken_s else ""
        if not dark_or_bright and glance.key in self._known:
            return _OLD
        return self._wrong_time(frame.monotonic_s, came_s)

    def _wrong_time(self, told_s: float, came_s: float) -> str:
        if self._offset_s and _is_timely(told_s, came_s) and told_s > self._taken_s:
            self._offset_s = 0.0  # the camera's clock is as it was
        taken_s = told_s + self._offset_s
        if taken_s > self._taken_s and _is_timely(taken_s, came_s):
            self._jumped = None
            return ""
        if 0 <= self._taken_s - taken_s <= LATE_S and came_s - taken_s <= LAG_S + LATE_S:
            return _LATE
        if taken_s <= came_s and came_s - taken_s <= LONGEST_LAG_S:
            return _LAG
        return self._jump(told_s, came_s)

    def _jump(self, told_s: float, came_s: float) -> str:
        """A clock that was set: once its times have gone on evenly for a while they are laid on ours anew."""
        began = self._jumped
        if began is None or told_s <= began[1] or abs((came_s - began[0]) - (told_s - began[1])) > FUTURE_S:
            self._jumped = (came_s, told_s)
        elif came_s - began[0] >= ANEW_S and came_s > self._taken_s:
            self._offset_s, self._jumped = came_s - told_s, None
            return ""
        return _JUMP

    def _leave_out(self, cause: str, came_s: float) -> None:
        self.left_out[cause] += 1
        self._rate.left_out(cause, came_s)
        since_s = came_s - min(self._new_s, self._taken_s + SHOWN_S)
        if since_s < FROZEN_S:
            return
        kind = _WHEN_NONE_IS_NEW[self._rate.usual_cause(self._new_s) or cause]
        self._fault = CameraFault(kind, _words(kind, f"for {since_s:.1f} s (limit {FROZEN_S:.0f} s)"))

    def _slow(self) -> CameraFault | None:
        """Words where far fewer new pictures come than usual."""
        if not self._of_station or not self._rate.is_low:
            return None
        cause = self._rate.cause_of_low()
        kind = _WHEN_FEW_ARE_NEW[cause] if cause else "half_rate"
        fact = f"{self._rate.fps:.0f} new pictures a second instead of {self._rate.usual_fps:.0f}"
        return CameraFault(kind, _words(kind, f"({fact}, limit {RATE_LOW * self._rate.usual_fps:.0f})"))

    def _other_size(self, size_px: tuple[int, int], came_s: float) -> CameraFault | None:
        """Of a camera that was set anew the size is believed in the end; whether it is the profile's the eyes say."""
        if self._resized is None or self._resized[1] != size_px:
            self._resized = came_s, size_px
        if self._size_px is None or came_s - self._resized[0] > ADOPT_S:
            self._size_px = size_px
        return None if size_px == self._size_px else resized(size_px, self._size_px)

    def _blind(self, glance: Glance) -> CameraFault | None:
        """What keeps this very picture from being looked at."""
        extreme = _extreme(glance.level)
        if extreme or not self._of_station:
            return extreme
        noise = 0.0 if self._glance is None else noise_between(self._glance, glance)
        self._noisy = noise > NOISE_LEVELS * (NOISE_WELL if self._noisy else 1.0)
        if not self._noisy:
            return None
        fact = f"the picture is noisy ({noise:.0f} grey levels, limit {NOISE_LEVELS:.0f})"
        return CameraFault("noise", f"{fact}: give more light, lower the camera's gain, and check its cable")

    def _drifted(self, glance: Glance, came_s: float) -> CameraFault | None:
        return self._exposure.step(glance, came_s) if self._of_station else None

    def _remember(self, glance: Glance) -> None:
        self._glance = glance
        self._known.pop(glance.key, None)
        self._known[glance.key] = None
        if len(self._known) > REMEMBERED:
            self._known.pop(next(iter(self._known)))


class _Rate:
    """How many new pictures come, against how many usually do."""

    def __init__(self) -> None:
        self.usual_fps = 0.0
        self.is_low = False
        self._taken: deque[float] = deque()
        self._left: deque[tuple[float, str]] = deque()
        self._low_since_s = 0.0

    @property
    def fps(self) -> float | None:
        span_s = self._taken[-1] - self._taken[0] if len(self._taken) > 1 else 0.0
        return (len(self._taken) - 1) / span_s if span_s > 0 else None

    @property
    def step_s(self) -> float:
        """Usual time between two; 0 while it is not known."""
        return 1 / self.usual_fps if self.usual_fps else 0.0

    def new(self, taken_s: float) -> None:
        if self._taken and not 0 < taken_s - self._taken[-1] <= max(GAP_S, SILENT_STEPS * self.step_s):
            self._taken.clear()
            self._left.clear()
        self._taken.append(taken_s)
        while taken_s - self._taken[0] > WINDOW_S and len(self._taken) > 2:
            self._taken.popleft()
        while self._left and taken_s - self._left[0][0] > WINDOW_S:
            self._left.popleft()
        if taken_s - self._taken[0] >= LEAST_WINDOW_S:
            self._judge(taken_s)

    def left_out(self, cause: str, came_s: float) -> None:
        self._left.append((came_s, cause))
        while came_s - self._left[0][0] > WINDOW_S:
            self._left.popleft()

    def usual_cause(self, since_s: float) -> str:
        """Why most of those since then were left out."""
        counted = Counter(cause for at_s, cause in self._left if at_s > since_s)
        return counted.most_common(1)[0][0] if counted else ""

    def cause_of_low(self) -> str:
        """Why pictures are missing; empty where most of them never came."""
        missing = (self.usual_fps - (self.fps or 0.0)) * (self._taken[-1] - self._taken[0])
        counted = Counter(cause for _, cause in self._left).most_common(1)
        return counted[0][0] if counted and counted[0][1] >= missing / 2 else ""

    def _judge(self, now_s: float) -> None:
        fps = self.fps or 0.0
        before, self.is_low = self.is_low, self._is_low(fps)
        if self.is_low:
            self._low_since_s = self._low_since_s if before else now_s
            if now_s - self._low_since_s > ADOPT_S:
                self.usual_fps, self.is_low = fps, False
            return
        slowness_s = LEARN_UP_S if fps > self.usual_fps else LEARN_S
        share = 1.0 if not self.usual_fps else min(1.0, 1 / (max(fps, 1.0) * slowness_s))
        self.usual_fps += (fps - self.usual_fps) * share

    def _is_low(self, fps: float) -> bool:
        return self.usual_fps >= LEAST_FPS and fps < self.usual_fps * (RATE_WELL if self.is_low else RATE_LOW)


class PictureWatch:
    """Follows thumbnails of the tank view, which may be blind where the whole picture is not: a light that failed
    behind the tank, a clock that goes on in a frozen picture."""

    def __init__(self) -> None:
        self._previous: np.ndarray | None = None
        self._changed_s = 0.0

    def step(self, thumb: np.ndarray, now_s: float) -> CameraFault | None:
        """`thumb`: (24, 32) float32 cell means of the tank view taken at `now_s`."""
        if self._previous is None or now_s < self._changed_s or not np.array_equal(thumb, self._previous):
            self._changed_s = now_s
        self._previous = thumb
        extreme = _extreme(float(quick_median.median(thumb.ravel())))
        still_s = now_s - self._changed_s
        if extreme or still_s < FROZEN_S:
            return extreme
        return CameraFault("frozen", _words("frozen", f"for {still_s:.1f} s (limit {FROZEN_S:.0f} s)"))


def resized(size_px: tuple[int, int], wanted_px: tuple[int, int]) -> CameraFault:
    """The fault of a picture that is not of the size that is wanted, (width, height)."""
    fact = f"the picture is {size_px[0]}x{size_px[1]}, {wanted_px[0]}x{wanted_px[1]} is expected"
    return CameraFault("resolution", f"{fact}: set the camera's resolution back, or run 'calibrate fit' on this camera")


def _extreme(level: float) -> CameraFault | None:
    if level < BLACK_LEVEL:
        fact = f"the picture is black (level {level:.0f}, limit {BLACK_LEVEL:.0f})"
        return CameraFault("black", f"{fact}: check the light and the lens")
    if level > WHITE_LEVEL:
        fact = f"the picture is white (level {level:.0f}, limit {WHITE_LEVEL:.0f})"
        return CameraFault("white", f"{fact}: lower the exposure")
    return None


def _is_timely(taken_s: float, came_s: float) -> bool:
    return -FUTURE_S <= came_s - taken_s <= LAG_S


def _words(kind: FaultKind, how: str) -> str:
    fact, cure = _FACTS[kind]
    return f"{fact} {how}: {cure}"


_FACTS: dict[FaultKind, tuple[str, str]] = {
    "frozen": ("the picture has been frozen", "restart the camera"),
    "stale": ("the camera has given old pictures", "restart the camera, and see that its network is not overloaded"),
    "time_jump": ("the camera's capture times have jumped", "see that the camera keeps time, or restart it"),
    "reordered": ("pictures have come in the wrong order", "see that the camera's network is not overloaded"),
    "duplicated": ("the camera gives pictures twice", "lower its frame rate to what its sensor gives, or restart it"),
    "half_rate": ("the camera gives too few pictures", "fix its exposure time and frame rate, and check its cable"),
}
"""Kind -> fact, before how much, and cure."""
