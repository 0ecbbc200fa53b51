"""The desk: whose look is wanted, who gets it, what becomes true, and what can be taken back."""

import itertools
import json

import pytest
import sqlalchemy as sa
from cloud_fakes import a_case
from desk_site import Site, a_desk

from cloud_sync import db, desk_goal, gold_cases, judgement, looks, review_queue, triage
from cloud_sync.judgement import Mark, Review
from cloud_sync.looks import DAY_S
from cloud_sync.settling import Said, Truth, settle
from cloud_sync.standing import standing
from cloud_sync.tables import audit, gold, points, truths
from cloud_sync.tables import cases as case_table
from cloud_sync.tables import looks as look_table
from edge_agent.records import Sampled

NOW = 2_000_000_000.0
OK = Review(judgement="ok", familiar=True)
LEAK = Review(judgement="leak", familiar=True)
AUDIT = {"verdict": "ok", "decision": "ok", "sampled": Sampled("audit", 0.02)}


def test_disagreements_come_first_and_untested_cases_last(site: Site) -> None:
    untested, unsure, disputed = site.case(1, verdict="not_tested"), site.case(2, verdict="uncertain"), site.case(3)
    drawn = []
    for _ in range(3):
        drawn.append(review_queue.draw(site.engine, site.desk, "erna", NOW))
        judgement.record(site.engine, site.desk, drawn[-1], OK, "erna", NOW)
    assert drawn == [disputed, unsure, untested]
    assert review_queue.draw(site.engine, site.desk, "erna", NOW) is None


def test_an_older_day_comes_before_a_more_valuable_case(site: Site) -> None:
    newer, older = site.case(1), site.case(2, verdict="not_tested")
    with site.engine.begin() as connection:
        connection.execute(sa.update(look_table).where(look_table.c.case_id == older).values(day=1))
    assert review_queue.draw(site.engine, site.desk, "erna", NOW) == older
    assert newer != older


def test_a_reserved_case_is_nobody_elses_until_its_time_is_over(site: Site) -> None:
    first, second = site.case(1), site.case(2)
    assert review_queue.draw(site.engine, site.desk, "erna", NOW) == first
    assert review_queue.draw(site.engine, site.desk, "erna", NOW + 1) == first, "the same again, not one more"
    assert review_queue.draw(site.engine, site.desk, "erna", NOW + 1, after=first) == second
    assert review_queue.draw(site.engine, site.desk, "emil", NOW + 2) is None
    assert review_queue.draw(site.engine, site.desk, "emil", NOW + 31 * 60) == first


def test_audits_are_mixed_in_by_lot_in_their_share(site: Site) -> None:
    for sequence in range(1, 41):
        site.case(sequence, **(AUDIT if sequence % 2 else {}))
    site.desk = a_desk(seed=3, audit_share=0.25)
    lanes = _lanes_drawn(site, 30)
    assert 3 <= lanes.count("audit") <= 14
    assert lanes != sorted(lanes), "their places are by lot"


def test_late_audits_get_half_of_the_looks(site: Site) -> None:
    for sequence in range(1, 41):
        site.case(sequence, **(AUDIT if sequence % 2 else {}))
    today = db.now() // DAY_S
    with site.engine.begin() as connection:
        connection.execute(sa.update(look_table).where(look_table.c.lane == "audit").values(day=today - 5))
    site.desk = a_desk(seed=1, audit_share=0.05)
    assert 8 <= _lanes_drawn(site, 30).count("audit") <= 20


def test_gold_is_drawn_in_its_share_judged_once_each_and_changes_no_truth(site: Site) -> None:
    known = site.case(1)
    judgement.record(site.engine, site.desk, known, LEAK, "emil", NOW)
    with site.engine.begin() as connection:
        connection.execute(sa.insert(gold).values(case_id=known, truth="leak", set_by="quinn", set_at=NOW))
    others = [site.case(sequence) for sequence in range(2, 12)]
    site.desk = a_desk(gold_share=0.99)
    assert review_queue.draw(site.engine, site.desk, "erna", NOW) == known
    kept = judgement.record(site.engine, site.desk, known, OK, "erna", NOW)
    assert kept is not None
    assert kept.purpose == "gold"
    assert _truth(site, known) == ("leak", "single")
    assert review_queue.draw(site.engine, site.desk, "erna", NOW) in others
    with site.engine.connect() as connection:
        assert looks.counts(connection) == {"waiting": 10, "coming": 0, "bare": 0, "judged": 1}


