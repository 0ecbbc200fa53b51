"""The stages of a recipe that render and look: each seed's result is a file, so that an interrupted run goes on."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
from tqdm import tqdm

from edge_agent.bundle import NetName, Thresholds
from edge_agent.composite import Compositor
from edge_agent.infer import Detector
from edge_agent.records import TankView
from edge_agent.water import GAUGE_SIZE, WaterGauge
from models import arrays, cases, data, forked, gauges, nuisance, painted
from models.cases import Basis, CaseEvidence, CaseTruth, Features
from models.data import Crops, Purpose, SceneSource
from models.gauges import Samples
from models.nuisance import KINDS

Stage = str
Make = Callable[[int, Path], None]
EyeNets = Mapping[NetName, bytes]
"""The nets that look at pictures: the detector, and the water net as far as it is asked for."""
FIRST_SEED: dict[Stage, int] = {
    "bubbles": 0, "golden": 100_000, "cases": 200_000, "limits": 300_000, "gauges": 400_000, "make_believe": 500_000,
    "make_believe_cases": 600_000, "upside_down": 700_000, "sight": 800_000, "origins": 900_000,
}  # fmt: skip
"""Stages draw their seeds a hundred thousand apart: no station, unit or texture is in two of them."""
SEEDS_A_RECIPE = 1_000_000
FORM = 5
"""Of the files of what a detector saw: raised with what they hold, so that older ones are not taken for newer."""
CLIP_S, CASE_S = 1.6, 7.0
"""Length of a make-believe clip that crops are taken from, and of a make-believe case."""
CROPS_A_COMPOSITE = 2
PAINTED_SHARE = 0.25
VIDEO_SHARE = 0.15
"""Of the cases to learn from. Limits are chosen on pictures as the scene's own camera sends them."""


@dataclass(frozen=True, slots=True, eq=False)
class Workplace:
    """Where a recipe's stages put their files, and how many processes work."""

    folder: Path
    scenes: SceneSource
    seed: int
    jobs: int = 1

    def first_seed(self, stage: Stage) -> int:
        """The stage's seeds count from here."""
        return self.seed * SEEDS_A_RECIPE + FIRST_SEED[stage]

    def each(self, stage: Stage, count: int, make: Make, *, mark: str = "", suffix: str = ".npz") -> list[Path]:
        """`make(seed, file)` for each of the stage's seeds whose file is not there yet; all the files."""
        folder = self.folder / f"{stage}{mark}"
        folder.mkdir(parents=True, exist_ok=True)
        first = self.first_seed(stage)
        files = {seed: folder / f"{seed}{suffix}" for seed in range(first, first + count)}
        missing = [(seed, file) for seed, file in files.items() if not file.exists()]
        made = forked.each(lambda one: make(*one), missing, self.jobs, ordered=False)
        for _ in tqdm(made, total=len(missing), desc=stage, unit="scene", disable=None):
            pass
        return list(files.values())


def crops(place: Workplace, scene_count: int, clip_count: int, *, kinds: Sequence[str] = KINDS) -> Crops:
    """Crops of simulated immersions and of make-believe clips in which things of these `kinds` move."""

    def of_scene(seed: int, file: Path) -> None:
        rng = np.random.default_rng([seed, 111])
        data.save(_with_painted(data.crops(place.scenes.recording(seed, "bubbles"), rng), rng), file)

    def of_clip(seed: int, file: Path) -> None:
        rng = np.random.default_rng([seed, 112])
        data.save(_with_painted(_make_believe_crops(seed, kinds), rng), file)

    files = place.each("bubbles", scene_count, of_scene)
    missing = "".join(f"-{kind}" for kind in KINDS if kind not in kinds)
    return data.load(files + place.each("make_believe", clip_count, of_clip, mark=missing))


Found = list[tuple[CaseEvidence, CaseTruth]]


