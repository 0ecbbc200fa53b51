"""`bench inputs`: what should the detector see? Kinds of input on the same budget, judged on unseen scenes.

The same crops, epochs and seeds for each kind, and blobs of change without a net beside them; then the shipped kind
with its frames nearer together and farther apart, at half the resolution, and with a smaller and a larger net. Judged
by recall at one false detection a 640x480 view, on scenes of other seeds, and by detections a composite on real clips
where TANKWATCH_REAL_DATA names a folder of them. The table goes to docs/experiments.md.
"""

import argparse
import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import cv2
import msgspec
import numpy as np
import torch

from calibration import scenes_for_training
from edge_agent.records import Composite
from models import bubble_fit, data
from models.data import CROP_PX, PREPROCESSING, RISING, UNSURE, Crops
from models.net import CLIP_LEVELS, BubbleNet

FORM = 2
"""Of the rows: raised with what they are made by, so that one table is of one way."""
FALSE_A_VIEW = 1.0
CROPS_A_VIEW = 640 * 480 / CROP_PX**2
NEAR_PX = 6.0
SIZES_PX = ((0.0, 3.0), (3.0, 5.0), (5.0, 99.0))
FIRST_TEST_SEED = 77_000_000
LEAST_FPS = 30.0
CLIPS = {
    "boiling upright": ("bubbles-boiling-silhouette/*.mp4", False),
    "boiling upside down": ("bubbles-boiling-silhouette/*.mp4", True),
    "aquarium": ("nobubbles-aquarium-fish/*.mp4", False),
    "beads": ("nobubbles-beads-in-water/*.mov", False),
    "conveyor": ("industrial-bottles-conveyor/*.mp4", False),
}
Picture: TypeAlias = torch.Tensor
"""(n, 4, h, w) float32 grey levels: oldest, middle, newest, running median."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the table. `spacing_ms`: between a composite's frames; `scale`: of the view that is looked at;
    `width`, `neck`: channels of the net."""

    see: Callable[[Picture], Picture]
    spacing_ms: float = PREPROCESSING.spacing_ms
    scale: float = 1.0
    width: int = 32
    neck: int = 16


def _single(p: Picture) -> Picture:
    return torch.cat([torch.zeros_like(p[:, :2]), p[:, 1:2] - 128], 1)


def _composite(p: Picture) -> Picture:
    return (p[:, :3] - 128) / 4


def _differences(p: Picture, clip: float = CLIP_LEVELS) -> Picture:
    moved = torch.cat([p[:, 1:2] - p[:, :1], p[:, 2:3] - p[:, 1:2]], 1).clamp(-clip, clip) * (CLIP_LEVELS / clip)
    return torch.cat([moved, torch.zeros_like(moved[:, :1])], 1)


def _shipped(p: Picture) -> Picture:
    return torch.cat([_differences(p)[:, :2], p[:, 1:2] - 128], 1)


def _median(p: Picture) -> Picture:
    return (p[:, :3] - p[:, 3:]).clamp(-CLIP_LEVELS, CLIP_LEVELS)


def _local_mean(p: Picture) -> Picture:
    mean = torch.nn.functional.avg_pool2d(p[:, :3], 15, 1, 7, count_include_pad=False)
    return (p[:, :3] - mean).clamp(-CLIP_LEVELS, CLIP_LEVELS)


KINDS: dict[str, Kind] = {
    "single frame": Kind(_single),
    "composite, plain": Kind(_composite),
    "composite less its local mean, gain 8": Kind(_local_mean),
    "composite less the running median, gain 8": Kind(_median),
    "differences, gain 8": Kind(_differences),
    "differences, gain 16": Kind(lambda p: _differences(p, CLIP_LEVELS / 2)),
    "differences, gain 4": Kind(lambda p: _differences(p, CLIP_LEVELS * 2)),
    "differences and middle frame (shipped: 50 ms, 640x480, 32 channels)": Kind(_shipped),
    "shipped, frames 33 ms apart": Kind(_shipped, spacing_ms=33.0),
    "shipped, frames 100 ms apart": Kind(_shipped, spacing_ms=100.0),
    "shipped, at 320x240": Kind(_shipped, scale=0.5),
    "shipped, 16 channels": Kind(_shipped, width=16, neck=8),
    "shipped, 48 channels": Kind(_shipped, width=48, neck=24),
}


