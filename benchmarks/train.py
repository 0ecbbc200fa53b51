"""`bench train`: what the shipped recipe and a retraining on 2,000 clips cost on two cores, beside their limits.

Each stage runs on a few units, by the recipe's own functions; CPU seconds a unit times the units that the recipe asks
for make the minutes. They are extrapolated, and said to be. Baselines are what a stage cannot do without: the bare
rendering, the bare net. `--full` really looks at 2,000 clips and times that.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import torch

from benchmarks import train_clips
from calibration import scenes_for_training
from edge_agent import kymograph
from edge_agent.bundle import Bundle, open_bundle
from edge_agent.infer import OriginReader
from edge_agent.inspection import shipped_bundle
from models import bubble_fit, case_fit, cases, gauges, golden, nuisance, origin_fit, package, sight_fit, stages
from models.cases import Basis
from models.data import Crops, Purpose
from models.net import BubbleNet, OriginNet
from models.stages import Found, Stage, Workplace
from models.train import LIMITS, RECIPES, Recipe

CORES = 2
LIMIT_TRAIN_MIN, LIMIT_RETRAIN_MIN = 240.0, 30.0
FIT_STEPS, CASE_STEPS, LAMPS = 6, 40, 320
"""How much of the fits is measured: each step is like the next."""
NETS = 5
ALONE = "none"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Cost:
    """One stage: CPU seconds of a unit and of its baseline, and how many the recipe asks for.

    `cores`: stages that render and look share the cores; a fit is counted as on one, though torch may take both.
    """

    stage: str
    units: float
    cpu_s: float
    baseline: str
    baseline_cpu_s: float
    cores: int = 1

    @property
    def minutes(self) -> float:
        return self.units * self.cpu_s / 60 / self.cores

    @property
    def ratio(self) -> float | None:
        """To the baseline; None where the stage is its own."""
        return self.cpu_s / self.baseline_cpu_s if self.baseline_cpu_s else None

    def as_json(self) -> dict:
        """What is printed of it."""
        return {
            "stage": self.stage,
            "units": round(self.units),
            "cpu_s_a_unit": round(self.cpu_s, 4),
            "baseline": self.baseline,
            "ratio": self.ratio and round(self.ratio, 2),
            "minutes": round(self.minutes, 2),
        }


def run(argv: list[str]) -> int:
    """`tankwatch bench train`; status 1 where a limit is not kept."""
    options = _arguments().parse_args(argv)
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    bundle = open_bundle(options.bundle or shipped_bundle())
    with tempfile.TemporaryDirectory() as folder:
        place = Workplace(Path(folder), scenes_for_training, options.seed)
        costs = (
            []
            if options.full or options.clips_alone
            else list(_told(recipe_costs(RECIPES["shipped"], place, bundle, options.scenes)))
        )
        retrain = (train_clips.full if options.full else train_clips.sampled)(place, bundle, options.clips)
    figures = figures_of(costs, retrain)
    print(json.dumps(figures, indent=None if options.json else 1), file=sys.stdout if options.json else sys.stderr)
    return 0 if figures["kept"] else 1


def figures_of(costs: list[Cost], retrain: dict) -> dict:
    """All figures, and whether the limits are kept; without `costs` the retraining's alone."""
    minutes = sum(cost.minutes for cost in costs)
    figures: dict = {"bench": "train", "cores": CORES, "load": round(os.getloadavg()[0], 2)}
    if costs:
        figures |= {
            "stages": [cost.as_json() for cost in costs],
            "train": {"extrapolated": True, "minutes": round(minutes, 1), "limit_minutes": LIMIT_TRAIN_MIN},
        }
    kept = minutes <= LIMIT_TRAIN_MIN and retrain["minutes"] <= LIMIT_RETRAIN_MIN
    kept = kept and retrain.get("evaluation", {}).get("kept", True)
    return figures | {"retrain": retrain | {"limit_minutes": LIMIT_RETRAIN_MIN}, "kept": kept}


