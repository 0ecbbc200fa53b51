"""Machines to install on: an empty root, and one that is entered by a mount namespace, with this machine's programs.

The second has a systemctl of its own, for systemd does not run in a container: it writes down what it is told, hands
`--root=` on to the real one, and says of units what a file in the current release makes of them.
"""

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SYSTEMCTL = """#!/bin/sh
case "$1" in --root=*) exec /usr/bin/systemctl "$@";; esac
echo "$@" >> /run/said
if [ "$1" = show ]; then
    if [ -e /opt/tankwatch/current/docs/broken ]
    then echo ActiveState=activating; echo NRestarts=$(wc -l < /run/said)
    else echo ActiveState=active; echo NRestarts=0
    fi
fi
"""
LAUNCHER = """#!/usr/bin/env python3
import os, sys
here = os.path.dirname(os.path.realpath(__file__))
if sys.argv[1] == "prepare":
    os.makedirs(f"{here}/.venv/bin", exist_ok=True)
    os.path.lexists(f"{here}/.venv/bin/python") or os.symlink("/usr/bin/python3", f"{here}/.venv/bin/python")
else:
    os.execv(sys.executable, [sys.executable, f"{here}/tankwatch.py", *sys.argv[1:]])
"""
"""Instead of the real one, which takes seconds to make an environment."""
CHECK = '''"""A release that can be made unfit for tests."""
import sys
from pathlib import Path
from edge_agent.errors import StoreError
def release(argv):
    if (Path(__file__).parent.parent / "docs" / f"unfit-{argv[0]}").exists():
        raise StoreError("it does not fit")
    if argv[0] == "back":
        Path("/tmp/back").write_text(argv[1])
    print("{}" if __name__.startswith("edge") else '{"database": "0008"}')
    return 0
'''


def make_tree(folder: Path, *marks: str) -> Path:
    """A checkout that needs no packages, and whose fitness is a matter of files; `marks` make it another release."""
    folder.mkdir()
    for name in ("edge_agent", "systemd", "locks"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("tankwatch.py", "setup.cfg"):
        shutil.copy(ROOT / name, folder / name)
    (folder / "tankwatch").write_text(LAUNCHER)
    (folder / "tankwatch").chmod(0o755)
    for place in ("cloud_sync", "models", "calibration", "benchmarks", "docs"):
        (folder / place).mkdir()
    for package in ("edge_agent", "cloud_sync"):
        (folder / package / "release_check.py").write_text(CHECK)
    for mark in marks:
        (folder / "docs" / mark).touch()
    return folder


def make_root(folder: Path) -> Path:
    """A root with root as its only user."""
    (folder / "etc").mkdir(parents=True)
    (folder / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (folder / "etc/group").write_text("root:x:0:\n")
    for name in ("shadow", "gshadow"):
        (folder / "etc" / name).write_text("root:*::::::\n" if name == "shadow" else "root:*::\n")
    return folder


class Machine:
    """A root that is entered with /usr of this machine; `trees` is where checkouts are seen from inside."""

    def __init__(self, folder: Path) -> None:
        self.root = make_root(folder / "root")
        self.trees = self.root / "trees"
        for name in ("usr", "proc", "dev", "tmp", "run/systemd/system", "fake", "local/bin", "trees", "root"):
            (self.root / name).mkdir(parents=True)
        (self.root / "tmp").chmod(0o1777)
        for name in ("bin", "sbin", "lib", "lib64"):
            (self.root / name).symlink_to(f"usr/{name}")
        for name in ("ld.so.cache", "pam.d"):
            there = Path("/etc") / name
            (shutil.copytree if there.is_dir() else shutil.copy)(there, self.root / "etc" / name)
        (self.root / "fake/systemctl").write_text(SYSTEMCTL)
        (self.root / "fake/systemctl").chmod(0o755)

    def call(self, tree: str, *argv: str, give_in: str = "") -> subprocess.CompletedProcess[str]:
        """`/trees/TREE/tankwatch ARGV` in there."""
        return self.run(f"/trees/{tree}/tankwatch", *argv, give_in=give_in)

    def run(self, *command: str, give_in: str = "") -> subprocess.CompletedProcess[str]:
        """A command in there, as root. Mounts end with it."""
        mounts = f"""set -e
            mount --bind /usr {self.root}/usr; mount -o remount,ro,bind {self.root}/usr
            mount --bind {self.root}/local {self.root}/usr/local
            mount -t proc proc {self.root}/proc; mount --rbind /dev {self.root}/dev
            exec chroot {self.root} "$@" """
        env = {"PATH": "/fake:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"}
        unshare = ["unshare", "-m", "-p", "-f", "--propagation", "private"]
        return subprocess.run(
            [*unshare, "bash", "-c", mounts, "in", *command],
            env=os.environ | env,
            input=give_in,
            capture_output=True,
            text=True,
            timeout=300,
        )

    @property
    def current(self) -> str:
        return os.readlink(self.root / "opt/tankwatch/current")

    @property
    def said(self) -> list[str]:
        """What systemctl was told, but for questions."""
        lines = (self.root / "run/said").read_text().splitlines()
        return [line for line in lines if not line.startswith("show")]
