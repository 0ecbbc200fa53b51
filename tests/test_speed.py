"""What a verdict costs is measured without a trace, and held to its limits."""

import time

import pytest

from benchmarks import speed
from benchmarks.clock import clocked
from benchmarks.speed import Speed


class Worker:
    def work(self, spend_s: float) -> str:
        until_s = time.process_time() + spend_s
        while time.process_time() < until_s:
            pass
        return "done"


def test_a_clock_counts_the_calls_of_all_objects_of_a_class_and_their_cpu_time():
    with clocked(Worker, "work") as clock:
        assert [Worker().work(0.01), Worker().work(0.02)] == ["done", "done"]
    assert clock.calls == 2 and 0.03 <= clock.spent_s < 0.3
    clock.start_anew()
    Worker().work(0.01)
    assert (clock.calls, clock.spent_s) == (0, 0.0)


def test_a_clock_leaves_its_owner_as_it_was_even_after_an_error():
    worker, work = Worker(), Worker.work
    with pytest.raises(TypeError), clocked(worker, "work") as clock, clocked(Worker, "work"):
        worker.work("no number")
    assert clock.calls == 1 and not vars(worker) and Worker.work is work


@pytest.mark.parametrize("late", ["", "detector_ms", "aggregator_ms", "verdict_ms"])
def test_each_limit_is_held_and_what_was_never_measured_is_not(late):
    within = {"detector_ms": [4.0, 4.5, 9.0], "aggregator_ms": [0.2, 0.9], "verdict_ms": [12.0] * 99 + [80.0]}
    beyond = {"detector_ms": [5.5, 6.0, 1.0], "aggregator_ms": [0.2, 1.1], "verdict_ms": [12.0] * 90 + [80.0] * 10}
    assert speed.kept(Speed(**within | ({late: beyond[late]} if late else {})).figures()) is not bool(late)
    assert not speed.kept(Speed(**within | {late or "verdict_ms": []}).figures())
    assert "640x480" in speed.words(Speed(**within).figures())
