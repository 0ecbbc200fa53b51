"""The cases of an outbox that ended after a time, read beside the process that writes them."""

from pathlib import Path

import pytest
from cloud_fakes import a_case

from edge_agent.cases_since import cases_since
from edge_agent.errors import StoreError
from edge_agent.outbox import Outbox


def test_a_device_without_a_case_has_none(tmp_path: Path) -> None:
    assert cases_since(tmp_path / "outbox.db", "2026-01-01T00:00:00.000Z") == ()


def test_cases_that_ended_later_are_given_oldest_first_while_the_outbox_is_open(tmp_path: Path) -> None:
    outbox = Outbox.open(tmp_path / "outbox.db", tmp_path / "spool")
    put = [outbox.put(a_case(number)) for number in (1, 2, 3)]
    found = cases_since(tmp_path / "outbox.db", put[0].ended_at)
    assert [case.case_id for case in found] == [put[1].case_id, put[2].case_id]
    outbox.close()


def test_an_outbox_that_cannot_be_read_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "outbox.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match="cannot be read"):
        cases_since(tmp_path / "outbox.db", "2026-01-01T00:00:00.000Z")
