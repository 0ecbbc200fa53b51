"""Looks neither get lost nor stay for ever: after an undo, with gold, with clips that go and come, and side by side."""

import threading
import time
from collections import Counter
from pathlib import Path

import pytest
import sqlalchemy as sa
from cloud_kinds import maker
from desk_site import Site, a_desk

from cloud_sync import desk_goal, judgement, looks, review_queue, tallies
from cloud_sync.judgement import Review
from cloud_sync.tables import cases as case_table
from cloud_sync.tables import clips, gold
from cloud_sync.tables import looks as look_table
from cloud_sync.tallies import Choice
from edge_agent.records import Sampled

NOW = 2_000_000_000.0
OK = Review(judgement="ok", familiar=True)
LEAK = Review(judgement="leak", familiar=True)
AGREED = {"verdict": "ok", "decision": "ok", "sampled": Sampled("none", 0.02)}


def test_an_undone_judgement_leaves_the_lot_for_a_second_expert_to_the_next_one(site: Site) -> None:
    site.desk = a_desk(second_share=1.0)
    case_id = site.case()
    slip = judgement.record(site.engine, site.desk, case_id, LEAK, "erna", NOW)
    assert slip is not None
    assert judgement.withdraw(site.engine, slip.id, "erna", NOW + 1)
    judgement.record(site.engine, site.desk, case_id, OK, "erna", NOW + 2)
    assert _open(site) == [(case_id, "second")]


def test_a_case_that_nobody_wanted_is_wanted_by_nobody_after_an_undo(site: Site) -> None:
    case_id = site.case(1, **AGREED)
    kept = judgement.record(site.engine, site.desk, case_id, OK, "erna", NOW)
    assert kept is not None
    assert judgement.withdraw(site.engine, kept.id, "erna", NOW + 1)
    assert _open(site) == []
    assert _counted(site) == {"waiting": 0, "coming": 0, "bare": 0, "judged": 0}


def test_a_change_of_mind_that_is_taken_back_leaves_nobody_to_settle_it(site: Site) -> None:
    case_id = _settled(site)
    changed = judgement.record(site.engine, site.desk, case_id, OK, "emil", NOW)
    assert changed is not None
    assert _open(site) == [(case_id, "adjudication")]
    assert judgement.withdraw(site.engine, changed.id, "emil", NOW + 1)
    assert _open(site) == []


def test_a_blind_word_cannot_be_taken_back_once_others_words_are_known(site: Site) -> None:
    case_id = site.case()
    judgement.record(site.engine, site.desk, case_id, LEAK, "erna", NOW)
    second = judgement.record(site.engine, site.desk, case_id, OK, "erna", NOW + 5)
    assert second is not None and second.blind
    judgement.reveal(site.engine, case_id, "erna", NOW + 6)
    assert not judgement.withdraw(site.engine, second.id, "erna", NOW + 7)
    changed = judgement.record(site.engine, site.desk, case_id, LEAK, "erna", NOW + 8)
    assert changed is not None and not changed.blind
    assert judgement.withdraw(site.engine, changed.id, "erna", NOW + 9), "a slip after the reveal hides nothing"


@pytest.mark.parametrize("path", ["/cases/{}", "/cases/{}/record.json"])
def test_whoever_opened_the_case_with_its_verdict_judges_it_no_longer_blind(site: Site, path: str) -> None:
    opened, untouched = site.case(1), site.case(2)
    quinn = site.browser("quinn")
    for _ in range(2):
        assert quinn.get(path.format(opened)).status_code == 200
    for case_id in (opened, untouched):
        quinn.judge(case_id)
        site.browser("erna").judge(case_id)
    with site.engine.connect() as connection:
        blind = {
            (case_id, kept.reviewer): kept.blind
            for case_id in (opened, untouched)
            for kept in judgement.reviews_of(connection, case_id)
        }
    assert {key for key, said in blind.items() if not said} == {(opened, "quinn")} and len(blind) == 4


def test_a_judgement_stays_once_the_case_was_opened_after_it(site: Site) -> None:
    case_id = site.case(1)
    kept = judgement.record(site.engine, site.desk, case_id, LEAK, "quinn", NOW)
    judgement.note_shown(site.engine, case_id, "quinn", NOW + 1)
    assert kept is not None and not judgement.withdraw(site.engine, kept.id, "quinn", NOW + 2)


def test_a_look_that_is_free_again_tells_its_next_expert_nothing(site: Site) -> None:
    case_id = site.case()
    judgement.note_shown(site.engine, case_id, "quinn", NOW)
    kept = judgement.record(site.engine, site.desk, case_id, LEAK, "quinn", NOW + 1)
    assert kept is not None and not kept.blind
    judgement.reveal(site.engine, case_id, "quinn", NOW + 2)
    assert judgement.withdraw(site.engine, kept.id, "quinn", NOW + 3)
    assert review_queue.draw(site.engine, site.desk, "erna", NOW + 100) == case_id
    with site.engine.connect() as connection:
        assert not judgement.is_revealed(connection, case_id, "erna", NOW + 100)
        assert judgement.is_revealed(connection, case_id, "quinn", NOW + 100)
    said = judgement.record(site.engine, site.desk, case_id, LEAK, "erna", NOW + 101)
    assert said is not None and said.blind


