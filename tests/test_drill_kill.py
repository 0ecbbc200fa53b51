import shutil

import pytest
import sqlalchemy as sa

from benchmarks import drill_kill
from benchmarks.installation import make_configs
from cloud_sync import db
from cloud_sync.folder_store import FolderStore
from cloud_sync.tables import cases, clips, looks

AGREED = sa.select(cases.c.case_id).where(cases.c.sequence == 1).scalar_subquery()
"""A case that the rules do not send to review."""


@pytest.fixture(scope="module")
def drilled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drill")
    plan = drill_kill.Plan(cases=40, kills=12, seed=5, victims=("inspect", "uplink"))
    return plan, folder, drill_kill.drill(plan, folder)


def test_an_agent_that_is_killed_again_and_again_loses_nothing_and_says_nothing_twice(drilled):
    plan, _, ledger = drilled
    assert ledger["kills"] == plan.kills and ledger["killed"]["inspect"] > 0 and ledger["killed"]["uplink"] > 0
    assert drill_kill.is_good(ledger), ledger
    assert ledger["queued"] == ledger["clips"] == 13 and 0 < ledger["arrived_under_fire"] <= 40


@pytest.mark.parametrize(
    ("statement", "key"),
    [
        (sa.delete(cases).where(cases.c.sequence == 7), "lost"),
        (sa.update(cases).where(cases.c.sequence == 7).values(payload=b"{}"), "changed"),
        (sa.update(cases).where(cases.c.sequence == 7).values(sequence=8), "duplicated"),
        (sa.delete(looks).where(looks.c.id == 1), "queue_lost"),
        (sa.update(looks).where(looks.c.id == 1).values(case_id=AGREED), "queue_extra"),
        (sa.update(clips).values(state="partial"), "clips_lost"),
    ],
)
def test_the_ledger_sees_what_is_lost_and_what_is_there_twice(drilled, tmp_path, statement, key):
    plan, folder, _ = drilled
    shutil.copytree(folder, tmp_path / "copy")
    device, cloud = make_configs(tmp_path / "copy", 1883)
    engine = db.open_database(cloud)
    with engine.begin() as connection:
        connection.execute(statement)
    ledger = drill_kill.make_ledger(engine, plan, device, tmp_path / "copy" / "journal", FolderStore(cloud.folder))
    engine.dispose()
    assert ledger[key] > 0
