import pytest

from benchmarks import drill_link, link_lane
from benchmarks.drill_link import Plan
from benchmarks.hosts import reason_against
from edge_agent import deliveries, link
from edge_agent.uplink_state import Acknowledged

SEED = 0


@pytest.mark.full
def test_whatever_a_link_does_to_packets_nothing_is_lost_and_nothing_is_there_twice(tmp_path):
    plan = drill_link._plan(full=False, seed=SEED)
    ledger = drill_link.drill(plan, tmp_path)
    assert drill_link.is_good(ledger), ledger
    assert ledger["schedules"] == 12 and ledger["cases"] == 240 and ledger["queued"] == ledger["clips"] == 80
    assert ledger["noticed_s"]["device"] and ledger["noticed_s"]["cloud"]


@pytest.mark.full
@pytest.mark.skipif(reason_against() != "", reason=reason_against())
def test_a_pulled_cable_between_two_hosts_loses_nothing(tmp_path):
    ledger = drill_link.drill(Plan((12,), SEED, lanes=1, hosts=True, chosen=True), tmp_path)
    assert ledger["happened"]["cable"]["device"] == 1 and ledger["hosts"].startswith("two")
    assert drill_link.is_good(ledger), ledger


@pytest.mark.full
def test_an_uplink_that_takes_what_it_has_sent_for_delivered_is_found_out_and_named_by_its_schedule(
    tmp_path, monkeypatch
):
    honest, send = deliveries.Deliveries._next_cases, link.Link.send

    def hasty(self, now_s, budget):
        out = honest(self, now_s, budget)
        self.outbox.receipted([(case.case_id, case.sha256) for case, _ in self._cases.values()])
        self._cases.clear()
        return out

    def careless(self, message):
        if message.topic.endswith("/case"):
            self._client.publish(message.topic, message.payload, qos=0)
            self._events.append(Acknowledged())
        else:
            send(self, message)

    monkeypatch.setattr(deliveries.Deliveries, "_next_cases", hasty)
    monkeypatch.setattr(link.Link, "send", careless)
    monkeypatch.setattr(link_lane, "SETTLE_S", 20.0)
    ledger = drill_link.drill(Plan((2,), SEED, lanes=1, chosen=True), tmp_path)
    assert ledger["lost"] > 0 and not drill_link.is_good(ledger)
    (failed,) = ledger["failed"]
    assert failed["again"] == f"--seed {SEED} --only 2" and failed["lost"] > 0
    assert [fault["kind"] for fault in failed["faults"] if fault["happened"]]


def test_a_ledger_with_a_late_notice_a_missing_kind_or_a_schedule_not_run_is_not_good():
    good = {"asked": 1, "schedules": 1, "failed": [], "every_kind": True, "noticed_s": {"device": 25.0, "cloud": None}}
    good |= dict.fromkeys(drill_link.ledger.FAULTS, 0)
    assert drill_link.is_good(good)
    for worse in (
        {"noticed_s": {"device": 41.0, "cloud": None}},
        {"noticed_s": {"device": None, "cloud": 76.0}},
        {"every_kind": False},
        {"schedules": 0},
        {"failed": [{}]},
        {"duplicated": 1},
    ):
        assert not drill_link.is_good(good | worse)


def test_options_choose_schedules_by_name_or_by_number(tmp_path, monkeypatch, capsys):
    planned = []

    def drill(plan, folder, say):
        planned.append(plan)
        return {}

    exercise = drill_link.Exercise(
        "link", "", drill_link._plan, drill, lambda _: True, ask=drill_link._ask, heed=drill_link._heed
    )
    for argv in (["--only", "3,17", "--seed", "5"], ["--full"], ["--schedules", "40", "--hosts"]):
        assert exercise.run(argv) == 0
    only, full, some = planned
    assert only == Plan((3, 17), 5, lanes=2, chosen=True)
    assert full == Plan(tuple(range(1000)), 0, lanes=8, hosts=True)
    assert some == Plan(tuple(range(40)), 0, lanes=3, hosts=True)