def simulated_cases(
    place: Workplace, stage: Stage, count: int, nets: EyeNets, thresholds: Thresholds, purpose: Purpose = "cases"
) -> Found:
    """Simulated cases as the detector sees them, with what the picture let be seen."""

    def look(seed: int, file: Path) -> None:
        recording = place.scenes.recording(seed, purpose)
        gauged = data.Gauged()
        video = purpose == "cases" and np.random.default_rng([seed, 113]).random() < VIDEO_SHARE
        sent: data.Sent = "video" if video else "raw"
        views = (view for view, _, _ in data.held(recording, gauged, sent=sent, water=WaterGauge(nets["water"])))
        found = cases.evidence_of(views, _keeping(nets["detector"], thresholds), recording.profile.px_per_mm)
        truth = CaseTruth(
            leaky=recording.leaky,
            silent=recording.silent,
            births=recording.births,
            required_std_cm3_s=recording.profile.required_sensitivity_std_cm3_s,
        )
        cases.save(replace(found, seen=gauged.seen()), file, truth)

    return _found(place.each(stage, count, look, mark=mark_of(nets["detector"] + nets["water"])))


def make_believe_cases(
    place: Workplace, clip_count: int, down_count: int, detector: bytes, thresholds: Thresholds
) -> Found:
    """Make-believe cases, a quarter of them with painted leaks, and simulated leaks upside down: what goes down is no
    bubble."""

    def look(seed: int, file: Path) -> None:
        leaky = seed % 4 == 0
        seen = cases.evidence_of(make_believe_views(seed, leaky=leaky), _keeping(detector, thresholds), None)
        cases.save(seen, file, CaseTruth(leaky=leaky, make_believe=True))

    def look_down(seed: int, file: Path) -> None:
        recording = place.scenes.recording(seed, "cases")
        views = cases.upside_down(view for view, _, _ in data.held(recording, data.Gauged()))
        seen = cases.evidence_of(views, _keeping(detector, thresholds), recording.profile.px_per_mm)
        cases.save(seen, file, CaseTruth(make_believe=True))

    mark = mark_of(detector)
    files = place.each("make_believe_cases", clip_count, look, mark=mark)
    return _found(files + place.each("upside_down", down_count, look_down, mark=mark))


def gauge_samples(place: Workplace, count: int) -> tuple[Samples, Samples]:
    """(lamp samples, water samples) of short simulated recordings."""

    def look(seed: int, file: Path) -> None:
        (lamps, lit), (waters, clarity) = gauges.scene_samples(place.scenes, seed)
        arrays.save(file, lamps=lamps, lit=lit, waters=waters, clarity=clarity)

    mark = "-{}x{}".format(*GAUGE_SIZE)
    parts = [np.load(file) for file in place.each("gauges", count, look, mark=mark)]
    lamps, lit, waters, clarity = (
        np.concatenate([part[name] for part in parts]) for name in ("lamps", "lit", "waters", "clarity")
    )
    return (lamps, lit), (waters, clarity)


def features(found: Found, basis: Basis, seed: int, *, first_case: int = 0) -> Features:
    """Rows for the aggregator. Silent leaks are left out: nothing tells them from a tight unit, and they would make
    every quiet case doubtful."""
    parts = []
    for number, (seen, truth) in enumerate(found, start=first_case):
        if len(seen.times) and not truth.silent:
            rng = np.random.default_rng([seed, number, 121])
            parts.append(cases.rows_of(seen, truth, basis, case=number, rng=rng))
    return cases.together(parts)


def _found(files: list[Path]) -> Found:
    return [cases.load(file) for file in files]


def make_believe_views(seed: int, kinds: Sequence[str] = KINDS, *, leaky: bool = False) -> Iterator[TankView]:
    """One make-believe case in which things of these `kinds` move; `leaky`: with a painted leak besides."""
    fps = float(np.random.default_rng([seed, 131]).choice([15, 20, 25, 30]))
    clip = nuisance.pictures(seed, seconds=CASE_S, fps=fps, kinds=kinds)
    for number, (now_s, grey) in enumerate(painted.streams(clip, seed) if leaky else clip):
        yield TankView(grey, number, now_s, np.eye(3))


def _make_believe_crops(seed: int, kinds: Sequence[str]) -> Crops:
    rng = np.random.default_rng([seed, 141])
    compositor, found = Compositor(data.PREPROCESSING, strict=False), []
    fps = float(rng.choice([15, 20, 30]))
    for number, (now_s, grey) in enumerate(nuisance.pictures(seed, seconds=CLIP_S, fps=fps, kinds=kinds)):
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


def mark_of(nets: bytes, above: float = cases.KEPT_ABOVE) -> str:
    """Evidence belongs to the nets that saw it, to the score `above` which it was kept, and to the form of its file."""
    return "-" + hashlib.sha256(f"{FORM} {above} ".encode() + nets).hexdigest()[:8]
