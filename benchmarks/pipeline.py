"""`bench pipeline`: CPU time a frame of the agent against a bare loop on the same recording, in alternation.

bare: `cv2.VideoCapture` + grey + rectify + stack + `session.run` + peaks.
plumbing: the same through our records, frame by frame beside the bare loop: what a busy neighbour takes, it takes from
both.
whole: the agent with framing, stabilisation, aggregator, lamps, water, clip, comparison and outbox, less reading and
the detector's own `session.run`.
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from benchmarks.clock import clocked
from calibration.scene import draw_scene, draw_station
from calibration.twin import Twin, profile_of
from edge_agent import framing
from edge_agent.bundle import Bundle, open_bundle
from edge_agent.camera import open_camera
from edge_agent.case import Identity
from edge_agent.composite import Compositor, without_colour
from edge_agent.filming import film_in
from edge_agent.infer import Detector, _bubbles
from edge_agent.inspection import make_inspector, shipped_bundle, working_view
from edge_agent.outbox import Outbox
from edge_agent.pipeline import Sampling
from edge_agent.records import TankView
from edge_agent.station import StationProfile

WINDOW = 10
"""Frames of one comparison of plumbing and bare loop."""
END = object()
LIMIT_PLUMBING_MS = 0.10
LIMIT_WHOLE_MS = {(640, 480): 2.5, (1280, 720): 5.0}


def run(argv: list[str]) -> int:
    """`tankwatch bench pipeline`."""
    parser = argparse.ArgumentParser("tankwatch bench pipeline")
    parser.add_argument("--runs", type=int, default=5, help="alternating runs of each (default 5)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    cv2.setNumThreads(1)
    bundle, kept = open_bundle(shipped_bundle()), True
    for size, limit_ms in LIMIT_WHOLE_MS.items():
        with tempfile.TemporaryDirectory() as folder:
            figures = measure(size, bundle, Path(folder), options.runs)
        figures |= {"limit_plumbing_ms": LIMIT_PLUMBING_MS, "limit_whole_ms": limit_ms}
        kept &= figures["whole_ms"] <= limit_ms and figures["plumbing_ms"] <= LIMIT_PLUMBING_MS
        if options.json:
            print(json.dumps(figures))
        else:
            print(_words(figures), file=sys.stderr)
    return 0 if kept else 1


def measure(size: tuple[int, int], bundle: Bundle, folder: Path, runs: int) -> dict:
    """Medians over `runs` alternations, CPU-ms a frame."""
    profile, video = _recording(size, folder)
    bare: list[float] = []
    added: list[float] = []
    whole: list[float] = []
    for turn in range(runs + 1):
        steps_bare, steps_ours = _beside(_bare(video, profile, bundle), _plumbed(video, profile, bundle))
        spent = _whole(video, profile, bundle, folder / f"run{turn}")
        if turn:
            bare.append(statistics.fmean(steps_bare))
            added += [ours - bare for bare, ours in zip(_windows(steps_bare), _windows(steps_ours), strict=True)]
            whole.append(spent)
    plumbing_ms = statistics.median(added)
    quarters = statistics.quantiles(added)
    return {
        "bench": "pipeline",
        "frame": "{}x{}".format(*size),
        "view": "{}x{}".format(*working_view(profile, bundle.manifest.preprocessing)[0]),
        "bare_ms": round(statistics.median(bare), 3),
        "plumbing_ms": round(plumbing_ms, 3),
        "plumbing_quarters_ms": [round(quarters[0], 3), round(quarters[2], 3)],
        "plumbing_ratio": round(1 + plumbing_ms / statistics.median(bare), 3),
        "whole_ms": round(statistics.median(whole), 3),
        "whole_spread_ms": [round(min(whole), 3), round(max(whole), 3)],
        "whole_ratio": round(statistics.median(b / a for a, b in zip(bare, whole, strict=True)), 3),
        "runs": runs,
    }


def _recording(size: tuple[int, int], folder: Path) -> tuple[StationProfile, Path]:
    look = draw_station(11, "reference", size)
    scene = draw_scene(12, look, "reference", leaky=True)
    video = folder / "bench.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*"MJPG"), 20.0, size)
    for frame, _ in Twin(look, [scene], fps=20.0, seed=1).frames():
        writer.write(frame.image if frame.image.ndim == 3 else cv2.cvtColor(frame.image, cv2.COLOR_GRAY2BGR))
    writer.release()
    return profile_of(look), video


def _beside(first: Iterator[None], second: Iterator[None]) -> tuple[list[float], list[float]]:
    """CPU-ms of each step of two loops of equal length; they take their steps in turn, a window each goes ahead."""
    loops = first, second
    spent: tuple[list[float], list[float]] = [], []
    step, ended = 0, False
    while not ended:
        ahead = step // WINDOW % 2
        for which in (ahead, 1 - ahead):
            began = time.process_time()
            ended = next(loops[which], END) is END
            spent[which].append((time.process_time() - began) * 1000)
        step += 1
    return spent[0][:-1], spent[1][:-1]


def _windows(steps: list[float]) -> list[float]:
    """Means of a few frames each: a composite is due at some of them only."""
    return [statistics.fmean(steps[at : at + WINDOW]) for at in range(0, len(steps) - WINDOW + 1, WINDOW)]


def _bare(video: Path, profile: StationProfile, bundle: Bundle) -> Iterator[None]:
    size, _ = working_view(profile, bundle.manifest.preprocessing)
    matrix = framing.homography(profile.tank_px, size)
    session = Detector(bundle.nets["detector"], bundle.manifest.thresholds)._net._session
    name, width, height = session.get_inputs()[0].name, size[0] // 4 * 4, size[1] // 4 * 4
    capture, count = cv2.VideoCapture(str(video)), 0
    views: list[np.ndarray] = []
    while True:
        read, image = capture.read()
        if not read:
            return
        count += 1
        views = [*views[-2:], framing.rectify(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), matrix, size)]
        if len(views) == 3 and count % 2 == 1:
            batch = np.ascontiguousarray(np.stack(views)[:, :height, :width])[None]
            maps = session.run(None, {name: batch})[0][0]
            _bubbles(maps, bundle.manifest.thresholds.bubble_above, 0.05)
        yield


def _plumbed(video: Path, profile: StationProfile, bundle: Bundle) -> Iterator[None]:
    size, _ = working_view(profile, bundle.manifest.preprocessing)
    matrix = framing.homography(profile.tank_px, size)
    compositor = Compositor(bundle.manifest.preprocessing)
    detector = Detector(bundle.nets["detector"], bundle.manifest.thresholds)
    for frame in open_camera(str(video)).frames():
        grey = framing.rectify(without_colour(frame.image), matrix, size)
        composite = compositor.push(TankView(grey, frame.sequence, frame.monotonic_s, matrix))
        if composite:
            detector.look(composite)
        yield


def _whole(video: Path, profile: StationProfile, bundle: Bundle, folder: Path) -> float:
    """CPU-ms a frame of everything but reading and the detector's own session."""
    frames = list(open_camera(str(video)).frames())
    outbox = Outbox.open(folder / "outbox.db", folder / "spool")
    size, _ = working_view(profile, bundle.manifest.preprocessing)
    inspector = make_inspector(
        frames[0],
        Identity("bench", profile.station, "bench"),
        profile,
        bundle,
        sampling=Sampling(0.02, random.Random(1).random),
        open_clip=film_in(outbox.spool.draft, size, profile, bundle=bundle.ref, profile_sha256=None),
    )
    with clocked(inspector._champion._detector, "_net") as inference:
        began = time.process_time()
        for frame in frames:
            for case in inspector.step(frame):
                outbox.put(case, inspector.clip_path(case))
        spent = time.process_time() - began - inference.spent_s
    outbox.close()
    return spent / len(frames) * 1000


def _words(figures: dict) -> str:
    return (
        f"{figures['frame']} (tank view {figures['view']}), CPU-ms a frame, median of {figures['runs']}: "
        f"bare loop {figures['bare_ms']:.2f}; plumbing adds {figures['plumbing_ms']:+.3f} "
        f"{figures['plumbing_quarters_ms']} (limit {figures['limit_plumbing_ms']}, ratio {figures['plumbing_ratio']}); "
        f"all but reading and detector {figures['whole_ms']:.2f} {figures['whole_spread_ms']} "
        f"(limit {figures['limit_whole_ms']}, ratio to bare {figures['whole_ratio']})"
    )
