"""`bench sight`: leaks that no one could see held against the verdict, and how often a good picture is refused.

Stations of the twin's `reference` are spoilt one way each. Truth says which leaks let fewer than three bubbles rise
that stand out of the noise; none of those may be called ok. A few moments of a station tell what its gauge reads: only
where that does not refuse the case is the whole recording inspected.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import cv2
import msgspec
import numpy as np
from tqdm import tqdm

from calibration.profiles import Range, draw
from calibration.scene import SILENT_BELOW, Scene, StationLook, draw_scene, draw_station
from calibration.twin import Twin, TwinCamera, profile_of, scene_seed
from calibration.view import Viewer
from edge_agent.bundle import Bundle, open_bundle
from edge_agent.decision import DecisionWatch
from edge_agent.eyes import Eyes
from edge_agent.framing import homography
from edge_agent.inspection import inspect_recording, shipped_bundle, working_view
from edge_agent.records import Frame, Framing, Visibility
from edge_agent.station import StationProfile
from edge_agent.visibility import median_of, smallest_leak_std_cm3_s
from edge_agent.water import WaterGauge
from models.data import CLEAR, RISING_PX_S

FPS = 20.0
MOMENTS_S = (2.0, 5.0, 8.0)
"""When the gauge is read; two frames each."""
TRUTH_EVERY_S = 0.5
SHOWN_LEVELS = 0.02
"""Bubbles of less contrast are hidden by the unit itself."""
MOST_OK = MOST_REFUSED = 0.01
Spoil = Callable[[StationLook, np.random.Generator], StationLook]
SPOILT: dict[str, Spoil] = {
    "good": lambda look, rng: look,
    "haze": lambda look, rng: replace(look, haze=draw(rng, Range(0.8, 1.6))),
    "dark": lambda look, rng: replace(look, back_level=look.back_level * draw(rng, Range(0.04, 0.25, log=True))),
    "backlit": lambda look, rng: replace(look, front_light=0.0, back_level=look.back_level * 0.4),
    "blur": lambda look, rng: replace(look, blur_px=draw(rng, Range(1.8, 3.0))),
    "noise": lambda look, rng: replace(look, noise_levels=draw(rng, Range(6.0, 14.0))),
    "far": lambda look, rng: look,
    "all": lambda look, rng: replace(
        look,
        haze=draw(rng, Range(0.3, 1.1)),
        back_level=look.back_level * draw(rng, Range(0.15, 0.8)),
        front_light=look.front_light * draw(rng, Range(0.0, 1.0)),
        blur_px=draw(rng, Range(0.8, 2.0)),
        noise_levels=draw(rng, Range(2.0, 8.0)),
    ),
}  # fmt: skip
"""What hides bubbles, each on stations of its own; `good` leaves them as they are, `far` makes bubbles smaller."""


@dataclass(frozen=True, slots=True, eq=False)
class Spoilt:
    """A station and a leaky unit in it."""

    look: StationLook
    scene: Scene
    profile: StationProfile
    seed: int


@dataclass
class Tally:
    """Leaks of one way of spoiling: how many the gauge refused, how many were invisible, and what was said of those."""

    leaks: int = 0
    refused: int = 0
    invisible: int = 0
    invisible_refused: int = 0
    invisible_ok: int = 0
    passed: list[str] = field(default_factory=list)


def run(argv: list[str]) -> int:
    """`tankwatch bench sight`."""
    parser = argparse.ArgumentParser("tankwatch bench sight")
    parser.add_argument("--leaks", type=int, default=100, help="leaks for each way of spoiling (default 100)")
    parser.add_argument("--good", type=int, default=300, help="stations that are not spoilt (default 300)")
    parser.add_argument("--seed", type=int, default=31)
    parser.add_argument("--bundle", metavar="FILE", help="default: the shipped one")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    cv2.setNumThreads(1)
    figures = measure(options.leaks, options.good, options.seed, open_bundle(options.bundle or shipped_bundle()))
    print(json.dumps(figures, indent=None if options.json else 1), file=sys.stdout if options.json else sys.stderr)
    return 0 if figures["kept"] else 1


def measure(leaks: int, good: int, seed: int, bundle: Bundle) -> dict:
    """The tallies by way of spoiling, and the shares over all."""
    counts = {way: good if way == "good" else leaks for way in SPOILT}
    tallies = {way: Tally() for way in SPOILT}
    todo = [(way, number) for way, count in counts.items() for number in range(count)]
    for way, number in tqdm(todo, unit="leak", disable=None):
        _add(tallies[way], spoilt(way, scene_seed(seed, 10_000 * list(SPOILT).index(way) + number)), bundle)
    invisible = sum(tally.invisible for tally in tallies.values())
    called_ok = sum(tally.invisible_ok for tally in tallies.values())
    plain = tallies["good"]
    return {
        "bench": "sight",
        "seed": seed,
        "invisible": invisible,
        "invisible_called_ok": called_ok,
        "good": plain.leaks,
        "good_refused": plain.refused,
        "kept": called_ok <= MOST_OK * invisible and plain.refused <= MOST_REFUSED * plain.leaks,
        "ways": {way: vars(tally) for way, tally in tallies.items()},
    }


def spoilt(way: str, seed: int) -> Spoilt:
    """A station of the reference profile by seed, spoilt, with a leak."""
    rng = np.random.default_rng([seed, 181])
    look = SPOILT[way](draw_station(seed), rng)
    scene, profile = draw_scene(seed, look, leaky=True), profile_of(look, "reference")
    if way == "far":
        # The same leak and the same requirement, from so far away that each has fewer pixels.
        share, required = draw(rng, Range(0.2, 0.6)), profile.required_sensitivity_std_cm3_s or 0.0
        scene = replace(scene, leaks=tuple(replace(one, diameter_mm=one.diameter_mm * share) for one in scene.leaks))
        profile = msgspec.structs.replace(profile, required_sensitivity_std_cm3_s=required * share**3)
    return Spoilt(look, scene, profile, seed)


def _add(tally: Tally, case: Spoilt, bundle: Bundle) -> None:
    seen, visible = _moments(case, bundle)
    size, scale = working_view(case.profile, bundle.manifest.preprocessing)
    smallest = smallest_leak_std_cm3_s(scale, case.scene.hold_s, bundle.manifest.sensitivity, seen)
    required = case.profile.required_sensitivity_std_cm3_s
    refused = smallest is not None and required is not None and smallest > required
    tally.leaks += 1
    tally.refused += refused
    if case.scene.silent or visible is None or visible >= SILENT_BELOW:
        return
    tally.invisible += 1
    tally.invisible_refused += refused
    if not refused:
        said = _inspected(case, bundle)
        tally.invisible_ok += said == "ok"
        tally.passed.append(f"{case.seed}: {said}, {case.scene.leaks[0].diameter_mm * (scale or 1.0):.1f} px")


def _moments(case: Spoilt, bundle: Bundle) -> tuple[Visibility | None, float | None]:
    """What the gauge reads, and how many of the leak's bubbles could be seen; None where the unit itself hides them."""
    size, _ = working_view(case.profile, bundle.manifest.preprocessing)
    steady = _Steady(Framing("ok", homography(case.profile.tank_px, size)))
    readings, clarities, rows = [], [], []
    for at_s, eyes, grey, bubbles in _shots(case, bundle, steady, size):
        rows.append(bubbles[bubbles[:, 6] == 0])
        if eyes is not None:
            sight = eyes.look(Frame(grey, int(at_s * FPS), at_s, at_s))
            readings += [sight.visibility] if sight.visibility else []
            clarities += [sight.clarity] if sight.clarity is not None else []
    seen = median_of(readings, float(np.median(clarities)))
    return seen, _visible(np.concatenate(rows), case, seen.noise_levels if seen else 1.0)


