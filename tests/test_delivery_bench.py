"""The table of deliveries says what happened to the cases, this project's and others'."""

import dataclasses
import sys

import pytest

from benchmarks import delivery, delivery_page
from benchmarks.delivery_page import Row
from benchmarks.delivery_sides import Ours, Peer

BOTH_GONE = (
    (0.3, "broker starts"),
    (1.2, "listener leaves"),
    (1.6, "listener back"),
    (2.0, "cut"),
    (2.5, "broker killed"),
    (3.2, "publisher killed"),
    (4.0, "broker starts"),
)


@pytest.mark.full
@pytest.mark.parametrize("ours", [True, False], ids=["this project", "plain paho"])
def test_what_a_publisher_held_in_memory_when_it_was_killed_is_counted_as_lost(monkeypatch, ours):
    monkeypatch.setattr(delivery, "ALONE", ())
    monkeypatch.setattr(delivery, "AT_ONCE", BOTH_GONE)
    monkeypatch.setattr(delivery, "QUIET_S", 8.0)
    make = Ours if ours else lambda setting: Peer(setting, "paho", sys.executable)
    row = delivery._measure("it", make, 50, 3)
    assert row.handed_over == 50
    assert row.lost == row.twice == 0 if ours else row.lost > 0
    assert row.blocked_ms > 0


def test_one_seed_gives_one_schedule_in_order_and_each_fault_alone_before_two_meet():
    planned = delivery.schedule(7)
    assert planned == delivery.schedule(7) != delivery.schedule(8)
    assert [moment.at_s for moment in planned] == sorted(moment.at_s for moment in planned)
    assert {moment.what for moment in planned if moment.at_s < delivery.ALONE_UNTIL_S} == set(delivery_page.MEANING)


def test_the_page_has_every_row_with_its_counts_and_says_plainly_what_was_not_run():
    rows = [Row("ours", 10, 0, 0, 0, 0, 1.25), Row("theirs", 10, 1, 3, 2, 1, 517.6)]
    rows.append(delivery_page.not_run("the sink", "no environment"))
    page = delivery_page.page(rows, cases=10, seed=7, planned=[(2.9, "broker starts")])
    assert "| ours | 10 | 0 | 0 | 0 | 0 | 1.2 ms |\n| theirs | 10 | 1 | 3 | 2 | 1 | 517.6 ms |\n" in page
    assert "| the sink | not run: no environment | | | | | |\n" in page and "lost 0 and the peers 3:" in page
    assert "| 2.9 | the broker starts" in page and delivery_page.COMMAND in page


def test_a_lost_or_doubled_case_of_ours_ends_with_1(monkeypatch, capsys):
    good = Row("ours", 5, 0, 0, 0, 0, 1.0)
    for row, status in (
        (good, 0),
        (dataclasses.replace(good, lost=1), 1),
        (dataclasses.replace(good, twice=1), 1),
        (dataclasses.replace(good, handed_over=4), 1),
    ):
        monkeypatch.setattr(delivery, "_measure", lambda *_, row=row: row)
        assert delivery.run(["--cases", "5", "--json"]) == status
