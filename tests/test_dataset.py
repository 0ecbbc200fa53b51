"""From judgements to a dataset: the machine's mistakes teach or test, nobody's doubt becomes a label."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from cloud_fakes import a_case, a_clip, case_message, clip_messages
from cloud_kinds import NewCloud, opened
from desk_site import a_desk

from cloud_sync import config as cloud_config
from cloud_sync import dataset, db, judgement, routing, sending
from cloud_sync.config import CloudConfig
from cloud_sync.intake import Intake
from cloud_sync.judgement import Review
from cloud_sync.policy import Policy, Pool
from cloud_sync.standing import standing
from cloud_sync.tables import metadata
from edge_agent import clips
from edge_agent.errors import ConfigError, StoreError

RULES = dataset.Rules(Policy(version=1, pool=Pool(training_share=1.0, held_out_share=0.0)), "a" * 64)
"""The whole pool is drawn and nothing is held out, so that no hash decides what a test sees."""


class Cloud:
    """A cloud to which cases come with clips, and experts who judge them."""

    def __init__(self, folder: Path, config: CloudConfig) -> None:
        self.folder, self.config = folder, config
        self.engine, self.store = opened(config)
        self.intake = Intake(self.engine, self.store, max_clip_bytes=10_000_000)

    def case(self, sequence: int, **about) -> str:
        path = self.folder / f"{sequence}.twclip"
        case_id = a_case(sequence).case_id
        ref = a_clip(path, frames=3, case_id=case_id, size=(64, 48 * 5))
        case = a_case(sequence, clip=ref, **about)
        self.intake.handle([case_message(case), *clip_messages(path, case_id)], 1000.0)
        return case_id

    def judge(self, case_id: str, word: str, familiar: bool | None = True, at: float = 2000.0) -> None:
        review = Review(judgement=word, familiar=None if word == "cannot_tell" else familiar)
        assert judgement.record(self.engine, a_desk(), case_id, review, "erna", at) is not None

    def splits(self) -> dict[str, str]:
        with self.engine.connect() as connection:
            return {one.example.case_id: one.example.split for one in standing(connection, RULES.policy)}


@pytest.fixture
def cloud(tmp_path: Path, new_cloud: NewCloud) -> Iterator[Cloud]:
    cloud = Cloud(tmp_path, new_cloud(tmp_path / "cloud"))
    yield cloud
    cloud.engine.dispose()


@pytest.mark.parametrize(
    ("verdict", "word", "familiar", "split"),
    [
        ("leak", "ok", True, "train"),
        ("ok", "leak", True, "train"),
        ("leak", "ok", False, "test"),
        ("ok", "leak", False, "test"),
        ("leak", "leak", False, "pool"),
        ("ok", "ok", True, "pool"),
        ("uncertain", "leak", False, "pool"),
        ("not_tested", "ok", True, "pool"),
        ("leak", "cannot_tell", None, None),
    ],
)
def test_a_judged_case_goes_where_it_teaches_most(verdict, word, familiar, split) -> None:
    assert routing.split_of(verdict, word, familiar) == split


@pytest.mark.parametrize(
    ("split", "released", "settled"),
    [
        ("test", None, "test"),
        ("train", "test", "test"),
        ("pool", "test", "test"),
        ("test", "train", "train"),
        ("test", "pool", "pool"),
        ("train", "pool", "train"),
    ],
)
def test_no_case_becomes_test_data_after_a_model_may_have_learnt_it(split, released, settled) -> None:
    assert routing.settled(split, released) == settled


def test_a_released_dataset_lies_in_its_folder_with_lineage_and_clips_that_open(cloud: Cloud, tmp_path: Path) -> None:
    wrong, right = cloud.case(1, verdict="leak", decision="ok"), cloud.case(2, verdict="ok", decision="ok")
    cloud.judge(wrong, "ok", familiar=False)
    cloud.judge(right, "ok")
    released = dataset.release(cloud.engine, "weekly", 3000.0, RULES)
    dataset.write(cloud.engine, cloud.store, released, tmp_path / "out")
    manifest = (tmp_path / "out" / "manifest.jsonl").read_bytes()
    assert released.sha256 == hashlib.sha256(manifest).hexdigest()
    assert released.counts == {"test": 1, "pool": 1}
    first = json.loads(manifest.splitlines()[0])
    assert (first["case_id"], first["label"], first["decision"], first["split"]) == (wrong, "ok", "ok", "test")
    assert first["lineage"]["judged_by"] == "erna"
    assert first["lineage"]["bundle_sha256"] == "b" * 64
    clip = clips.read(tmp_path / "out" / first["video"])
    assert (clip.header.case_id, clip.frame_count, clip.whole) == (wrong, 3, True)


def test_the_same_reviews_give_the_same_version_and_bytes(cloud: Cloud, tmp_path: Path) -> None:
    cloud.judge(cloud.case(1), "ok")
    first = dataset.release(cloud.engine, "weekly", 3000.0, RULES)
    assert dataset.release(cloud.engine, "weekly", 4000.0, RULES) == first
    cloud.judge(cloud.case(2), "leak")
    assert dataset.release(cloud.engine, "weekly", 5000.0, RULES).version == 2


def test_a_case_nobody_can_tell_is_no_example_even_if_it_was_one_before(cloud: Cloud) -> None:
    case_id = cloud.case(1)
    cloud.judge(case_id, "ok")
    assert cloud.splits() == {case_id: "train"}
    cloud.judge(case_id, "cannot_tell")
    assert cloud.splits() == {}


def test_the_latest_review_counts_and_the_earlier_one_stays(cloud: Cloud) -> None:
    case_id = cloud.case(1)
    cloud.judge(case_id, "ok", familiar=True)
    cloud.judge(case_id, "ok", familiar=False)
    assert cloud.splits() == {case_id: "test"}
    with cloud.engine.connect() as connection:
        assert [review.revision for review in judgement.reviews_of(connection, case_id)] == [1, 2]


def test_a_case_stays_test_data_in_later_versions(cloud: Cloud) -> None:
    case_id = cloud.case(1)
    cloud.judge(case_id, "ok", familiar=False)
    dataset.release(cloud.engine, "weekly", 3000.0, RULES)
    cloud.judge(case_id, "ok", familiar=True)
    assert dataset.release(cloud.engine, "weekly", 4000.0, RULES).counts == {"test": 1}


def test_what_was_said_cannot_be_changed_in_the_database(cloud: Cloud) -> None:
    cloud.judge(cloud.case(1), "ok")
    for statement in ("UPDATE reviews SET judgement = 'leak'", "DELETE FROM reviews", "DELETE FROM examples"):
        with pytest.raises(sa.exc.IntegrityError, match="only added to"), cloud.engine.begin() as connection:
            connection.execute(sa.text(statement))


def test_an_empty_dataset_and_a_bad_name_are_one_clear_line(cloud: Cloud) -> None:
    with pytest.raises(StoreError, match="review some cases first"):
        dataset.release(cloud.engine, "weekly", 3000.0, RULES)
    for name in ("", "../x", "a b", "x" * 65):
        with pytest.raises(ConfigError, match="cannot name a dataset"):
            dataset.release(cloud.engine, name, 3000.0, RULES)


def test_a_damaged_clip_in_the_store_is_not_copied_into_a_dataset(cloud: Cloud, tmp_path: Path) -> None:
    case_id = cloud.case(1)
    cloud.judge(case_id, "ok")
    with cloud.engine.connect() as connection:
        (one,) = standing(connection, RULES.policy)
    cloud.store.clip(one.example.lineage.clip_sha256).write_bytes(b"rot")
    with pytest.raises(StoreError, match="is damaged"):
        dataset.write(
            cloud.engine, cloud.store, dataset.release(cloud.engine, "weekly", 3000.0, RULES), tmp_path / "out"
        )


def test_the_command_writes_the_dataset_and_says_so_in_json(cloud: Cloud, tmp_path: Path, capsys) -> None:
    cloud.judge(cloud.case(1), "ok")
    (tmp_path / "cloud.toml").write_bytes(cloud_config.dump(cloud.config))
    arguments = ["--config", str(tmp_path / "cloud.toml"), "--name", "weekly", "--out", str(tmp_path / "out"), "--json"]
    assert dataset.dataset(arguments) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["version"], said["counts"]) == (1, {"train": 1})
    assert Path(said["manifest"]).is_file()


def test_the_migrations_make_the_tables_that_the_code_names(cloud: Cloud) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    def of_this_database(thing: object, _name: str | None, kind: str, _reflected: bool, _other: object) -> bool:
        """An index that only another database needs is none that is missing here."""
        only = getattr(thing, "_ddl_if", None) if kind == "index" else None
        return only is None or only.dialect == cloud.engine.dialect.name

    with cloud.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": of_this_database})
        assert compare_metadata(context, metadata) == []


def test_the_config_comes_back_from_its_file_and_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    config = CloudConfig(data_dir=str(tmp_path), clip_overdue_h=2)
    (tmp_path / "cloud.toml").write_bytes(cloud_config.dump(config))
    assert cloud_config.load(tmp_path / "cloud.toml") == config
    unusable = {"data_dir = 'x'\ncolour = 1": "colour", "data_dir = 3": "data_dir", "=": "line 1", "": "data_dir"}
    for text, fault in unusable.items():
        (tmp_path / "cloud.toml").write_text(text)
        with pytest.raises(ConfigError, match=fault):
            cloud_config.load(tmp_path / "cloud.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        cloud_config.load(tmp_path / "missing.toml")


def test_a_file_that_is_no_database_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "cloud.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match="cannot be opened"):
        db.open_database(CloudConfig(data_dir=str(tmp_path)))
    with pytest.raises(StoreError, match="not usable"):
        db.open_database(CloudConfig(data_dir=str(tmp_path), database="nonsense://x:secret@y/z"))


def test_a_unit_stays_training_data_though_the_case_that_taught_it_is_disputed_now(cloud: Cloud) -> None:
    learnt = cloud.case(1, serial="u1")
    cloud.judge(learnt, "ok", familiar=True)
    assert dataset.release(cloud.engine, "weekly", 3000.0, RULES).counts == {"train": 1}
    desk = a_desk()
    review = judgement.Review(judgement="leak", familiar=True)
    judgement.record(cloud.engine, desk, learnt, review, "emil", 3100.0)
    later = cloud.case(2, serial="u1")
    cloud.judge(later, "ok", familiar=False)
    assert dataset.release(cloud.engine, "weekly", 4000.0, RULES).counts == {"pool": 1}


def test_a_case_whose_unit_is_test_data_is_not_said_to_be_sent_to_training(cloud: Cloud) -> None:
    tested = cloud.case(1, serial="u1")
    cloud.judge(tested, "ok", familiar=False)
    assert dataset.release(cloud.engine, "weekly", 3000.0, RULES).counts == {"test": 1}
    other, free = cloud.case(2, serial="u1"), cloud.case(3)
    with cloud.engine.begin() as connection:
        assert sending.send(connection, [tested, other, free], "", who="quinn", now=1.0) == (1, 2)
