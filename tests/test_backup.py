"""Backup and restore: what comes back is what was there, from either kind of cloud to either kind."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from cloud_fakes import a_case, a_clip, case_message, clip_messages
from cloud_kinds import KINDS, NewCloud, maker, opened
from desk_site import a_desk

from cloud_sync import accounts, backup, clip_index, dataset, db, fleet_figures, judgement, looks, restore
from cloud_sync import config as cloud_config
from cloud_sync.config import CloudConfig
from cloud_sync.intake import Intake
from cloud_sync.judgement import Review
from cloud_sync.policy import Policy, Pool
from cloud_sync.tables import cases, clips, metadata, sessions
from edge_agent.errors import StoreError
from edge_agent.wire import sha256_of

NOW = 1_800_000_000.0
RULES = dataset.Rules(Policy(version=1, pool=Pool(training_share=1.0, held_out_share=0.0)), "a" * 64)


class Cloud:
    """A cloud with judged cases, clips, a user and a dataset."""

    def __init__(self, folder: Path, config: CloudConfig) -> None:
        self.folder, self.config = folder, config
        self.engine, self.store = opened(config)

    def fill(self, *numbers: int) -> None:
        for number in numbers:
            case_id = a_case(number).case_id
            path = self.folder / f"{number}.twclip"
            ref = a_clip(path, frames=3, case_id=case_id, size=(64, 240))
            intake = Intake(self.engine, self.store, max_clip_bytes=10_000_000)
            intake.handle([case_message(a_case(number, clip=ref)), *clip_messages(path, case_id)], NOW)
            judgement.record(
                self.engine, a_desk(), case_id, Review(judgement="ok", familiar=True, note="ä"), "erna", NOW
            )
        accounts.add_user(self.engine, "erna", "correct horse battery", "expert", now=NOW)
        dataset.release(self.engine, "weekly", NOW, RULES)

    def rows(self) -> dict[str, list]:
        with self.engine.connect() as connection:
            return {
                table.name: sorted(map(tuple, connection.execute(sa.select(table))), key=repr)
                for table in metadata.sorted_tables
            }

    def clips(self) -> dict[str, bytes]:
        return {sha256: self.store.clip(sha256).read_bytes() for sha256, _ in self.store.held()}


@pytest.fixture
def cloud(tmp_path: Path, new_cloud: NewCloud) -> Iterator[Cloud]:
    cloud = Cloud(tmp_path, new_cloud(tmp_path / "cloud"))
    cloud.fill(1, 2)
    yield cloud
    cloud.engine.dispose()


def saved(cloud: Cloud, now: float = NOW) -> Path:
    backup.make(cloud.engine, cloud.store, cloud.folder / "backup", now, bundles=cloud.config.folder / "bundles")
    return cloud.folder / "backup"


@pytest.mark.parametrize("kind", KINDS)
def test_what_comes_back_is_what_was_there_on_either_kind_of_cloud(cloud, tmp_path, request, kind) -> None:
    folder = saved(cloud)
    other = Cloud(tmp_path, maker(request, kind)(tmp_path / "other"))
    done = restore.put_back(folder, other.config, force=False, now=NOW + 1)
    assert (done.clips_copied, done.clips_lost, done.kept) == (2, 0, None)
    before, after = cloud.rows(), other.rows()
    for name in before.keys() - {"audit", "audit_end"}:
        assert after[name] == before[name], name
    assert set(before["audit"]) < set(after["audit"])
    assert other.clips() == cloud.clips()
    judgement.record(other.engine, a_desk(), a_case(1).case_id, Review(judgement="leak", familiar=True), "emil", NOW)
    other.engine.dispose()


def test_a_second_backup_copies_only_new_clips_and_leaves_one_database(cloud: Cloud, monkeypatch) -> None:
    folder = saved(cloud)
    copied, copy = [], cloud.store.copy
    monkeypatch.setattr(cloud.store, "copy", lambda sha256, file: (copied.append(sha256), copy(sha256, file)))
    cloud.fill(3)
    made = backup.make(cloud.engine, cloud.store, folder, NOW + 60, bundles=cloud.config.folder / "bundles")
    assert len(copied) == 1 and made.clips == 3
    assert [path.name for path in folder.glob("database-*")] == [made.database]
    assert backup.read(folder) == made


def test_a_backup_that_breaks_off_leaves_the_one_before_whole(cloud: Cloud, monkeypatch) -> None:
    folder = saved(cloud)
    before = backup.read(folder)
    cloud.fill(3)
    monkeypatch.setattr(backup, "_copy_clips", lambda *_: (_ for _ in ()).throw(StoreError("power cut")))
    with pytest.raises(StoreError, match="power cut"):
        saved(cloud, NOW + 60)
    assert backup.read(folder) == before
    monkeypatch.undo()
    assert saved(cloud, NOW + 120) and backup.read(folder).clips == 3
    assert len(list(folder.glob("database-*"))) == 1


def test_what_is_no_whole_backup_is_said(cloud: Cloud, tmp_path: Path) -> None:
    folder = saved(cloud)
    with pytest.raises(StoreError, match="holds no whole backup"):
        restore.put_back(tmp_path / "nothing", cloud.config, force=True, now=NOW)
    before = cloud.rows()
    database = folder / backup.read(folder).database
    database.write_bytes(database.read_bytes()[:-1])
    with pytest.raises(StoreError, match="missing or damaged"):
        restore.put_back(folder, cloud.config, force=True, now=NOW)
    (folder / backup.MANIFEST).write_text("{")
    with pytest.raises(StoreError, match="is no manifest of a backup"):
        restore.put_back(folder, cloud.config, force=True, now=NOW)
    assert cloud.rows() == before


def test_a_filled_database_is_replaced_only_by_force_and_then_kept_aside(cloud: Cloud) -> None:
    folder = saved(cloud)
    wanted = cloud.rows()
    cloud.fill(3)
    with pytest.raises(StoreError, match=r"holds 1 stations.*3 cases.*add --force|3 cases.*add --force"):
        restore.put_back(folder, cloud.config, force=False, now=NOW)
    done = restore.put_back(folder, cloud.config, force=True, now=NOW)
    assert cloud.rows()["cases"] == wanted["cases"] and cloud.rows()["reviews"] == wanted["reviews"]
    assert _cases_kept_aside(cloud, done.kept) == 3
    again = restore.put_back(folder, cloud.config, force=True, now=NOW + 2)
    assert _cases_kept_aside(cloud, again.kept) == 2


def test_a_restored_backup_brings_no_session_back(cloud: Cloud) -> None:
    """Whoever has signed out since stays signed out."""
    row = {"key": "k", "name": "erna", "began_at": NOW, "address": "", "browser": ""}
    with cloud.engine.begin() as connection:
        connection.execute(sa.insert(sessions).values(row))
    restore.put_back(saved(cloud), cloud.config, force=True, now=NOW)
    assert cloud.rows()["sessions"] == []


def test_a_restore_that_breaks_off_changes_no_row(cloud: Cloud, monkeypatch) -> None:
    folder = saved(cloud)
    cloud.fill(3)
    before = cloud.rows()
    monkeypatch.setattr(restore.clip_index, "mend", lambda *_: (_ for _ in ()).throw(StoreError("power cut")))
    with pytest.raises(StoreError, match="power cut"):
        restore.put_back(folder, cloud.config, force=True, now=NOW)
    assert cloud.rows() == before


def test_a_clip_that_neither_backup_nor_store_has_is_asked_for_again(cloud: Cloud, tmp_path, request) -> None:
    folder = saved(cloud)
    gone, damaged = sorted(cloud.clips())
    for sha256, data in ((gone, None), (damaged, b"rot")):
        path = folder / "clips" / sha256[:2] / f"{sha256}.twclip"
        path.unlink() if data is None else path.write_bytes(data)
    other = Cloud(tmp_path, maker(request, "sqlite-folder")(tmp_path / "other"))
    assert restore.put_back(folder, other.config, force=False, now=NOW).clips_lost == 2
    with other.engine.connect() as connection:
        assert connection.scalars(sa.select(clips.c.state)).all() == ["partial", "partial"]
    sent = clip_messages(tmp_path / "1.twclip", a_case(1).case_id)
    handled = Intake(other.engine, other.store, max_clip_bytes=10_000_000).handle(sent, NOW)
    assert handled.clips == (sha256_of((tmp_path / "1.twclip").read_bytes()),)


def test_the_queue_waits_for_a_clip_that_was_lost_and_offers_it_again(cloud: Cloud) -> None:
    cloud.fill(3)
    with cloud.engine.begin() as connection:
        looks.want(connection, a_case(3).case_id, "second", NOW)
        sha256 = connection.scalar(sa.select(cases.c.clip_sha256).where(cases.c.case_id == a_case(3).case_id))
    data = cloud.store.clip(sha256).read_bytes()
    cloud.store.remove(sha256)
    for state in ("coming", "waiting"):
        with cloud.engine.begin() as connection:
            clip_index.mend(connection, cloud.store, NOW)
            assert {name: looks.counts(connection)[name] for name in ("coming", "waiting")} == {
                "coming": int(state == "coming"),
                "waiting": int(state == "waiting"),
            }
        (cloud.folder / "back").write_bytes(data)
        assert cloud.store.put(sha256, cloud.folder / "back")


def test_a_clip_that_the_store_has_lost_is_named_in_the_backup(cloud: Cloud) -> None:
    lost, _ = sorted(cloud.clips())
    cloud.store.remove(lost)
    made = backup.make(cloud.engine, cloud.store, cloud.folder / "backup", NOW, bundles=cloud.config.folder / "bundles")
    assert (made.lost_clips, made.clips) == ((lost,), 1)


def test_the_commands_say_what_they_did(cloud: Cloud, tmp_path: Path, capsys, monkeypatch) -> None:
    (tmp_path / "cloud.toml").write_bytes(cloud_config.dump(cloud.config))
    config = ["--config", str(tmp_path / "cloud.toml")]
    assert backup.backup([*config, "--out", str(tmp_path / "out"), "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["clips"] == 2 and "2 cases, 2 judgements, 2 clips" in said.err
    with cloud.engine.connect() as connection:
        assert 0 <= db.now() - fleet_figures.figures(connection, db.now()).backup_at < 60
    assert restore.restore([str(tmp_path / "out"), *config, "--force", "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["clips_lost"] == 0 and "cloud resend STATION" in said.err


def test_a_neighbours_table_in_the_same_database_stays_where_it_is(cloud: Cloud) -> None:
    folder = saved(cloud)
    with cloud.engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE theirs (id integer)")
    restore.put_back(folder, cloud.config, force=True, now=NOW)
    with cloud.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM theirs").scalar() == 0


def _cases_kept_aside(cloud: Cloud, kept: str | None) -> int:
    assert kept is not None
    if kept.startswith("schema "):
        with cloud.engine.connect() as connection:
            return connection.scalar(sa.text(f'SELECT count(*) FROM "{kept.removeprefix("schema ")}".cases'))
    engine = db.open_url(f"sqlite:///{kept}")
    with engine.connect() as connection:
        return connection.scalar(sa.text("SELECT count(*) FROM cases"))


def test_bundles_come_back_and_a_damaged_one_is_left_out(tmp_path: Path) -> None:
    source, folder, target = (tmp_path / name for name in ("bundles", "backup", "restored"))
    source.mkdir()
    whole, damaged = (source / f"{sha256_of(data)}.bundle" for data in (b"a bundle", b"another"))
    whole.write_bytes(b"a bundle")
    damaged.write_bytes(b"other bytes than its name says")
    for _ in range(2):
        assert backup.copy_bundles(source, folder) == 1
    assert backup.copy_bundles(folder, target) == 1
    assert [path.name for path in target.iterdir()] == [whole.name]
    assert backup.copy_bundles(tmp_path / "none", tmp_path / "empty") == 0
