"""Work shared among processes: the order of results, and what a killed one leaves behind."""

import os
import signal
import time

import pytest

from edge_agent.errors import ModelError
from models import forked


def _slow_first(number: int) -> int:
    time.sleep(0.5 if number == 0 else 0)
    return number * number


@pytest.mark.parametrize("jobs", [1, 3])
def test_results_come_in_order_or_as_they_are_done(jobs: int) -> None:
    assert list(forked.each(_slow_first, range(6), jobs)) == [0, 1, 4, 9, 16, 25]
    assert sorted(forked.each(_slow_first, range(6), jobs, ordered=False)) == [0, 1, 4, 9, 16, 25]


def test_what_comes_first_does_not_wait_for_what_takes_longer() -> None:
    assert list(forked.each(_slow_first, range(4), 2, ordered=False))[-1] == 0


def test_a_process_that_is_killed_ends_the_work_with_words() -> None:
    """As the kernel does where memory is short."""

    def die(number: int) -> int:
        if number == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    with pytest.raises(ModelError, match="was killed.*fewer --jobs"):
        list(forked.each(die, range(8), 2))


def test_what_the_work_raises_is_raised_and_who_stops_early_leaves_no_process() -> None:
    with pytest.raises(ZeroDivisionError):
        list(forked.each(lambda number: 1 // number, range(4), 2))
    some = forked.each(_slow_first, range(50), 2)
    assert next(some) == 0
    some.close()
    assert list(forked.each(_slow_first, range(3), 2)) == [0, 1, 4]
