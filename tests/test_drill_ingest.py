"""Ingest killed and its database taken away: nothing is lost; a receipt ahead of its commit is seen."""

import pytest
from cloud_fakes import TOPICS, a_case, case_message

from benchmarks import drill_ingest, flow, ingest_deaths, ledger, receipt_witness
from benchmarks.drill_ingest import Plan, Stage
from benchmarks.postgres_server import programs
from cloud_sync import db
from cloud_sync.config import CloudConfig
from cloud_sync.dead_letters import Message
from cloud_sync.intake import Handled, Intake
from cloud_sync.store import open_store
from edge_agent import wire
from edge_agent.messages import Receipt

GOOD = dict.fromkeys((*ledger.FAULTS, "early", "while_away", "stalled"), 0) | {
    "cases": 40,
    "kills": 9,
    "asked_kills": 9,
    "receipts": 7,
}


def test_a_ledger_with_a_fault_or_a_receipt_too_early_is_not_good():
    assert drill_ingest.is_good(GOOD)
    for name in (*ledger.FAULTS, "early", "while_away", "stalled"):
        assert not drill_ingest.is_good(GOOD | {name: 1})
    assert not drill_ingest.is_good(GOOD | {"kills": 8}) and not drill_ingest.is_good(GOOD | {"receipts": 0})


def test_the_witness_counts_what_a_receipt_names_and_the_database_does_not_hold(tmp_path):
    cloud = CloudConfig(data_dir=str(tmp_path))
    engine, store = db.open_database(cloud), open_store(cloud)
    held, other, payload = a_case(1), a_case(2), wire.encode(a_case(1))
    Intake(engine, store, max_clip_bytes=1_000_000).handle([case_message(held)], 0.0)
    named = ((held.case_id, wire.sha256_of(payload)), (other.case_id, "0" * 64))
    seen = receipt_witness.look(engine, store, Receipt(cases=named, clips=("1" * 64,)))
    assert (seen.cases, seen.clips, seen.early) == (2, 1, 2)
    wrong = receipt_witness.look(engine, store, Receipt(cases=((held.case_id, "0" * 64),)))
    assert wrong.early == 1
    engine.dispose()


@pytest.mark.full
def test_nothing_is_lost_while_ingest_is_killed_and_its_database_goes_away(tmp_path):
    found = drill_ingest.drill(drill_ingest.plan(False, 7), tmp_path)
    assert drill_ingest.is_good(found), found
    assert set(found["stages"]) == ({"sqlite", "postgresql"} if programs() else {"sqlite"})
    assert len(found["killed"].keys() & ingest_deaths.MOMENTS.keys()) >= 4


@pytest.mark.full
def test_an_ingest_that_receipts_what_it_has_not_committed_is_found_out(tmp_path, monkeypatch):
    handle = Intake.handle

    def hasty(self, batch, now):
        """Every fifth case is receipted and forgotten."""
        forgotten = [one for one in batch if one.topic == TOPICS.case and sum(one.payload) % 5 == 0]
        handled = handle(self, [one for one in batch if one not in forgotten], now)
        ids = tuple(
            (wire.decode(one.payload, type(a_case())).case_id, wire.sha256_of(one.payload)) for one in forgotten
        )
        receipt = Message(TOPICS.receipt, wire.encode(Receipt(cases=ids)))
        return Handled((*handled.receipts, receipt), handled.clips)

    monkeypatch.setattr(Intake, "handle", hasty)
    monkeypatch.setattr(flow, "SETTLE_S", 3.0)
    found = drill_ingest.drill(Plan((Stage("sqlite", 2, 1.0, busy_ms=500),), 7), tmp_path)
    assert found["early"] > 0 and found["lost"] > 0 and not drill_ingest.is_good(found), found
