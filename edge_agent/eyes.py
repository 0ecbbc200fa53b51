"""One frame -> everything that is seen in it: framing, the rectified and stabilised tank view, faults, lamps, water."""

from dataclasses import dataclass, replace
from typing import Protocol

import cv2
import numpy as np

from edge_agent.camera_watch import CameraWatch, PictureWatch, resized
from edge_agent.composite import without_colour
from edge_agent.decision import DecisionWatch, Signal
from edge_agent.errors import ModelError
from edge_agent.framing import FramingWatch, homography, markers_in_view, rectify
from edge_agent.hot_pixels import HotPixels
from edge_agent.immersion import thumbnail, water_cells
from edge_agent.lamps import UNSEEN, LampReader
from edge_agent.records import CameraFault, FaultKind, Frame, Framing, TankView, Visibility
from edge_agent.stabilise import ShakeWatch, undone
from edge_agent.station import StationProfile, scale_of
from edge_agent.visibility import VisibilityGauge
from edge_agent.water import WaterGauge

SEEING: frozenset[FaultKind | None] = frozenset({"reordered", "duplicated", "half_rate", "noise", "exposure"})
"""Faults in which unit and lamps are seen; what they hide is bubbles."""
HIDDEN_LEVEL = 128
"""Grey level of the lamps in the tank view."""
WATER_EVERY_S = 1.0
"""Water changes over hours; a case needs a few readings."""
USUAL_RISE_MM_S = 200.0
"""Of a bubble of some millimetres, whatever the water (Clift, Grace & Weber 1978)."""


class FramingSource(Protocol):
    """What says how a frame is framed: a watch over the markers, or the fixed framing of a recording without them."""

    def step(self, frame: Frame) -> Framing: ...


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """What one frame shows. `thumb`: (24, 32) float32 cell means of the tank view."""

    frame: Frame
    framing: Framing
    view: TankView
    thumb: np.ndarray
    fault: str
    """What blinds the camera, in words; empty while nothing does."""
    signal: Signal
    clarity: float | None = None
    """Of the water, 0..1; measured now and then, None between."""
    visibility: Visibility | None = None
    """What could be seen; measured now and then, None between."""
    fault_kind: FaultKind | None = None
    """Of `fault`."""

    @property
    def is_blind(self) -> bool:
        """Nothing can be told of unit and lamps; some faults hide bubbles alone."""
        return bool(self.fault) and self.fault_kind not in SEEING

    @property
    def usable(self) -> bool:
        return not self.fault and self.framing.status in ("ok", "unchecked")


