"""The sources that a training or an evaluation runs through -> one hash: others may give other nets of the same scenes,
another bundle of the same clips, or other verdicts on them.

A commit's hash would change with every page and every word of the documentation, and an installed program has none.
"""

import ast
import functools
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

ROOT = Path(__file__).resolve().parent.parent
TRAINING = ("models.retrain",)
"""Whatever it imports, itself or through others, is preprocessing or training."""
RECIPE = (
    "models.stages", "models.golden", "models.sight_fit", "models.bubble_fit", "models.origin_fit", "models.gauges",
    "calibration.scenes_for_training",
)  # fmt: skip
"""What a recipe's kept stages come out of; aggregator, limits and card are made anew in each run."""
JUDGING = ("models.judged", "models.side_by_side", "calibration.twin")
"""What becomes of a recording, and how the twin's are made; what is not installed is left out."""
PACKAGES = ("edge_agent", "models", "calibration")


@functools.cache
def of_training() -> str:
    """SHA-256 over the names and bytes of the sources."""
    return _hash(sources(TRAINING))


@functools.cache
def of_recipe() -> str:
    """The same of what renders, looks and fits nets, and of the libraries that pixels and scores come out of."""
    return _with_libraries(RECIPE)


@functools.cache
def of_judging() -> str:
    """The same of what judges recordings."""
    return _with_libraries(JUDGING)


def _with_libraries(begin: Iterable[str]) -> str:
    libraries = f"numpy {np.__version__} opencv {cv2.__version__} onnxruntime {onnxruntime.__version__}"
    return hashlib.sha256(f"{_hash(sources(begin))} {libraries}".encode()).hexdigest()


def _hash(paths: list[Path]) -> str:
    told = hashlib.sha256()
    for path in paths:
        told.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return told.hexdigest()


def sources(begin: Iterable[str]) -> list[Path]:
    """These modules and every one of ours that they import, in the order of their names."""
    found: dict[str, Path] = {}
    waiting = list(begin)
    while waiting:
        name = waiting.pop()
        path = ROOT.joinpath(*name.split(".")).with_suffix(".py")
        if name not in found and path.is_file():
            found[name] = path
            waiting += _imported(path)
    return [found[name] for name in sorted(found)]


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PACKAGES:
            yield str(node.module)
            yield from (f"{node.module}.{one.name}" for one in node.names)
