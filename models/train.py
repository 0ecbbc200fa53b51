"""`train`: from simulated scenes (`--recipe`) or judged clips (`--dataset`) to a bundle. Reads from top to bottom.

Every stage keeps its result in the work folder and is skipped when the result is there, so an interrupted run goes on.
"""

import argparse
import hashlib
import io
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, TypeVar

import cv2
import numpy as np
import torch
from msgspec import UnsetType
from scipy.special import expit

from edge_agent import durable
from edge_agent.bundle import Bundle, Lineage, Sensitivity, Thresholds, TrainingRange
from edge_agent.errors import ConfigError
from edge_agent.infer import OriginReader
from models import (
    bubble_fit,
    bundle_command,
    case_fit,
    cases,
    code_version,
    forked,
    gauges,
    golden,
    novelty,
    origin_fit,
    package,
    select,
    sight_fit,
    stages,
)
from models.bubble_fit import BubbleRecipe
from models.cases import Basis, Features, together
from models.data import Crops, SceneSource
from models.looked import Workroom
from models.net import BubbleNet, CaseNet, LampNet, OriginNet, WaterNet
from models.origin_fit import OriginRecipe
from models.package import Content, Nets
from models.retrain import retrain
from models.stages import Workplace

SHIPPED = Path(__file__).parent / "shipped" / "tankwatch-1.bundle"
Log = Callable[[str], None]
N = TypeVar("N", bound=torch.nn.Module)


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
    origin_scenes: int = 1300
    """Simulated immersions, the first half of those that the origins net and the aggregator are fitted to."""
    origins: OriginRecipe = OriginRecipe()
    case_scenes: int = 1150
    """The second half."""
    make_believe_cases: int = 160
    upside_down_cases: int = 24
    limit_scenes: int = 2000
    """Held-out immersions, for calibration and the choice of limits."""
    lamp_samples: int = 42_000
    gauge_scenes: int = 600
    sight_scenes: int = 120
    """Recordings that tell how small a bubble the detector finds, by what the picture shows."""
    case_steps: int = 600
    golden_cases: int = 4
    """Stored clips that travel in the bundle; where it is to run it has to judge them as here."""


RECIPES = {
    "shipped": Recipe("shipped"),
    "small": Recipe(
        "small", bubble_scenes=150, make_believe_clips=150, bubbles=BubbleRecipe(epochs=8), origin_scenes=120,
        case_scenes=120,
        make_believe_cases=40, upside_down_cases=16, limit_scenes=60, lamp_samples=3000, gauge_scenes=100,
        sight_scenes=120,
    ),
    "quick": Recipe(
        "quick", bubble_scenes=6, make_believe_clips=4, bubbles=BubbleRecipe(epochs=2), origin_scenes=4,
        origins=OriginRecipe(epochs=2), case_scenes=6,
        make_believe_cases=2, upside_down_cases=2, limit_scenes=4, lamp_samples=400, gauge_scenes=6, case_steps=200,
        sight_scenes=4, golden_cases=2,
    ),
}  # fmt: skip
LIMITS = Thresholds(ok_below=0.2, leak_above=0.8, bubble_above=0.25, settle_s=1.0, lamp_lit_above=0.8, murky_below=0.3)
"""Where the choice of limits begins. `murky_below`: with less light, only large bubbles are seen in the twin."""


def train(argv: list[str], scenes: SceneSource) -> int:
    """`tankwatch train`. `scenes`: where simulated immersions come from."""
    options = _arguments().parse_args(argv)
    # Retraining's small sums gain nothing from threads, and with one its bytes do not depend on --jobs.
    torch.set_num_threads(1 if options.jobs == 1 or options.dataset else 2)
    cv2.setNumThreads(1)
    if options.dataset:
        if not options.out:
            raise ConfigError("--dataset needs --out FILE: where the next bundle goes")
        out = _fit_to_be_written(options.out)
        room = _workroom(options.work or out.with_name(out.name + ".work"), options.jobs)
        bundle = retrain(options.dataset, options.parent or SHIPPED, out, room, seed=options.seed).bundle
    else:
        recipe = replace(RECIPES["quick" if options.quick else options.recipe], seed=options.seed)
        runs, name = Path("runs"), f"{recipe.name}-{recipe.seed}"
        out = _fit_to_be_written(options.out or runs / f"{name}.bundle")
        place = Workplace(options.work or runs / f"train-{name}", scenes, recipe.seed, options.jobs)
        bundle = train_recipe(recipe, place, out)
    print(f"{out}: version {bundle.manifest.version}, sha256 {bundle.sha256}")
    return 0


