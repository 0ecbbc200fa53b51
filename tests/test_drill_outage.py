"""A month without a broker: all of it arrives, and what would not be good shows in the ledger."""

from pathlib import Path

import pytest

from benchmarks import drill_outage, ledger
from benchmarks.drill_outage import Plan
from benchmarks.installation import sending
from cloud_sync import gaps
from edge_agent import config as device_config
from edge_agent.outbox import Outbox

GOOD = dict.fromkeys((*ledger.FAULTS, "cried_missing"), 0) | {
    "cases": 41,
    "asked": 41,
    "live": 1,
    "live_max_s": 1.9,
    "drain_per_s": 1000,
    "uplink_grown_mb": 19.0,
    "limits": {"drain_per_s": 1000.0, "live_s": 2.0, "grown_mb": 20.0},
}


def test_a_ledger_with_a_fault_or_over_a_limit_is_not_good():
    assert drill_outage.is_good(GOOD)
    for name in (*ledger.FAULTS, "cried_missing"):
        assert not drill_outage.is_good(GOOD | {name: 1})
    for worse in ({"cases": 40}, {"live": 0}, {"live_max_s": 2.1}, {"drain_per_s": 999}, {"uplink_grown_mb": 20.1}):
        assert not drill_outage.is_good(GOOD | worse)


def test_the_cases_lie_within_thirty_days_and_one_in_thirty_three_is_for_review():
    made = [drill_outage.case_of(number, 1.79e9 + number, 3) for number in range(1, 100)]
    assert sum(case.sampled.reason != "none" for case in made) == 3
    assert len({case.case_id for case in made}) == 99 and made[0].started_at.startswith("2026-09-21")


@pytest.mark.full
def test_a_month_of_cases_arrives_and_today_s_do_not_wait_for_it(tmp_path):
    found = drill_outage.drill(drill_outage.plan(False, 7), tmp_path)
    assert drill_outage.is_good(found), found
    assert found["cases"] >= 3_000 and found["clips"] >= 3_000 // drill_outage.ONE_IN


@pytest.mark.full
def test_an_uplink_that_hoards_and_a_cloud_that_cries_show_in_the_ledger(tmp_path, monkeypatch):
    hoard = []
    backlog = Outbox.backlog
    monkeypatch.setattr(Outbox, "backlog", lambda self: hoard.append(b"x" * (12 << 20)) or backlog(self))
    monkeypatch.setattr(gaps, "_waiting", lambda *_: 0)

    def forked(log, program, part, _option, config):
        device = device_config.load(Path(config)) if program == "agent" else None
        return sending(device, log.parent) if device else as_command(log, program, part, _option, config)

    as_command = drill_outage.as_command
    monkeypatch.setattr(drill_outage, "as_command", forked)
    found = drill_outage.drill(Plan(1_000, 7, drain_per_s=1.0, live_s=100.0), tmp_path)
    assert found["lost"] == 0 and found["uplink_grown_mb"] > 20.0 and found["cried_missing"] > 0, found
    assert not drill_outage.is_good(found)
