"""`bench novelty`: is what training never saw noticed? Each kind of nuisance is left out of training in turn.

For each kind a detector is fitted anew, on a small recipe's crops without it, and the distance from training is
measured as in a bundle: from simulated cases alone. Then clips in which only things of that kind move have to lie
beyond the limit, and fresh simulated cases within it. What the score would have said besides is not asked. Beside it
stands a control, the same clips with nothing moving: what is noticed of these is their look, not the kind.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from calibration import scenes_for_training
from edge_agent import durable
from edge_agent.bundle import Sensitivity, open_bundle
from edge_agent.infer import Detector
from edge_agent.inspection import shipped_bundle
from edge_agent.kymograph import NEVER, ORIGIN_ROWS
from models import bubble_fit, cases, forked, novelty, package, stages
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

    name: str
    scenes: int
    clips: int
    epochs: int
    known: int
    """Simulated cases that the distance is measured from; with fewer than 100 there is no limit."""
    fresh: int
    shown: int
    """Clips of the kind that was left out, and as many with nothing moving."""


FULL = Sizes("full", scenes=150, clips=150, epochs=8, known=300, fresh=200, shown=40)
SHORT = Sizes("short", scenes=20, clips=20, epochs=2, known=100, fresh=4, shown=4)


def run(argv: list[str]) -> int:
    """A row for each kind, resumable; 1 where one is missed."""
    options = _arguments().parse_args(argv)
    torch.set_num_threads(options.jobs)
    cv2.setNumThreads(1)
    sizes = SHORT if options.short else FULL
    place = Workplace(options.out / sizes.name, scenes_for_training, SEED, options.jobs)
    missed = 0
    for kind in options.kinds:
        row = _row(place, kind, sizes)
        reached = row["noticed"] >= LEAST_NOTICED and row["familiar"] <= MOST_FAMILIAR
        missed += not reached
        words = (
            f"{kind}: {row['noticed']:.0%} of {sizes.shown} clips noticed (wanted {LEAST_NOTICED:.0%}), with nothing "
            f"moving {row['still']:.0%}; {row['familiar']:.1%} of {sizes.fresh} familiar cases (at most "
            f"{MOST_FAMILIAR:.0%})" + ("" if reached else ": missed")
        )
        print(json.dumps(row) if options.json else words, flush=True)
    return 1 if missed else 0


def _row(place: Workplace, kind: str, sizes: Sizes) -> dict:
    """One kind's figures; kept, so that an interrupted run goes on with the next."""
    path = place.folder / f"without-{kind}.json"
    if path.exists():
        return json.loads(path.read_text())
    detector = _without(place, kind, sizes)
    eyes: stages.EyeNets = {"detector": detector, "water": open_bundle(shipped_bundle()).nets["water"]}
    known, fresh = (
        _rows(stages.simulated_cases(place, stage, count, eyes, LIMITS, "limits"))
        for stage, count in (("cases", sizes.known), ("limits", sizes.fresh))
    )
    limit, familiar = novelty.limit(known, SEED), novelty.familiar_of(known)
    assert limit is not None and familiar is not None, "Sizes.known is too small"

    def beyond(rows: Features) -> float:
        return float((familiar.distances(rows) > limit).mean())

    shown, still = (_rows(_clips(detector, kinds, sizes.shown)) for kinds in ([kind], []))
    row = {
        "kind": kind, "size": sizes.name, "limit": round(limit, 3), "noticed": beyond(shown), "still": beyond(still),
        "familiar": beyond(fresh),
    }  # fmt: skip
    durable.write(path, json.dumps(row).encode())
    return row


def _without(place: Workplace, kind: str, sizes: Sizes) -> bytes:
    """A detector that never saw things of this kind, but those that the twin itself shows."""
    path = place.folder / f"detector-{kind}.onnx"
    if not path.exists():
        crops = stages.crops(place, sizes.scenes, sizes.clips, kinds=[other for other in KINDS if other != kind])
        recipe = BubbleRecipe(epochs=sizes.epochs)
        net = bubble_fit.fit(crops, recipe, SEED, lambda line: print(f"{kind}: {line}", file=sys.stderr))
        durable.write(path, package.detector_bytes(net, crops.pictures[:16]))
    return path.read_bytes()


def _clips(detector: bytes, kinds: Sequence[str], count: int) -> stages.Found:
    """What the detector sees of make-believe clips in which only things of these kinds move."""
    looked = Detector(detector, LIMITS)
    clips = (stages.make_believe_views(FIRST_CLIP + number, kinds) for number in range(count))
    return [(cases.evidence_of(views, looked, None), CaseTruth()) for views in clips]


def _rows(found: stages.Found) -> Features:
    """A row a case, watched to its end."""
    values = np.array([cases.features(evidence, QUIET) for evidence, _ in found])
    leaky = np.array([truth.leaky for _, truth in found])
    count = len(found)
    return Features(values, leaky, np.ones(count, np.float32), np.arange(count), np.ones(count, bool))


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("tankwatch bench novelty", description="Leaves each kind of nuisance out in turn.")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="default: all, one after the other")
    parser.add_argument("--out", type=Path, default=Path("runs/novelty"), metavar="DIR", help="to go on after a break")
    parser.add_argument("--short", action="store_true", help="in some minutes a kind: too little to reach it")
    parser.add_argument("--jobs", type=forked.processes, default=2)
    parser.add_argument("--json", action="store_true")
    return parser