def _settled(site: Site) -> str:
    case_id = site.case()
    for name in ("emil", "edda"):
        judgement.record(site.engine, site.desk, case_id, LEAK, name, NOW - 100)
    return case_id


def _not_drawn(site: Site) -> str:
    return site.case(1, **AGREED)


@pytest.mark.parametrize(
    ("made", "said", "wanted"),
    [(_settled, OK, "adjudication"), (_not_drawn, LEAK, "second")],
    ids=["differ", "surprise"],
)
def test_what_stands_after_an_undo_asks_for_what_it_needs(site: Site, made, said: Review, wanted: str) -> None:
    """Experts who still differ get a third; a surprise that stands alone gets its second look."""
    case_id = made(site)
    asked = judgement.record(site.engine, site.desk, case_id, OK, "erna", NOW)
    judgement.record(site.engine, site.desk, case_id, said, "emil", NOW + 1)
    assert asked is not None
    assert judgement.withdraw(site.engine, asked.id, "erna", NOW + 2)
    assert _open(site) == [(case_id, wanted)]


def test_a_second_look_goes_to_nobody_who_has_seen_the_verdict(site: Site) -> None:
    case_id = site.case(1)
    site.desk = a_desk(second_share=1.0)
    judgement.record(site.engine, site.desk, case_id, LEAK, "erna", NOW)
    judgement.note_shown(site.engine, case_id, "quinn", NOW)
    assert review_queue.draw(site.engine, site.desk, "quinn", NOW) is None
    review_queue.take(site.engine, site.desk, case_id, "quinn", NOW)
    assert review_queue.draw(site.engine, site.desk, "emil", NOW) == case_id


def test_whoever_may_read_what_is_gold_is_not_measured_by_it(site: Site) -> None:
    known, other = site.case(1), site.case(2)
    for case_id in (known, other):
        judgement.record(site.engine, site.desk, case_id, LEAK, "edda", NOW)
    _make_gold(site, known)
    site.desk = a_desk(gold_share=0.99)
    assert site.browser("ada").get("/review/next").location == "/review"
    assert site.browser("erna").get("/review/next").location == f"/review/{known}"


def test_only_the_last_word_is_taken_back(site: Site) -> None:
    case_id = site.case(1)
    first = judgement.record(site.engine, site.desk, case_id, LEAK, "erna", NOW)
    judgement.record(site.engine, site.desk, case_id, OK, "erna", NOW + 1)
    assert first is not None and not judgement.withdraw(site.engine, first.id, "erna", NOW + 2)


def test_what_is_still_wanted_for_itself_is_not_mixed_in_as_gold(site: Site) -> None:
    known = site.case(1, sampled=Sampled("challenge", 1.0))
    _make_gold(site, known)
    site.desk = a_desk(gold_share=0.99)
    assert review_queue.draw(site.engine, site.desk, "erna", NOW) == known
    kept = judgement.record(site.engine, site.desk, known, LEAK, "erna", NOW)
    assert kept is not None
    assert kept.purpose == "first"
    assert _open(site) == []


def test_a_gold_look_left_over_does_not_bring_back_what_was_judged(site: Site) -> None:
    known = _settled(site)
    _make_gold(site, known)
    for _ in range(2):  # as two pages that ask at the same moment make them
        with site.engine.begin() as connection:
            row = connection.execute(sa.select(case_table).where(case_table.c.case_id == known)).mappings().one()
            look = looks.want_gold(connection, row, NOW)
            mine = sa.update(look_table).where(look_table.c.id == look.id)
            connection.execute(mine.values(reserved_by="erna", reserved_until=NOW + 1800))
    site.desk = a_desk(gold_share=0.99)
    judgement.record(site.engine, site.desk, known, LEAK, "erna", NOW)
    assert review_queue.draw(site.engine, site.desk, "erna", NOW) is None
    assert review_queue.draw(site.engine, site.desk, "erna", NOW + 3600) is None


def test_the_list_holds_an_experts_own_gold_case_for_what_is_missing_there_would_be_gold(site: Site) -> None:
    known = _settled(site)
    _make_gold(site, known)
    site.desk = a_desk(gold_share=0.99)
    assert review_queue.draw(site.engine, site.desk, "erna", NOW) == known
    with site.engine.connect() as connection:
        assert [one.case_id for one in review_queue.waiting(connection, "erna", NOW, 24)] == [known]
        assert review_queue.waiting(connection, "ada", NOW, 24) == []


