"""Work shared among processes: the order of results, and what is left behind by those that are killed or stopped."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from edge_agent.errors import ModelError
from models import forked

ROOT = Path(__file__).parent.parent
LONGEST_S = 30.0


@pytest.mark.parametrize("jobs", [1, 3])
def test_results_come_in_order_or_as_they_are_done(jobs: int) -> None:
    assert list(forked.each(lambda number: number * number, range(6), jobs)) == [0, 1, 4, 9, 16, 25]
    assert sorted(forked.each(lambda number: number * number, range(6), jobs, ordered=False)) == [0, 1, 4, 9, 16, 25]


def test_what_is_done_does_not_wait_for_what_takes_longer() -> None:
    others_are_done = multiprocessing.get_context("fork").Event()

    def work(number: int) -> int:
        if number == 3:
            others_are_done.set()
        return number if number or others_are_done.wait(LONGEST_S) else -1

    found = list(forked.each(work, range(4), 2, ordered=False))
    assert found.index(0) > max(found.index(1), found.index(2)), "they were done before the one that 0 waited for began"


def test_a_process_that_is_killed_ends_the_work_with_words() -> None:
    """As the kernel does where memory is short."""

    def die(number: int) -> int:
        if number == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    with pytest.raises(ModelError, match="was killed.*fewer --jobs"):
        list(forked.each(die, range(8), 2))
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("usual", [signal.SIG_DFL, lambda *_: None])
def test_who_stops_early_or_fails_waits_for_no_process_and_leaves_none(usual: Any) -> None:
    """Whatever the parent does when it is told to end: services have a way of their own."""

    def work(number: int) -> int:
        if number == 1:
            raise ZeroDivisionError
        if number > 1:
            time.sleep(LONGEST_S)  # whoever waited for this would run into the test's limit
        return number

    before, began_s = signal.signal(signal.SIGTERM, usual), time.monotonic()
    some = forked.each(work, [0, 2, 3, 4], 2)
    assert next(some) == 0
    some.close()
    assert not multiprocessing.active_children()
    with pytest.raises(ZeroDivisionError):
        list(forked.each(work, [0, 1, 2, 3], 2))
    assert not multiprocessing.active_children()
    signal.signal(signal.SIGTERM, before)
    assert time.monotonic() - began_s < LONGEST_S


ORPHANS = f"""
import os, sys, time
from models import forked

def work(number):
    os.write(1, f"{{os.getpid()}}\\n".encode())  # print's line and its end could be torn apart
    time.sleep({LONGEST_S})

list(forked.each(work, range(4), 2))
"""


def test_no_process_outlives_a_parent_that_is_killed() -> None:
    command = [sys.executable, "-c", ORPHANS]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        children = [int(parent.stdout.readline()) for _ in range(2)]
        parent.kill()
        began_s = time.monotonic()
        # The pipe ends when the last one that holds it has ended.
        assert parent.stdout.read() == "" and len(set(children)) == 2
    assert time.monotonic() - began_s < LONGEST_S
