"""`bench sight`: leaks that no one could see held against the verdict, and how often a good picture is refused.

Stations of the twin's `reference` are spoilt one way each, and each is shown some leaks of small bubbles. Truth says
which of them let fewer than three bubbles rise that stand out of the noise; none of those may be called ok. A few
moments tell what the gauge reads: only where it does not refuse the case is the whole recording inspected.
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

from calibration.codec import CodecOf
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
from models.data import CLEAR, RISING_PX_S, SHOWN_LEVELS, signal_to_noise

FPS = 20.0
MOMENTS_S = (3.0, 7.0)
"""When the gauge is read; two frames each."""
TRUTH_EVERY_S = 0.5
LEAK_PX = Range(2.0, 4.0, log=True)
"""Larger bubbles are seen in almost any picture, smaller ones are none of the requirement's."""
LEAKS_A_STATION = 8
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
    viewer: Viewer


@dataclass
class Tally:
    """Leaks of one way of spoiling: how many the gauge refused, how many were invisible, and what was said of those."""

    leaks: int = 0
    refused: int = 0
    invisible: int = 0
    invisible_refused: int = 0
    invisible_ok: int = 0
    passed: list[str] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    """Smallest leak that could be seen, as a share of the required one."""


def run(argv: list[str]) -> int:
    """`tankwatch bench sight`."""
    parser = argparse.ArgumentParser("tankwatch bench sight")
    parser.add_argument("--stations", type=int, default=20, help="for each way of spoiling (default 20)")
    parser.add_argument("--good", type=int, default=40, help="stations that are not spoilt (default 40)")
    parser.add_argument("--seed", type=int, default=31)
    parser.add_argument("--bundle", metavar="FILE", help="default: the shipped one")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    cv2.setNumThreads(1)
    figures = measure(options.stations, options.good, options.seed, open_bundle(options.bundle or shipped_bundle()))
    print(json.dumps(figures, indent=None if options.json else 1), file=sys.stdout if options.json else sys.stderr)
    return 0 if figures["kept"] else 1


def measure(stations: int, good: int, seed: int, bundle: Bundle) -> dict:
    """The tallies by way of spoiling, and the shares over all."""
    tallies = {way: Tally() for way in SPOILT}
    counts = {way: good if way == "good" else stations for way in SPOILT}
    todo = [(way, number) for number in range(max(counts.values())) for way in SPOILT if number < counts[way]]
    for way, number in tqdm(todo, unit="station", disable=None):
        for case in spoilt(way, scene_seed(seed, 10_000 * list(SPOILT).index(way) + number)):
            _add(tallies[way], case, bundle)
    return figures_of(tallies, seed)


def figures_of(tallies: dict[str, Tally], seed: int) -> dict:
    """What the issue asks for, and the tallies."""
    invisible = sum(tally.invisible for tally in tallies.values())
    called_ok = sum(tally.invisible_ok for tally in tallies.values())
    good = tallies["good"]
    return {
        "bench": "sight",
        "seed": seed,
        "invisible": invisible,
        "invisible_called_ok": called_ok,
        "good": good.leaks,
        "good_refused": good.refused,
        "good_smallest_to_required": [round(float(np.quantile(good.shares, at)), 2) for at in (0.5, 0.9, 0.99)],
        "kept": called_ok <= MOST_OK * invisible and good.refused <= MOST_REFUSED * good.leaks,
        "ways": {way: _brief(tally) for way, tally in tallies.items()},
    }


def _brief(tally: Tally) -> dict:
    return {key: value for key, value in vars(tally).items() if key != "shares"}


def spoilt(way: str, seed: int) -> Iterator[Spoilt]:
    """A station of the reference profile by seed, spoilt, with some leaks one after the other."""
    rng = np.random.default_rng([seed, 181])
    look = SPOILT[way](draw_station(seed), rng)
    profile, viewer = profile_of(look, "reference"), Viewer(look, seed)
    # Seen from farther away the same leak and the same requirement have fewer pixels.
    share = draw(rng, Range(0.3, 0.7)) if way == "far" else 1.0
    required = share**3 * (profile.required_sensitivity_std_cm3_s or 0.0)
    profile = msgspec.structs.replace(profile, required_sensitivity_std_cm3_s=required)
    for number in range(LEAKS_A_STATION):
        scene = draw_scene(seed + number, look, leaky=True)
        size_mm = share * draw(rng, LEAK_PX) * look.frame_size_px[0] / 640 / look.px_per_mm
        leaks = tuple(replace(leak, diameter_mm=size_mm) for leak in scene.leaks)
        yield Spoilt(look, replace(scene, leaks=leaks), profile, seed + number, viewer)


def _add(tally: Tally, case: Spoilt, bundle: Bundle) -> None:
    seen, visible = _moments(case, bundle)
    _, scale = working_view(case.profile, bundle.manifest.preprocessing)
    smallest = smallest_leak_std_cm3_s(scale, case.scene.hold_s, bundle.manifest.sensitivity, seen)
    required = case.profile.required_sensitivity_std_cm3_s
    refused = smallest is not None and required is not None and smallest > required
    tally.leaks += 1
    tally.refused += refused
    tally.shares.append(smallest / required if smallest and required else 0.0)
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
    for at_s, eyes, image, bubbles in _shots(case, bundle, steady, size):
        rows.append(bubbles[bubbles[:, 6] == 0])
        if eyes is not None:
            sight = eyes.look(Frame(image, int(at_s * FPS), at_s, at_s))
            readings += [sight.visibility] if sight.visibility else []
            clarities += [sight.clarity] if sight.clarity is not None else []
    seen = median_of(readings, float(np.median(clarities)))
    return seen, _visible(np.concatenate(rows), case, seen.noise_levels if seen else 1.0)


def _shots(
    case: Spoilt, bundle: Bundle, steady: "_Steady", size: tuple[int, int]
) -> Iterator[tuple[float, Eyes | None, np.ndarray, np.ndarray]]:
    viewer, water = case.viewer, WaterGauge(bundle.nets["water"])
    viewer.begin(case.scene, already_in=True)
    for at_s in np.arange(1.0, case.scene.hold_s, TRUTH_EVERY_S).tolist():
        eyes = None
        if at_s in MOMENTS_S:
            eyes = Eyes(case.profile, steady, size, None, DecisionWatch(), water=water)
        codec = CodecOf(case.look)
        for now_s in (at_s, at_s + 1 / FPS) if eyes else (at_s,):
            shot = viewer.shoot(now_s, now_s, (0.0, 0.0))
            image = codec.sent(cv2.merge([shot.grey] * 3)) if eyes else shot.grey
            yield now_s, eyes, image, shot.bubbles


def _visible(bubbles: np.ndarray, case: Spoilt, noise: float) -> float | None:
    """Of the leak's bubbles the share that stands out of the noise, as `models.data` tells, times those let go."""
    scale = case.profile.view_size_px[0] / float(np.linalg.norm(case.look.tank_px[1] - case.look.tank_px[0]))
    rising = bubbles[(bubbles[:, 3] < -RISING_PX_S) & (np.abs(bubbles[:, 5]) > SHOWN_LEVELS)]
    if not len(rising):
        return None
    in_view = rising * np.array([1, 1, 1, 1, scale, 1, 1])
    return float((signal_to_noise(in_view, max(0.7, noise)) >= CLEAR).mean()) * case.scene.bubbles_released


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