def _shots(
    case: Spoilt, bundle: Bundle, steady: "_Steady", size: tuple[int, int]
) -> Iterator[tuple[float, Eyes | None, np.ndarray, np.ndarray]]:
    viewer, water = Viewer(case.look, case.seed), WaterGauge(bundle.nets["water"])
    viewer.begin(case.scene, already_in=True)
    for at_s in np.arange(1.0, case.scene.hold_s, TRUTH_EVERY_S).tolist():
        eyes = None
        if at_s in MOMENTS_S:
            eyes = Eyes(case.profile, steady, size, None, DecisionWatch(0.5), water=water)
        for now_s in (at_s, at_s + 1 / FPS) if eyes else (at_s,):
            shot = viewer.shoot(now_s, now_s, (0.0, 0.0))
            yield now_s, eyes, shot.grey, shot.bubbles


def _visible(bubbles: np.ndarray, case: Spoilt, noise: float) -> float | None:
    """Of the leak's bubbles the share that stands out of the noise, as `models.data` tells, times those let go."""
    scale = case.profile.view_size_px[0] / float(np.linalg.norm(case.look.tank_px[1] - case.look.tank_px[0]))
    rising = bubbles[(bubbles[:, 3] < -RISING_PX_S) & (bubbles[:, 5] > SHOWN_LEVELS)]
    if not len(rising):
        return None
    signal = rising[:, 5] * np.maximum(1.0, rising[:, 4] * scale) / max(0.7, noise)
    return float((signal >= CLEAR).mean()) * case.scene.bubbles_released


def _inspected(case: Spoilt, bundle: Bundle) -> str:
    twin = Twin(case.look, [case.scene], fps=FPS, seed=case.seed, single=True, colour=True)
    cases = list(inspect_recording(TwinCamera(twin), bundle, profile=case.profile, single=True))
    return cases[0].verdict if cases else "none"


@dataclass(frozen=True, slots=True)
class _Steady:
    """Framing that is right."""

    framing: Framing

    def step(self, frame: Frame) -> Framing:
        return self.framing
