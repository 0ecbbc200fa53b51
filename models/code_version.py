"""The sources that a retraining runs through -> one hash: another one may give another bundle of the same clips.

A commit's hash would change with every page and every word of the documentation, and an installed program has none.
"""

import ast
import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BEGIN = "models.retrain"
"""Whatever it imports, itself or through others, is preprocessing or training."""
PACKAGES = ("edge_agent", "models")


@functools.cache
def of_training() -> str:
    """SHA-256 over the names and bytes of `sources`."""
    told = hashlib.sha256()
    for path in sources():
        told.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return told.hexdigest()


def sources() -> list[Path]:
    """Every module of ours that BEGIN imports, in the order of their names."""
    found: dict[str, Path] = {}
    waiting = [BEGIN]
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
