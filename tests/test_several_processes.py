"""Several processes on one cloud: whoever comes first does it, the others wait, and nothing is held twice."""

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from cloud_fakes import STATION, TOPICS, a_case, a_clip, case_message, clip_messages
from cloud_kinds import NewCloud, maker, opened
from desk_site import Site

from benchmarks.postgres_server import PostgresServer
from cloud_sync import db
from cloud_sync.dead_letters import Message
from cloud_sync.intake import Intake
from cloud_sync.tables import APPEND_ONLY, cases, clips, dead_letters, gaps, metadata, stations
from edge_agent import wire
from edge_agent.messages import Status


def at_once(count: int, do: Callable[[int], object]) -> list:
    """All begin in the same moment."""
    start = threading.Barrier(count)

    def run(number: int) -> object:
        start.wait()
        return do(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


@pytest.fixture
def intakes(new_cloud: NewCloud, tmp_path: Path) -> list[Intake]:
    """Three ingest processes of one cloud, each with a database connection of its own."""
    config = new_cloud(tmp_path / "cloud")
    return [Intake(*opened(config), max_clip_bytes=10_000_000) for _ in range(3)]


def rows(intake: Intake, table: sa.Table) -> list[sa.Row]:
    with intake._engine.connect() as connection:
        return list(connection.execute(sa.select(table)))


def test_the_same_messages_at_three_processes_at_once_are_held_once(intakes, tmp_path) -> None:
    ref = a_clip(tmp_path / "one.twclip", frames=4)
    online = wire.encode(Status(status="online", software="1.0", since="2026-11-20T14:00:00Z"))
    batch = [
        *(case_message(a_case(number)) for number in (1, 2, 3, 6)),
        *clip_messages(tmp_path / "one.twclip", a_case(1).case_id, part_bytes=2000),
        Message(TOPICS.status, online),
        Message(TOPICS.case, b"{"),
    ]
    handled = at_once(3, lambda number: intakes[number].handle(batch, 1000.0))
    assert {each.receipts for each in handled} == {handled[0].receipts} and handled[0].clips == (ref.sha256,)
    assert sorted(row.sequence for row in rows(intakes[0], cases)) == [1, 2, 3, 6]
    assert [(row.first, row.last) for row in rows(intakes[0], gaps)] == [(4, 5)]
    assert [row.state for row in rows(intakes[0], clips)] == ["stored"]
    assert [row.station for row in rows(intakes[0], stations)] == [STATION]
    assert [row.count for row in rows(intakes[0], dead_letters)] == [3]


def test_shared_messages_in_any_order_leave_no_gap_and_no_half_clip(intakes, tmp_path) -> None:
    a_clip(tmp_path / "one.twclip", frames=4)
    manifest, *parts = clip_messages(tmp_path / "one.twclip", a_case(1).case_id, part_bytes=2000)
    messages = [case_message(a_case(number)) for number in range(1, 31)]

    def take(number: int) -> None:
        draw = random.Random(number)
        mine = messages[number::3]
        draw.shuffle(mine)
        for message in mine:
            intakes[number].handle([message], 1000.0)
            intakes[number].handle([manifest, *draw.sample(parts, 2)], 1000.0)

    at_once(3, take)
    intakes[0].handle([manifest, *parts], 1000.0)
    assert sorted(row.sequence for row in rows(intakes[0], cases)) == list(range(1, 31))
    assert [row for row in rows(intakes[0], gaps) if row.closed_at is None] == []
    assert [row.state for row in rows(intakes[0], clips)] == ["stored"]


def test_a_case_id_that_two_stations_use_at_once_is_held_once_and_stops_nobody(intakes) -> None:
    one = a_case(1)
    other = case_message(a_case(1, station="TANK2"))

    def take(number: int) -> None:
        try:
            intakes[number].handle([other if number else case_message(one)], 1000.0)
        except sa.exc.IntegrityError:
            # `ingest` takes such a batch again, message by message.
            intakes[number].handle([other if number else case_message(one)], 1000.0)

    at_once(2, take)
    assert [row.case_id for row in rows(intakes[0], cases)] == [one.case_id]
    assert ["is another station's" in row.reason for row in rows(intakes[0], dead_letters)] == [True]


def test_what_no_column_takes_is_a_request_that_does_not_fit(request, tmp_path, quick_passwords) -> None:
    site = Site(tmp_path, maker(request, "postgresql-s3")(tmp_path / "cloud"))
    case_id, browser = site.case(1), site.browser("quinn")
    assert browser.send(f"/review/{case_id}", {"judgement": "ok", "familiar": "yes", "note": "a\0b"}).status_code == 400
    assert browser.get("/cases?station=%00").status_code in (200, 400)
    assert browser.get("/cases?bundle=99999999999999").status_code in (200, 400)
    assert browser.judge(case_id, "ok").status_code == 302
    site.engine.dispose()


def test_four_processes_that_start_at_once_make_the_tables_once(postgres: PostgresServer) -> None:
    url = postgres.new_database(empty=True)
    for engine in at_once(4, lambda _: db.open_url(url)):
        engine.dispose()
    engine = db.open_url(url)
    assert set(sa.inspect(engine).get_table_names()) == {*metadata.tables, "alembic_version"}
    engine.dispose()


def test_postgresql_refuses_to_change_delete_or_empty_what_is_only_added_to(postgres: PostgresServer) -> None:
    engine = db.open_url(postgres.new_database())
    with engine.begin() as connection:
        values = {"at": 1.0, "who": "erna", "address": "", "did": "sign_in", "about": "", "hash": ""}
        connection.execute(sa.insert(metadata.tables["audit"]), values)
    for statement in (
        "UPDATE audit SET who = 'x'",
        "DELETE FROM audit",
        *(f"TRUNCATE {name} CASCADE" for name in APPEND_ONLY),
    ):
        with pytest.raises(sa.exc.IntegrityError, match="only added to"), engine.begin() as connection:
            connection.execute(sa.text(statement))
    engine.dispose()
