"""Seed -> one simulated immersion with everything that training may know of it.

The form is what `models.data` asks for; `tankwatch.py` hands this module over, since models may not import the twin.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from calibration.odd import release
from calibration.profiles import Range, draw
from calibration.scene import Scene, StationLook, draw_scene, draw_station
from calibration.truth import lit_lamps
from calibration.twin import Twin, profile_of
from edge_agent.records import Frame
from edge_agent.station import StationProfile

Purpose = Literal["bubbles", "cases", "limits", "water", "sight", "golden", "hard"]
FPS: dict[Purpose, tuple[float, ...]] = {
    "bubbles": (15.0, 20.0, 20.0, 24.0, 25.0, 30.0, 30.0, 60.0),
    # Whole cases are long, and what a composite shows does not depend on the frames between.
    "cases": (15.0, 15.0, 20.0, 20.0, 20.0, 25.0),
    "limits": (15.0, 15.0, 20.0, 20.0, 20.0, 25.0),
    "water": (15.0,),
    "sight": (20.0,),
    # What travels in a bundle has to be small.
    "golden": (15.0,),
    "hard": (15.0,),
}
PROFILES: dict[Purpose, tuple[tuple[str, ...], tuple[float, ...]]] = {
    "bubbles": (("reference", "hard", "plant", "demo"), (0.4, 0.25, 0.25, 0.1)),
    # Of hard stations many leaks cannot be seen: taught as leaks, they would only make every quiet case doubtful.
    # More plants (0.45) made shaking ones no more familiar (docs/experiments.md, 2026-12-01).
    "cases": (("reference", "plant", "demo"), (0.6, 0.3, 0.1)),
    # Leaks at the edge of what shows, half of all units, would make limits for a plant that is nowhere; easy
    # stations would flatter.
    "limits": (("reference",), (1.0,)),
    "water": (("reference", "plant"), (0.6, 0.4)),
    "sight": (("reference", "hard"), (0.7, 0.3)),
    "golden": (("reference", "plant"), (0.6, 0.4)),
    "hard": (("hard",), (1.0,)),
}
SHORTEST_HOLD_S = 4.0
SIGHT_S = 3.0
"""A bubble is seen on the way up or it is not: three seconds of a station show some dozens of them."""


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What one frame shows: `bubbles` (n, 7) as in FrameTruth, `lit`: names of the lamps that shine."""

    bubbles: np.ndarray
    lit: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """One unit in the tank from the first frame, until after its lamp has lit."""

    look: StationLook
    scene: Scene
    profile: StationProfile
    fps: float
    seed: int

    @property
    def leaky(self) -> bool:
        return self.scene.leaky

    @property
    def silent(self) -> bool:
        """A leak that lets go too few bubbles to be seen."""
        return self.scene.silent

    @property
    def haze(self) -> float:
        return self.scene.haze

    @property
    def hold_s(self) -> float:
        return self.scene.hold_s

    @property
    def births(self) -> np.ndarray:
        """(n, 3) float32 rows of the time in s and the place, as shares of the tank's width and height, at which a
        bubble of a leak begins to rise."""
        (width, height), unit = self.look.tank_mm, self.scene.unit
        rows: list[tuple[float, float, float]] = []
        for leak in self.scene.leaks if unit else ():
            assert unit is not None
            x, y, later_s = release(leak, unit)
            rows += [(at + later_s, x / width, y / height) for at in leak.births_s.tolist()]
        return np.array(rows, np.float32).reshape(-1, 3)

    @property
    def trapped(self) -> int:
        """Bubbles of trapped air that rise at first."""
        return self.scene.trapped_bubbles

    def frames(self) -> Iterator[tuple[Frame, Truth]]:
        """Frames in order with their truths, in colour."""
        twin = Twin(self.look, [self.scene], fps=self.fps, seed=self.seed, single=True, colour=True)
        for frame, truth in twin.frames():
            yield frame, Truth(truth.bubbles, lit_lamps(self.scene, frame.monotonic_s))


def recording(seed: int, purpose: Purpose) -> Recording:
    """A station and a scene of its own for each seed; half of the units leak."""
    rng = np.random.default_rng([seed, 71])
    names, shares = PROFILES[purpose]
    profile = str(rng.choice(names, p=shares))
    look = draw_station(seed, profile)
    if look.codec == "video":
        # Training sends pictures through a video codec of its own.
        look = replace(look, codec="none", jpeg_quality=None)
    if purpose == "sight":
        look = dimmed(look, rng)
    scene = draw_scene(seed, look, profile, leaky=bool(rng.random() < 0.5)).undipped()
    fps = float(rng.choice(FPS[purpose]))
    if purpose == "bubbles":
        scene = replace(scene, hold_s=SHORTEST_HOLD_S)
    if purpose == "water":
        scene = replace(scene, hold_s=0.5, haze=float(np.exp(rng.uniform(np.log(0.03), np.log(6.0)))))
    if purpose == "sight":
        scene = replace(scene, hold_s=SIGHT_S)
    return Recording(look, scene, profile_of(look, profile), fps, seed)


def dimmed(look: StationLook, rng: np.random.Generator) -> StationLook:
    """The station as it may have become: half of them as they were, the others with what hides bubbles, drawn wide."""
    if rng.random() < 0.5:
        return look
    return replace(
        look,
        haze=draw(rng, Range(0.05, 1.6)),
        blur_px=draw(rng, Range(0.45, 2.5, log=True)),
        noise_levels=draw(rng, Range(0.8, 8.0, log=True)),
        front_light=draw(rng, Range(0.0, 1.0)) * look.front_light,
        back_level=draw(rng, Range(0.25, 1.0)) * look.back_level,
    )
