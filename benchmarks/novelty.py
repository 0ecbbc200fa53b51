"""`bench novelty`: is what training never saw noticed? Each kind of nuisance is left out of training in turn.

For each kind a detector is fitted anew, on a small recipe's crops without it, and the distance from training is
measured as in a bundle: from simulated cases alone. Then clips in which only things of that kind move have to lie
beyond the limit, and fresh simulated cases within it. What the score would have said besides is not asked.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from calibration import scenes_for_training
from edge_agent import durable
from edge_agent.account import SCORED
from edge_agent.bundle import Sensitivity, open_bundle
from edge_agent.infer import Detector
from edge_agent.inspection import shipped_bundle
from edge_agent.kymograph import NEVER, ORIGIN_ROWS
from models import bubble_fit, cases, novelty, package, stages
from models.bubble_fit import BubbleRecipe
from models.cases import Basis, CaseTruth, Features
from models.nuisance import KINDS
from models.stages import Workplace
from models.train import LIMITS

SEED = 61
FIRST_CLIP = SEED * stages.SEEDS_A_RECIPE + 990_000
LEAST_NOTICED, MOST_FAMILIAR = 0.8, 0.01
QUIET = Basis(LIMITS, lambda strips: np.full((len(strips), ORIGIN_ROWS), NEVER, np.float32), Sensitivity())
"""The distance asks neither for origins nor for the smallest bubble."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything."""

    scenes: int
    clips: int
    epochs: int
    known: int
    """Simulated cases that the distance is measured from."""
    fresh: int
    shown: int
    """Clips of the kind that was left out."""


FULL, SHORT = Sizes(150, 150, 8, 120, 100, 40), Sizes(20, 20, 2, 12, 4, 4)


def run(argv: list[str]) -> int:
    """A row for each kind, resumable; 1 where one is missed."""
    options = _arguments().parse_args(argv)
    torch.set_num_threads(options.jobs)
    cv2.setNumThreads(1)
    sizes = SHORT if options.short else FULL
    place = Workplace(options.out, scenes_for_training, SEED, options.jobs)
    missed = 0
    for kind in options.kinds:
        row = _row(place, kind, sizes)
        missed += not row["reached"]
        words = (
            f"{kind}: {row['noticed']:.0%} of {sizes.shown} clips noticed (wanted {LEAST_NOTICED:.0%}), "
            f"{row['familiar']:.1%} of {sizes.fresh} familiar cases too (at most {MOST_FAMILIAR:.0%})"
        )
        print(json.dumps(row) if options.json else words, flush=True)
    return 1 if missed else 0


def _row(place: Workplace, kind: str, sizes: Sizes) -> dict:
    """One kind's figures; kept, so that an interrupted run goes on with the next."""
    path = place.folder / f"without-{kind}.json"
    if path.exists():
        return json.loads(path.read_text())
    detector = _without(place, kind, sizes)
    looked = Detector(detector, LIMITS)
    eyes: stages.EyeNets = {"detector": detector, "water": _water()}
    found = stages.simulated_cases(place, "cases", sizes.known, eyes, LIMITS)
    known = _rows(found)
    limit = novelty.limit(known, SEED) or float("inf")
    fresh = _rows(stages.simulated_cases(place, "limits", sizes.fresh, eyes, LIMITS, "limits"))
    clips = (stages.make_believe_views(FIRST_CLIP + number, [kind]) for number in range(sizes.shown))
    strange = _rows([(cases.evidence_of(views, looked, None), CaseTruth()) for views in clips])
    noticed, familiar = (float((_distances(rows, known) > limit).mean()) for rows in (strange, fresh))
    row = {
        "kind": kind, "limit": round(limit, 3), "noticed": noticed, "familiar": familiar,
        "reached": noticed >= LEAST_NOTICED and familiar <= MOST_FAMILIAR,
    }  # fmt: skip
    durable.write(path, json.dumps(row).encode())
    return row


def _without(place: Workplace, kind: str, sizes: Sizes) -> bytes:
    """A detector that never saw things of this kind, but those that the twin itself shows."""
    kinds = [other for other in KINDS if other != kind]
    path = place.folder / f"detector-{kind}.onnx"
    if not path.exists():
        crops = stages.crops(place, sizes.scenes, sizes.clips, kinds=kinds)
        recipe = BubbleRecipe(epochs=sizes.epochs)
        net = bubble_fit.fit(crops, recipe, SEED, lambda line: print(f"{kind}: {line}", file=sys.stderr))
        durable.write(path, package.detector_bytes(net, crops.pictures[:16]))
    return path.read_bytes()


def _rows(found: Sequence[tuple[cases.CaseEvidence, CaseTruth]]) -> Features:
    """A row a case, watched to its end."""

    def each() -> Iterator[Features]:
        for number, (evidence, truth) in enumerate(found):
            values = cases.features(evidence, QUIET)[None]
            one = np.ones(1, np.float32)
            yield Features(values, np.array([truth.leaky]), one, np.array([number]), np.array([True]))

    return cases.together(each())


def _distances(rows: Features, known: Features) -> np.ndarray:
    return novelty.distances_of(rows.values[:, len(SCORED) :], known.values[:, len(SCORED) :])


def _water() -> bytes:
    """The shipped water net: it has no part in the distance."""
    return open_bundle(shipped_bundle()).nets["water"]


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("tankwatch bench novelty", description="Leaves each kind of nuisance out in turn.")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="default: all, one after the other")
    parser.add_argument("--out", type=Path, default=Path("runs/novelty"), metavar="DIR", help="to go on after a break")
    parser.add_argument("--short", action="store_true", help="in a minute a kind, for tests: too little to reach it")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    return parser
