"""Cases are said when they are on the disk, in order, whatever the disk does meanwhile."""

import threading

import pytest

from benchmarks.made_cases import make_case
from edge_agent.errors import StoreError
from edge_agent.keeper import Keeper
from edge_agent.outbox import Outbox, PendingCases
from tests.fakes_disk import full_disk


@pytest.fixture
def outbox(tmp_path):
    outbox = Outbox.open(tmp_path / "outbox.db", tmp_path / "spool")
    yield outbox
    outbox.close()


class Log:
    """Hears what is said, and lets a test wait for it."""

    def __init__(self) -> None:
        self.cases, self.troubles, self.heard = [], [], threading.Event()

    def said(self, case) -> None:
        self.cases.append(case)

    def warn(self, words: str) -> None:
        self.troubles.append(words)
        self.heard.set()


def keeper_for(outbox: Outbox, log: Log, **options) -> Keeper:
    return Keeper(PendingCases(outbox, **options), said=log.said, warn=log.warn, retry_s=0.01)


def test_everything_handed_over_is_on_the_disk_when_the_keeper_is_closed(outbox):
    log = Log()
    keeper = keeper_for(outbox, log)
    for number in range(1, 11):
        keeper.keep(make_case(number, seed=1), None)
    keeper.close()
    assert [case.sequence for case in log.cases] == list(range(1, 11))
    assert outbox.backlog().cases == 10


def test_cases_wait_for_a_full_disk_and_are_said_in_order_afterwards(outbox):
    log = Log()
    keeper = keeper_for(outbox, log)
    with full_disk():
        for number in range(1, 4):
            keeper.keep(make_case(number, seed=1), None)
        assert log.heard.wait(10)
        assert log.cases == []
    keeper.close()
    assert [case.case_id for case in log.cases] == [make_case(number, seed=1).case_id for number in range(1, 4)]
    assert [case.sequence for case in log.cases] == [1, 2, 3]
    assert "wait in memory" in log.troubles[0]
    assert "takes cases again" in log.troubles[-1]
    assert len(log.troubles) == 2


def test_a_disk_that_stays_full_is_told_at_the_end(outbox):
    log = Log()
    keeper = keeper_for(outbox, log)
    with full_disk():
        keeper.keep(make_case(1, seed=1), None)
        with pytest.raises(StoreError, match="1 of the last cases"):
            keeper.close()
    assert log.cases == []


def test_a_bug_beside_the_frames_ends_the_frame_loop_but_loses_no_case(outbox):
    log = Log()

    def said(case) -> None:
        log.cases.append(case)
        raise BrokenPipeError

    keeper = Keeper(PendingCases(outbox), said=said, warn=log.warn)
    keeper.keep(make_case(1, seed=1), None)
    keeper._thread.join()
    with pytest.raises(BrokenPipeError):
        keeper.keep(make_case(2, seed=1), None)
    with pytest.raises(BrokenPipeError):
        keeper.close()
    assert outbox.backlog().cases == 1