def test_a_surprise_is_looked_at_twice_and_a_dispute_settled_by_a_third(site: Site) -> None:
    case_id = site.case(1, **AUDIT)
    judgement.record(site.engine, site.desk, case_id, LEAK, "erna", NOW)
    assert _truth(site, case_id) == ("leak", "single")
    assert review_queue.draw(site.engine, site.desk, "erna", NOW) is None, "not by the same expert"
    assert review_queue.draw(site.engine, site.desk, "emil", NOW) == case_id
    judgement.record(site.engine, site.desk, case_id, OK, "emil", NOW)
    assert _truth(site, case_id) == (None, "conflict")
    assert _examples(site) == {}, "what is disputed teaches nobody"
    assert review_queue.draw(site.engine, site.desk, "edda", NOW) == case_id
    kept = judgement.record(site.engine, site.desk, case_id, OK, "edda", NOW)
    assert kept is not None
    assert kept.purpose == "adjudication"
    assert _truth(site, case_id) == ("ok", "adjudicated")
    assert _examples(site) == {case_id: "ok"}
    judgement.record(site.engine, site.desk, case_id, LEAK, "erna", NOW + 60)
    assert _truth(site, case_id) == ("ok", "adjudicated"), "who was overruled stays so"


def test_a_second_expert_is_asked_by_lot(site: Site) -> None:
    site.desk = a_desk(seed=5, second_share=0.3)
    for sequence in range(1, 31):
        judgement.record(site.engine, site.desk, site.case(sequence, with_clip=False), OK, "erna", NOW)
    with site.engine.connect() as connection:
        purposes = connection.scalars(sa.select(look_table.c.purpose)).all()
    assert 4 <= purposes.count("second") <= 15


def test_what_was_just_said_can_be_taken_back_for_ten_seconds_and_the_page_is_blind_again(site: Site) -> None:
    case_id = site.case(1, **AUDIT)
    kept = judgement.record(site.engine, site.desk, case_id, LEAK, "erna", NOW)
    assert kept is not None
    assert not judgement.withdraw(site.engine, kept.id, "emil", NOW + 3), "only by the one who said it"
    assert judgement.withdraw(site.engine, kept.id, "erna", NOW + 3)
    assert not judgement.withdraw(site.engine, kept.id, "erna", NOW + 4), "once"
    assert _truth(site, case_id) is None
    assert review_queue.draw(site.engine, site.desk, "emil", NOW + 5) is None, "it is still the first one's"
    assert review_queue.draw(site.engine, site.desk, "erna", NOW + 5) == case_id
    again = judgement.record(site.engine, site.desk, case_id, OK, "erna", NOW + 6)
    assert again is not None
    assert (again.revision, again.blind) == (2, True)
    with site.engine.connect() as connection:
        assert [(review.judgement, review.withdrawn) for review in judgement.reviews_of(connection, case_id)] == [
            ("leak", True),
            ("ok", False),
        ]
        assert looks.counts(connection) == {"waiting": 0, "coming": 0, "bare": 0, "judged": 1}


def test_nothing_is_taken_back_after_the_reveal_or_too_late(site: Site) -> None:
    first, second = site.case(1), site.case(2)
    early = judgement.record(site.engine, site.desk, first, OK, "erna", NOW)
    assert early is not None
    judgement.reveal(site.engine, first, "erna", NOW + 1)
    assert not judgement.withdraw(site.engine, early.id, "erna", NOW + 2)
    late = judgement.record(site.engine, site.desk, second, OK, "erna", NOW)
    assert late is not None
    assert not judgement.withdraw(site.engine, late.id, "erna", NOW + 13)
    changed = judgement.record(site.engine, site.desk, first, LEAK, "erna", NOW + 20)
    assert changed is not None
    assert (changed.revision, changed.blind) == (2, False)


