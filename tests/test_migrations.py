"""From version to version and back on a filled database: no row is lost, none is changed, on either database."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from cloud_fakes import a_case, case_message
from sqlalchemy.engine import Engine

from cloud_sync import db
from cloud_sync.case_row import case_row
from cloud_sync.tables import cases, reviews
from edge_agent import wire
from edge_agent.errors import StoreError
from edge_agent.records import Sampled

LATER_COLUMNS = ("clarity", "light_levels", "serial", "inspector", "smallest_leak_std_cm3_s", "group_id", "due_verdict")
BEFORE = "0001"


@pytest.fixture(params=["sqlite", "postgresql"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """A database as the first release left it, filled."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'cloud.db'}"
    else:
        url = request.getfixturevalue("postgres").new_database(empty=True)
    engine = db.open_url(url, BEFORE)
    with engine.begin() as connection:
        fill(connection)
    yield engine
    engine.dispose()


def fill(connection: sa.Connection) -> None:
    """Two hundred cases, clips in every state, reviews in agreement and in conflict, a dataset, a log."""
    tables = sa.MetaData()
    tables.reflect(connection)

    def add(name: str, *rows: dict) -> None:
        connection.execute(sa.insert(tables.tables[name]), list(rows))

    add("stations", {"site": "plant", "station": "TANK1", "status": '{"schema": "x"}', "seen_at": 5.5})
    add("users", {"name": "erna", "password": "$argon2id$…", "role": "expert", "created_at": 1.25})
    add("cases", *(old_case(number) for number in range(1, 201)))
    about = {"bytes": 10, "parts": 2, "part_bytes": 5}
    for number, state in ((1, "stored"), (2, "partial"), (3, "stored")):
        row = {"sha256": f"{number:064x}", "state": state, "case_id": a_case(number).case_id, "next_part": 1}
        add("clips", about | row | {"stored_at": 7.0 if state == "stored" else None})
    add("gaps", {"site": "plant", "station": "TANK1", "first": 3, "last": 9, "noticed_at": 1.0, "closed_at": None})
    letter = {"topic": "t", "sha256": "e" * 64, "reason": "no 'case'", "bytes": 2, "payload": b"\x00\xff"}
    add("dead_letters", letter | {"count": 3, "first_at": 1.0, "last_at": 2.0})
    said = [(1, 1, "erna", "ok"), (1, 2, "emil", "leak"), (2, 1, "erna", "leak"), (3, 1, "erna", "cannot_tell")]
    for key, (number, revision, reviewer, judgement) in enumerate(said, 1):
        row = {"case_id": a_case(number).case_id, "revision": revision, "reviewer": reviewer, "judgement": judgement}
        familiar = None if judgement == "cannot_tell" else True
        add(
            "reviews",
            row | {"seen": None, "familiar": familiar, "note": "ÄÖ '\"", "clip_sha256": None, "at": 3.0 + key},
        )
    add("examples", example(1, 1, "train"), example(2, 1, "test"), example(3, 2, "pool"))
    add("datasets", {"name": "weekly", "version": 1, "sha256": "d" * 64, "manifest": b"{}\n", "created_at": 9.0})
    add("dataset_members", {"dataset_id": 1, "example_id": 1, "split": "train"})
    for at in (1.5, 2.5):
        add("audit", {"at": at, "who": "erna", "address": "127.0.0.1", "did": "sign_in", "about": "ü"})


def old_case(number: int) -> dict:
    case = a_case(
        number, decision="ok" if number % 4 else "leak", sampled=Sampled("none" if number % 3 else "audit", 0.5)
    )
    message = case_message(case)
    row = case_row(wire.parse_topic(message.topic), message.payload, 1000.0 + number)
    return {name: value for name, value in row.items() if name not in LATER_COLUMNS}


def example(review_id: int, number: int, split: str) -> dict:
    row = {"review_id": review_id, "case_id": a_case(number).case_id, "label": "ok", "split": split}
    return row | {"clip_sha256": f"{number:064x}"}


def everything(engine: Engine) -> dict[str, list[tuple]]:
    """Every row of every table by its columns' names, without order."""
    tables = sa.MetaData()
    tables.reflect(engine)
    with engine.connect() as connection:
        return {
            name: sorted(
                (tuple(sorted(row._mapping.items())) for row in connection.execute(sa.select(table))), key=repr
            )
            for name, table in tables.tables.items()
        }


def test_forward_and_back_again_leaves_every_row_as_it_was(old: Engine) -> None:
    before = everything(old)
    assert len(before["cases"]) == 200 and len(before["reviews"]) == 4
    db.migrate(old)
    forward = everything(old)
    for name, rows in before.items():
        if name != "alembic_version":
            assert _without_new(forward[name], rows) == rows, name
    db.migrate(old, BEFORE)
    assert everything(old) == before
    db.migrate(old)
    assert everything(old) == forward


def test_new_columns_and_tables_follow_from_the_old_rows(old: Engine) -> None:
    db.migrate(old)
    with old.connect() as connection:
        assert connection.scalars(sa.select(cases.c.clarity).distinct()).all() == [0.93]
        states = connection.execute(sa.text("SELECT case_id, state FROM truths ORDER BY review_id")).all()
        assert [row.state for row in states] == ["conflict", "single", "single"]
        assert connection.scalar(sa.text("SELECT count(*) FROM looks WHERE state = 'judged'")) == 3
        assert connection.scalar(sa.text("SELECT last_id FROM audit_end")) == 2


@pytest.mark.parametrize("revision", ["head", BEFORE])
def test_what_was_said_cannot_be_changed_before_or_after(old: Engine, revision: str) -> None:
    db.migrate(old)
    db.migrate(old, revision)
    if revision == BEFORE and old.dialect.name == "postgresql":
        return  # the first release had no such guard there
    for statement in ("UPDATE reviews SET judgement = 'leak'", "DELETE FROM examples", "DELETE FROM audit"):
        with pytest.raises(sa.exc.IntegrityError, match="only added to"), old.begin() as connection:
            connection.execute(sa.text(statement))


def test_numbers_go_on_after_a_migration(old: Engine) -> None:
    db.migrate(old)
    with old.begin() as connection:
        row = {
            "case_id": a_case(9).case_id,
            "revision": 1,
            "reviewer": "erna",
            "judgement": "ok",
            "note": "",
            "at": 1.0,
        }
        added = sa.insert(reviews).values(row | {"purpose": "first", "blind": True}).returning(reviews.c.id)
        assert connection.scalar(added) == 5


def test_a_migration_that_fails_changes_nothing(old: Engine) -> None:
    before = everything(old)
    with old.begin() as connection:
        connection.execute(sa.text("CREATE TABLE kinds (word TEXT)"))
    with pytest.raises(sa.exc.DatabaseError):
        db.migrate(old)
    with old.begin() as connection:
        connection.execute(sa.text("DROP TABLE kinds"))
    assert everything(old) == before
    db.migrate(old)


def test_a_database_of_a_newer_program_is_left_alone(old: Engine) -> None:
    with old.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="version 9999, this program knows up to"):
        db.migrate(old)


def _without_new(rows: list[tuple], before: list[tuple]) -> list[tuple]:
    names = {name for name, _ in before[0]}
    return sorted((tuple(pair for pair in row if pair[0] in names) for row in rows), key=repr)
