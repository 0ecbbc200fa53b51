"""A bundle's exam in a process of its own, held to its limits of time and memory: whatever happens in there, nothing
happens here. It runs at the lowest urgency, so that the frame loop comes first.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from edge_agent.bundle import open_bundle
from edge_agent.errors import ModelError
from edge_agent.exam import Exam, Passed

WATCH_S = 0.05
WALL = 4.0
"""Seconds on the wall for each of CPU time: at the lowest urgency a sound bundle waits for whoever else works."""
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
HOME = Path(__file__).resolve().parent.parent


class Stopped(Exception):
    """The trial has no result: the process is to end."""


def held(exam: Exam, *, stopped: Callable[[], bool] = lambda: False) -> Passed:
    """The exam passed. Raises ModelError for every other end of it, and Stopped where `stopped` has ended it."""
    version = open_bundle(exam.bundle).manifest.version
    with tempfile.TemporaryFile() as answer, _started(exam, answer) as child:
        try:
            trouble = _watch(child, exam, stopped)
        finally:
            child.kill()
        answer.seek(0)
        data = answer.read()
    if trouble:
        raise ModelError(f"version {version} {trouble}")
    try:
        passed = msgspec.json.decode(data, type=Passed)
    except msgspec.DecodeError as error:
        raise ModelError(
            f"version {version} broke off its trial (status {child.returncode}): it cannot run here, train it anew"
        ) from error
    if passed.refusal:
        raise ModelError(passed.refusal)
    return passed


def _started(exam: Exam, answer) -> subprocess.Popen:
    """Without the environment's secrets."""
    names = ("PATH", "LANG", "HOME", "TMPDIR")
    environment = {name: os.environ[name] for name in names if name in os.environ}
    environment |= {"PYTHONPATH": str(HOME), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    environment["ORT_DISABLE_TELEMETRY"] = "1"
    command = [sys.executable, "-m", "edge_agent.exam"]
    child = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=answer, stderr=subprocess.DEVNULL, env=environment, cwd=HOME
    )
    assert child.stdin is not None
    child.stdin.write(msgspec.json.encode(exam))
    child.stdin.close()
    return child


def _watch(child: subprocess.Popen, exam: Exam, stopped: Callable[[], bool]) -> str:
    """Waits for its end; why it was ended from here, or empty."""
    began_s = time.monotonic()
    while child.poll() is None:
        took_s = time.monotonic() - began_s
        if took_s > WALL * exam.most_s:
            return (
                f"has not ended its trial after {took_s:.0f} s, limit {WALL * exam.most_s:.0f} s: train a smaller one"
            )
        resident_mb = _resident_mb(child.pid)
        if resident_mb > exam.most_mb:
            return f"takes {resident_mb:.0f} MB, limit {exam.most_mb} MB: train a smaller one"
        if stopped():
            raise Stopped
        try:
            child.wait(WATCH_S)
        except subprocess.TimeoutExpired:
            continue
    if child.returncode == -signal.SIGXCPU:
        return f"has not ended its trial after {exam.most_s:.0f} s of CPU time, its limit: train a smaller one"
    return ""


def _resident_mb(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES / 2**20
    except (OSError, IndexError, ValueError):
        return 0.0