def test_no_figure_says_that_the_case_in_front_is_gold(site: Site) -> None:
    known = _settled(site)
    _make_gold(site, known)
    site.desk = a_desk(gold_share=0.99)
    erna = site.browser("erna")
    assert erna.get("/review/next").location == f"/review/{known}"
    assert "1 ready to watch" in erna.text(f"/review/{known}")
    assert '<dd id="count-ready">1</dd>' in erna.text("/review")
    assert '<dd id="count-ready">0</dd>' in site.browser("ada").text("/review")


def test_gold_is_not_shown_to_whoever_made_it_or_knows_its_verdict(site: Site) -> None:
    known = _settled(site)
    _make_gold(site, known)
    site.desk = a_desk(gold_share=0.99)
    judgement.note_shown(site.engine, known, "ada", NOW)
    assert [review_queue.draw(site.engine, site.desk, name, NOW) for name in ("quinn", "ada")] == [None, None]
    assert review_queue.draw(site.engine, site.desk, "erna", NOW) == known


def test_a_gold_look_follows_its_clip(site: Site) -> None:
    known = _settled(site)
    _make_gold(site, known)
    site.desk = a_desk(gold_share=0.99)
    assert review_queue.draw(site.engine, site.desk, "erna", NOW) == known
    with site.engine.begin() as connection:
        sha256 = connection.scalar(sa.select(case_table.c.clip_sha256).where(case_table.c.case_id == known))
        connection.execute(sa.update(clips).where(clips.c.sha256 == sha256).values(state="partial"))
        looks.clips_lost(connection, [sha256])
    assert review_queue.draw(site.engine, site.desk, "erna", NOW) is None, "there is nothing to watch"
    with site.engine.begin() as connection:
        connection.execute(sa.update(clips).where(clips.c.sha256 == sha256).values(state="stored"))
        looks.clips_stored(connection, [sha256])
    assert review_queue.draw(site.engine, site.desk, "erna", NOW) == known


def test_gold_measures_first_words_once(site: Site) -> None:
    known = _settled(site)
    _make_gold(site, known)
    site.desk = a_desk(gold_share=0.99)
    assert review_queue.draw(site.engine, site.desk, "erna", NOW) == known
    for word, at in ((OK, NOW), (LEAK, NOW + 2)):
        judgement.record(site.engine, site.desk, known, word, "erna", at)
    with site.engine.connect() as connection:
        said = [look for look in tallies.skills(connection, Choice(), by="expert") if look.who == "erna"]
    assert [(look.judgement, look.looks) for look in said] == [("ok", 1)]


def test_what_was_taken_back_is_no_part_of_the_day(site: Site) -> None:
    kept = judgement.record(site.engine, site.desk, site.case(), OK, "erna", NOW)
    assert kept is not None
    assert judgement.withdraw(site.engine, kept.id, "erna", NOW + 1)
    with site.engine.connect() as connection:
        assert desk_goal.of(connection, site.desk.policy, "erna", NOW + 2).mine_today == 0


@pytest.mark.full
def test_a_clip_that_arrives_during_a_judgement_leaves_the_sums_right(request, tmp_path: Path, quick_passwords) -> None:
    site = Site(tmp_path, maker(request, "postgresql-s3")(tmp_path / "cloud"))
    case_id = site.case(parts=1)
    with site.engine.begin() as judging:
        sha256 = judging.scalar(sa.select(case_table.c.clip_sha256).where(case_table.c.case_id == case_id))
        looks.close(judging, case_id, "erna", 1, NOW)
        ingest = threading.Thread(target=_arrives, args=(site, sha256))
        ingest.start()
        _wait_until_it_waits(site)
    ingest.join()
    assert _counted(site) == {"waiting": 0, "coming": 0, "bare": 0, "judged": 1}
    site.engine.dispose()


def _arrives(site: Site, sha256: str) -> None:
    with site.engine.begin() as connection:
        looks.clips_stored(connection, [sha256])


def _wait_until_it_waits(site: Site) -> None:
    waits = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    with site.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for _ in range(2000):
            if connection.scalar(waits):
                return
            time.sleep(0.01)
    raise AssertionError("the clip did not wait for the judgement")


def _make_gold(site: Site, case_id: str) -> None:
    with site.engine.begin() as connection:
        connection.execute(sa.insert(gold).values(case_id=case_id, truth="leak", set_by="quinn", set_at=NOW))


def _open(site: Site) -> list[tuple[str, str]]:
    query = sa.select(look_table.c.case_id, look_table.c.purpose).where(look_table.c.state != "judged")
    with site.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(query)]


def _counted(site: Site) -> dict[str, int]:
    """What the page says, after a look at whether it is so."""
    with site.engine.connect() as connection:
        said = looks.counts(connection)
        states = Counter(connection.scalars(sa.select(look_table.c.state).where(look_table.c.lane != "gold")))
    assert said == {state: states[state] for state in looks.STATES}
    return said
