"""StationLook + Scenes -> frames with known truth: the simulated station, as a Camera and as a generator.

What happens is drawn in calibration/scene.py, what moves in calibration/bubbles.py, how it looks in
calibration/view.py; here it becomes a stream in time, with lamps, faults and truths.
"""

import base64
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator

import cv2
import numpy as np

from calibration import faults
from calibration.codec import CodecOf
from calibration.faults import Impairment
from calibration.lamplight import LampPainter
from calibration.paint import marker_squares
from calibration.profiles import profile_named
from calibration.requirement import required_std_cm3_s
from calibration.scene import Scene, StationLook, at_pose, draw_scene, draw_station
from calibration.truth import CaseTruth, FrameTruth, case_truth, length_s, lit_lamps, phase_at
from calibration.twin_spec import USUAL_FPS, TwinSpec, read_spec
from calibration.view import Shot, Viewer
from edge_agent import framing, immersion
from edge_agent.errors import StationError
from edge_agent.records import Frame
from edge_agent.station import CameraSettings, Lamp, MarkerReference, Point, StationProfile

EMPTY = "empty"
"""The profile of immersions in which nothing is lowered."""
_REMEMBERED = 100
"""Pictures that a faulty camera may give again."""
_EPOCH = 1_790_000_000.0
"""Recordings carry a fixed date, so that the same arguments give the same bytes."""


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
        self.missed: Callable[[float], bool] = lambda _: True
        """Called with the time of each picture that a fault swallows; False ends the run."""
        self._scenes = scenes
        self._seed, self._single, self._colour = seed, single, colour
        self._impairments, self._started_at = impairments, started_at
        self._sequence, self._case_count = first_sequence, first_case
        self._viewer = Viewer(look, seed)
        self._lamps = LampPainter(look)
        self._tints = [np.round(np.arange(256) * share).astype(np.uint8) for share in look.tint]
        self._rng = np.random.default_rng([seed, look.seed, 61])
        self._codec = CodecOf(look)
        self._last: np.ndarray | None = None
        self._shown: deque[np.ndarray] = deque(maxlen=_REMEMBERED)
        self._ended = False

    @property
    def next_sequence(self) -> int:
        """Number of the frame that a following twin would begin with."""
        return self._sequence

    def frames(self) -> Iterator[tuple[Frame, FrameTruth]]:
        """All scenes, one after the other, at `fps`; deterministic by the constructor's arguments."""
        for scene in self._scenes:
            scene = scene.undipped() if self._single else scene
            yield from self._immersion(scene)
            if self._ended:
                return

    def _immersion(self, scene: Scene) -> Iterator[tuple[Frame, FrameTruth]]:
        starts_s = self._sequence / self.fps
        rest_s = starts_s + (0.0 if self._single else scene.gap_s + scene.lower_s)
        truth = case_truth(self.look, scene, self._case_count, rest_s, single=self._single, fps=self.fps)
        if truth is not None:
            self.cases.append(truth)
            self._case_count += 1
        self._viewer.begin(scene, already_in=self._single)
        until_s = rest_s + length_s(scene, self._single)
        while self._sequence / self.fps < until_s - 1e-9:
            now_s = self._sequence / self.fps
            active = faults.active(self._impairments, now_s)
            if faults.is_captured(active, self._sequence, now_s):
                yield self._take(scene, truth, now_s, rest_s, active)
            elif not self.missed(now_s):
                self._ended = True
                return
            self._sequence += 1

    def _take(
        self, scene: Scene, case: CaseTruth | None, now_s: float, rest_s: float, active: tuple[Impairment, ...]
    ) -> tuple[Frame, FrameTruth]:
        shot = self._viewer.shoot(now_s, now_s - rest_s, faults.camera_motion(active))
        image = self._finished(shot, scene, now_s, now_s - rest_s)
        image = faults.impaired(image, self._last, active, shot.tank_px, self._rng, now_s)
        again = faults.shown_again(active, self._sequence)
        image = self._shown[max(-again, -len(self._shown))] if again and self._shown else image
        self._last = image
        if self._impairments:
            self._shown.append(image)
        frame = Frame(image, self._sequence, faults.told_s(active, now_s), self._started_at + now_s)
        phase = phase_at(case, scene, now_s, rest_s)
        return frame, FrameTruth(case.index if case and phase != "empty" else None, phase, shot.bubbles, shot.tank_px)

    def _finished(self, shot: Shot, scene: Scene, now_s: float, since_rest_s: float) -> np.ndarray:
        """Grey picture -> BGR with colour cast and lamps, through the camera's codec."""
        image = cv2.merge([shot.grey, shot.grey, shot.grey])
        if self._colour:
            image = cv2.merge([cv2.LUT(shot.grey, table) for table in self._tints])
        self._lamps.paint(image, shot.motion, lit_lamps(scene, since_rest_s), now_s)
        return self._codec.sent(image)


