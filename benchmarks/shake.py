"""`bench shake`: what a shaking camera costs. The same units at the same stations, judged still and shaken.

Stations of the twin's `reference`, whose own shake is replaced; all else is the same, bubbles and noise included.
Verdicts are compared unit by unit with those of the still camera.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from scipy.special import logit
from tqdm import tqdm

from calibration.scene import draw_scene, draw_station
from calibration.twin import Twin, TwinCamera, profile_of, scene_seed
from edge_agent.bundle import Bundle, open_bundle
from edge_agent.inspection import inspect_recording, shipped_bundle
from models import forked

FPS = 20.0
SHAKES_MM = (0.0, 0.25, 0.5, 1.0)
"""Rms in each direction; 1 mm is the most that is asked for."""


@dataclass(frozen=True, slots=True)
class Unit:
    """What was said of one unit at each of SHAKES_MM. `truth`: leak, ok or silent."""

    truth: str
    verdicts: tuple[str, ...]
    scores: tuple[float | None, ...]


def run(argv: list[str]) -> int:
    """`tankwatch bench shake`."""
    parser = argparse.ArgumentParser("tankwatch bench shake")
    parser.add_argument("--units", type=int, default=60)
    parser.add_argument("--seed", type=int, default=41)
    parser.add_argument("--bundle", type=Path, metavar="FILE", help="default: the shipped one")
    parser.add_argument("--jobs", type=forked.processes, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    cv2.setNumThreads(1)
    bundle = open_bundle(options.bundle or shipped_bundle())
    seeds = [scene_seed(options.seed, number) for number in range(options.units)]
    judged = forked.each(partial(judge, bundle=bundle), seeds, options.jobs)
    units = list(tqdm(judged, total=len(seeds), unit="unit", disable=None))
    figures = {"bench": "shake", "seed": options.seed, "bundle": bundle.sha256[:12], "units": len(units)}
    figures["shakes"] = [figures_of(units, number) for number in range(len(SHAKES_MM))]
    print(json.dumps(figures, indent=None if options.json else 1), file=sys.stdout if options.json else sys.stderr)
    return 0


def judge(seed: int, bundle: Bundle) -> Unit:
    """One unit, a leak or a tight one, before one station at each shake."""
    look = draw_station(seed)
    scene = draw_scene(seed, look)
    cases = []
    for shake_mm in SHAKES_MM:
        shaken = replace(look, shake_px=shake_mm * look.px_per_mm)
        twin = Twin(shaken, [scene], fps=FPS, seed=seed, single=True, colour=True)
        (case,) = inspect_recording(TwinCamera(twin), bundle, profile=profile_of(look, "reference"), single=True)
        cases.append(case)
    truth = "silent" if scene.silent else "leak" if scene.leaky else "ok"
    return Unit(truth, tuple(case.verdict for case in cases), tuple(case.score for case in cases))


def figures_of(units: Sequence[Unit], number: int) -> dict[str, object]:
    """The counts at one shake, beside those of the same units before the still camera."""
    seen = [one for one in units if one.truth != "silent"]
    pairs = [(one.scores[0], one.scores[number], one.truth) for one in seen]
    towards = [
        (_odds(score) - _odds(still)) * (1 if truth == "leak" else -1)
        for still, score, truth in pairs
        if still is not None and score is not None
    ]
    words = [(one.truth, one.verdicts[0], one.verdicts[number]) for one in seen]
    return {
        "shake_mm": SHAKES_MM[number],
        "right": sum(said == truth for truth, _, said in words),
        "wrong": sum(said in ("leak", "ok") and said != truth for truth, _, said in words),
        "unsure": sum(said == "uncertain" for _, _, said in words),
        "not_tested": sum(said == "not_tested" for _, _, said in words),
        "right_when_still_alone": sum(still == truth != said for truth, still, said in words),
        "right_when_shaken_alone": sum(said == truth != still for truth, still, said in words),
        "median_log_odds_gained": round(float(np.median(towards)), 3) if towards else None,
    }


def _odds(score: float) -> float:
    return float(logit(np.clip(score, 1e-4, 1 - 1e-4)))