def test_the_pictures_stay_closed_until_the_reveal(site: Site) -> None:
    case_id = site.case()
    erna = site.browser("erna")
    sha256 = a_clip_hash(site, case_id)
    erna.judge(case_id, "ok")
    assert erna.get(f"/clips/{sha256}/heat.png").status_code == 403
    assert "0.980" not in erna.text(f"/review/{case_id}")
    assert "0.980" in erna.reveal(case_id)
    assert erna.get(f"/clips/{sha256}/heat.png").status_code == 200


def test_undo_and_reveal_are_offered_on_the_next_page(site: Site) -> None:
    first, second = site.case(1), site.case(2)
    erna = site.browser("erna")
    there = erna.judge(first, "ok").headers["Location"]
    assert erna.get(there).headers["Location"] == f"/review/{second}?judged={first}"
    page = erna.text(f"/review/{second}?judged={first}")
    assert f'action="/review/{first}/undo"' in page
    assert erna.send(f"/review/{first}/undo", {}).headers["Location"] == f"/review/{first}"
    assert _truth(site, first) is None
    assert 'value="leak"' in erna.text(f"/review/{first}")


def test_a_form_sent_twice_is_one_judgement_and_a_stale_page_adds_nothing(site: Site) -> None:
    case_id = site.case()
    erna = site.browser("erna")
    for _ in range(2):
        assert erna.judge(case_id, "ok", own="0").status_code == 302
    answer = erna.judge(case_id, "leak", own="0")
    assert (answer.status_code, "since this page was opened" in answer.get_data(as_text=True)) == (409, True)
    with site.engine.connect() as connection:
        assert len(judgement.reviews_of(connection, case_id)) == 1
    assert erna.judge(case_id, "leak", own="1").status_code == 302


def test_scripts_get_the_judgement_and_its_faults_as_json(site: Site) -> None:
    case_id = site.case()
    erna = site.browser("erna")
    token = erna.token(f"/review/{case_id}")
    as_json = {"Accept": "application/json"}
    path = f"/review/{case_id}"
    refused = erna.client.post(path, data={"csrf_token": token, "judgement": "ok"}, headers=as_json)
    assert (refused.status_code, "familiar" in refused.json["error"]["words"]) == (400, True)
    fields = {"csrf_token": token, "judgement": "ok", "familiar": "yes", "took_ms": "4200"}
    said = erna.client.post(path, data=fields, headers=as_json).json
    assert (said["case_id"], said["judgement"], said["left_s"]) == (case_id, "ok", 10.0)
    assert said["undo"].endswith("/undo")
    with site.engine.connect() as connection:
        assert judgement.reviews_of(connection, case_id)[0].took_s == 4.2


def test_marks_are_kept_with_the_judgement(site: Site) -> None:
    case_id = site.case()
    review = Review(judgement="leak", familiar=True, marks=(Mark(160.0, 170.5, 3, 0.2),))
    kept = judgement.record(site.engine, site.desk, case_id, review, "erna", NOW)
    assert kept is not None
    with site.engine.connect() as connection:
        row = connection.execute(sa.select(points)).one()
    assert (row.review_id, row.x_px, row.y_px, row.frame, row.time_s) == (kept.id, 160.0, 170.5, 3, 0.2)


def test_marks_from_the_page_come_as_json(site: Site) -> None:
    case_id = site.case()
    marks = json.dumps([{"x_px": 1.5, "y_px": 2, "frame": 0, "time_s": 0.0}])
    assert site.browser().judge(case_id, "leak", marks=marks).status_code == 302
    with site.engine.connect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(points)) == 1


def test_looks_follow_their_clips_and_the_sums_follow_them(site: Site) -> None:
    site.case(1, parts=2)
    site.case(2, with_clip=False)
    site.case(3)
    with site.engine.connect() as connection:
        assert looks.counts(connection) == {"waiting": 1, "coming": 1, "bare": 1, "judged": 0}
    site.case(1)
    with site.engine.connect() as connection:
        assert looks.counts(connection) == {"waiting": 2, "coming": 0, "bare": 1, "judged": 0}


def test_the_list_goes_by_arrival_and_leaves_out_what_one_has_judged(site: Site) -> None:
    mine, other = site.case(1, **AUDIT), site.case(2)
    judgement.record(site.engine, site.desk, mine, LEAK, "erna", NOW)
    with site.engine.connect() as connection:
        assert [one.case_id for one in review_queue.waiting(connection, "erna", NOW, 24)] == [other]
        assert [one.case_id for one in review_queue.waiting(connection, "emil", NOW, 24)] == [other, mine]


