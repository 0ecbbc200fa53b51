import shutil

import msgspec
import pytest
import sqlalchemy as sa
from cloud_kinds import KINDS, maker

from benchmarks import drill_restore
from benchmarks.installation import Processes, make_configs
from cloud_sync import db
from cloud_sync.folder_store import FolderStore
from cloud_sync.tables import cases, clips


@pytest.fixture(scope="module")
def drilled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drill")
    plan = drill_restore.Plan(cases=24, kills=0, seed=3)
    return plan, folder, drill_restore.drill(plan, folder)


def test_a_cloud_that_was_lost_comes_back_whole_from_backup_and_devices(drilled):
    plan, _, ledger = drilled
    assert drill_restore.is_good(ledger), ledger
    assert (ledger["cases"], ledger["held_after_restore"], ledger["clips"]) == (24, 6, 8)


@pytest.mark.parametrize(
    ("statement", "key"),
    [
        (sa.delete(cases).where(cases.c.sequence == 7), "lost"),
        (sa.update(cases).where(cases.c.sequence == 7).values(payload=b"{}"), "changed"),
        (sa.update(cases).where(cases.c.sequence == 7).values(sequence=8), "duplicated"),
        (sa.update(clips).values(state="partial"), "clips_lost"),
        (None, "clips_lost"),
    ],
)
def test_the_ledger_sees_what_is_lost_and_what_is_there_twice(drilled, tmp_path, statement, key):
    plan, folder, _ = drilled
    shutil.copytree(folder, tmp_path / "copy")
    device, cloud = make_configs(tmp_path / "copy", 1883)
    if statement is None:
        store = FolderStore(cloud.folder)
        store.remove(next(store.held())[0])
    else:
        engine = db.open_database(cloud)
        with engine.begin() as connection:
            connection.execute(statement)
        engine.dispose()
    site = drill_restore.Site(device, cloud, Processes({}), tmp_path / "copy" / "backup")
    assert drill_restore.make_ledger(plan, site)[key] > 0


@pytest.mark.full
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_lost_where_processes_are_killed_while_the_gap_is_closed(kind, tmp_path, request):
    def of_kind(config):
        other = maker(request, kind)(config.folder)
        return msgspec.structs.replace(config, database=other.database, store=other.store, s3=other.s3)

    plan = drill_restore.Plan(cases=200, kills=8, seed=1)
    ledger = drill_restore.drill(plan, tmp_path, kind=of_kind)
    assert drill_restore.is_good(ledger), ledger
