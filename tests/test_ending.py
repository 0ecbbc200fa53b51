"""How a process ends that cannot go on: seen from outside, in a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FAILING = """
import threading
from edge_agent.ending import with_its_threads
from edge_agent.rhythm import every
with with_its_threads(), every(0.01, lambda: 1 / 0):
    threading.Event().wait(20)
print("went on")
"""
HANGING = """
import threading
from edge_agent.ending import within
print("begun")
with within(0.2, lambda: "version 7 hangs while it is loaded (limit 20 s): use another bundle"):
    threading.Event().wait(20)
print("went on")
"""
WELL = """
import threading
from edge_agent.ending import with_its_threads, within
with with_its_threads(), within(0.1, lambda: "it hangs"):
    thread = threading.Thread(target=lambda: exit(3))
    thread.start()
    thread.join()
threading.Event().wait(0.3)
print("went on")
"""


def run(program: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("program", "words"),
    [(FAILING, "ZeroDivisionError"), (HANGING, "the process ends: version 7 hangs while it is loaded")],
)
def test_a_thread_that_fails_or_a_net_that_hangs_ends_the_process_with_its_reason_and_status_75(program, words):
    ended = run(program)
    assert (ended.returncode, "went on" in ended.stdout) == (75, False)
    assert words in ended.stderr
    assert ("Traceback" in ended.stderr) is (program is FAILING)
    assert ("begun" in ended.stdout) is (program is HANGING), "what was said before the end is written"


def test_what_comes_back_in_time_and_a_thread_that_only_leaves_end_nothing():
    ended = run(WELL)
    assert (ended.returncode, ended.stdout) == (0, "went on\n")