def test_the_day_has_a_goal_and_ones_own_pace(site: Site) -> None:
    for sequence, took in ((1, 4.0), (2, 6.0), (3, 30.0)):
        review = Review(judgement="ok", familiar=True, took_s=took)
        judgement.record(site.engine, site.desk, site.case(sequence), review, "erna", NOW)
    policy = a_desk(judgements_for_training=20).policy
    with site.engine.connect() as connection:
        mine = desk_goal.of(connection, policy, "erna", NOW)
        others = desk_goal.of(connection, policy, "emil", NOW)
    assert (mine.until_training, mine.mine_today, mine.median_s) == (17, 3, 6.0)
    assert (others.until_training, others.mine_today, others.median_s) == (17, 0, None)


def test_an_administrator_extends_and_retires_the_vocabulary(site: Site) -> None:
    case_id, ada, erna = site.case(), site.browser("ada"), site.browser("erna")
    assert erna.get("/vocabulary").status_code == 403
    new = {"judgement": "leak", "kind": "weld_seam", "words": "From the <b>weld</b>"}
    assert ada.send("/vocabulary", new).status_code == 302
    assert "From the &lt;b&gt;weld&lt;/b&gt;" in erna.text(f"/review/{case_id}")
    assert erna.judge(case_id, "leak", seen="weld_seam").status_code == 302
    assert ada.send("/vocabulary", {"judgement": "leak", "kind": "weld_seam", "act": "retire"}).status_code == 302
    assert "weld" not in erna.text(f"/review/{site.case(2)}")
    assert "weld" in erna.reveal(case_id), "what was said stays readable"
    for fields, words in (
        ({"judgement": "leak", "kind": "no spaces", "words": "x"}, "cannot name a kind"),
        ({"judgement": "ok", "kind": "stream", "words": "x"}, "another judgement"),
        ({"judgement": "leak", "kind": "y", "words": " "}, "characters"),
    ):
        answer = ada.send("/vocabulary", fields)
        assert (answer.status_code, words in answer.get_data(as_text=True)) == (400, True)


def test_two_experts_at_once_get_two_cases_and_two_judgements_both_stay(site: Site) -> None:
    from concurrent.futures import ThreadPoolExecutor

    case_ids = [site.case(sequence, with_clip=True) for sequence in range(1, 9)]
    with ThreadPoolExecutor(4) as pool:
        names = [f"expert{number}" for number in range(8)]
        drawn = list(pool.map(lambda name: review_queue.draw(site.engine, site.desk, name, NOW), names))
        assert sorted(drawn) == sorted(case_ids)
        kept = list(pool.map(lambda name: judgement.record(site.engine, site.desk, case_ids[0], OK, name, NOW), names))
    assert sorted(one.revision for one in kept) == list(range(1, 9))
    assert _truth(site, case_ids[0]) == ("ok", "agreed")


@pytest.mark.parametrize("order", list(itertools.permutations(["ok", "leak"])))
def test_two_who_differ_settle_nothing_in_either_order(order) -> None:
    said = [Said(number, f"e{number}", word, "first") for number, word in enumerate(order)]
    assert settle(said) == Truth(None, "conflict", 1)


def test_an_experts_last_word_counts_and_gold_never_does() -> None:
    said = [Said(1, "a", "ok", "first"), Said(2, "b", "leak", "gold"), Said(3, "a", "leak", "first")]
    assert settle(said) == Truth("leak", "single", 3)
    assert settle(said[1:2]) is None


@pytest.mark.parametrize(("sampled", "outcome"), [("none", "agree"), ("none", "undecided"), ("none", "machine_only")])
def test_agreements_that_nobody_drew_need_no_eye(sampled: str, outcome: str) -> None:
    assert not triage.needs_eye(sampled, outcome)
    assert triage.needs_eye("audit", outcome)


def a_clip_hash(site: Site, case_id: str) -> str:
    with site.engine.connect() as connection:
        return connection.scalar(sa.select(case_table.c.clip_sha256).where(case_table.c.case_id == case_id))


