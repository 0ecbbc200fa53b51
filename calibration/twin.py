"""StationLook + Scenes -> frames with known truth: the simulated station, as a Camera and as a generator.

What happens is drawn in calibration/scene.py, what moves in calibration/bubbles.py, how it looks in
calibration/view.py; here it becomes a stream in time, with lamps, faults and truths.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass

import cv2
import numpy as np

from calibration import bubbles, faults
from calibration.faults import Impairment
from calibration.lamplight import LampPainter
from calibration.scene import Scene, StationLook
from calibration.view import Shot, Viewer
from edge_agent.records import DecisionWord, Frame, Phase

_EPOCH = 1_790_000_000.0
"""Recordings carry a fixed date, so that the same arguments give the same bytes."""


@dataclass(frozen=True, slots=True, eq=False)
class FrameTruth:
    """What one frame shows.

    `bubbles`: (n, 7) float32 rows of x_px, y_px (camera), vx_px_s, vy_px_s, diameter_px, contrast (grey levels), kind
    (0 leak, 1 trapped air, 2 attached, 3 bead, 4 speck). `tank_px`: (4, 2) float64, true outer corners in this frame.
    """

    case_index: int | None
    phase: Phase
    bubbles: np.ndarray
    tank_px: np.ndarray


@dataclass(frozen=True, slots=True)
class CaseTruth:
    """What truly happened to one unit; times in seconds since the first frame."""

    index: int
    label: str
    entered_s: float
    settled_s: float
    decided_s: float | None
    left_s: float | None
    decision: DecisionWord
    leak_origin_px: tuple[float, float] | None
    leak_rate: float | None
    leak_diameter_mm: float | None
    leak_diameter_px: float | None
    leak_spot: str | None
    bubbles_released: int
    silent: bool
    haze: float
    front_light: float
    noise_levels: float
    scene_seed: int
    station_seed: int
    profile: str

    def as_json(self) -> dict[str, object]:
        """Flat, ready for a JSON line."""
        return asdict(self)


class Twin:
    """One station and its immersions in order. `cases` fills as they begin.

    `single`: the unit is in the tank from the first frame, just set down; each scene ends with its lamp.
    """

    def __init__(
        self,
        look: StationLook,
        scenes: Iterable[Scene],
        *,
        fps: float = 20.0,
        seed: int = 0,
        single: bool = False,
        colour: bool = False,
        impairments: tuple[Impairment, ...] = (),
        started_at: float = _EPOCH,
        first_sequence: int = 0,
        first_case: int = 0,
    ) -> None:
        self.look = look
        self.fps = fps
        self.cases: list[CaseTruth] = []
        self._scenes = scenes
        self._seed, self._single, self._colour = seed, single, colour
        self._impairments, self._started_at = impairments, started_at
        self._sequence, self._case_count = first_sequence, first_case
        self._viewer = Viewer(look, seed)
        self._lamps = LampPainter(look)
        self._rng = np.random.default_rng([seed, look.seed, 61])
        self._last: np.ndarray | None = None

    @property
    def next_sequence(self) -> int:
        """Number of the frame that a following twin would begin with."""
        return self._sequence

    def frames(self) -> Iterator[tuple[Frame, FrameTruth]]:
        """All scenes, one after the other, at `fps`; deterministic by the constructor's arguments."""
        for scene in self._scenes:
            yield from self._immersion(scene)

    def _immersion(self, scene: Scene) -> Iterator[tuple[Frame, FrameTruth]]:
        starts_s = self._sequence / self.fps
        rest_s = starts_s + (0.0 if self._single else scene.gap_s + scene.lower_s)
        truth = self._case_truth(scene, rest_s)
        if truth is not None:
            self.cases.append(truth)
            self._case_count += 1
        self._viewer.begin(scene, already_in=self._single)
        until_s = rest_s + _length_s(scene, self._single)
        while self._sequence / self.fps < until_s - 1e-9:
            now_s = self._sequence / self.fps
            active = faults.active(self._impairments, now_s)
            if faults.is_captured(active, self._sequence, now_s):
                yield self._take(scene, truth, now_s, rest_s, active)
            self._sequence += 1

    def _take(
        self, scene: Scene, case: CaseTruth | None, now_s: float, rest_s: float, active: tuple[Impairment, ...]
    ) -> tuple[Frame, FrameTruth]:
        shot = self._viewer.shoot(now_s, now_s - rest_s, faults.camera_motion(active))
        image = self._finished(shot, scene, now_s, now_s - rest_s)
        image = faults.impaired(image, self._last, active, shot.tank_px, self._rng)
        self._last = image
        frame = Frame(image, self._sequence, now_s, self._started_at + now_s)
        phase = _phase(case, scene, now_s, rest_s)
        return frame, FrameTruth(case.index if case and phase != "empty" else None, phase, shot.bubbles, shot.tank_px)

    def _finished(self, shot: Shot, scene: Scene, now_s: float, since_rest_s: float) -> np.ndarray:
        """Grey picture -> BGR with colour cast and lamps, through the camera's codec."""
        image = cv2.merge([shot.grey, shot.grey, shot.grey])
        if self._colour:
            image = cv2.convertScaleAbs(cv2.multiply(image, (*self.look.tint, 1.0), dtype=cv2.CV_32F))
        self._lamps.paint(image, shot.motion, _lit(scene, since_rest_s), now_s)
        if self.look.jpeg_quality is not None:
            image = cv2.imdecode(
                cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, self.look.jpeg_quality])[1], cv2.IMREAD_COLOR
            )
        return image

    def _case_truth(self, scene: Scene, rest_s: float) -> CaseTruth | None:
        if scene.unit is None and not self._single:
            return None
        leak = scene.leaks[0] if scene.leaks else None
        entered_s, left_s = _in_water_s(scene, self.look.surface_mm)
        testable = scene.testable and scene.unit is not None
        return CaseTruth(
            index=self._case_count,
            label=("leak" if scene.leaky else "ok") if testable else "not_testable",
            entered_s=rest_s if self._single else rest_s + entered_s,
            settled_s=rest_s,
            decided_s=rest_s + scene.hold_s if scene.decision != "none" else None,
            left_s=None if self._single else rest_s + left_s,
            decision=scene.decision,
            leak_origin_px=self._viewer.to_px(leak.origin_mm) if leak else None,
            leak_rate=leak.rate_s if leak else None,
            leak_diameter_mm=leak.diameter_mm if leak else None,
            leak_diameter_px=leak.diameter_mm * self.look.px_per_mm if leak else None,
            leak_spot=leak.spot if leak else None,
            bubbles_released=scene.bubbles_released,
            silent=scene.silent,
            haze=scene.haze,
            front_light=self.look.front_light,
            noise_levels=self.look.noise_levels,
            scene_seed=scene.seed,
            station_seed=self.look.seed,
            profile=scene.profile,
        )


