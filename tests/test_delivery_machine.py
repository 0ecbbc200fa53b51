import pytest
from delivery_bugs import BUGS
from delivery_machine import Machine
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from in_full import in_full

QUIET = settings(stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck), database=None)
FINDING = settings(QUIET, max_examples=600, derandomize=True, phases=[Phase.generate], report_multiple_bugs=False)
"""It need not say how a bug is met in the fewest steps."""


@pytest.mark.parametrize("examples", [25, in_full(600)])
def test_whatever_happens_every_case_arrives_once_with_its_clip(examples):
    run_state_machine_as_test(Machine, settings=settings(QUIET, max_examples=examples))


@pytest.mark.full
@pytest.mark.parametrize("words", BUGS)
def test_the_same_machine_finds_the_bug_that(words, monkeypatch):
    BUGS[words](monkeypatch)
    with pytest.raises((AssertionError, Exception)) as found:
        run_state_machine_as_test(Machine, settings=FINDING)
    assert found.type is AssertionError, found


def test_there_are_at_least_twenty_bugs_to_be_found():
    assert len(BUGS) >= 20
