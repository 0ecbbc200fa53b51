"""`bench real`: what a bundle sees on recordings that nobody here made, in the folder that TANKWATCH_REAL_DATA names.

Clips without bubbles may not be called `leak`; bubbles of boiling water must be found more often upright than upside
down. Hand-labelled bubbles exist as single stills only: each still is shown three times, a little higher each time, so
what is measured is the look of real bubbles under a movement that is made up.
"""

import argparse
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path

import cv2
import numpy as np

from edge_agent.bundle import Bundle, open_bundle
from edge_agent.camera import open_camera
from edge_agent.composite import Compositor, without_colour
from edge_agent.decision import DecisionWatch
from edge_agent.errors import ConfigError
from edge_agent.eyes import Eyes
from edge_agent.framing import homography, rectify, view_size_for
from edge_agent.infer import Detector
from edge_agent.inspection import FixedFraming, inspect_recording, shipped_bundle
from edge_agent.records import Composite, Frame

NEGATIVES = {
    "fish in an aquarium": "nobubbles-aquarium-fish/fish.mp4",
    "beads in water": "nobubbles-beads-in-water/bulk-water.mov",
    "foam, still": "bubbles-foam-raft",
    "bottles on a conveyor": "industrial-bottles-conveyor/bottle-detection.mp4",
    "river": "water-surface-river/video_orig.gif",
    "hand-held camera, horses": "nobubbles-general-motion/horse_jitter.mp4",
    "fire": "nobubbles-general-motion/rubixfire.mp4",
}
BOILING = "bubbles-boiling-silhouette/boiling_2022_binarised_1200fps_as30.mp4"
LABELLED = "bubbles-zerog-labelled"
BACKLIT = "bubbles-photos-backlit"
EMPTY_PHOTOS = "IMG_5784", "IMG_5785"
"""The bare background and a ruler."""
MOST_FRAMES = 400
MOVES_PX = {"rising": -4.0, "still": 0.0, "falling": 4.0}
"""From picture to picture, in pixels of the view."""
LEAST_RATIO = 2.0
"""Detections upright over those upside down."""
SIZES_PX = 2.0, 5.0, 10.0, 20.0, 40.0
"""Bounds of the classes of diameter; smaller and larger bubbles are none that the detector was made for."""
NEAR_PX = 6.0


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """Bubbles of a still in view pixels: `rows` (n, 3) x, y, diameter; `inside` (h, w) bool, where labels may be."""

    rows: np.ndarray
    inside: np.ndarray