class TwinCamera:
    """Twins in a row as one Camera; `live`: at the speed of their clock, waiting with `pace(seconds)`."""

    def __init__(
        self,
        *twins: Twin | Callable[[int, int], Twin],
        live: bool = False,
        pace: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.live = live
        self.frame_count: int | None = None
        self.cases: list[CaseTruth] = []
        self.truths: list[FrameTruth] = []
        """The newest frame's truth, alone."""
        self._twins, self._pace, self._clock = twins, pace, clock
        self._closed = False

    def frames(self) -> Iterator[Frame]:
        """Frames in order; a live one sleeps until each is due."""
        began_s, sequence = self._clock(), 0
        for made in self._twins:
            twin = made if isinstance(made, Twin) else made(sequence, len(self.cases))
            known = 0
            for frame, truth in twin.frames():
                if self._closed:
                    return
                self.cases += twin.cases[known:]
                known = len(twin.cases)
                self.truths = [truth]
                if self.live:
                    self._wait(began_s + frame.monotonic_s)
                yield frame
            sequence = twin.next_sequence

    def close(self) -> None:
        self._closed = True

    def _wait(self, due_s: float) -> None:
        ahead_s = due_s - self._clock()
        if ahead_s > 0:
            self._pace(ahead_s)


def _length_s(scene: Scene, single: bool) -> float:
    """From rest to the scene's end."""
    lamp_s = scene.hold_s + (scene.lamp_on_s if scene.decision != "none" else 0.0)
    if single:
        return scene.hold_s + (1.0 if scene.decision != "none" else 0.0)
    return max(scene.hold_s + scene.lamp_delay_s + scene.raise_s, lamp_s) + 0.1


def _in_water_s(scene: Scene, surface_mm: float) -> tuple[float, float]:
    """When the lowest point touches the water and when it leaves it, after rest."""
    if scene.unit is None:
        return 0.0, scene.hold_s
    raised_s = scene.hold_s + scene.lamp_delay_s
    depth = scene.unit.bottom_mm + bubbles.FEET_MM - surface_mm
    down, up = np.linspace(-scene.lower_s, 0, 2001), np.linspace(raised_s, raised_s + scene.raise_s, 2001)
    entered = down[np.argmax(bubbles.lift_mm(scene, down) <= depth)]
    return float(entered), float(up[np.argmax(bubbles.lift_mm(scene, up) >= depth)])


def _lit(scene: Scene, since_rest_s: float) -> tuple[str, ...]:
    """Lamps that shine now."""
    shines = scene.hold_s <= since_rest_s < scene.hold_s + scene.lamp_on_s
    if not shines or scene.decision == "none":
        return ()
    return ("ok", "leak") if scene.both_lamps else (scene.decision,)


def _phase(case: CaseTruth | None, scene: Scene, now_s: float, rest_s: float) -> Phase:
    if case is None or scene.unit is None or now_s < case.entered_s or (case.left_s is not None and now_s >= case.left_s):
        return "empty"
    if now_s < rest_s:
        return "entering"
    if now_s < rest_s + scene.hold_s:
        return "watching"
    return "decided" if now_s < rest_s + scene.hold_s + scene.lamp_delay_s or case.left_s is None else "leaving"
