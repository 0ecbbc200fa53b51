"""`train`: from simulated scenes (`--recipe`) or judged clips (`--dataset`) to a bundle. Reads from top to bottom.

Every stage keeps its result in the work folder and is skipped when the result is there, so an interrupted run goes on.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch

from edge_agent import durable
from edge_agent.bundle import Bundle, Thresholds
from edge_agent.errors import ConfigError
from edge_agent.infer import OriginReader
from models import bubble_fit, case_fit, gauges, golden, origin_fit, package, select, sight_fit, stages
from models.bubble_fit import BubbleRecipe
from models.data import Crops, SceneSource
from models.net import BubbleNet, LampNet, OriginNet, WaterNet
from models.origin_fit import OriginRecipe
from models.package import Content, Nets
from models.stages import Workplace

SHIPPED = Path(__file__).parent / "shipped" / "tankwatch-1.bundle"
Log = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How much of everything."""

    name: str
    seed: int = 1
    bubble_scenes: int = 300
    """Simulated immersions that crops are taken from."""
    make_believe_clips: int = 400
    """Clips without bubbles that crops are taken from."""
    bubbles: BubbleRecipe = BubbleRecipe()
    origin_scenes: int = 450
    """Simulated immersions that the origins net is fitted to."""
    origins: OriginRecipe = OriginRecipe()
    case_scenes: int = 400
    """Further ones, unknown to the origins net, that the aggregator is fitted to."""
    make_believe_cases: int = 160
    upside_down_cases: int = 40
    chosen_scenes: int = 200
    """Held-out immersions, for calibration and the choice of limits."""
    lamp_samples: int = 24_000
    gauge_scenes: int = 800
    sight_scenes: int = 400
    """Recordings that tell how small a bubble the detector finds, by what the picture shows."""
    case_steps: int = 1500
    golden_cases: int = 4
    """Stored clips that travel in the bundle; where it is to run it has to judge them as here."""


RECIPES = {
    "shipped": Recipe("shipped"),
    "small": Recipe(
        "small", bubble_scenes=150, make_believe_clips=150, bubbles=BubbleRecipe(epochs=8), origin_scenes=120,
        case_scenes=120,
        make_believe_cases=40, upside_down_cases=16, chosen_scenes=60, lamp_samples=3000, gauge_scenes=100,
        sight_scenes=120,
    ),
    "quick": Recipe(
        "quick", bubble_scenes=6, make_believe_clips=4, bubbles=BubbleRecipe(epochs=2), origin_scenes=4,
        origins=OriginRecipe(epochs=2), case_scenes=6,
        make_believe_cases=2, upside_down_cases=2, chosen_scenes=4, lamp_samples=400, gauge_scenes=6, case_steps=200,
        sight_scenes=4, golden_cases=2,
    ),
}  # fmt: skip
LIMITS = Thresholds(ok_below=0.2, leak_above=0.8, bubble_above=0.4, settle_s=1.0, lamp_lit_above=0.8, murky_below=0.3)
"""Where the choice of limits begins. `murky_below`: with less light, only large bubbles are seen in the twin."""


def train(argv: list[str], scenes: SceneSource) -> int:
    """`tankwatch train`. `scenes`: where simulated immersions come from."""
    options = _arguments().parse_args(argv)
    torch.set_num_threads(1 if options.jobs == 1 else 2)
    cv2.setNumThreads(1)
    out = options.out or SHIPPED
    if options.dataset and not options.out:
        raise ConfigError("--dataset needs --out FILE: the shipped bundle is not written over")
    if options.dataset:
        from models.retrain import retrain

        bundle = retrain(options.dataset, options.parent or SHIPPED, out, seed=options.seed, log=_log_to(None))
    else:
        recipe = replace(RECIPES["quick" if options.quick else options.recipe], seed=options.seed)
        work = options.work or Path("runs") / f"train-{recipe.name}-{recipe.seed}"
        bundle = train_recipe(recipe, Workplace(work, scenes, recipe.seed, options.jobs), out)
    print(f"{out}: version {bundle.manifest.version}, sha256 {bundle.sha256}")
    return 0


