"""Cases and truths in the database -> counts: nothing lost, shifts across midnight, and who may be named."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from cloud_fakes import BEGIN, a_case, case_message

from cloud_sync import agreement, db, tallies
from cloud_sync.config import CloudConfig, ShiftConfig
from cloud_sync.intake import Intake
from cloud_sync.store import FolderStore
from cloud_sync.tables import cases, gold, reviews, truths
from cloud_sync.tallies import Choice
from edge_agent.records import Sampled

SHIFTS = (ShiftConfig("early", "06:00"), ShiftConfig("late", "14:00"), ShiftConfig("night", "22:00"))


EVERYTHING = Choice()


class Held:
    """A database with cases and what counts as true of them."""

    def __init__(self, folder: Path) -> None:
        config = CloudConfig(data_dir=str(folder))
        self.engine = db.open_database(config)
        self.intake = Intake(self.engine, FolderStore(config.folder), max_clip_bytes=1_000_000)

    def case(self, sequence: int, truth: str | None = None, state: str = "single", **about) -> str:
        found = a_case(sequence, **about)
        assert self.intake.handle([case_message(found)], db.now())
        if truth or state == "conflict":
            values = {"case_id": found.case_id, "judgement": truth, "state": state, "at": 1.0}
            with self.engine.begin() as connection:
                connection.execute(sa.insert(truths).values(values))
        return found.case_id

    def tallies(self, choice: Choice = EVERYTHING, *, inspectors: bool = False) -> list:
        with self.engine.connect() as connection:
            return tallies.tallies(connection, choice, SHIFTS, inspectors=inspectors)


@pytest.fixture
def held(tmp_path: Path) -> Held:
    return Held(tmp_path)


def test_every_case_is_counted_with_its_probability_and_its_truth(held):
    held.case(1, "ok")
    held.case(2, "ok")
    held.case(3, None, "conflict")
    held.case(4, verdict="ok", sampled=Sampled("audit", 0.1))
    held.case(5, verdict="ok")
    held.case(6, verdict="ok", sampled=Sampled("none", 0.015))
    found = {(one.verdict, one.drawn, one.probability, one.truth): one.units for one in held.tallies()}
    assert found == {
        ("leak", True, 1.0, "ok"): 2,
        ("leak", True, 1.0, None): 1,
        ("ok", True, 0.1, None): 1,
        ("ok", False, 0.015, None): 2,
    }


def test_what_an_expert_said_of_a_case_that_was_not_drawn_is_not_counted(held):
    held.case(1, "leak", verdict="ok")
    assert [(one.drawn, one.truth) for one in held.tallies()] == [(False, None)]


@pytest.mark.parametrize(
    ("hours", "shift"), [(0, "late"), (7.9, "late"), (8, "night"), (12, "night"), (15.9, "night"), (16, "early")]
)
def test_shifts_go_on_past_midnight(held, hours, shift):
    """The fakes begin at 14:00 UTC."""
    held.case(1)
    with held.engine.begin() as connection:
        connection.execute(sa.update(cases).values(started_at=BEGIN + 3600 * hours))
    (found,) = held.tallies()
    assert (found.shift, found.day) == (shift, int((BEGIN + 3600 * hours) // 86400))


def test_inspectors_are_counted_apart_only_where_asked_for(held):
    held.case(1, "ok", inspector="P1")
    held.case(2, "ok", inspector="P2")
    assert [one.inspector for one in held.tallies()] == [""]
    assert sorted(one.inspector for one in held.tallies(inspectors=True)) == ["P1", "P2"]


def test_a_choice_of_station_bundle_and_time(held):
    held.case(1)
    held.case(2)
    assert [one.units for one in held.tallies(Choice(station="TANK1", bundle_version=3))] == [2]
    assert held.tallies(Choice(station="TANK2")) == held.tallies(Choice(bundle_version=4)) == []
    assert [one.units for one in held.tallies(Choice(started_from=BEGIN + 90))] == [1]
    assert [one.units for one in held.tallies(Choice(started_until=BEGIN + 90))] == [1]


def test_scores_are_counted_by_hundredths(held):
    held.case(1, "ok", score=0.987)
    held.case(2, verdict="not_tested", score=None)
    with held.engine.connect() as connection:
        (found,) = tallies.scored(connection, Choice())
    assert (found.score, found.truth, found.units) == (98, "ok", 1)


def test_experts_are_measured_by_first_blind_looks_at_cases_that_two_have_seen_or_whose_truth_was_known(held):
    one, two = held.case(1, "ok", "agreed"), held.case(2, "leak", "adjudicated")
    held.case(3, "ok")
    known = held.case(4)
    with held.engine.begin() as connection:
        connection.execute(sa.insert(gold).values(case_id=known, truth="leak", set_by="quinn", set_at=1.0))
        for case_id, revision, who, said, blind in (
            (one, 1, "erna", "ok", True),
            (one, 2, "emil", "ok", True),
            (one, 3, "erna", "leak", False),
            (two, 1, "erna", "ok", True),
            (known, 1, "emil", "leak", True),
        ):
            values = {"reviewer": who, "judgement": said, "blind": blind, "note": "", "at": 1.0}
            values["purpose"] = "gold" if case_id == known else "first"
            connection.execute(sa.insert(reviews).values(case_id=case_id, revision=revision, **values))
        by_name = tallies.skills(connection, Choice(), by="expert")
        by_role = tallies.skills(connection, Choice(), by="role")
    assert {(look.who, look.judgement, look.truth, look.looks) for look in by_name} == {
        ("erna", "ok", "ok", 1),
        ("emil", "ok", "ok", 1),
        ("erna", "ok", "leak", 1),
        ("emil", "leak", "leak", 1),
    }
    assert ("inspector", "ok", "leak", 1) in {(look.who, look.judgement, look.truth, look.looks) for look in by_role}


def test_agreement_from_all_sides(held):
    for sequence in range(1, 9):
        held.case(sequence, "ok" if sequence > 2 else None)
    for sequence in range(9, 12):
        held.case(sequence, "leak", verdict="leak", decision="leak", sampled=Sampled("audit", 0.5))
    held.case(12, verdict="uncertain")
    found = agreement.of(held.tallies())
    assert (found.units, found.drawn, found.unjudged, found.disagreements_unjudged) == (12, 12, 3, 2)
    assert (found.paired.first_only, found.paired.second_only) == (0, 6)
    machine_inspector, machine_expert, _ = found.matches
    assert machine_inspector.cases == 11
    assert ("uncertain", [0, 1]) in machine_inspector.counts
    assert machine_expert.weighted
    assert machine_expert.ac1.value is not None
    (by_shift,) = agreement.slices(held.tallies(), lambda tally: tally.shift)
    assert (by_shift.name, by_shift.units) == ("late", 12)
    (until,) = agreement.over_time(held.tallies())
    assert until.machine == found.machine


def test_agreement_of_nothing_is_no_number(held):
    found = agreement.of(held.tallies())
    assert found.units == 0
    assert all(match.kappa.value is match.ac1.value is match.alike.value is None for match in found.matches)
    assert agreement.over_time([]) == agreement.slices([], lambda tally: tally.shift) == []
