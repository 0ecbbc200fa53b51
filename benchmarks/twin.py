"""`bench twin`: grey frames a second of the simulated station on one core, against writing bare noise of the same size.

The baseline is what any simulated camera must do: fresh noise added to a still picture. Rounds alternate, best of n.
"""

import argparse
import json
import os
import time
from dataclasses import replace
from itertools import islice

import cv2
import numpy as np

from calibration.scene import draw_scene, draw_station
from calibration.twin import Twin

WANTED_FRAMES_S = 100.0


def run(argv: list[str]) -> int:
    """Prints one figure; status 1 where the twin is slower than wanted."""
    parser = argparse.ArgumentParser(prog="tankwatch bench twin")
    parser.add_argument("--frames", type=int, default=200, help="frames a round")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    cv2.setNumThreads(1)
    measured = [(_twin_ms(seed, options.frames), _noise_ms(options.frames)) for seed in range(options.rounds)]
    twin_ms, noise_ms = float(np.mean([twin for twin, _ in measured])), min(noise for _, noise in measured)
    result = {
        "bench": "twin", "cpu_ms_a_frame": round(twin_ms, 2), "slowest_scene_ms": round(max(t for t, _ in measured), 2),
        "grey_frames_s": round(1000 / twin_ms, 1), "baseline_ms": round(noise_ms, 2),
        "ratio": round(twin_ms / noise_ms, 2), "wanted_frames_s": WANTED_FRAMES_S, "size": [640, 480],
        "load": round(os.getloadavg()[0], 2),
    }  # fmt: skip
    if options.json:
        print(json.dumps(result))
    else:
        print(
            f"twin: {result['grey_frames_s']} frames/s (wanted {WANTED_FRAMES_S:.0f}), {twin_ms:.2f} CPU-ms a frame, "
            f"{result['ratio']} times bare noise ({noise_ms:.2f} ms)"
        )
    return 0 if 1000 / twin_ms >= WANTED_FRAMES_S else 1


def _twin_ms(seed: int, frames: int) -> float:
    """CPU-ms a frame of one leaky immersion of the reference profile, painting the station included.

    Without the camera's codec, which is no part of the picture.
    """
    began = time.process_time()
    look = replace(draw_station(seed), codec="none", jpeg_quality=None)
    shots = Twin(look, [draw_scene(seed, look, leaky=True)], seed=seed, single=True).frames()
    count = sum(1 for _ in islice(shots, frames))
    return (time.process_time() - began) / count * 1e3


def _noise_ms(frames: int) -> float:
    """CPU-ms a frame of a still grey picture with fresh noise."""
    rng = np.random.default_rng(0)
    still = np.full((480, 640), 110, np.float32)
    began = time.process_time()
    for _ in range(frames):
        cv2.add(still, rng.standard_normal(still.shape, np.float32), dtype=cv2.CV_8U)
    return (time.process_time() - began) / frames * 1e3
