"""A program on a disk of a few megabytes: a tmpfs in a mount namespace of its own, which goes with it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

NO_MOUNTS = ("permission denied", "not permitted", "must be superuser")
NOBODY_MOUNTS = "this machine lets nobody mount"
PLACE, BALLAST = "small", "ballast"
TREE = Path(__file__).resolve().parent.parent


def on_small_disk(module: str, folder: Path, size_mb: int, asked: dict) -> dict | None:
    """`python -m module FOLDER ASKED`, with FOLDER/small so large -> its last line; None where nobody may mount.

    What it says on its way comes through. Raises RuntimeError where it fails.
    """
    (folder / PLACE).mkdir()
    if not shutil.which("unshare"):
        return None
    mount = f"mount -t tmpfs -o size={size_mb}m none '{folder / PLACE}'"
    program = f"exec '{sys.executable}' -m {module} '{folder}' \"$1\""
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    command = ["unshare", *user, "--mount", "sh", "-c", f"{mount} && {program}", "sh", json.dumps(asked)]
    with open(folder / "small.log", "w+") as log:
        environment = os.environ | {"PYTHONPATH": str(TREE), "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment, check=False)
        log.seek(0)
        said = log.read()
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])
    if any(words in said.lower() for words in NO_MOUNTS):
        return None
    raise RuntimeError(f"{module} ended with {done.returncode}: {said[-2000:]}")


def fill(place: Path) -> None:
    """A foreign file takes all that is free."""
    piece = bytes(64 * 1024)
    with open(place / BALLAST, "ab", buffering=0) as file:
        try:
            while file.write(piece):
                pass
        except OSError:
            return
