"""The drill itself: every class is refused, and a hole in the device's checks would show in the ledger."""

import pytest
from tuf.api.metadata import Snapshot, Targets, Timestamp

from benchmarks import drill_update
from benchmarks.update_attacks import CLASSES, TEN
from edge_agent.exam import Passed


@pytest.fixture(autouse=True)
def no_exam(monkeypatch):
    """What a bundle does in its exam is shown elsewhere."""
    monkeypatch.setattr("edge_agent.trial.held", lambda exam, stopped: Passed())


def test_attacks_of_every_class_are_refused_for_the_right_reason_and_honest_updates_go_through(tmp_path):
    ledger = drill_update.drill(tmp_path, 2, seed=4)
    assert (ledger["let_in"], ledger["wrong_reason"], ledger["not_recovered"]) == (0, 0, 0), ledger["which"]
    assert (ledger["honest"], ledger["honest_refused"]) == (2, 0)
    assert ledger["attacks"] == 2 * len(CLASSES) and len(TEN) == 10


def test_the_ledger_sees_a_device_that_looks_at_no_end(tmp_path, monkeypatch):
    ended = {"indefinite_freeze": CLASSES["indefinite_freeze"][:1]}
    monkeypatch.setattr(drill_update.update_attacks, "CLASSES", ended)
    for kind in (Timestamp, Snapshot, Targets):
        monkeypatch.setattr(kind, "is_expired", lambda self, moment=None: False)
    assert drill_update.drill(tmp_path, 2, seed=1)["let_in"] == 2


@pytest.mark.full
def test_two_hundred_attacks_are_refused_with_an_honest_update_after_each_class(tmp_path):
    ledger = drill_update.drill(tmp_path, 20, seed=2, often=True)
    assert (ledger["let_in"], ledger["wrong_reason"], ledger["not_recovered"]) == (0, 0, 0), ledger["which"]