def _fit_to_be_written(out: Path) -> Path:
    """The same, its folder made: hours later would be too late to find that it cannot be."""
    bundle_command.card_path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    return out


def train_recipe(recipe: Recipe, place: Workplace, out: Path) -> Bundle:
    """The whole way from nothing to a bundle."""
    place.folder.mkdir(parents=True, exist_ok=True)
    _claim(place.folder, recipe)
    made_at, code = _made_at(), package.commit()
    log = _log_to(place.folder / "train.log")
    log(f"recipe {json.dumps(asdict(recipe))}")

    clips = golden.from_scenes(place, recipe.golden_cases)
    crops = stages.crops(place, recipe.bubble_scenes, recipe.make_believe_clips)
    log(f"crops {len(crops.pictures)}")
    bubbles = _detector(recipe, place, crops, log)
    examples = crops.pictures[:: max(1, len(crops.pictures) // 16)][:16]
    detector = package.detector_bytes(bubbles, examples)

    lamps, water_net = _gauges(recipe, place, log)
    eyes: stages.EyeNets = {"detector": detector, "water": package.water_bytes(water_net)}
    sensitivity = sight_fit.fit(place, recipe.sight_scenes, eyes, LIMITS, log)

    origins, bases = _origins_and_bases(recipe, place, eyes, sensitivity, log)
    judgement = _judgement(recipe, place, bases, eyes, log)
    content = Content(
        version=1,
        created_at=package.utc(made_at),
        thresholds=package.limited(LIMITS, judgement.limits, judgement.novel_above),
        sensitivity=sensitivity,
        lineage=Lineage(recipe.name, recipe.seed, dataset_sha256=None, parent_sha256=None, code=code),
        card=package.card(judgement.card),
        fitted=judgement.fitted,
        examples=examples,
        golden=tuple(clips),
        training_range=judgement.training_range,
    )
    bundle = package.pack(out, Nets(detector, origins, judgement.aggregator, lamps, eyes["water"]), content)
    durable.write(bundle_command.card_path(out), content.card.encode())
    for case in bundle.manifest.golden:
        log(f"golden {case.name} leaky={case.leaky} verdict={case.verdict} score={case.score:.3f}")
    log(f"bundle {out.name} sha256={bundle.sha256}")
    return bundle


@dataclass(frozen=True, slots=True, eq=False)
class _Judgement:
    """The aggregator, all that it was fitted to, its limits, and what the card says of them."""

    aggregator: CaseNet
    fitted: Features
    limits: select.Limits
    novel_above: float | None
    card: list[str]
    training_range: TrainingRange | UnsetType


class Bases(NamedTuple):
    """With the origins net of the first half of the cases, of the second, and of both."""

    first: Basis
    second: Basis
    both: Basis


def _halves(recipe: Recipe) -> tuple[tuple[stages.Stage, int], tuple[stages.Stage, int]]:
    """The stages of simulated cases to learn from, and how many each has.

    Each half has an origins net fitted to it, and the other half's cases are looked at with that: so the aggregator
    learns from all of them, and from no case that an origins net had learnt by heart. The one that is shipped, and
    looks at the cases for the limits, is fitted to both.
    """
    return ("origins", recipe.origin_scenes), ("cases", recipe.case_scenes)


def _origins_and_bases(
    recipe: Recipe, place: Workplace, eyes: stages.EyeNets, sensitivity: Sensitivity, log: Log
) -> tuple[OriginNet, Bases]:
    """The origins net that is shipped, and what cases are looked at with."""
    first, second = _halves(recipe)
    of_first, of_second, of_both = (
        _origins(place, parts, recipe, eyes, log) for parts in ((first,), (second,), (first, second))
    )

    def basis(net: OriginNet) -> Basis:
        return Basis(thresholds=LIMITS, look=OriginReader(package.origins_bytes(net)), sensitivity=sensitivity)

    return of_both, Bases(first=basis(of_first), second=basis(of_second), both=basis(of_both))


def _judgement(recipe: Recipe, place: Workplace, bases: Bases, eyes: stages.EyeNets, log: Log) -> _Judgement:
    """Calibration and limits are of held-out cases, each scored by a fit that has not seen it.

    The aggregator that is shipped has seen them all.
    """
    basis = bases.both
    first, second = (stages.simulated_cases(place, stage, count, eyes, LIMITS) for stage, count in _halves(recipe))
    down = recipe.upside_down_cases
    second += stages.make_believe_cases(place, recipe.make_believe_cases, down, eyes["detector"], LIMITS)
    held_out = stages.simulated_cases(place, "limits", recipe.limit_scenes, eyes, LIMITS, "limits")
    known = first + second
    not_tested = [len(known) + n for n, one in enumerate(held_out) if cases.is_not_tested(*one, basis)]
    log(f"cases {_counts(known)}; for the limits {_counts(held_out)}, of which not_tested {len(not_tested)}")
    before = known_features(first, second, bases, recipe.seed)
    judged = stages.features(held_out, basis, recipe.seed, first_case=len(known))
    logits = case_fit.held_out_logits(before, judged, recipe.seed, steps=recipe.case_steps)
    sharpness = case_fit.sharpness(logits, judged)
    fitted = together([before, judged])
    aggregator = case_fit.fit(fitted, recipe.seed, log, steps=recipe.case_steps)
    aggregator.sharpness.fill_(sharpness)

    # The aggregator learns from cases that end as not_tested and as unfamiliar as well; but they are never answered, so
    # no limit is theirs. Where no sensitivity is required such a picture is answered, and the limits say less of it.
    novel_above, familiar = novelty.limit(fitted, recipe.seed), novelty.familiar_of(before)
    unanswered = np.isin(judged.case, not_tested)
    if novel_above is not None and familiar is not None:
        unanswered |= familiar.distances(judged) > novel_above
    whole = judged.whole & ~unanswered
    scores, leaky = expit(logits[whole] * sharpness), judged.leaky[whole]
    (limits, promise), auc = select.promised(scores, leaky), select.auc(scores, leaky)
    log(f"limits {json.dumps(asdict(limits))} auc={auc:.4f} cases={len(leaky)} sharpness={sharpness:.2f}")
    log(f"novel_above={novel_above} promise={json.dumps(asdict(promise)) if promise else 'none'}")
    card = [
        f"Recipe `{recipe.name}`, seed {recipe.seed}. On {len(leaky)} cases of the simulated station, each judged by a",
        f"fit that had not seen it, and which limits were chosen on: AUC {auc:.4f}, coverage {limits.coverage:.3f},",
        f"errors {limits.error:.4f}. `evaluate` on other seeds gives figures with bounds; docs/accuracy.md has them.",
        "",
        *package.limits_told(limits, promise, novel_above),
    ]
    seen = package.training_range(one.seen for one, truth in known + held_out if not truth.make_believe)
    return _Judgement(aggregator, fitted, limits, novel_above, card, seen)


def known_features(first: stages.Found, second: stages.Found, bases: Bases, seed: int) -> Features:
    """Rows of both halves, each looked at with the origins net of the other; cases are counted in that order."""
    of_first = stages.features(first, bases.second, seed)
    of_second = stages.features(second, bases.first, seed, first_case=len(first))
    return together([of_first, of_second])


def _counts(found: stages.Found) -> str:
    """How many of what, for the log."""
    truths = [truth for _, truth in found]
    return f"all={len(truths)} leaky={sum(one.leaky for one in truths)} silent={sum(one.silent for one in truths)}"


def _detector(recipe: Recipe, place: Workplace, crops: Crops, log: Log) -> BubbleNet:
    return _kept(place, "detector", BubbleNet, lambda: bubble_fit.fit(crops, recipe.bubbles, recipe.seed, log))


def _origins(
    place: Workplace, parts: Sequence[tuple[stages.Stage, int]], recipe: Recipe, eyes: stages.EyeNets, log: Log
) -> OriginNet:
    """The origins net of these stages' cases."""

    def fit() -> OriginNet:
        found = [one for stage, count in parts for one in stages.simulated_cases(place, stage, count, eyes, LIMITS)]
        return origin_fit.fit(origin_fit.kymographs(found), recipe.origins, recipe.seed, LIMITS.settle_s, log)

    named = "-and-".join(f"{count}-{stage}" for stage, count in parts)
    return _kept(place, f"origins-of-{named}{stages.mark_of(eyes['detector'] + eyes['water'])}", OriginNet, fit)


def _gauges(recipe: Recipe, place: Workplace, log: Log) -> tuple[LampNet, WaterNet]:
    (seen, lit), water = stages.gauge_samples(place, recipe.gauge_scenes)
    made, made_lit = gauges.lamp_samples(recipe.seed, recipe.lamp_samples)
    lamps = np.concatenate([made, seen]), np.concatenate([made_lit, lit])
    return (
        _kept(place, "lamps", LampNet, lambda: gauges.fit_lamps(lamps, recipe.seed, log)),
        _kept(place, "water", WaterNet, lambda: gauges.fit_water(water, recipe.seed, log)),
    )


def _claim(folder: Path, recipe: Recipe) -> None:
    """The folder's stages are of this program and recipe from now on. ConfigError where there are some of another."""
    path = folder / "claim.sha256"
    told = f"{code_version.of_recipe()} torch {torch.__version__} {json.dumps(asdict(recipe))} {LIMITS}"
    wanted = hashlib.sha256(told.encode()).hexdigest()
    try:
        known = path.read_text() if path.exists() else None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: delete {folder}, or give another --work") from error
    if known is None and not any(child.is_dir() for child in folder.iterdir()):
        durable.write(path, wanted.encode())
    elif known != wanted:
        raise ConfigError(
            f"{folder} holds stages of another recipe, or of another version of the program or of its libraries: a "
            "bundle of both would be nobody's. Delete the folder, or give another --work"
        )


def _kept(place: Workplace, name: str, empty: Callable[[], N], fit: Callable[[], N]) -> N:
    """The net as an earlier run has fitted it, or fitted now and kept: one file, whole or absent."""
    path = place.folder / f"{name}.pt"
    if path.exists():
        net = empty()
        try:
            net.load_state_dict(torch.load(path, weights_only=True))
        except Exception as error:  # torch's reader passes on whatever it stumbles over
            raise ConfigError(
                f"{path} holds no {type(net).__name__} of this version: delete it, or give another --work"
            ) from error
        return net.eval()
    net = fit()
    out = io.BytesIO()
    torch.save(net.state_dict(), out)
    durable.write(path, out.getvalue())
    return net


def _workroom(folder: Path, jobs: int) -> Workroom:
    folder.mkdir(parents=True, exist_ok=True)
    return Workroom(folder, jobs, _log_to(folder / "train.log"))


def _made_at() -> datetime:
    """The clock's time, or the environment's SOURCE_DATE_EPOCH for who wants the same bytes again."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    try:
        return datetime.now(UTC) if given is None else datetime.fromtimestamp(int(given), UTC)
    except (ValueError, OverflowError) as error:
        raise ConfigError(
            f"SOURCE_DATE_EPOCH is {given!r}: give whole seconds since 1970, or leave it unset"
        ) from error


def _log_to(path: Path) -> Log:
    """Lines to stderr and, with the time, to a file."""

    def log(line: str) -> None:
        print(line, file=sys.stderr, flush=True)
        with path.open("a") as file:
            file.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {line}\n")

    return log


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("tankwatch train", description="From scenes or judged clips to a bundle.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--recipe", choices=sorted(RECIPES), help="train from nothing on simulated scenes")
    what.add_argument("--dataset", type=Path, metavar="MANIFEST", help="train on judged clips, on top of a parent")
    parser.add_argument("--parent", type=Path, metavar="BUNDLE", help="with --dataset; default: the shipped bundle")
    parser.add_argument("--out", type=Path, metavar="FILE", help="default with --recipe: runs/NAME-SEED.bundle")
    parser.add_argument(
        "--work",
        type=Path,
        metavar="DIR",
        help="results of the stages, to go on after an interruption (default runs/train-NAME-SEED; OUT.work)",
    )
    parser.add_argument("--quick", action="store_true", help="the same in a minute, for tests: the nets are no good")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=forked.processes, default=2, help="processes (default 2)")
    return parser
