"""The audit log: one chain however many write, and whoever changes, moves or cuts it off is found out."""

import hashlib
import json
import multiprocessing
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import paho.mqtt.client as mqtt
import pytest
import sqlalchemy as sa
from in_full import in_full

from cloud_sync import audit_command, audit_log, db
from cloud_sync import config as cloud_config
from cloud_sync.broker import EmbeddedBroker
from cloud_sync.config import BrokerConfig, CloudConfig
from cloud_sync.tables import audit
from edge_agent.errors import StoreError
from edge_agent.wire import ROOT


class Cloud:
    """A database with an audit log, and its configuration."""

    def __init__(self, folder: Path, port: int = 1) -> None:
        self.folder = folder
        config = CloudConfig(data_dir="cloud", broker=BrokerConfig(port=port))
        self.path = folder / "cloud.toml"
        self.path.write_bytes(cloud_config.dump(config))
        self.config = cloud_config.load(self.path)
        self.engine = db.open_database(self.config)
        self.heads = self.config.folder / audit_log.HEADS_FILE

    def write(self, *lines: str) -> None:
        for number, did in enumerate(lines):
            with self.engine.begin() as connection:
                audit_log.note(connection, who="erna", did=did, about="ä 漢 \"'<b>", now=number, address="::1")

    def tamper(self, *statements: str) -> None:
        """As somebody with the database file would, triggers out of the way."""
        with self.engine.begin() as connection:
            for verb in ("update", "delete"):
                connection.execute(sa.text(f"DROP TRIGGER IF EXISTS audit_no_{verb}"))
                connection.execute(sa.text(f"DROP TRIGGER IF EXISTS audit_heads_no_{verb}"))
            for statement in statements:
                connection.execute(sa.text(statement))

    def verify(self, *more: str) -> int:
        return audit_command.audit(["verify", "--config", str(self.path), *more])

    def publish(self) -> int:
        return audit_command.audit(["publish", "--config", str(self.path)])


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    return Cloud(tmp_path)


def test_a_line_is_chained_as_the_migration_chained_the_old_ones(cloud: Cloud) -> None:
    cloud.write("one", "two")
    chain = ""
    with cloud.engine.connect() as connection:
        for row in connection.execute(sa.select(audit).order_by(audit.c.id)):
            parts = [row.id, row.at, row.who, row.address, row.did, row.about]
            text = json.dumps(parts, separators=(",", ":"), ensure_ascii=False)
            chain = hashlib.sha256((chain + text).encode()).hexdigest()
            assert row.hash == chain
        assert audit_log.end(connection) == audit_log.Head(0.0, 2, chain)


def test_the_log_of_an_older_database_goes_on_as_one_chain(tmp_path: Path) -> None:
    from alembic import command
    from alembic.config import Config

    engine = sa.create_engine(f"sqlite:///{tmp_path / 'old.db'}")
    alembic = Config()
    alembic.set_main_option("script_location", str(db.MIGRATIONS))
    with engine.begin() as connection:
        alembic.attributes["connection"] = connection
        command.upgrade(alembic, "0001")
        for number in range(3):
            values = {"at": number + 0.5, "who": "erna", "did": "sign_in"}
            connection.execute(
                sa.text("INSERT INTO audit (at, who, address, did, about) VALUES (:at, :who, '', :did, '')"), values
            )
    engine = db.open_url(f"sqlite:///{tmp_path / 'old.db'}")
    with engine.begin() as connection:
        audit_log.note(connection, who="emil", did="sign_in", now=9)
    checked = audit_log.verified(engine, None)
    assert (checked.lines, checked.fault) == (4, None)


def _write_many(url: str, number: int, lines: int) -> None:
    engine = db.open_url(url)
    for line in range(lines):
        with engine.begin() as connection:
            # What a page does: it reads, it writes, and its line comes last.
            connection.execute(sa.text("SELECT count(*) FROM users")).all()
            connection.execute(
                sa.text("INSERT INTO counters (name, value) VALUES (:name, 1)"), {"name": f"{number}.{line}"}
            )
            audit_log.note(connection, who=f"writer {number}", did="wrote", about=str(line), now=line)