class Eyes:
    """Looks at frames one after the other."""

    def __init__(
        self,
        profile: StationProfile | None,
        framing: FramingSource,
        view_size_px: tuple[int, int],
        lamps: LampReader | None,
        decisions: DecisionWatch,
        *,
        water: WaterGauge | None = None,
    ) -> None:
        self._profile = profile
        self._framing = framing
        self._size = view_size_px
        self._lamps = lamps
        self._decisions = decisions
        self._water = water
        self._visibility = _gauge(profile, view_size_px) if profile else None
        self._gauged_s = self._measured_s = float("-inf")
        self._before: np.ndarray | None = None
        """The view before this one; None where the two cannot be compared."""
        self._camera, self._pictures = CameraWatch(of_station=profile is not None), PictureWatch()
        self._frame_size_px = profile.frame_size_px if profile else None
        self._seen: Framing | None = None
        self._pixels, self._shake = HotPixels(), ShakeWatch(profile)
        self._mask = lamp_mask(profile, view_size_px) if profile and profile.lamps else None
        self._signal = Signal("none")
        self.net_fault = ""
        """What was wrong with the lamps' or the water's net at the last frame; empty while nothing was."""

    def with_nets_of(self, other: "Eyes") -> "Eyes":
        """The eyes to go on with once `other`, which have looked at nothing, bring another bundle's nets.

        These, unless the others see another size of view; then the others, which know what the lamps have said so far.
        """
        self._decisions.limits = other._decisions.limits
        other._camera, other._pictures, other._pixels = self._camera, self._pictures, self._pixels
        if other._size != self._size:
            other.go_on_from(self)
            return other
        self._lamps, self._water = other._lamps, other._water
        return self

    def go_on_from(self, former: "Eyes") -> None:
        """These know what the lamps have said so far; they read them by their own bundle's limit."""
        former._decisions.limits = self._decisions.limits
        self._decisions, self._signal = former._decisions, former._signal
        self._decisions.look_anew()

    def warm_up(self) -> None:
        """One run of each net on a black picture, so that the first frame finds them ready. Raises ModelError."""
        black = np.zeros((*self._size[::-1], 3), np.uint8)
        if self._lamps:
            self._lamps.read(Frame(black, 0, 0.0, 0.0))
        if self._water:
            self._water.clarity(black[..., 0])

    def judged(self, frame: Frame) -> Frame | None:
        """The frame with its camera's faults; None where it shows nothing new: it came before, late, or at a wrong
        time. Whoever captured it live has judged it already."""
        return frame if frame.faults is not None else self._camera.see(frame, frame.monotonic_s)

    def look(self, frame: Frame) -> Sight:
        """What the frame shows. Frames must come in order of capture; where nobody has judged one it is believed."""
        self.net_fault = ""
        fault = self._wrong_size(frame) or next(iter(frame.faults or ()), None)
        if fault and fault.kind == "resolution":
            return self._unseen(frame, fault)
        return self._looked(frame, fault)

    @property
    def camera_fault(self) -> CameraFault | None:
        """What is wrong with the camera, by the frames of which nobody had said it before."""
        return self._camera.fault(float("-inf"))

    def _looked(self, frame: Frame, fault: CameraFault | None) -> Sight:
        grey = self._pixels.mended(without_colour(frame.image), frame.monotonic_s)
        framing = self._seen = self._framing.step(frame)
        # The homography follows a moved camera itself, and a hand before a marker is nothing to measure against.
        stands = framing.status in ("ok", "unchecked")
        shake = self._shake.step(grey, frame.monotonic_s) if stands else self._shake.lost()
        to_view = framing.homography @ undone(shake, grey.shape[0])
        view = rectify(grey, to_view, self._size)
        hide(view, self._mask)
        thumb = thumbnail(view)
        fault = self._pictures.step(thumb, frame.monotonic_s) or fault
        return self._sight(frame, framing, TankView(view, frame.sequence, frame.monotonic_s, to_view), thumb, fault)

    def _wrong_size(self, frame: Frame) -> CameraFault | None:
        """Pixels of a picture of another size than the profile's, or the first one's, would mean other places."""
        size_px = frame.image.shape[1::-1]
        self._frame_size_px = self._frame_size_px or size_px
        return None if size_px == self._frame_size_px else resized(size_px, self._frame_size_px)

    def _unseen(self, frame: Frame, fault: CameraFault) -> Sight:
        """Of a picture that no step can take: a black one of the right size stands in for it."""
        assert self._frame_size_px is not None
        width, height = self._frame_size_px
        black = replace(frame, image=np.zeros((height, width, *frame.image.shape[2:]), np.uint8))
        view = np.zeros(self._size[::-1], np.uint8)
        framing = self._seen or Framing("unchecked", np.eye(3))
        self._shake.lost()
        tank = TankView(view, frame.sequence, frame.monotonic_s, framing.homography)
        return self._sight(black, framing, tank, thumbnail(view), fault)

    def _sight(
        self, frame: Frame, framing: Framing, view: TankView, thumb: np.ndarray, fault: CameraFault | None
    ) -> Sight:
        is_blind = fault is not None and fault.kind not in SEEING
        is_clear = fault is None and framing.status == "ok"
        return Sight(
            frame=frame,
            framing=framing,
            view=view,
            thumb=thumb,
            fault=fault.words if fault else "",
            fault_kind=fault.kind if fault else None,
            signal=self._lamps_say(frame, is_blind=is_blind),
            clarity=None if is_blind else self._clarity(view.grey, frame.monotonic_s),
            visibility=self._visible(view.grey, thumb, frame.monotonic_s, usable=is_clear),
        )

    def rest(self, *, calm: bool) -> None:
        """Whether the tank is empty and nothing moves in it: then the markers are looked at less often."""
        if isinstance(self._framing, FramingWatch):
            self._framing.calm = calm

    def anchor_anew(self) -> None:
        """The next frame becomes the one that shake is measured against: light and pose change over the hours."""
        self._shake.anchor_anew()

    def _lamps_say(self, frame: Frame, *, is_blind: bool) -> Signal:
        """In a picture that shows nothing a lamp that looks dark has not gone out."""
        try:
            readings = self._lamps.read(frame) if self._lamps else {}
        except ModelError as error:
            self.net_fault = str(error)
            readings = {lamp.means: UNSEEN for lamp in self._profile.lamps} if self._profile else {}
        if is_blind and not any(reading.word(self._decisions.limits) == "lit" for reading in readings.values()):
            self._signal = replace(self._signal, fresh=False)
        else:
            self._signal = self._decisions.step(readings, frame.monotonic_s)
        return self._signal

    def _clarity(self, view: np.ndarray, now_s: float) -> float | None:
        if self._water is None or 0 <= now_s - self._gauged_s < WATER_EVERY_S:
            return None
        self._gauged_s = now_s
        try:
            return self._water.clarity(view)
        except ModelError as error:
            self.net_fault = str(error)
            return None

    def _visible(self, view: np.ndarray, thumb: np.ndarray, now_s: float, *, usable: bool) -> Visibility | None:
        before, self._before = self._before, view if usable else None
        if self._visibility is None or before is None or not usable or 0 <= now_s - self._measured_s < WATER_EVERY_S:
            return None
        self._measured_s = now_s
        return self._visibility.measure(view, before, thumb)


def lamp_mask(profile: StationProfile, view_size_px: tuple[int, int]) -> np.ndarray | None:
    """(h, w) bool: where lamps are in the tank view, with a margin of a quarter of their size; None = nowhere."""
    width, height = view_size_px
    to_view = homography(profile.tank_px, view_size_px)
    mask = np.zeros((height, width), np.uint8)
    for lamp in profile.lamps:
        x, y, w, h = lamp.rect_px
        x0, y0, x1, y1 = x - w / 4, y - h / 4, x + w * 1.25, y + h * 1.25
        corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]).reshape(-1, 1, 2)
        cv2.fillConvexPoly(mask, np.int32(np.round(cv2.perspectiveTransform(corners, to_view))), 1)
    return mask.astype(bool) if mask.any() else None


def hide(view: np.ndarray, mask: np.ndarray | None) -> None:
    """Greys out the lamps, `mask` as of `lamp_mask`, in a tank view: they tell the human's word, no net may see it."""
    if mask is not None:
        view[mask] = HIDDEN_LEVEL


def _gauge(profile: StationProfile, view_size_px: tuple[int, int]) -> VisibilityGauge:
    markers = markers_in_view(profile, view_size_px)
    exposure_ms, scale = profile.camera.exposure_ms, scale_of(profile, view_size_px)
    smear_px = exposure_ms / 1000 * USUAL_RISE_MM_S * scale if exposure_ms and scale else None
    return VisibilityGauge(markers, water_cells(markers, view_size_px), smear_px)
