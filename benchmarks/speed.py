"""What a verdict costs, in CPU-ms of one thread: an inference, the aggregator's share of a frame, the end of a case."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice

import cv2
import numpy as np

from benchmarks.clock import clocked
from calibration.scene import draw_scene, draw_station
from calibration.twin import Twin
from edge_agent.account import Account
from edge_agent.bundle import Bundle
from edge_agent.composite import without_colour
from edge_agent.infer import Detector
from edge_agent.pipeline import Inspector
from edge_agent.records import Case, Composite

SIZE_PX = 640, 480
RUNS = 100
"""Inferences that are timed at a time."""
TARGETS = {
    "detector_ms": ("median", 5.0, "an inference at {}x{}".format(*SIZE_PX)),
    "aggregator_ms": ("max", 1.0, "the aggregator a watched frame, each immersion's mean"),
    "verdict_ms": ("p95", 20.0, "the step that ends a case, less any inference in it"),
}
"""Which figure of each is held to how many CPU-ms, and what it is of."""
Step = Callable[..., list[Case]]


@dataclass
class Speed:
    """CPU-ms: of each inference at SIZE_PX; of the aggregator a watched frame, and of the end, for each immersion."""

    detector_ms: list[float] = field(default_factory=list)
    aggregator_ms: list[float] = field(default_factory=list)
    verdict_ms: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, dict[str, float]]:
        return {name: _spread(getattr(self, name)) for name in TARGETS}


def kept(figures: dict) -> bool:
    """The issue's targets for one thread; `figures`: those of `Speed`, and any others."""
    return all(figures[name].get(which, math.inf) <= limit_ms for name, (which, limit_ms, _) in TARGETS.items())


def words(figures: dict) -> str:
    """The three figures and their limits, for a person."""
    rows = (
        f"{what}: {figures[name]}, {which} at most {limit_ms:g}" for name, (which, limit_ms, what) in TARGETS.items()
    )
    return "CPU-ms of one thread. " + "; ".join(rows)


@contextmanager
def timed(inspector: Inspector, speed: Speed) -> Iterator[Step]:
    """Gives a function that takes a step of `inspector` and adds to `speed` what the case cost that it completes.

    The aggregator's part is all that comes between the detector's evidence and the score: tracks, kymographs and the
    origins net while the unit is watched, origins, features and both nets at the end.
    """
    judge = inspector._champion
    with (
        clocked(judge._detector, "_net") as inference,
        clocked(judge, "push") as watched,
        clocked(Account, "add") as adding,
        clocked(judge, "_finding") as finding,
    ):

        def take(step: Step, *frame: object) -> list[Case]:
            inference.start_anew()
            began_s = time.process_time()
            cases = step(*frame)
            spent_s = time.process_time() - began_s - inference.spent_s
            if cases and watched.calls:
                speed.verdict_ms.append(spent_s * 1000)
                speed.aggregator_ms.append((adding.spent_s + finding.spent_s) / watched.calls * 1000)
                for clock in (watched, adding, finding):
                    clock.start_anew()
            return cases

        yield take


def detector_ms(bundle: Bundle) -> list[float]:
    """CPU-ms of each of RUNS inferences on one and the same composite of the twin, SIZE_PX large."""
    detector, composite, spent_ms = Detector(bundle.nets["detector"], bundle.manifest.thresholds), _composite(), []
    for _ in range(RUNS):
        with clocked(detector, "_net") as inference:
            detector.look(composite)
        spent_ms.append(inference.spent_s * 1000)
    return spent_ms


def _composite() -> Composite:
    look = draw_station(11, "reference", SIZE_PX)
    twin = Twin(look, [draw_scene(12, look, "reference", leaky=True)], fps=20.0, seed=1, single=True)
    views = [without_colour(frame.image) for frame, _ in islice(twin.frames(), 3)]
    return Composite(image=cv2.merge(views), monotonic_s=0.1, spacing_s=0.05)


def _spread(values: list[float]) -> dict[str, float]:
    if not values:
        return {}
    least, middle, high, most = np.percentile(values, (0, 50, 95, 100)).round(3).tolist()
    return {"min": least, "median": middle, "p95": high, "max": most}
