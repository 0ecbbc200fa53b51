"""What is set aside stays small, whatever floods in, and nothing that was refused goes uncounted."""

import sqlalchemy as sa
from cloud_fakes import TOPICS
from cloud_kinds import NewCloud, opened

from cloud_sync import dead_letters
from cloud_sync.dead_letters import DAY_S, KEPT_BYTES, MOST_A_DAY, OLDER, REASON_LETTERS, Message, bury, refused
from cloud_sync.tables import dead_letters as table
from edge_agent import wire

NOW = 1_800_000_000.0


def flood(engine, count: int, *, topic: str = TOPICS.case, now: float = NOW, size: int = 10) -> None:
    letters = [(Message(topic, f"{number:06d}".encode() + bytes(size)), f"reason {number}") for number in range(count)]
    with engine.begin() as connection:
        bury(connection, letters, now)


def rows(engine) -> list:
    with engine.connect() as connection:
        return list(connection.execute(sa.select(table).order_by(table.c.id)))


def total(engine) -> int:
    with engine.connect() as connection:
        return refused(connection).messages


def test_a_station_has_so_many_rows_a_day_and_the_rest_is_counted(tmp_path, new_cloud: NewCloud):
    engine, _ = opened(new_cloud(tmp_path / "cloud"))
    flood(engine, 3 * MOST_A_DAY)
    flood(engine, 10, topic=wire.Topics("plant", "TANK2").status)
    flood(engine, 2 * MOST_A_DAY, topic=TOPICS.metrics, now=NOW + 60)
    kept = rows(engine)
    assert len(kept) == MOST_A_DAY + 1 + 10 and total(engine) == 5 * MOST_A_DAY + 10
    (rest,) = [row for row in kept if row.topic == f"tankwatch/v1/plant/TANK1/{OLDER}"]
    assert rest.count == 4 * MOST_A_DAY and "reason 199" in rest.reason and rest.last_at == NOW + 60
    flood(engine, 3, topic=TOPICS.alarm("x"), now=NOW + DAY_S + 61)
    assert len(rows(engine)) == len(kept) + 3
    engine.dispose()


def test_the_oldest_go_once_there_are_too_many_and_their_number_stays(tmp_path, new_cloud: NewCloud, monkeypatch):
    monkeypatch.setattr(dead_letters, "MOST_KEPT", 50)
    engine, _ = opened(new_cloud(tmp_path / "cloud"))
    for number in range(20):
        flood(engine, 10, topic=wire.Topics("plant", f"TANK{number}").case, now=NOW + number)
    kept = rows(engine)
    assert len(kept) <= 51 and total(engine) == 200
    assert {row.topic for row in kept[:-1]} <= {wire.Topics("plant", f"TANK{n}").case for n in range(14, 20)} | {OLDER}
    engine.dispose()


def test_a_row_is_small_whatever_was_said(tmp_path, new_cloud: NewCloud):
    engine, _ = opened(new_cloud(tmp_path / "cloud"))
    with engine.begin() as connection:
        bury(connection, [(Message("a/b\0c\nERROR d" + "d" * 9000, bytes(10**6)), "why\0 \ud800" + "x" * 10**5)], NOW)
    (row,) = rows(engine)
    assert row.bytes == 10**6 and len(row.payload) == KEPT_BYTES and len(row.reason) == REASON_LETTERS
    assert len(row.topic) == 200 and (row.topic + row.reason).isprintable()
    engine.dispose()
