"""The stages of a recipe that render and look: each seed's result is a file, so that an interrupted run goes on.

Child processes render and run ONNX; only the parent uses torch, whose threads do not survive a fork.
"""

import hashlib
import multiprocessing
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import msgspec
import numpy as np
from tqdm import tqdm

from edge_agent.bundle import Thresholds
from edge_agent.composite import Compositor
from edge_agent.infer import Detector
from edge_agent.records import TankView
from edge_agent.water import GAUGE_SIZE
from models import cases, data, gauges, nuisance, painted
from models.cases import Features
from models.data import Crops, Recording, SceneSource
from models.gauges import Samples

Stage = str
Make = Callable[[int, Path], None]
FIRST_SEED: dict[Stage, int] = {
    "bubbles": 0, "cases": 200_000, "chosen": 300_000, "gauges": 400_000, "make_believe": 500_000,
    "make_believe_cases": 600_000, "upside_down": 700_000, "sight": 800_000,
}  # fmt: skip
"""Stages draw their seeds a hundred thousand apart: no station, unit or texture is in two of them."""
SEEDS_A_RECIPE = 1_000_000
CLIP_S, CASE_S = 1.6, 7.0
"""Length of a make-believe clip that crops are taken from, and of a make-believe case."""
CROPS_A_COMPOSITE = 2
PAINTED_SHARE = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class Workplace:
    """Where a recipe's stages put their files, and how many processes work."""

    folder: Path
    scenes: SceneSource
    seed: int
    jobs: int = 1

    def each(self, stage: Stage, count: int, make: Make, *, mark: str = "") -> list[Path]:
        """`make(seed, file)` for each of the stage's seeds whose file is not there yet; all the files."""
        folder = self.folder / f"{stage}{mark}"
        folder.mkdir(parents=True, exist_ok=True)
        first = self.seed * SEEDS_A_RECIPE + FIRST_SEED[stage]
        files = {seed: folder / f"{seed}.npz" for seed in range(first, first + count)}
        missing = [(make, seed, file) for seed, file in files.items() if not file.exists()]
        for _ in tqdm(_done(missing, self.jobs), total=len(missing), desc=stage, unit="scene", disable=None):
            pass
        return list(files.values())


def crops(place: Workplace, scene_count: int, clip_count: int) -> Crops:
    """Crops of simulated immersions and of make-believe clips."""

    def of_scene(seed: int, file: Path) -> None:
        rng = np.random.default_rng([seed, 111])
        data.save(_with_painted(data.crops(place.scenes.recording(seed, "bubbles"), rng), rng), file)

    def of_clip(seed: int, file: Path) -> None:
        rng = np.random.default_rng([seed, 112])
        data.save(_with_painted(_make_believe_crops(seed), rng), file)

    files = place.each("bubbles", scene_count, of_scene)
    return data.load(files + place.each("make_believe", clip_count, of_clip))


def simulated_cases(place: Workplace, stage: Stage, count: int, detector: bytes, thresholds: Thresholds) -> Features:
    """Features of simulated cases. Leaks that let go too few bubbles to be seen are left out: they teach nothing."""

    def look(seed: int, file: Path) -> None:
        recording = place.scenes.recording(seed, "cases")
        seen = cases.evidence_of(_held(recording), _keeping(detector, thresholds), recording.profile.px_per_mm)
        cases.save(seen, file, leaky=recording.leaky, silent=recording.silent)

    return _features(place.each(stage, count, look, mark=mark_of(detector)), thresholds)


def make_believe_cases(
    place: Workplace, clip_count: int, down_count: int, detector: bytes, thresholds: Thresholds
) -> Features:
    """Features of make-believe cases, a quarter of them with painted leaks, and of simulated leaks upside down: bubbles
    that go down are no bubbles."""

    def look(seed: int, file: Path) -> None:
        leaky = seed % 4 == 0
        seen = cases.evidence_of(_make_believe_views(seed, leaky), _keeping(detector, thresholds), None)
        cases.save(seen, file, leaky=leaky)

    def look_down(seed: int, file: Path) -> None:
        recording = place.scenes.recording(seed, "cases")
        views = cases.upside_down(_held(recording))
        cases.save(cases.evidence_of(views, _keeping(detector, thresholds), recording.profile.px_per_mm), file)

    mark = mark_of(detector)
    files = place.each("make_believe_cases", clip_count, look, mark=mark)
    return _features(files + place.each("upside_down", down_count, look_down, mark=mark), thresholds)


