"""A simulated station whose water is as murky as asked -> what the device reads of it, an immersion at a time.

The pictures go through the device's own eyes: two successive frames tell the clarity and what can be seen.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import cv2
import msgspec

from calibration import scenes_for_training
from calibration.codec import CodecOf
from calibration.scene import Scene, draw_scene
from calibration.view import Viewer
from edge_agent.bundle import Bundle
from edge_agent.decision import DecisionWatch
from edge_agent.eyes import Eyes
from edge_agent.framing import homography
from edge_agent.inspection import working_view
from edge_agent.records import Frame, Framing, Visibility
from edge_agent.visibility import smallest_leak_std_cm3_s
from edge_agent.water import WaterGauge

FPS = 20.0
AT_S = 3.0
"""After the unit came to rest: the surface has calmed down."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One immersion. `haze`: the truth; `smallest_leak`: std cm3/s, None where the bundle cannot tell it."""

    haze: float
    clarity: float
    visibility: Visibility
    smallest_leak: float | None


class Tank:
    """One station by seed, of the kinds that water nets are taught with."""

    def __init__(self, seed: int, bundle: Bundle) -> None:
        recording = scenes_for_training.recording(seed, "water")
        self.look, self.profile = recording.look, recording.profile
        self._seed, self._sensitivity = seed, bundle.manifest.sensitivity
        self._viewer, self._water = Viewer(self.look, seed), WaterGauge(bundle.nets["water"])
        self._size, self._scale = working_view(self.profile, bundle.manifest.preprocessing)
        self._steady = Steady(Framing("ok", homography(self.profile.tank_px, self._size)))

    @property
    def required(self) -> float:
        """The leak that has to be found, std cm3/s."""
        assert self.profile.required_sensitivity_std_cm3_s is not None
        return self.profile.required_sensitivity_std_cm3_s

    def unit(self, number: int) -> Scene:
        """Immersion `number`: a unit of its own, with its own bubbles and specks, and nobody's hands before it."""
        return replace(draw_scene(self._seed * 1000 + number, self.look).undipped(), hands=())

    def read(self, scene: Scene, haze: float) -> Reading:
        """The immersion in water of that haze."""
        eyes = Eyes(self.profile, self._steady, self._size, None, DecisionWatch(), water=self._water)
        self._viewer.begin(replace(scene, haze=haze), already_in=True)
        codec, sights = CodecOf(self.look), []
        for number, at_s in enumerate((AT_S, AT_S + 1 / FPS)):
            image = codec.sent(cv2.merge([self._viewer.shoot(at_s, at_s, (0.0, 0.0)).grey] * 3))
            sights.append(eyes.look(Frame(image, number, at_s, at_s)))
        clarity, visible = sights[0].clarity, sights[1].visibility
        assert clarity is not None and visible is not None
        seen = msgspec.structs.replace(visible, clarity=clarity)
        smallest = smallest_leak_std_cm3_s(self._scale, scene.hold_s, self._sensitivity, seen)
        return Reading(haze, clarity, seen, smallest)

    def same_unit(self, hazes: Iterable[float]) -> list[Reading]:
        """One unit in water of each haze."""
        scene = self.unit(0)
        return [self.read(scene, haze) for haze in hazes]

    def other_units(self, hazes: Iterable[float]) -> list[Reading]:
        """Immersion after immersion, each with a unit of its own."""
        return [self.read(self.unit(number), haze) for number, haze in enumerate(hazes)]


@dataclass(frozen=True, slots=True)
class Steady:
    """Framing that is right."""

    framing: Framing

    def step(self, frame: Frame) -> Framing:
        return self.framing
