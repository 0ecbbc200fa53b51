"""Counts of the shift, read beside the writer of a real outbox."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from cloud_fakes import a_case

from edge_agent import shift_counts, utc
from edge_agent.errors import ConfigError
from edge_agent.outbox import Outbox
from edge_agent.shift_counts import ShiftCounts, zone_of

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC).timestamp()
HOUR = 3600.0


class Plant:
    """An outbox, and somebody who counts."""

    def __init__(self, folder: Path) -> None:
        self.outbox = Outbox.open(folder / "outbox.db", folder / "spool")
        self.now_s = 0.0
        self.counts = ShiftCounts(folder / "outbox.db", ("06:00", "14:00"), ZoneInfo("UTC"), lambda: self.now_s)
        self._number = 0

    def case(self, ended: float, **changes: object) -> None:
        self._number += 1
        self.outbox.put(a_case(self._number, **{"case_id": f"c{self._number}", "ended_at": utc.text(ended)} | changes))

    def count(self, now: float = NOON) -> tuple[int, int, int, int, int] | None:
        self.now_s += 10
        found = self.counts.now(now)
        return found and (found.units, found.good, found.leak, found.undecided, found.not_tested)


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    return Plant(tmp_path)


def test_each_unit_counts_by_who_decided_last(plant: Plant) -> None:
    plant.case(NOON, decision="ok", verdict="leak")
    plant.case(NOON, decision="leak", verdict="not_tested")
    plant.case(NOON, decision="none", verdict="ok", decided_by="none")
    plant.case(NOON, decision="none", verdict="ok", decided_by="machine", disposition="ok")
    plant.case(NOON, decision="none", verdict="leak", decided_by="machine", disposition="leak")
    assert plant.count() == (5, 2, 2, 1, 1)


def test_only_this_shift_counts_and_another_one_begins_with_nought(plant: Plant) -> None:
    for hour in (-7, -1, 0, 1.9):
        plant.case(NOON + hour * HOUR, decision="ok")
    assert plant.count(NOON + 1.95 * HOUR) == (3, 3, 0, 0, 0)
    assert plant.count(NOON + 2 * HOUR) == (0, 0, 0, 0, 0)
    plant.case(NOON + 2.1 * HOUR, decision="leak")
    assert plant.count(NOON + 2.2 * HOUR) == (1, 0, 1, 0, 0)


def test_what_is_new_is_added_and_nothing_is_read_twice(plant: Plant, monkeypatch) -> None:
    decoded = []
    real = shift_counts._word
    monkeypatch.setattr(shift_counts, "_word", lambda case: (decoded.append(case), real(case))[1])
    for number in range(3):
        plant.case(NOON + number, decision="ok")
        assert plant.count() == (number + 1, number + 1, 0, 0, 0)
    assert len(decoded) == 3


def test_a_shift_of_many_units_before_the_start_is_counted(plant: Plant, monkeypatch) -> None:
    monkeypatch.setattr(shift_counts, "AT_ONCE", 3)
    monkeypatch.setattr(shift_counts, "BEFORE", 4)
    for number in range(8):
        plant.case(NOON - 20 * HOUR + number, decision="leak")
    for number in range(10):
        plant.case(NOON - HOUR + number, decision="ok")
    assert plant.count() == (10, 10, 0, 0, 0)


def test_a_device_without_a_case_has_counted_nought(tmp_path: Path) -> None:
    counts = ShiftCounts(tmp_path / "outbox.db", ("06:00",), ZoneInfo("UTC"))
    assert counts.now(NOON).units == 0
    assert not (tmp_path / "outbox.db").exists()


def test_an_outbox_that_cannot_be_read_gives_no_old_number_and_counts_again_once_it_is_made_anew(
    plant, tmp_path
) -> None:
    plant.case(NOON, decision="ok")
    assert plant.count() == (1, 1, 0, 0, 0)
    plant.outbox.close()
    for left in tmp_path.glob("outbox.db*"):
        left.unlink()
    (tmp_path / "outbox.db").write_bytes(b"no database at all, but long enough to be taken for one" * 20)
    assert plant.count() is None
    (tmp_path / "outbox.db").unlink()
    again = Plant(tmp_path)
    again.case(NOON, case_id="another", decision="leak")
    assert plant.count() == (2, 1, 1, 0, 0)  # the outbox has found the first one in its spool


def test_a_reader_neither_waits_for_the_writer_nor_lets_it_wait(plant: Plant, tmp_path: Path) -> None:
    plant.case(NOON, decision="ok")
    writer = sqlite3.connect(tmp_path / "outbox.db", timeout=0, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    assert plant.count() == (1, 1, 0, 0, 0)
    writer.execute("UPDATE cases SET receipted_at = 1")
    writer.execute("COMMIT")
    assert writer.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    assert plant.count() == (1, 1, 0, 0, 0)


def test_a_timezone_that_is_none_is_said() -> None:
    assert zone_of("Europe/Berlin") == ZoneInfo("Europe/Berlin")
    assert zone_of(None) is not None
    for wrong in ("Europe/Nowhere", "/etc/passwd", "../x"):
        with pytest.raises(ConfigError, match="timezone"):
            zone_of(wrong)


def test_whichever_thread_asks_is_told(plant: Plant) -> None:
    """A web server hands each request to another thread."""
    plant.case(NOON, decision="ok")
    with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
        assert first.submit(plant.count).result() == second.submit(plant.count).result() == (1, 1, 0, 0, 0)
