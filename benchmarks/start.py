"""`bench start`: from the command to the verdict on a 1 s recording, beyond the recording's own inference; and memory.

The baseline, taken in the same run, is a bare Python that imports cv2, numpy and onnxruntime, loads the detector and
runs it as often as the recording asks for. Also: from the start of a device's services, all at once, to its first frame
inspected.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2

from benchmarks import start_services
from calibration.scene import draw_scene, draw_station
from calibration.twin import Twin
from edge_agent.bundle import open_bundle
from edge_agent.inspection import shipped_bundle

ROOT = Path(__file__).parent.parent
LIMIT_S = 1.5
LIMIT_MB = 180.0
LIMITS = {"beyond_inference_s": "limit_s", "resident_mb": "limit_mb", "first_frame_s": "limit_first_frame_s"}
"""Which figure is held to which."""
BARE = """
import sys, cv2, numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
batch = numpy.zeros((1, 3, 480, 640), numpy.uint8)
for _ in range(int(sys.argv[2])):
    session.run(None, {session.get_inputs()[0].name: batch})
"""


def run(argv: list[str]) -> int:
    """`tankwatch bench start`."""
    parser = argparse.ArgumentParser("tankwatch bench start")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), options.runs)
    kept = all(figures[name] <= figures[limit] for name, limit in LIMITS.items())
    print(json.dumps(figures) if options.json else _words(figures), file=sys.stdout if options.json else sys.stderr)
    return 0 if kept else 1


def measure(folder: Path, runs: int) -> dict:
    """Medians over `runs` alternations, wall time."""
    video, net, composites = _recording(folder / "second.avi"), folder / "detector.onnx", 9
    net.write_bytes(open_bundle(shipped_bundle()).nets["detector"])
    ours, bare, resident = [], [], []
    command = [sys.executable, str(ROOT / "tankwatch.py"), "inspect", str(video), "--single", "--json"]
    for turn in range(runs + 1):
        spent_s, mb, output = _timed(command)
        composites = json.loads(output)["composites"]
        baseline_s, _, _ = _timed([sys.executable, "-c", BARE, str(net), str(composites)])
        nothing_s, _, _ = _timed([sys.executable, "-c", BARE, str(net), "0"])
        if turn:
            ours.append(spent_s - (baseline_s - nothing_s))
            bare.append(nothing_s)
            resident.append(mb)
    return {
        "bench": "start",
        "beyond_inference_s": round(statistics.median(ours), 3),
        "bare_start_s": round(statistics.median(bare), 3),
        "ratio": round(statistics.median(a / b for a, b in zip(ours, bare, strict=True)), 2),
        "resident_mb": round(statistics.median(resident), 1),
        "first_frame_s": start_services.first_frame_s(folder, video, runs),
        "limit_first_frame_s": start_services.LIMIT_S,
        "limit_s": LIMIT_S,
        "limit_mb": LIMIT_MB,
        "runs": runs,
    }


def _recording(video: Path) -> Path:
    look = draw_station(11, "reference")
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*"MJPG"), 20.0, look.frame_size_px)
    frames = Twin(look, [draw_scene(12, look, "reference")], fps=20.0, seed=1, single=True).frames()
    for _, (frame, _truth) in zip(range(20), frames, strict=False):
        writer.write(frame.image if frame.image.ndim == 3 else cv2.cvtColor(frame.image, cv2.COLOR_GRAY2BGR))
    writer.release()
    return video


def _timed(command: list[str]) -> tuple[float, float, str]:
    """Wall seconds, largest resident MB and output of one process."""
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return time.monotonic() - began, _resident_mb(usage), output


def _resident_mb(usage: resource.struct_rusage) -> float:
    return usage.ru_maxrss / 1024


def _words(figures: dict) -> str:
    return (
        f"from the command to the verdict on 1 s of video {figures['beyond_inference_s']:.2f} s beyond its inference "
        f"(limit {figures['limit_s']} s; {figures['ratio']} times a bare start of {figures['bare_start_s']:.2f} s); "
        f"resident {figures['resident_mb']:.0f} MB (limit {figures['limit_mb']:.0f} MB); from the start of the "
        f"device's services to its first frame inspected {figures['first_frame_s']:.1f} s "
        f"(limit {figures['limit_first_frame_s']:.0f} s)"
    )
