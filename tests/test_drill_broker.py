"""Mosquitto killed with Debian's settings: nothing is lost, and a device that believed it would lose cases."""

import pytest

from benchmarks import drill_broker, flow, ledger
from cloud_sync.broker import EmbeddedBroker, mosquitto
from edge_agent.deliveries import Deliveries

GOOD = dict.fromkeys(ledger.FAULTS, 0) | {"stalled": 0, "cases": 40, "kills": 8}


def test_a_ledger_with_a_fault_or_a_standstill_is_not_good():
    assert drill_broker.is_good(GOOD)
    for name in (*ledger.FAULTS, "stalled"):
        assert not drill_broker.is_good(GOOD | {name: 1})
    assert not drill_broker.is_good(GOOD | {"kills": 0})


@pytest.mark.skipif(mosquitto() is None, reason="mosquitto is not installed")
def test_the_broker_has_the_settings_that_debian_ships(tmp_path):
    with EmbeddedBroker(0, tmp_path, tuned=False):
        conf = (tmp_path / "mosquitto.conf").read_text()
    set_here = {line.split()[0] for line in conf.splitlines()}
    assert set_here <= {"listener", "persistence", "persistence_location", "allow_anonymous", "user"}


@pytest.mark.full
def test_nothing_is_lost_while_the_broker_is_killed_under_load(tmp_path):
    found = drill_broker.drill(drill_broker.exercise.plan(False, 7), tmp_path)
    assert drill_broker.is_good(found), found
    assert found["kills"] == 8 and found["clips"] > 0 and found["resent"] > 0


@pytest.mark.full
def test_a_device_that_takes_the_brokers_word_loses_cases_and_the_ledger_says_so(tmp_path, monkeypatch):
    following = Deliveries.next

    def trusting(self, now_s, budget):
        out = following(self, now_s, budget)
        self.outbox.receipted([(case.case_id, case.sha256) for case, _ in self._cases.values()])
        self._cases.clear()
        return out

    monkeypatch.setattr(Deliveries, "next", trusting)
    monkeypatch.setattr(flow, "SETTLE_S", 3.0)
    found = drill_broker.drill(drill_broker.Plan(kills=4, seed=7), tmp_path)
    assert found["lost"] > 0 and not drill_broker.is_good(found), found