def _lanes_drawn(site: Site, count: int) -> list[str]:
    lanes = []
    for _ in range(count):
        case_id = review_queue.draw(site.engine, site.desk, "erna", db.now())
        with site.engine.connect() as connection:
            lanes.append(connection.scalar(sa.select(look_table.c.lane).where(look_table.c.case_id == case_id)))
        judgement.record(site.engine, site.desk, case_id, OK, "erna", db.now())
    return lanes


def _truth(site: Site, case_id: str) -> tuple | None:
    with site.engine.connect() as connection:
        row = connection.execute(sa.select(truths).where(truths.c.case_id == case_id)).first()
    return None if row is None else (row.judgement, row.state)


def _examples(site: Site) -> dict[str, str]:
    with site.engine.connect() as connection:
        return {one.example.case_id: one.example.label for one in standing(connection, site.desk.policy)}


def test_case_ids_of_the_fakes_go_by_their_number() -> None:
    assert a_case(1).case_id < a_case(2).case_id


def test_gold_is_made_only_of_what_is_settled_and_measures_each_expert(site: Site) -> None:
    quinn, case_id = site.browser("quinn"), site.case(1)
    for fields, words in (
        ({"case_id": case_id, "truth": "ok"}, "is not settled"),
        ({"case_id": "nobody", "truth": "ok"}, "there is no case"),
        ({"case_id": case_id, "truth": "maybe"}, "choose leak or ok"),
        ({"case_id": site.case(2, with_clip=False), "truth": "ok"}, "no clip that could be shown"),
    ):
        answer = quinn.send("/gold", fields)
        assert (answer.status_code, words in answer.get_data(as_text=True)) == (400, True)
    for name in ("emil", "edda"):
        judgement.record(site.engine, site.desk, case_id, LEAK, name, NOW)
    assert "cannot be gold as ok" in quinn.send("/gold", {"case_id": case_id, "truth": "ok"}).get_data(as_text=True)
    assert quinn.send("/gold", {"case_id": case_id, "truth": "leak"}).status_code == 302
    site.desk = a_desk(gold_share=1.0)
    assert review_queue.draw(site.engine, site.desk, "erna", NOW) == case_id
    judgement.record(site.engine, site.desk, case_id, OK, "erna", NOW)
    with site.engine.connect() as connection:
        (erna,) = gold_cases.experts(connection)
        (known,) = gold_cases.every(connection)
    assert (erna.expert, erna.leaks, erna.missed, erna.most_missed, erna.most_alarms) == ("erna", 1, 1, 1.0, None)
    assert (known.judged, known.right) == (1, 0)
    assert "erna" in quinn.text("/gold")
    assert site.browser("erna").get("/gold").status_code == 403
    quinn.send("/gold", {"case_id": case_id, "act": "retire"})
    assert review_queue.draw(site.engine, site.desk, "ada", NOW) is None


def test_a_form_sent_twice_at_the_same_moment_is_one_judgement(site: Site) -> None:
    from concurrent.futures import ThreadPoolExecutor

    case_id, said = site.case(), Review(judgement="ok", familiar=True, own=0)
    with ThreadPoolExecutor(4) as pool:
        works = [pool.submit(judgement.record, site.engine, site.desk, case_id, said, "erna", NOW) for _ in range(4)]
        assert {work.result().revision for work in works} == {1}
    with pytest.raises(judgement.Stale):
        judgement.record(site.engine, site.desk, case_id, Review(judgement="leak", familiar=True, own=0), "erna", NOW)
    with site.engine.connect() as connection:
        assert len(judgement.reviews_of(connection, case_id)) == 1


def test_the_reveal_is_a_line_of_the_audit_log_with_the_same_commit(site: Site) -> None:
    case_id = site.case()
    judgement.record(site.engine, site.desk, case_id, OK, "erna", NOW)
    for _ in range(2):
        judgement.reveal(site.engine, case_id, "erna", NOW)
    with site.engine.connect() as connection:
        lines = connection.execute(sa.select(audit.c.who, audit.c.about).where(audit.c.did == "revealed")).all()
    assert [tuple(line) for line in lines] == [("erna", case_id)]