def train_recipe(recipe: Recipe, place: Workplace, out: Path) -> Bundle:
    """The whole way from nothing to a bundle."""
    place.folder.mkdir(parents=True, exist_ok=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    log = _log_to(place.folder / "train.log")
    log(f"recipe {json.dumps(asdict(recipe))}")

    clips = golden.from_scenes(place, recipe.golden_cases)
    crops = stages.crops(place, recipe.bubble_scenes, recipe.make_believe_clips)
    log(f"crops {len(crops.pictures)}")
    bubbles = _detector(recipe, place, crops, log)
    examples = crops.pictures[:: max(1, len(crops.pictures) // 16)][:16]
    detector = package.detector_bytes(bubbles, examples)

    origins = _origins(recipe, place, detector, log)
    look = OriginReader(package.origins_bytes(origins))

    known = stages.simulated_cases(place, "cases", recipe.case_scenes, detector, LIMITS)
    known += stages.make_believe_cases(place, recipe.make_believe_cases, recipe.upside_down_cases, detector, LIMITS)
    fitted = stages.features(known, LIMITS, look, recipe.seed)
    held_out = stages.simulated_cases(place, "chosen", recipe.chosen_scenes, detector, LIMITS)
    chosen = stages.features(held_out, LIMITS, look, recipe.seed)
    log(f"cases rows={len(fitted.leaky)} held_out_rows={len(chosen.leaky)}")
    aggregator = case_fit.fit(fitted, recipe.seed, log, steps=recipe.case_steps)
    aggregator = case_fit.calibrate(aggregator, chosen, log)

    whole = chosen.weight == 1.0
    scores = case_fit.scores(aggregator, chosen.values[whole])
    limits = select.limits(scores, chosen.leaky[whole])
    auc = select.auc(scores, chosen.leaky[whole])
    log(f"limits {json.dumps(asdict(limits))} auc={auc:.4f} cases={int(whole.sum())}")

    lamps, water_net = _gauges(recipe, place, log)
    water = package.water_bytes(water_net)
    words = [
        f"Recipe `{recipe.name}`, seed {recipe.seed}. On {int(whole.sum())} held-out cases of the simulated station,",
        f"which its limits were chosen on: AUC {auc:.4f}, coverage {limits.coverage:.3f}, errors {limits.error:.4f}.",
        "`evaluate` on other seeds gives the figures with bounds; docs/models.md keeps them.",
    ]
    thresholds = package.lowered(LIMITS, limits.ok_below, limits.leak_above)
    content = Content(
        version=1,
        thresholds=thresholds,
        sensitivity=sight_fit.fit(place, recipe.sight_scenes, {"detector": detector, "water": water}, thresholds, log),
        lineage=package.lineage(recipe.name, recipe.seed, code_version()),
        card=package.card(words),
        fitted=fitted,
        examples=examples,
        golden=tuple(clips),
    )
    bundle = package.pack(out, Nets(detector, origins, aggregator, lamps, water), content)
    durable.write(out.with_suffix(".md"), content.card.encode())
    for case in bundle.manifest.golden:
        log(f"golden {case.name} leaky={case.leaky} verdict={case.verdict} score={case.score:.3f}")
    log(f"bundle {out.name} sha256={bundle.sha256}")
    return bundle


def code_version() -> str:
    """The git commit of the training code, or 'unknown'."""
    here = Path(__file__).parent
    try:
        said = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return said.stdout.strip()


def _detector(recipe: Recipe, place: Workplace, crops: Crops, log: Log) -> BubbleNet:
    kept = place.folder / "detector.pt"
    if kept.exists():
        net = BubbleNet()
        net.load_state_dict(torch.load(kept, weights_only=True))
        return net.eval()
    net = bubble_fit.fit(crops, recipe.bubbles, recipe.seed, log)
    torch.save(net.state_dict(), kept)
    return net


def _origins(recipe: Recipe, place: Workplace, detector: bytes, log: Log) -> OriginNet:
    kept = place.folder / "origins.pt"
    if kept.exists():
        net = OriginNet()
        net.load_state_dict(torch.load(kept, weights_only=True))
        return net.eval()
    found = stages.simulated_cases(place, "origins", recipe.origin_scenes, detector, LIMITS)
    net = origin_fit.fit(origin_fit.kymographs(found), recipe.origins, recipe.seed, LIMITS.settle_s, log)
    torch.save(net.state_dict(), kept)
    return net


def _gauges(recipe: Recipe, place: Workplace, log: Log) -> tuple[LampNet, WaterNet]:
    (seen, lit), water = stages.gauge_samples(place, recipe.gauge_scenes)
    made, made_lit = gauges.lamp_samples(recipe.seed, recipe.lamp_samples)
    lamps = np.concatenate([made, seen]), np.concatenate([made_lit, lit])
    return gauges.fit_lamps(lamps, recipe.seed, log), gauges.fit_water(water, recipe.seed, log)


def _log_to(path: Path | None) -> Log:
    """Lines to stderr and, with the time, to a file."""

    def log(line: str) -> None:
        print(line, file=sys.stderr, flush=True)
        if path is not None:
            with path.open("a") as file:
                file.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {line}\n")

    return log


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("tankwatch train", description="From scenes or judged clips to a bundle.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--recipe", choices=sorted(RECIPES), help="train from nothing on simulated scenes")
    what.add_argument("--dataset", type=Path, metavar="MANIFEST", help="train on judged clips, on top of a parent")
    parser.add_argument("--parent", type=Path, metavar="BUNDLE", help="with --dataset; default: the shipped bundle")
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: the shipped bundle's place")
    parser.add_argument("--work", type=Path, metavar="DIR", help="results of the stages (default runs/train-NAME-SEED)")
    parser.add_argument("--quick", action="store_true", help="the same in a minute, for tests: the nets are no good")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="processes (default 2)")
    return parser