class TwinCamera:
    """Twins in a row as one Camera; `live`: at the speed of their clock, waiting with `pace(seconds)`."""

    def __init__(
        self,
        *twins: Twin | Callable[[int, int], Twin],
        look: StationLook | None = None,
        scenes: str | None = None,
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
        self._look = twins[0].look if look is None and twins and isinstance(twins[0], Twin) else look
        self._closed = False
        self._scenes = scenes

    @property
    def profile(self) -> StationProfile:
        """The station profile of a perfect set-up, of the station in view; so a twin source needs no station file."""
        if self._look is None:
            raise StationError("twin: this camera has shown no station yet: take a frame first")
        return profile_of(self._look, self._scenes)

    def frames(self) -> Iterator[Frame]:
        """Frames in order; a live one sleeps until each is due."""
        began_s, sequence = self._clock(), 0
        for made in self._twins:
            twin = made if isinstance(made, Twin) else made(sequence, len(self.cases))
            self._look = twin.look
            if self.live:
                twin.missed = lambda now_s: self._wait(began_s + now_s)
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

    def _wait(self, due_s: float) -> bool:
        """Sleeps until `due_s`; False once the camera was closed."""
        ahead_s = due_s - self._clock()
        if ahead_s > 0:
            self._pace(ahead_s)
        return not self._closed


def scene_seed(seed: int, number: int) -> int:
    """Seed of immersion `number` of the run `seed`; no two runs share one."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def draw_scenes(
    seed: int,
    look: StationLook,
    profile: str,
    count: int | None,
    *,
    first: int = 0,
    empty: int = 0,
    leak_share: float | None = None,
) -> Iterator[Scene]:
    """Immersions `first`, `first + 1`, ... of the run `seed`, `count` of them or without end; in the run's first
    `empty` ones nothing is lowered."""
    for number in itertools.count(first) if count is None else range(first, first + count):
        one = scene_seed(seed, number)
        leaky = None if leak_share is None else bool(np.random.default_rng([one, 24]).random() < leak_share)
        drawn = EMPTY if number < empty else profile
        yield draw_scene(one, look, drawn, leaky=leaky, inspector_error_rate=error_rate(seed, profile, number))


def error_rate(seed: int, profile: str, number: int) -> float:
    """How likely the inspector errs at case `number`: in the demo one case of each four for certain, else by chance."""
    share = profile_named(profile).inspector_error
    if profile != "demo":
        return share
    block = round(1 / share)
    wrong = np.random.default_rng([seed, 25, number // block]).integers(block if number >= block else block - 1)
    return float(number % block == wrong)


def profile_of(look: StationLook, scenes: str | None = None) -> StationProfile:
    """The station profile that a perfect set-up would have written; `scenes`: the twin's profile whose leaks are
    sought, None = the station requires no sensitivity."""
    view = Viewer(look, 0)
    size = framing.view_size_for(look.tank_px, look.frame_size_px)
    empty = framing.rectify(view.empty_station(), framing.homography(look.tank_px, size), size)
    thumb = np.round(immersion.thumbnail(empty)).astype(np.uint8)
    return StationProfile(
        station=look.station_id,
        frame_size_px=look.frame_size_px,
        tank_px=_points(look.tank_px),
        view_size_px=size,
        px_per_mm=size[0] / look.tank_mm[0],
        markers=tuple(
            MarkerReference(corner, _points(np.array([view.to_px(point) for point in square])))
            for corner, square in marker_squares(look)
        ),
        marker_size_mm=look.marker_mm,
        lamps=tuple(Lamp(name, box) for name, box in look.lamps.items()),
        required_sensitivity_std_cm3_s=required_std_cm3_s(look, scenes) if scenes else None,
        camera=CameraSettings(exposure_ms=look.exposure_s * 1e3, brightness=float(empty.mean())),
        empty_view=base64.b64encode(thumb.tobytes()).decode(),
    )


def station_of(seed: int, number: int, profile: str, size: tuple[int, int], station_id: str) -> StationLook:
    """Station `number` of the run `seed`, for recordings that each have their own; no two runs share one."""
    return draw_station(scene_seed(seed, _STATIONS_FROM + number), profile, size, station_id)


_STATIONS_FROM = 1_000_000
"""Runs draw their immersions' seeds below, their stations' from here on."""


def open_twin(spec: str) -> TwinCamera:
    """`twin:key=value,...` -> a camera. StationError names a key or value that is not known, and the known keys."""
    options = read_spec(spec)
    cases = options.cases if options.cases is not None else (None if options.live else 12)
    if options.own:
        return _each_its_own(options, cases)
    look = draw_station(options.seed, options.profile, options.size, options.station)
    poses = max(options.poses, 1)
    if cases is None and poses > 1:
        raise StationError(f"twin: poses={poses} needs cases=N: say how many immersions the poses share")

    def twin_at(pose: int) -> Callable[[int, int], Twin]:
        first = 0 if cases is None else cases * pose // poses
        count = None if cases is None else cases * (pose + 1) // poses - first
        return lambda sequence, begun: _twin(
            options, at_pose(look, pose), options.first + first, count, sequence, options.first + begun
        )

    return TwinCamera(*(twin_at(pose) for pose in range(poses)), look=look, scenes=options.profile, live=options.live)


def _each_its_own(options: TwinSpec, cases: int | None) -> TwinCamera:
    """Each case at a station of its own, as `twin record` makes them."""
    if cases is None or options.poses > 1:
        raise StationError("twin: own=1 gives each case a station of its own: write cases=N and no poses=")
    numbers = range(options.first, options.first + cases)
    looks = [station_of(options.seed, number, options.profile, options.size, options.station) for number in numbers]

    def twin_of(number: int, look: StationLook) -> Callable[[int, int], Twin]:
        return lambda sequence, begun: _twin(options, look, number, 1, sequence, options.first + begun)

    makers = [twin_of(number, look) for number, look in zip(numbers, looks, strict=True)]
    return TwinCamera(*makers, look=looks[0] if looks else None, scenes=options.profile, live=options.live)


def _twin(
    options: TwinSpec, look: StationLook, first: int, count: int | None, sequence: int, first_case: int
) -> Twin:  # fmt: skip
    """Immersions `first` .. of a run, at one station."""
    fps = options.fps or (look.fps if options.own else USUAL_FPS)
    return Twin(
        look,
        draw_scenes(
            options.seed, look, options.profile, count,
            first=first, empty=options.empty, leak_share=options.leaky_share,
        ),
        fps=fps, seed=options.seed, single=options.single, colour=options.colour, impairments=options.faults,
        started_at=time.time() if options.live else _EPOCH, first_sequence=sequence, first_case=first_case,
    )  # fmt: skip


def _points(corners: np.ndarray) -> tuple[Point, Point, Point, Point]:
    first, second, third, fourth = ((float(x), float(y)) for x, y in corners)
    return first, second, third, fourth