@pytest.mark.parametrize(("processes", "lines"), [(3, 25), in_full(8, 200)])
def test_parallel_processes_write_one_unbroken_chain(cloud: Cloud, processes: int, lines: int) -> None:
    context = multiprocessing.get_context("spawn")
    url = cloud.config.database_url
    writers = [context.Process(target=_write_many, args=(url, number, lines)) for number in range(processes)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * processes
    checked = audit_log.verified(cloud.engine, None)
    assert (checked.lines, checked.fault) == (processes * lines, None)
    with cloud.engine.connect() as connection:
        per_writer = connection.execute(sa.select(audit.c.who, sa.func.count()).group_by(audit.c.who)).all()
    assert sorted(count for _, count in per_writer) == [lines] * processes


def test_eight_threads_write_one_unbroken_chain(cloud: Cloud) -> None:
    url = cloud.config.database_url
    writers = [threading.Thread(target=_write_many, args=(url, number, 25)) for number in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    checked = audit_log.verified(cloud.engine, None)
    assert (checked.lines, checked.fault) == (200, None)


def test_a_line_whose_work_was_taken_back_leaves_no_gap(cloud: Cloud) -> None:
    cloud.write("one")
    with pytest.raises(ZeroDivisionError), cloud.engine.begin() as connection:
        audit_log.note(connection, who="erna", did="two", now=1)
        raise ZeroDivisionError
    cloud.write("three")
    checked = audit_log.verified(cloud.engine, None)
    assert (checked.lines, checked.last_id, checked.fault) == (2, 2, None)


def test_the_database_itself_refuses_to_change_a_line(cloud: Cloud) -> None:
    cloud.write("one")
    for statement in ("UPDATE audit SET who = 'emil'", "DELETE FROM audit"):
        with pytest.raises(sa.exc.IntegrityError, match="only added to"), cloud.engine.begin() as connection:
            connection.execute(sa.text(statement))


@pytest.mark.parametrize(
    ("statements", "line", "words"),
    [
        (["UPDATE audit SET who = 'emil' WHERE id = 3"], 3, "line 3 is not what was written"),
        (["UPDATE audit SET at = at + 1 WHERE id = 2"], 2, "line 2 is not what was written"),
        (["UPDATE audit SET hash = '' WHERE id = 6"], 6, "line 6 is not what was written"),
        (["DELETE FROM audit WHERE id = 3"], 3, "line 3 is missing"),
        (["DELETE FROM audit WHERE id < 3"], 1, "lines 1 to 2 are missing"),
        (["DELETE FROM audit WHERE id > 4"], 5, "lines 5 to 6 are missing at the end"),
        (
            [
                "UPDATE audit SET id = 100 WHERE id = 2",
                "UPDATE audit SET id = 2 WHERE id = 3",
                "UPDATE audit SET id = 3 WHERE id = 100",
            ],
            2,
            "line 2 is not what was written, or not in its place",
        ),
        (["INSERT INTO audit VALUES (7, 1.0, 'x', '', 'y', '', 'z')"], 7, "line 7 is not what was written"),
        (["UPDATE audit_end SET last_id = 5"], 6, "line 5"),
    ],
)
def test_what_was_done_to_the_log_is_named_by_its_first_line(
    cloud: Cloud, capsys, statements: list[str], line: int, words: str
) -> None:
    cloud.write("one", "two", "three", "four", "five", "six")
    assert cloud.verify() == 0
    cloud.tamper(*statements)
    capsys.readouterr()
    assert cloud.verify("--json") == 1
    told = capsys.readouterr()
    assert json.loads(told.out)["fault"]["line"] == line
    assert words in told.err
    assert [row for row in told.err.splitlines() if not row.startswith("there is no ")] == [told.err.splitlines()[-1]]


def test_a_log_cut_off_with_its_end_put_right_is_found_out_by_what_was_published(cloud: Cloud, capsys) -> None:
    cloud.write("one", "two", "three")
    assert cloud.publish() == 0
    with cloud.engine.connect() as connection:
        second = connection.execute(sa.select(audit.c.hash).where(audit.c.id == 2)).scalar()
    cloud.tamper("DELETE FROM audit WHERE id > 2", f"UPDATE audit_end SET last_id = 2, hash = '{second}'")
    assert cloud.verify() == 1
    assert "the log ends at line 2, but line 3 was published on" in capsys.readouterr().err
    cloud.tamper("DELETE FROM audit_heads")
    assert cloud.verify() == 1, "the file beside the database knows it, too"
    copy = cloud.folder / "copy.jsonl"
    copy.write_bytes(cloud.heads.read_bytes())
    cloud.heads.unlink()
    assert cloud.verify() == 0, "nothing is left that could tell"
    assert cloud.verify("--heads", str(copy)) == 1, "but for a copy kept elsewhere"


def test_a_log_written_anew_is_found_out_by_what_was_published(tmp_path: Path, capsys) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    real, forged = Cloud(tmp_path / "a"), Cloud(tmp_path / "b")
    real.write("one", "two", "three")
    real.publish()
    forged.write("one", "other", "three")
    capsys.readouterr()
    assert forged.verify("--heads", str(real.heads)) == 1
    assert "line 3 is not the one that was published" in capsys.readouterr().err


def test_lines_after_a_published_head_and_an_empty_log_are_no_fault(cloud: Cloud, capsys) -> None:
    assert (cloud.publish(), cloud.verify()) == (0, 0)
    cloud.write("one", "two")
    cloud.publish()
    cloud.write("three")
    cloud.publish()
    cloud.publish()
    assert cloud.verify("--json") == 0
    told = capsys.readouterr()
    assert json.loads(told.out.splitlines()[-1]) == {
        "lines": 3,
        "heads": 4,
        "last_id": 3,
        "hash": audit_log.heads_in(cloud.heads)[-1].hash,
        "fault": None,
    }


def test_a_file_of_heads_that_cannot_be_read_says_which_line(cloud: Cloud) -> None:
    cloud.publish()
    with open(cloud.heads, "ab") as file:
        file.write(b"torn\n")
    with pytest.raises(StoreError, match="line 2 of .* is no published head"):
        cloud.verify()
    with pytest.raises(StoreError, match="cannot be read"):
        cloud.verify("--heads", str(cloud.folder / "none"))


def test_a_head_is_left_at_the_broker_for_whoever_comes_later(tmp_path: Path) -> None:
    with EmbeddedBroker(0, tmp_path / "broker") as broker:
        cloud = Cloud(tmp_path, broker.port)
        cloud.write("one")
        assert cloud.publish() == 0
        said = msgspec.json.decode(_retained(broker.port), type=audit_command.AuditHead)
    (kept,) = audit_log.heads_in(cloud.heads)
    assert (said.at, said.last_id, said.hash) == (kept.at, 1, kept.hash)
    assert f"{ROOT}/cloud/audit/head" == audit_command.TOPIC


def test_an_absent_broker_is_said_and_hinders_nothing(cloud: Cloud, capsys) -> None:
    cloud.write("one")
    assert cloud.publish() == 0
    assert "broker 127.0.0.1:1 did not take it" in capsys.readouterr().err
    assert len(audit_log.heads_in(cloud.heads)) == 1


def test_what_databases_cannot_hold_is_left_out_of_a_line(cloud: Cloud) -> None:
    with cloud.engine.begin() as connection:
        audit_log.note(connection, who="a\0b\ud800", did="x", about="y" * 10_000, now=1)
    with cloud.engine.connect() as connection:
        row = connection.execute(sa.select(audit)).one()
    assert (row.who, len(row.about)) == ("ab?", 1000)
    assert audit_log.verified(cloud.engine, None).fault is None


def test_a_log_without_its_end_takes_no_line(cloud: Cloud) -> None:
    cloud.tamper("DELETE FROM audit_end")
    with pytest.raises(StoreError, match="has lost its end"):
        cloud.write("one")


def _retained(port: int, patience_s: float = 10.0) -> bytes:
    """The message that waits at the broker."""
    got: list[bytes] = []
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.on_message = lambda _client, _data, message: got.append(message.payload)
    client.connect("127.0.0.1", port)
    client.subscribe(audit_command.TOPIC, 1)
    _loop_until(client, lambda: bool(got), patience_s)
    client.disconnect()
    return got[0]


def _loop_until(client: mqtt.Client, done: Callable[[], bool], patience_s: float) -> None:
    for _ in range(int(patience_s / 0.1)):
        if done():
            return
        client.loop(0.1)
