"""`check` and `test`: what a contribution has to pass, each a few of the usual tools run from the tree's root."""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
LAYERS = "from importlinter.cli import lint_imports_command; lint_imports_command(['--no-logo', '--no-cache'])"
CHECKS = {
    "format": [PYTHON, "-m", "ruff", "format", "--check", "."],
    "lint": [PYTHON, "-m", "ruff", "check", "."],
    "types": [PYTHON, "-m", "mypy"],
    "layers": [PYTHON, "-c", LAYERS],
    "supply": [PYTHON, "-m", "benchmarks.supply"],
    "wheel": [PYTHON, "-m", "benchmarks.wheel"],
}
MENDING = ([PYTHON, "-m", "ruff", "check", "--fix", "."], [PYTHON, "-m", "ruff", "format", "."])


def check(argv: list[str]) -> int:
    """Format, lint, types, layers, supply chain, wheel: all of them run, and 1 is returned where one of them fails."""
    parser = argparse.ArgumentParser(
        prog="tankwatch check", description="Format, lint, types, layers, lock files, wheel."
    )
    parser.add_argument("--fix", action="store_true", help="first mend what ruff can mend by itself")
    options = parser.parse_args(argv)
    for command in MENDING if options.fix else ():
        _run(command)
    failed = [name for name, command in CHECKS.items() if not _passes(name, command)]
    print(f"check: {', '.join(failed)} failed" if failed else "check: all passed", file=sys.stderr)
    return 1 if failed else 0


def test(argv: list[str]) -> int:
    """pytest on two cores; every option is handed on to it, and later ones win."""
    return _run([PYTHON, "-m", "pytest", "-n", "2", *argv])


def _passes(name: str, command: list[str]) -> bool:
    began = time.monotonic()
    print(f"check: {name}", file=sys.stderr, flush=True)
    passed = _run(command) == 0
    print(f"check: {name} {'passed' if passed else 'failed'}, {time.monotonic() - began:.0f} s", file=sys.stderr)
    return passed


def _run(command: list[str]) -> int:
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=ROOT, env=os.environ | threads).returncode