def recipe_costs(recipe: Recipe, place: Workplace, bundle: Bundle, count: int) -> Iterator[Cost]:
    """Every stage of `recipe` on `count` units; what is made of some feeds the next, as in training."""
    detector = bundle.nets["detector"]
    yield from _crops_and_detector(recipe, place, count)
    spent_s, found = timed(lambda: stages.simulated_cases(place, "cases", count, bundle.nets, LIMITS))
    looked = recipe.origin_scenes + recipe.case_scenes + recipe.upside_down_cases + recipe.limit_scenes
    yield Cost("look at a case", looked, spent_s / count, *_rendering(place, "cases", "cases", count))
    spent_s, none = timed(lambda: stages.make_believe_cases(place, count, 0, detector, LIMITS))
    bare = _pictures(place, "make_believe_cases", stages.CASE_S, count)
    yield Cost("look at a make-believe case", recipe.make_believe_cases, spent_s / count, *bare)
    yield _origins(recipe, found)
    basis = Basis(LIMITS, OriginReader(bundle.nets["origins"]), bundle.manifest.sensitivity)
    yield from _cases(recipe, found + none, basis)
    yield from _gauges(recipe, place, count)
    spent_s, _ = timed(lambda: sight_fit.fit(place, count, bundle.nets, LIMITS, _unheard))
    yield Cost("sight of a scene", recipe.sight_scenes, spent_s / count, *_rendering(place, "sight", "sight", count))
    spent_s, _ = timed(lambda: golden.from_scenes(place, 1))
    yield Cost("golden case", recipe.golden_cases, spent_s, ALONE, 0.0)
    spent_s, _ = timed(lambda: package.origins_bytes(OriginNet()))
    yield Cost("export of a net", NETS, spent_s, ALONE, 0.0)


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """(CPU seconds of this process, result)."""
    began = time.process_time()
    result = work()
    return time.process_time() - began, result


