"""The drill without the device's processes, and what its ledger would see; with them in the full suite."""

import pytest

from benchmarks import drill_canary
from benchmarks.canary_device import ByHand
from edge_agent.exam import Passed

KINDS = ("always-ok", "wrong-shape", drill_canary.UNCERTIFIED)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory) -> dict:
    return drill_canary.drill(drill_canary.Plan(KINDS, (), 31), tmp_path_factory.mktemp("drill"))


@pytest.mark.full
def test_a_hostile_bundle_meets_one_device_and_its_rollout_takes_it_back_by_itself(ledger):
    assert drill_canary.is_good(ledger)
    assert ledger["devices_touched"] == dict.fromkeys(KINDS, 1) and ledger["elsewhere"] == 0
    assert ledger["rolled_back"] and ledger["bundles"] == 3


@pytest.mark.full
def test_what_always_says_the_same_and_what_lacks_its_certificate_never_start(ledger):
    assert ledger["refused"] == ["always-ok", drill_canary.UNCERTIFIED] and ledger["started"] == ["wrong-shape"]
    assert "golden case" in ledger["words"]["always-ok"]
    assert "has no certificate" in ledger["words"][drill_canary.UNCERTIFIED]


@pytest.mark.parametrize(
    "change",
    [
        {"started": ["always-ok", "wrong-shape"]},
        {"refused": ["always-ok"]},
        {"returned": {"wrong-shape": 61.0}},
        {"devices_touched": {"wrong-shape": 2}},
        {"elsewhere": 1},
        {"lost": 1},
        {"duplicated": 1},
        {"rolled_back": False},
        {"went_on": False},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_ledger_of_a_promise_that_was_broken_is_not_good(ledger, change):
    assert not drill_canary.is_good(ledger | change)


def test_a_trial_that_lets_everything_in_would_show(tmp_path, monkeypatch):
    """A bundle that stays where it must not: the rollout goes on to the soak, and nobody is back."""
    monkeypatch.setattr("edge_agent.trial.held", lambda exam, stopped: Passed())
    monkeypatch.setattr(ByHand, "keep_alive", lambda self: self._update.step(0.0))
    monkeypatch.setattr(drill_canary, "LONGEST_S", 1.0)
    found = drill_canary.drill(drill_canary.Plan(("always-leak",), (), 31), tmp_path)
    assert found["started"] == ["always-leak"] and found["refused"] == [] and not drill_canary.is_good(found)


@pytest.mark.full
def test_bundles_before_the_devices_processes_are_refused_or_back_within_a_minute(tmp_path):
    found = drill_canary.drill(drill_canary.Plan(drill_canary.SHORT_LIVE, drill_canary.SHORT_LIVE, 31), tmp_path)
    assert drill_canary.is_good(found), found
    assert list(found["returned"]) == ["no-number"] and found["refused"] == ["always-leak"] and found["cases"] > 1
