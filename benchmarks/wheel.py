"""The project's wheel, built so that the same checkout gives the same bytes, wherever and whenever: `check` builds two.

Without a network: setuptools is the environment's. Files get fixed rights, and the time of the last commit.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from edge_agent import install_release
from edge_agent.errors import ConfigError, StoreError
from edge_agent.package import FIXED_S

ROOT = Path(__file__).resolve().parent.parent
BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
CLOCKS = ("UTC", "Asia/Kathmandu")
"""Zip files hold local times."""


def main(argv: list[str]) -> int:
    """`python -m benchmarks.wheel [--out DIR]`: builds it twice; 1 where the two differ."""
    parser = argparse.ArgumentParser("python -m benchmarks.wheel", description="The project's wheel, twice.")
    parser.add_argument("--out", type=Path, metavar="DIR", help="keep it there")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="tankwatch-wheel-") as first, tempfile.TemporaryDirectory() as second:
        built = [build(ROOT, Path(folder), zone) for folder, zone in zip((first, second), CLOCKS, strict=True)]
        sums = [hashlib.sha256(path.read_bytes()).hexdigest() for path in built]
        if sums[0] != sums[1]:
            print(f"two builds of {built[0].name} differ: {sums[0]} and {sums[1]}", file=sys.stderr)
            return 1
        if options.out:
            options.out.mkdir(parents=True, exist_ok=True)
            built[0].replace(options.out / built[0].name)
    print(f"{sums[0]}  {built[0].name}")
    return 0


def build(tree: Path, out: Path, zone: str = "UTC") -> Path:
    """The wheel of a checkout, in `out`. Raises ConfigError or StoreError."""
    with tempfile.TemporaryDirectory(prefix="tankwatch-tree-") as scratch:
        copy = Path(scratch) / "tree"
        install_release.copy(tree, copy)
        environment = os.environ | {"SOURCE_DATE_EPOCH": str(epoch(tree)), "TZ": zone, "PYTHONHASHSEED": "random"}
        command = [sys.executable, "-c", BUILD, str(out)]
        done = subprocess.run(command, cwd=copy, env=environment, umask=0o022, capture_output=True, text=True)
    if done.returncode:
        if "No module named 'setuptools'" in done.stderr:
            raise ConfigError("setuptools is missing: run './tankwatch prepare test'")
        raise StoreError(f"the wheel cannot be built: {done.stderr.strip()[-500:]}")
    return out / done.stdout.split()[-1]


def epoch(tree: Path) -> int:
    """When the checkout was committed, seconds since 1970; a fixed time where that is not known."""
    if named := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(named)
    try:
        command = ["git", "-C", str(tree), "log", "-1", "--format=%ct"]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    except (OSError, subprocess.CalledProcessError, ValueError):
        return FIXED_S


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