def _mog2() -> Callable[[np.ndarray], np.ndarray]:
    """Views in order -> (h, w) float32 grey levels by which what is new differs from the background."""
    model = cv2.createBackgroundSubtractorMOG2(history=40, varThreshold=16, detectShadows=False)

    def look(grey: np.ndarray) -> np.ndarray:
        mask = model.apply(grey)
        return np.where(mask > 0, cv2.absdiff(grey, model.getBackgroundImage()), 0).astype(np.float32)

    return look


def _moved() -> Callable[[np.ndarray], np.ndarray]:
    """The same from differences to the view before, over four times their usual size."""
    before: list[np.ndarray] = []

    def look(grey: np.ndarray) -> np.ndarray:
        change = cv2.absdiff(grey, before[0] if before else grey)
        before[:] = [grey]
        return np.where(change > 4 * 1.4826 * max(1.0, float(np.median(change[::3, ::3]))), change, 0).astype(
            np.float32
        )

    return look


BLOBS: dict[str, Callable[[], Callable[[np.ndarray], np.ndarray]]] = {
    "MOG2 and blobs, no net": _mog2,
    "frame differences and blobs, no net": _moved,
}


def run(argv: list[str]) -> int:
    """Prints a row for each kind of input and seed, resumable with --out."""
    options = _arguments().parse_args(argv)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    out = options.out
    out.mkdir(parents=True, exist_ok=True)
    seeds, test_seeds = _quick(0, options.scenes), _quick(FIRST_TEST_SEED, options.scenes // 3 + 1)
    rows_file = out / f"rows-{FORM}.jsonl"
    done = (
        {line["key"] for line in map(json.loads, rows_file.read_text().splitlines())} if rows_file.exists() else set()
    )
    for name, make in BLOBS.items():
        if f"{name}/0" not in done:
            row = {"key": f"{name}/0", "input": name, "seed": 0, **_blobs_judged(make, test_seeds)}
            _keep(row, rows_file, json_out=options.json)
    for seed in range(1, options.seeds + 1):
        for name, kind in KINDS.items():
            if f"{name}/{seed}" in done:
                continue
            known, judged = _gathered(out, "train", seeds, kind), _gathered(out, "test", test_seeds, kind)
            began_s = time.process_time()
            net = _fitted(known, kind, options.epochs, seed)
            row = {"key": f"{name}/{seed}", "input": name, "seed": seed, **_judged(net, kind, judged)}
            row |= {**_real(net, kind), "cpu_s": round(time.process_time() - began_s)}
            _keep(row, rows_file, json_out=options.json)
    if not options.json:
        print(_table([json.loads(line) for line in rows_file.read_text().splitlines()]))
    return 0


def _quick(first: int, count: int) -> list[int]:
    """The first `count` seeds whose camera is quick enough for every spacing: the same scenes for each kind."""
    quick = (seed for seed in itertools.count(first) if scenes_for_training.recording(seed, "bubbles").fps >= LEAST_FPS)
    return list(itertools.islice(quick, count))


def _keep(row: dict, rows_file: Path, *, json_out: bool) -> None:
    with rows_file.open("a") as file:
        file.write(json.dumps(row) + "\n")
    print(json.dumps(row), file=sys.stdout if json_out else sys.stderr, flush=True)


def _gathered(folder: Path, part: str, seeds: list[int], kind: Kind) -> Crops:
    """Crops of scenes as this kind has them, kept in `folder`."""
    file = folder / f"{part}-{kind.spacing_ms:g}-ms-{kind.scale:g}.npz"
    if not file.exists():
        parts = [crop for seed in seeds for crop in _crops(seed, kind)]
        data.save(Crops(*(np.array(column) for column in zip(*parts, strict=True))), file)
    return data.load([file])


def _crops(seed: int, kind: Kind) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng([seed, 181])
    recording = scenes_for_training.recording(seed, "bubbles")
    medians: dict[float, np.ndarray] = {}

    def followed() -> Iterator:
        median = None
        for view, things, truth in data.views(recording):
            grey = view.grey.astype(np.int16)
            median = grey if median is None else median + np.sign(grey - median)
            medians[view.monotonic_s] = median.astype(np.uint8)
            yield view, things, truth

    preprocessing = msgspec.structs.replace(PREPROCESSING, spacing_ms=kind.spacing_ms)
    for composite, things in data.composites(followed(), preprocessing):
        if composite.monotonic_s < 1.0 or rng.random() > 0.3:
            continue
        planes = np.dstack([composite.image, medians[composite.monotonic_s]])
        rows = data.rows_of(composite, things)
        if kind.scale != 1.0:
            planes = cv2.resize(planes, None, fx=kind.scale, fy=kind.scale, interpolation=cv2.INTER_AREA)
            rows = rows * np.array([kind.scale] * 4 + [1.0, kind.scale])
        for _ in range(4):
            yield data.crop(planes, rows, rng)


def _fitted(known: Crops, kind: Kind, epochs: int, seed: int) -> BubbleNet:
    return bubble_fit.fit(
        known,
        bubble_fit.BubbleRecipe(epochs=epochs),
        seed,
        lambda line: None,
        make=lambda: BubbleNet(kind.width, kind.neck),
        maps=lambda net, pictures: net.maps_of(kind.see(pictures)),
    )


def _heat(net: BubbleNet, kind: Kind, pictures: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return net.maps_of(kind.see(torch.from_numpy(pictures).float()))[:, 0].sigmoid().numpy()


def _blobs_judged(make: Callable[[], Callable[[np.ndarray], np.ndarray]], seeds: list[int]) -> dict[str, float | None]:
    """Recall as of `_judged` for blobs of change, each as strong as its summed change, on every fifth view."""
    hits: list[tuple[float, float]] = []
    alarms: list[float] = []
    views = 0
    for seed in seeds:
        look, before = make(), None
        for number, (view, things, _) in enumerate(data.views(scenes_for_training.recording(seed, "bubbles"))):
            change = look(view.grey)
            if before is not None and number % 5 == 0 and view.monotonic_s > 1.0:
                rows = data.rows_of(Composite(np.dstack([before, view.grey, view.grey]), 0.0, 0.05), things)
                _, labels, _, places = cv2.connectedComponentsWithStats((change > 0).astype(np.uint8))
                sums = np.bincount(labels.ravel(), change.ravel())
                found, false = _near(places[1:], sums[1:], rows, view.grey.shape[::-1])
                hits, alarms, views = hits + found, alarms + false, views + 1
            before = view.grey
    return _shares(hits, alarms, int(FALSE_A_VIEW * views))


def _judged(net: BubbleNet, kind: Kind, judged: Crops) -> dict[str, float | None]:
    """Recall by size at FALSE_A_VIEW, and the limit that gives it."""
    hits, alarms = [], []
    for first in range(0, len(judged.pictures), 64):
        part = slice(first, first + 64)
        for heat, rows in zip(_heat(net, kind, judged.pictures[part]), judged.rows[part], strict=True):
            found, false = _matched(heat, rows, kind.scale)
            hits += found
            alarms += false
    return _shares(hits, alarms, int(FALSE_A_VIEW * len(judged.pictures) / CROPS_A_VIEW / kind.scale**2))


def _shares(hits: list[tuple[float, float]], alarms: list[float], allowed: int) -> dict[str, float | None]:
    """Recall of all and by size with the limit over which `allowed` alarms lie; None where there is no such bubble."""
    limit = sorted(alarms, reverse=True)[allowed] if len(alarms) > allowed else min(alarms, default=0.0)
    sizes, scores = np.array(hits).reshape(-1, 2).T
    classes = {f"recall {low:g}-{high:g} px": (sizes >= low) & (sizes < high) for low, high in SIZES_PX}
    shares = {
        name: round(float((scores[inside] > limit).mean()), 4) if inside.any() else None
        for name, inside in {"recall": np.full(len(sizes), True), **classes}.items()
    }
    return {**shares, "limit": round(float(limit), 4)}


def _matched(heat: np.ndarray, rows: np.ndarray, scale: float) -> tuple[list[tuple[float, float]], list[float]]:
    """((diameter, best score near it) of each bubble, scores of the peaks that are near none), in the view's pixels."""
    peaks = np.argwhere((heat >= cv2.dilate(heat, np.ones((3, 3), np.uint8))) & (heat > 0.05))
    side = int(CROP_PX / scale)
    rows = rows / np.array([scale] * 4 + [1.0, scale])
    return _near((peaks[:, ::-1] + 0.5) * 4 / scale, heat[tuple(peaks.T)], rows, (side, side))


def _near(
    places: np.ndarray, scores: np.ndarray, rows: np.ndarray, size: tuple[int, int]
) -> tuple[list[tuple[float, float]], list[float]]:
    """The same for (n, 2) places with scores (n,) in a picture of `size`, width and height."""
    inside = ((rows[:, :2] > 4) & (rows[:, :2] < np.array(size) - 4)).all(1)
    excused = rows[(rows[:, 4] == RISING) | (rows[:, 4] == UNSURE)]
    off = np.hypot(*(places[:, None] - rows[None, :, :2]).transpose(2, 0, 1))
    off_excused = np.hypot(*(places[:, None] - excused[None, :, :2]).transpose(2, 0, 1))
    hits = [
        (float(rows[row, 5]), float(scores[off[:, row] < NEAR_PX].max(initial=0)))
        for row in np.flatnonzero(inside & (rows[:, 4] == RISING))
    ]
    reach = NEAR_PX + excused[:, 5] / 2
    return hits, scores[~(off_excused < reach).any(1)].tolist()


def _real(net: BubbleNet, kind: Kind) -> dict[str, float]:
    """Detections a composite over 0.4 on real clips: composites that begin at every ninth of the first 150 frames."""
    folder = os.environ.get("TANKWATCH_REAL_DATA")
    # Of many clips nobody knows the true rate: their frames as they come are the usual spacing, and no other.
    if not folder or kind.spacing_ms != PREPROCESSING.spacing_ms:
        return {}
    return {name: round(_detections(net, kind, sorted(Path(folder).glob(where))[0], over), 2)
            for name, (where, over) in CLIPS.items()}  # fmt: skip


def _detections(net: BubbleNet, kind: Kind, path: Path, over: bool) -> float:
    capture = cv2.VideoCapture(str(path))
    greys: list[np.ndarray] = []
    while len(greys) < 150 and (read := capture.read())[0]:
        grey = cv2.cvtColor(read[1], cv2.COLOR_BGR2GRAY)
        if kind.scale != 1.0:
            grey = cv2.resize(grey, None, fx=kind.scale, fy=kind.scale, interpolation=cv2.INTER_AREA)
        greys.append(grey[::-1] if over else grey)
    height, width = (side // 4 * 4 for side in greys[0].shape)
    median = np.median(greys[::5], axis=0)
    counts = []
    for first in range(0, len(greys) - 2, 9):
        planes = np.stack([*greys[first : first + 3], median])[None, :, :height, :width].astype(np.float32)
        heat = _heat(net, kind, planes)[0]
        counts.append(int(((heat >= cv2.dilate(heat, np.ones((3, 3), np.uint8))) & (heat > 0.4)).sum()))
    return float(np.mean(counts))


def _table(rows: list[dict]) -> str:
    """Means and spreads over seeds, Markdown."""
    names = dict.fromkeys(name for row in rows for name in row)
    columns = [name for name in names if name not in ("key", "input", "seed", "limit", "cpu_s")]
    lines = ["| input | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name in dict.fromkeys(row["input"] for row in rows):
        of_input = [row for row in rows if row["input"] == name]
        values = np.array([[row.get(column) for column in columns] for row in of_input], float)
        told = " | ".join(
            f"{mean:.3g} ± {spread:.2g}" for mean, spread in zip(values.mean(0), values.std(0), strict=True)
        )
        lines.append(f"| {name} | {told} |")
    return "\n".join(lines)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tankwatch bench inputs", description="What the detector should see.")
    parser.add_argument("--scenes", type=int, default=90)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--out", type=Path, default=Path("runs/inputs"), help="results; an interrupted run goes on there"
    )
    parser.add_argument("--json", action="store_true")
    return parser