def gauge_samples(place: Workplace, count: int) -> tuple[Samples, Samples]:
    """(lamp samples, water samples) of short simulated recordings."""

    def look(seed: int, file: Path) -> None:
        (lamps, lit), (waters, clarity) = gauges.scene_samples(place.scenes, seed)
        partial = file.with_suffix(".part.npz")
        np.savez(partial, lamps=lamps, lit=lit, waters=waters, clarity=clarity)
        partial.replace(file)

    mark = "-{}x{}".format(*GAUGE_SIZE)
    parts = [np.load(file) for file in place.each("gauges", count, look, mark=mark)]
    lamps, lit, waters, clarity = (
        np.concatenate([part[name] for part in parts]) for name in ("lamps", "lit", "waters", "clarity")
    )
    return (lamps, lit), (waters, clarity)


def _features(files: list[Path], thresholds: Thresholds) -> Features:
    parts = []
    for number, file in enumerate(files):
        seen, leaky, silent = cases.load(file)
        if len(seen.times) and not silent:
            rng = np.random.default_rng([int(file.stem), 121])
            parts.append(cases.rows_of(seen, leaky, thresholds, case=number, rng=rng))
    return cases.together(parts)


def _held(recording: Recording) -> Iterator[TankView]:
    """Views until the inspector decides."""
    for view, _, _ in data.views(recording):
        if view.monotonic_s > recording.hold_s:
            return
        yield view


def _make_believe_views(seed: int, leaky: bool) -> Iterator[TankView]:
    fps = float(np.random.default_rng([seed, 131]).choice([15, 20, 25, 30]))
    clip = nuisance.pictures(seed, seconds=CASE_S, fps=fps)
    for number, (now_s, grey) in enumerate(painted.streams(clip, seed) if leaky else clip):
        yield TankView(grey, number, now_s, np.eye(3))


def _make_believe_crops(seed: int) -> Crops:
    rng = np.random.default_rng([seed, 141])
    compositor, found = Compositor(data.PREPROCESSING, strict=False), []
    fps = float(rng.choice([15, 20, 30]))
    for number, (now_s, grey) in enumerate(nuisance.pictures(seed, seconds=CLIP_S, fps=fps)):
        composite = compositor.push(TankView(grey, number, now_s, np.eye(3)))
        if composite is not None:
            found += [data.crop(composite.image, data.NOTHING, rng) for _ in range(CROPS_A_COMPOSITE)]
    return data.joined(found)


def _with_painted(crops: Crops, rng: np.random.Generator) -> Crops:
    """Painted bubbles on the still backgrounds of some of the crops, besides them."""
    chosen = crops.pictures[rng.random(len(crops.pictures)) < PAINTED_SHARE]
    made = [painted.painted(painted.still(picture, rng), rng) for picture in chosen]
    extra = data.joined([(picture, data.rows_in(rows, (0, 0))) for picture, rows in made])
    return Crops(np.concatenate([crops.pictures, extra.pictures]), np.concatenate([crops.rows, extra.rows]))


def _keeping(detector: bytes, thresholds: Thresholds) -> Detector:
    """A detector that also says what it is less sure of, so that its limit can be chosen afterwards."""
    return Detector(detector, msgspec.structs.replace(thresholds, bubble_above=cases.KEPT_ABOVE))


def mark_of(detector: bytes) -> str:
    """Evidence belongs to one detector."""
    return "-" + hashlib.sha256(detector).hexdigest()[:8]


def _done(tasks: list[tuple[Make, int, Path]], jobs: int) -> Iterator[None]:
    if jobs <= 1 or len(tasks) <= 1:
        for make, seed, file in tasks:
            yield make(seed, file)
        return
    global _tasks
    _tasks = tasks  # a fork inherits it: closures cannot be sent
    with multiprocessing.get_context("fork").Pool(jobs, cv2.setNumThreads, (1,)) as pool:
        yield from pool.imap_unordered(_one, range(len(tasks)))


def _one(number: int) -> None:
    make, seed, file = _tasks[number]
    make(seed, file)


_tasks: list[tuple[Make, int, Path]] = []
