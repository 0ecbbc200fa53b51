"""The drill of kills: in short, and what it would show if something were lost, there twice, half, or never struck."""

import dataclasses
import shutil
import sqlite3
from collections import Counter
from contextlib import closing, contextmanager
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from benchmarks import drill_kill, feeding, kill_named, kill_site, moments, wholeness
from benchmarks.installation import make_configs, until
from benchmarks.kill_points import POINTS, Plan
from benchmarks.kill_site import Site
from benchmarks.made_cases import make_case
from benchmarks.moments import COMMIT, Moment
from cloud_sync import db
from cloud_sync.tables import cases, clips, looks
from edge_agent import durable, state
from edge_agent.outbox import Outbox

LAST = sa.select(sa.func.max(cases.c.sequence)).scalar_subquery()
AGREED = sa.select(sa.func.max(cases.c.case_id)).where(cases.c.case_id.notin_(sa.select(looks.c.case_id)))
"""A case that the rules do not send to review."""
LAST_LOOK = looks.c.id == sa.select(sa.func.max(looks.c.id)).scalar_subquery()
"""Of a case that retention has not removed."""
CHEAP = tuple(point for point in POINTS if point.process != "agent")[1::13]
GOOD = {
    **dict.fromkeys(drill_kill.FAULTS, 0), "broken": {}, "asked": 9, "cases": 9, "asked_kills": 3, "random_kills": 3,
    "state_reads": 4,
}  # fmt: skip


@pytest.fixture(scope="module")
def drilled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drill")
    plan = Plan(cases=24, frames=0, kills=6, frame_kills=0, points=CHEAP, seed=5)
    return plan, folder, drill_kill.drill(plan, folder)


def test_a_device_that_is_killed_again_and_again_loses_nothing_and_says_nothing_twice(drilled):
    plan, _, ledger = drilled
    assert drill_kill.is_good(ledger), ledger
    assert ledger["random_kills"] == 6 and ledger["named"] == len(CHEAP)
    assert ledger["killed"]["inspect"] > 3 and ledger["killed"]["uplink"] > 3
    assert ledger["cases"] >= plan.cases and ledger["queued"] == ledger["clips"] > 0


@pytest.mark.full
def test_the_whole_agent_and_all_named_points(tmp_path):
    ledger = drill_kill.drill(drill_kill.plan_of(full=False, seed=6), tmp_path)
    assert drill_kill.is_good(ledger), ledger
    assert ledger["named"] == len(POINTS) >= 40 and ledger["frames"] >= 1 and ledger["killed"]["agent"] >= 4


@pytest.mark.full
@pytest.mark.parametrize(
    ("statement", "key"),
    [
        (sa.delete(cases).where(cases.c.case_id == AGREED.scalar_subquery()), "lost"),
        (sa.update(cases).where(cases.c.sequence == LAST).values(payload=b"{}"), "changed"),
        (sa.update(cases).where(cases.c.sequence == LAST).values(sequence=1), "duplicated"),
        (sa.delete(looks).where(LAST_LOOK), "queue_lost"),
        (sa.update(looks).where(LAST_LOOK).values(case_id=AGREED.scalar_subquery()), "queue_extra"),
        (sa.update(clips).values(state="partial"), "clips_lost"),
    ],
)
def test_the_ledger_sees_what_is_lost_and_what_is_there_twice(drilled, tmp_path, statement, key):
    plan, folder, _ = drilled
    with copy_of(folder, tmp_path / "copy") as site:
        with site.engine.begin() as connection:
            connection.execute(statement)
        ledger = drill_kill.make_ledger(site, plan)
    assert ledger[key] > 0 and not drill_kill.is_good(GOOD | {key: ledger[key]})


@pytest.mark.full
@pytest.mark.parametrize(("name", "key"), [("spool/case.json", "half_written"), ("mode.json.tmp", "unfinished")])
def test_the_ledger_sees_files_that_are_not_whole(drilled, tmp_path, name, key):
    plan, folder, _ = drilled
    with copy_of(folder, tmp_path / "copy") as site:
        (site.device.folder / name).write_bytes(b'{"schema": "tankw')
        site.know = dict  # its own file is none that was ever said
        assert drill_kill.make_ledger(site, plan)[key] > 0


