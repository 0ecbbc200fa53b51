"""`bench novelty`: is what training never saw noticed? Each kind of nuisance is left out of training in turn.

For each kind a detector is fitted anew, on a small recipe's crops without it, and the distance from training is
measured as in a bundle: from simulated cases alone. Then clips in which only things of that kind move have to lie
beyond the limit, and fresh simulated cases within it. What the score would have said besides is not asked. Beside it
stands a control, the same clips with nothing moving: what is noticed of these is their look, not the kind.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from calibration import scenes_for_training
from edge_agent import durable
from edge_agent.bundle import Sensitivity
from edge_agent.infer import Detector
from edge_agent.kymograph import NEVER, ORIGIN_ROWS
from models import bubble_fit, cases, code_version, data, forked, novelty, package, stages
from models.bubble_fit import BubbleRecipe
from models.cases import Basis, Features
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
    detectors = {kind: _without(place, kind, sizes) for kind in options.kinds}
    # All of them look at a case while it is there: rendered for each of them it would be rendered nine times.
    known = _looked(place, "cases", sizes.known, detectors)
    fresh = _looked(place, "limits", sizes.fresh, detectors)
    missed = 0
    for number, (kind, detector) in enumerate(detectors.items()):
        row = _row(kind, detector, known[number], fresh[number], sizes, options.jobs)
        reached = row["noticed"] >= LEAST_NOTICED and row["familiar"] <= MOST_FAMILIAR
        missed += not reached
        words = (
            f"{kind}: {row['noticed']:.0%} of {sizes.shown} clips noticed (wanted {LEAST_NOTICED:.0%}), with nothing "
            f"moving {row['still']:.0%}; {row['familiar']:.1%} of {sizes.fresh} familiar cases (at most "
            f"{MOST_FAMILIAR:.0%})" + ("" if reached else ": missed")
        )
        print(json.dumps(row) if options.json else words, flush=True)
    return 1 if missed else 0


def _row(kind: str, detector: bytes, known: Features, fresh: Features, sizes: Sizes, jobs: int) -> dict:
    """One kind's figures."""
    limit, familiar = novelty.limit(known, SEED), novelty.familiar_of(known)
    assert limit is not None and familiar is not None, "Sizes.known is too small"

    def beyond(rows: Features) -> float:
        return float((familiar.distances(rows) > limit).mean())

    shown, still = (_clips(detector, kinds, sizes.shown, jobs) for kinds in ([kind], []))
    return {
        "kind": kind, "size": sizes.name, "limit": round(limit, 3), "noticed": beyond(shown), "still": beyond(still),
        "familiar": beyond(fresh),
    }  # fmt: skip


def _without(place: Workplace, kind: str, sizes: Sizes) -> bytes:
    """A detector that never saw things of this kind, but those that the twin itself shows."""
    path = place.folder / f"detector-{kind}.onnx"
    if not path.exists():
        crops = stages.crops(place, sizes.scenes, sizes.clips, kinds=[other for other in KINDS if other != kind])
        recipe = BubbleRecipe(epochs=sizes.epochs)
        net = bubble_fit.fit(crops, recipe, SEED, lambda line: print(f"{kind}: {line}", file=sys.stderr))
        durable.write(path, package.detector_bytes(net, crops.pictures[:16]))
    return path.read_bytes()


def _looked(place: Workplace, stage: stages.Stage, count: int, detectors: Mapping[str, bytes]) -> list[Features]:
    """What each of the detectors makes of the same simulated cases."""

    def look(seed: int, file: Path) -> None:
        recording = place.scenes.recording(seed, "limits")
        views = [view for view, _, _ in data.held(recording, data.Gauged())]
        scale = recording.profile.px_per_mm
        seen = [cases.evidence_of(views, Detector(net, LIMITS), scale) for net in detectors.values()]
        durable.write(file, json.dumps([cases.features(one, QUIET).tolist() for one in seen]).encode())

    made_by = b"".join(detectors.values()) + code_version.of_training().encode()
    mark = stages.mark_of(made_by, LIMITS.bubble_above)
    files = place.each(stage, count, look, mark=mark, suffix=".json")
    values = np.array([json.loads(file.read_bytes()) for file in files], np.float32)
    return [_rows(values[:, number]) for number in range(len(detectors))]


def _clips(detector: bytes, kinds: Sequence[str], count: int, jobs: int) -> Features:
    """What the detector makes of make-believe clips in which only things of these kinds move."""

    def look(seed: int) -> np.ndarray:
        seen = cases.evidence_of(stages.make_believe_views(seed, kinds), Detector(detector, LIMITS), None)
        return cases.features(seen, QUIET)

    return _rows(np.array(list(forked.each(look, range(FIRST_CLIP, FIRST_CLIP + count), jobs))))


def _rows(values: np.ndarray) -> Features:
    """A row a case, watched to its end; the distance does not ask which of them leak."""
    count = len(values)
    return Features(values, np.zeros(count, bool), np.ones(count, np.float32), np.arange(count), np.ones(count, bool))


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("tankwatch bench novelty", description="Leaves each kind of nuisance out in turn.")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="default: all, one after the other")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs/novelty"),
        metavar="DIR",
        help="what is fitted and looked at is kept there",
    )
    parser.add_argument("--short", action="store_true", help="in some minutes a kind: too little to reach it")
    parser.add_argument("--jobs", type=forked.processes, default=2)
    parser.add_argument("--json", action="store_true")
    return parser