def run(argv: list[str]) -> int:
    """`tankwatch bench real`: 1 where a clip without bubbles is a leak or bubbles upside down are found as often."""
    parser = argparse.ArgumentParser("tankwatch bench real", description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", type=Path, help="default: the shipped one")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="stills with what was found and what is labelled")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    cv2.setNumThreads(1)
    figures = measure(_folder(), open_bundle(options.bundle or shipped_bundle()), options.pictures)
    print(json.dumps(figures) if options.json else _words(figures))
    return 0 if not figures["missed"] else 1


def measure(folder: Path, bundle: Bundle, pictures: Path | None = None) -> dict:
    """All figures; `missed` names the targets that were."""
    detector = Detector(bundle.nets["detector"], bundle.manifest.thresholds)
    clips = {name: _clip(folder / place, bundle, detector) for name, place in NEGATIVES.items()}
    upright, down = (float(np.mean(found(folder / BOILING, bundle, detector, down=turn))) for turn in (False, True))
    figures = {
        "bench": "real",
        "clips": clips,
        "boiling": {"upright": round(upright, 2), "upside_down": round(down, 2)},
        "labelled": labelled(folder / LABELLED, bundle, detector, pictures),
        "backlit": backlit(folder / BACKLIT, bundle, detector, pictures),
    }
    missed = [f"{name} is called a leak" for name, clip in clips.items() if clip["verdict"] == "leak"]
    if upright < LEAST_RATIO * down:
        missed.append(f"boiling bubbles: {upright:.2f} upright, {down:.2f} upside down, {LEAST_RATIO:g} times as many")
    return figures | {"missed": missed}


def _clip(path: Path, bundle: Bundle, detector: Detector) -> dict:
    (case,) = inspect_recording(open_camera(str(path)), bundle, single=True)
    counts = found(path, bundle, detector)
    per_composite = round(float(np.mean(counts)), 3) if counts else None
    return {"verdict": case.verdict, "score": case.score, "composites": len(counts), "detections": per_composite}


def found(path: Path, bundle: Bundle, detector: Detector, *, down: bool = False) -> list[int]:
    """Detections of each composite of a recording's first MOST_FRAMES, as the eyes see it; `down`: upside down."""
    compositor, counts, eyes = Compositor(bundle.manifest.preprocessing, strict=False), [], None
    for frame in islice(open_camera(str(path)).frames(), MOST_FRAMES):
        grey = without_colour(frame.image)
        shown = Frame(np.ascontiguousarray(grey[::-1]) if down else grey, frame.sequence, frame.monotonic_s, 0.0)
        if eyes is None:
            matrix, size = _whole(grey.shape, bundle)
            eyes = Eyes(None, FixedFraming(matrix), size, None, DecisionWatch(0.5))
        composite = compositor.push(eyes.look(shown).view)
        if composite is not None:
            counts.append(len(detector.look(composite).bubbles))
    return counts


def labelled(folder: Path, bundle: Bundle, detector: Detector, pictures: Path | None) -> dict:
    """Recall by diameter and precision over all stills with labels, for each movement."""
    results: dict[str, dict] = {}
    for name, move_px in MOVES_PX.items():
        sizes, hits, alarms, count = [np.empty(0)], [np.empty(0, bool)], 0, 0
        for path in sorted(folder.glob("*.png")):
            grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
            view, scale = _view(grey, bundle)
            labels = read_labels(path.with_suffix(".json"), scale, view.shape)
            spots = detector.look(moved(view, move_px)).bubbles
            spots = spots[labels.inside[tuple(spots[:, 1::-1].astype(int).T)]] if len(spots) else spots
            matched = matches(spots[:, :2], labels.rows)
            sizes.append(labels.rows[:, 2])
            hits.append(matched)
            alarms += len(spots) - int(matched.sum())
            count += len(spots)
            if pictures and move_px < 0:
                _drawn(view, spots, labels.rows, pictures / f"{path.stem}.png")
        results[name] = _shares(np.concatenate(sizes), np.concatenate(hits), count - alarms, count)
    return results


def read_labels(path: Path, scale: float, shape: tuple[int, ...]) -> Labels:
    """Polygons and circles of a labelme file -> centre and diameter, in a view `scale` times the picture's size."""
    rows, corners = [], []
    for one in json.loads(path.read_text())["shapes"]:
        points = np.array(one["points"], np.float32) * scale
        if one["shape_type"] == "circle":
            (x, y), edge = points[:2]
            rows.append((x, y, 2 * float(np.hypot(edge[0] - x, edge[1] - y))))
        else:
            (x, y), diameter = points.mean(axis=0), 2 * np.sqrt(cv2.contourArea(points) / np.pi)
            rows.append((x, y, float(diameter)))
        corners.append(rows[-1][:2])
    hull = cv2.convexHull(np.array(corners, np.float32)).astype(np.int32)
    inside = cv2.fillConvexPoly(np.zeros(shape[:2], np.uint8), hull, 1).astype(bool)
    return Labels(np.array(rows, np.float32).reshape(-1, 3), inside)


def matches(spots: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(n,) bool: which of `labels` (n, 3) x, y, diameter have one of `spots` (m, 2) to themselves, the nearest first.

    A spot is a bubble's within NEAR_PX of its centre, or within its radius where that is more.
    """
    hit, free = np.zeros(len(labels), bool), np.ones(len(spots), bool)
    off = np.hypot(*(spots[None] - labels[:, None, :2]).transpose(2, 0, 1))
    off[off > np.maximum(NEAR_PX, labels[:, 2] / 2)[:, None]] = np.inf
    for label, spot in zip(*np.unravel_index(np.argsort(off, axis=None), off.shape), strict=True):
        if not np.isfinite(off[label, spot]):
            break
        if free[spot] and not hit[label]:
            hit[label], free[spot] = True, False
    return hit


def moved(view: np.ndarray, move_px: float) -> Composite:
    """A still (h, w) uint8 as three views between which it moves `move_px` downwards; the middle one is in place."""
    height, width = view.shape
    shown = [
        cv2.warpAffine(
            view,
            np.array([[1, 0, 0], [0, 1, step * move_px]], np.float32),
            (width, height),
            borderMode=cv2.BORDER_REFLECT,
        )
        for step in (-1, 0, 1)
    ]
    return Composite(cv2.merge(shown), 0.1, 0.05)


def backlit(folder: Path, bundle: Bundle, detector: Detector, pictures: Path | None) -> dict:
    """Detections in each photo, raised as `labelled` raises them: those with bubbles, and the two without."""
    counts = {}
    for path in sorted(folder.glob("*.jpg")):
        view, _ = _view(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), bundle)
        spots = detector.look(moved(view, MOVES_PX["rising"])).bubbles
        counts[path.stem] = len(spots)
        if pictures:
            _drawn(view, spots, np.empty((0, 3)), pictures / f"{path.stem}.png")
    empty = [counts.pop(name) for name in EMPTY_PHOTOS if name in counts]
    return {"with_bubbles": list(counts.values()), "without": empty}


def _view(grey: np.ndarray, bundle: Bundle) -> tuple[np.ndarray, float]:
    """The whole picture as the nets would see it, and how many times its size."""
    matrix, size = _whole(grey.shape, bundle)
    return rectify(grey, matrix, size), size[0] / grey.shape[1]


def _whole(shape: tuple[int, ...], bundle: Bundle) -> tuple[np.ndarray, tuple[int, int]]:
    """Homography and size of the view of a whole picture."""
    height, width = shape[:2]
    whole = np.array([[0, 0], [width, 0], [width, height], [0, height]])
    size = view_size_for(whole, bundle.manifest.preprocessing.max_view_px)
    return homography(whole, size), size


def _shares(sizes: np.ndarray, hits: np.ndarray, right: int, count: int) -> dict:
    usual = (sizes >= SIZES_PX[0]) & (sizes < SIZES_PX[-1])
    figures: dict = {
        "bubbles": int(usual.sum()),
        "recall": round(float(hits[usual].mean()), 3),
        "detections": count,
        "precision": round(right / count, 3) if count else None,
    }
    for low, high in pairwise(SIZES_PX):
        inside = (sizes >= low) & (sizes < high)
        share = round(float(hits[inside].mean()), 3) if inside.any() else None
        figures[f"{low:g}-{high:g} px"] = [share, int(inside.sum())]
    return figures


def _drawn(view: np.ndarray, spots: np.ndarray, labels: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = cv2.cvtColor(view, cv2.COLOR_GRAY2BGR)
    for x, y, diameter in labels:
        cv2.circle(picture, (round(x), round(y)), max(2, round(diameter / 2)), (0, 200, 255), 1)
    for x, y in spots[:, :2]:
        cv2.drawMarker(picture, (round(x), round(y)), (80, 255, 80), cv2.MARKER_CROSS, 7, 1)
    cv2.imwrite(str(path), picture)


def _folder() -> Path:
    named = os.environ.get("TANKWATCH_REAL_DATA", "")
    if not named or not (Path(named) / BOILING).exists():
        raise ConfigError(f"TANKWATCH_REAL_DATA is {named!r}, no folder with the real recordings: set it to theirs")
    return Path(named)


def _words(figures: dict) -> str:
    return "\n".join(_lines(figures))


def _lines(figures: dict) -> Iterator[str]:
    for name, clip in figures["clips"].items():
        said = "no composite" if clip["detections"] is None else f"{clip['detections']:.2f} detections a composite"
        score = "" if clip["score"] is None else f" {clip['score']:.3f}"
        yield f"{name:26} {clip['verdict']}{score}, {said}"
    boiling = figures["boiling"]
    yield f"{'boiling water':26} {boiling['upright']} detections a composite, upside down {boiling['upside_down']}"
    for name, shares in figures["labelled"].items():
        sizes = ", ".join(f"{key} {value[0]} of {value[1]}" for key, value in shares.items() if key.endswith(" px"))
        yield (
            f"{'labelled stills, ' + name:26} recall {shares['recall']} of {shares['bubbles']} ({sizes}), "
            f"precision {shares['precision']} of {shares['detections']}"
        )
    yield f"{'back-lit photos, raised':26} {figures['backlit']}"
    yield f"missed: {'; '.join(figures['missed']) or 'nothing'}"