def _crops_and_detector(recipe: Recipe, place: Workplace, count: int) -> Iterator[Cost]:
    spent_s, shown = timed(lambda: stages.crops(place, count, 0))
    yield Cost(
        "crops of a scene", recipe.bubble_scenes, spent_s / count, *_rendering(place, "bubbles", "bubbles", count)
    )
    spent_s, made = timed(lambda: _clip_crops(place, count))
    bare = _pictures(place, "make_believe", stages.CLIP_S, count)
    yield Cost("crops of a make-believe clip", recipe.make_believe_clips, spent_s / count, *bare)
    sets = ((shown, recipe.bubble_scenes), (made, recipe.make_believe_clips))
    crops = sum(len(one.pictures) * units for one, units in sets) / count
    batch = recipe.bubbles.batch
    known = _repeated(shown, FIT_STEPS * batch)
    spent_s, _ = timed(lambda: bubble_fit.fit(known, replace(recipe.bubbles, epochs=1), place.seed, _unheard))
    net, pictures = BubbleNet(), torch.from_numpy(known.pictures[:batch])
    steps = recipe.bubbles.epochs * (crops // batch)
    yield Cost("step of the detector", steps, spent_s / FIT_STEPS, *_bare_step(lambda: net.raw(pictures)))


def _origins(recipe: Recipe, found: Found) -> Cost:
    batch = recipe.origins.batch
    times = -(-FIT_STEPS * batch // len(found))
    many = origin_fit.kymographs(found * times)
    few = replace(recipe.origins, epochs=1)
    spent_s, _ = timed(lambda: origin_fit.fit(many, few, recipe.seed, LIMITS.settle_s, _unheard))
    net = OriginNet()
    strips = torch.rand(recipe.origins.asked * batch, *kymograph.PICTURE)
    # One fit to either half and one to both.
    steps = 2 * recipe.origins.epochs * (recipe.origin_scenes + recipe.case_scenes) // batch
    measured = max(1, len(many.truths) // batch)
    return Cost("step of the origins net", steps, spent_s / measured, *_bare_step(lambda: net(strips)))


def _cases(recipe: Recipe, found: Found, basis: Basis) -> Iterator[Cost]:
    """Features of a case, at several lengths of watching, and steps of the aggregator."""
    spent_s, rows = timed(lambda: stages.features(found, basis, recipe.seed))
    fitted_to = recipe.origin_scenes + recipe.case_scenes + recipe.make_believe_cases + recipe.upside_down_cases
    strips = np.random.default_rng(0).random((kymograph.MOST_STRIPS, *kymograph.PICTURE), np.float32)
    bare_s = timed(lambda: [basis.look(strips) for _ in range(10)])[0] / 10
    yield Cost("features of a case", fitted_to + recipe.limit_scenes, spent_s / len(found), "origins net", bare_s)
    wanted = (1 + cases.SHORTER) * (fitted_to + recipe.limit_scenes)
    chosen = np.resize(np.arange(len(rows.leaky)), wanted)
    many = cases.chosen(rows, chosen)
    spent_s, net = timed(lambda: case_fit.fit(many, recipe.seed, _unheard, steps=CASE_STEPS))
    values = torch.from_numpy(many.values)
    # One fit to all, and those that judge what they have not seen.
    steps = recipe.case_steps * (1 + case_fit.DEALS * case_fit.FOLDS)
    yield Cost("step of the aggregator", steps, spent_s / CASE_STEPS, *_bare_step(lambda: net.logit(values)))


def _gauges(recipe: Recipe, place: Workplace, count: int) -> Iterator[Cost]:
    spent_s, (seen, waters) = timed(lambda: stages.gauge_samples(place, count))
    yield Cost(
        "gauge samples of a scene", recipe.gauge_scenes, spent_s / count, *_rendering(place, "gauges", "water", count)
    )
    spent_s, lamps = timed(lambda: gauges.lamp_samples(recipe.seed, LAMPS))
    yield Cost("made-up lamp", recipe.lamp_samples, spent_s / LAMPS, ALONE, 0.0)
    total = recipe.lamp_samples + recipe.gauge_scenes * len(seen[0]) / count
    spent_s, net = timed(lambda: gauges.fit_lamps(lamps, recipe.seed, _unheard, epochs=1))
    crops = torch.from_numpy(lamps[0][: gauges.BATCH])
    steps = gauges.LAMP_EPOCHS * total // gauges.BATCH
    yield Cost("step of the lamps", steps, spent_s * gauges.BATCH / LAMPS, *_bare_step(lambda: net.logit(crops)))
    many = tuple(np.resize(part, (gauges.BATCH, *part.shape[1:])) for part in waters)
    spent_s, water = timed(lambda: gauges.fit_water((many[0], many[1]), recipe.seed, _unheard, epochs=FIT_STEPS))
    steps = gauges.WATER_EPOCHS * -(-recipe.gauge_scenes * len(waters[0]) // count // gauges.BATCH)
    views = torch.from_numpy(many[0])
    yield Cost("step of the water", steps, spent_s / FIT_STEPS, *_bare_step(lambda: water.logit(views)))


def _clip_crops(place: Workplace, count: int) -> Crops:
    return stages.crops(place, 0, count)


def _repeated(crops: Crops, count: int) -> Crops:
    """`count` of them, however many there are: the measure is of time alone."""
    chosen = np.resize(np.arange(len(crops.pictures)), count)
    return Crops(crops.pictures[chosen], crops.rows[chosen])


def _rendering(place: Workplace, stage: Stage, purpose: Purpose, count: int) -> tuple[str, float, int]:
    """The same scenes, up to the moment at which the stage stops to look, with nobody looking."""

    def render() -> None:
        for seed in _seeds(place, stage, count):
            recording = place.scenes.recording(seed, purpose)
            until_s = np.inf if purpose == "bubbles" else recording.hold_s
            for frame, _ in recording.frames():
                if frame.monotonic_s > until_s:
                    break

    return "rendering", timed(render)[0] / count, CORES


def _pictures(place: Workplace, stage: Stage, seconds: float, count: int) -> tuple[str, float, int]:
    def make() -> None:
        for seed in _seeds(place, stage, count):
            deque(nuisance.pictures(seed, seconds=seconds, fps=20.0), maxlen=0)

    return "its pictures, 20 a second", timed(make)[0] / count, CORES


def _bare_step(forward: Callable[[], torch.Tensor]) -> tuple[str, float]:
    """Forward and back through the net alone, on a batch that is ready."""
    forward().sum().backward()
    spent_s, _ = timed(lambda: [forward().sum().backward() for _ in range(FIT_STEPS)])
    return "net forward and back", spent_s / FIT_STEPS


def _seeds(place: Workplace, stage: Stage, count: int) -> range:
    return range(place.first_seed(stage), place.first_seed(stage) + count)


def _told(costs: Iterable[Cost]) -> Iterator[Cost]:
    for cost in costs:
        beside = f" ({cost.ratio:.2f} times {cost.baseline})" if cost.ratio else ""
        words = f"{cost.cpu_s:.3f} CPU-s{beside}, {cost.units:.0f} of them {cost.minutes:.1f} min"
        print(f"{cost.stage}: {words}", file=sys.stderr, flush=True)
        yield cost


def _unheard(line: str) -> None:
    """A fit's own log says nothing here."""


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("tankwatch bench train", description="Minutes of training on two cores.")
    parser.add_argument("--scenes", type=int, default=4, help="units of each stage that are measured (default 4)")
    parser.add_argument("--clips", type=int, default=6, help="clips of the twin that are looked at (default 6)")
    parser.add_argument("--seed", type=int, default=77)
    parser.add_argument("--bundle", metavar="FILE", help="default: the shipped one")
    parser.add_argument("--clips-alone", action="store_true", help="only the retraining and the evaluation")
    parser.add_argument("--full", action="store_true", help="look at 2,000 clips and time it; the recipe is left out")
    parser.add_argument("--json", action="store_true")
    return parser