@contextmanager
def copy_of(folder, copy):
    """The installation as the drill left it, of which nothing runs any more."""
    shutil.copytree(folder, copy)
    device, cloud = make_configs(copy, 1883)
    engine, quiet = db.open_database(cloud), SimpleNamespace(torn=[], reads=1)
    processes = SimpleNamespace(killed=Counter())
    yield Site(copy, device, cloud, None, engine, processes, quiet, 5)
    engine.dispose()


def test_a_ledger_with_any_fault_or_less_than_was_asked_for_is_not_good():
    assert drill_kill.is_good(GOOD)
    for name in drill_kill.FAULTS:
        assert not drill_kill.is_good(GOOD | {name: 1})
    for changed in ({"broken": {"a point": ["words"]}}, {"cases": 8}, {"random_kills": 2}, {"state_reads": 0}):
        assert not drill_kill.is_good(GOOD | changed)


@pytest.mark.full
def test_a_point_that_the_process_does_not_come_to_and_a_device_that_forgets_are_told(tmp_path, monkeypatch):
    """It says each case before anything is on the disk."""
    nowhere = Moment("before", "edge_agent.outbox:Outbox.put", nth=1000)
    with kill_site.site(tmp_path, 0) as site:
        point = dataclasses.replace(CHEAP[1], moment=nowhere, first=(), scene="")
        assert kill_named.strike(site, point, 30) == ["the process did not come to this point"]
        monkeypatch.setattr(kill_site, "SETTLE_S", 3.0)
        forgetting = dataclasses.replace(point, moment=Moment("after", COMMIT, within="Outbox.put"))
        monkeypatch.setattr(feeding, "put", lambda outbox, case, **_: case)
        faults = kill_named.strike(site, forgetting, 31)
        assert faults[0] == "the process did not come to this point" and "'lost': 2" in faults[1]


def test_a_process_dies_at_the_moment_with_half_of_what_it_was_writing_on_the_disk(tmp_path):
    def work():
        durable.write(tmp_path / "a", b"first")
        durable.write(tmp_path / "b", b"0123456789")

    mark = tmp_path / "mark"
    assert kill_site.dies(Moment("amid", "edge_agent.durable:open", holding="b.tmp"), work, mark)
    assert (tmp_path / "a").read_bytes() == b"first" and (tmp_path / "b.tmp").read_bytes() == b"01234"
    assert kill_site.dies(Moment("before", "os:replace", within="write", nth=2), work, mark)
    assert (tmp_path / "b.tmp").read_bytes() == b"0123456789" and not (tmp_path / "b").exists()
    assert not kill_site.dies(Moment("before", "os:replace", within="no_such"), work, mark)
    assert (tmp_path / "b").exists()


def test_before_a_commit_nothing_is_in_the_database_and_after_it_all_is(tmp_path):
    def work():
        Outbox.open(tmp_path / "outbox.db", tmp_path / "spool").put(make_case(1))

    for side, count in (("before", 0), ("after", 1)):
        assert kill_site.dies(Moment(side, COMMIT, within="Outbox.put"), work, tmp_path / "mark")
        assert rows_in(tmp_path / "outbox.db") == count


def rows_in(database):
    with closing(sqlite3.connect(database)) as rows:
        return rows.execute("SELECT count(*) FROM cases").fetchone()[0]


def test_every_named_point_has_words_of_its_own_and_a_call_that_is_there():
    assert len({point.words for point in POINTS}) == len(POINTS) >= 40
    for moment in (moment for point in POINTS for moment in (*point.first, point.moment)):
        owner, name = moments._place(moment.call)
        assert hasattr(owner, name) or moment.call == "edge_agent.durable:open", moment.call


def test_a_state_file_that_is_written_in_place_shows_as_torn(tmp_path):
    device, _ = make_configs(tmp_path, 1883)
    device.folder.mkdir()
    reader = wholeness.StateReader(device, tmp_path / "torn")
    durable.write(device.desired_path, b"{}")
    assert until(lambda: reader.reads > 0, 20.0, 0.01) and reader.torn == []
    device.state_path.write_bytes(b'{"schema": "tank')
    assert until(lambda: bool(reader.torn), 20.0, 0.01) and reader.torn[0].startswith("state.json: ")
    reader.stop()
    assert state.read(device.state_path) is None
