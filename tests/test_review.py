"""The experts' pages: blind until judged, nothing overwritten, nobody in who should not be."""

import json
import re

import pytest
import sqlalchemy as sa
from browser import free_port
from cloud_fakes import clip_messages
from desk_site import PASSWORD, Browser, Site

from cloud_sync import accounts, cases, db, sign_in, throttle, user_command, webm
from cloud_sync import config as cloud_config
from cloud_sync.config import CloudConfig
from cloud_sync.dead_letters import Message
from cloud_sync.tables import audit, reviews
from cloud_sync.web import make_server
from edge_agent.errors import ConfigError, LinkError, StoreError
from edge_agent.records import Sampled
from edge_agent.wire import sha256_of

TELLTALES = (
    "machine_leak",
    "human_leak",
    "disagreement",
    "0.98",
    "bubbles rise",
    "Machine says",
    "Inspector says",
    "unsure",
)


def test_nothing_but_the_login_and_health_is_shown_to_strangers(site: Site) -> None:
    case_id = site.case()
    stranger = Browser(site.app.test_client())
    for path in (
        "/review",
        f"/review/{case_id}",
        "/cases",
        "/cases.csv",
        "/datasets",
        "/stations",
        f"/clips/{'a' * 64}.webm",
    ):
        answer = stranger.get(path)
        assert (answer.status_code, answer.headers["Location"].split("?")[0]) == (302, "/login")
    assert stranger.get("/healthz").json == {"status": "ok"}
    assert stranger.get("/readyz").status_code == 200


def test_the_queue_and_the_case_tell_nothing_before_the_judgement(site: Site) -> None:
    case_id = site.case()
    browser = site.browser()
    for page in (browser.text("/review"), browser.text(f"/review/{case_id}")):
        assert case_id in page
        assert [word for word in TELLTALES if word in page] == []
    sha256 = _clip_of(browser.text(f"/review/{case_id}"))
    assert browser.get(f"/clips/{sha256}/heat.png").status_code == 403
    assert browser.get(f"/clips/{sha256}/composite.png").status_code == 403


def test_after_the_judgement_everything_is_told(site: Site) -> None:
    case_id = site.case()
    browser = site.browser()
    assert browser.judge(case_id, "ok", seen="trapped", note="stops after 2 s").status_code == 302
    page = browser.reveal(case_id)
    for word in (
        "Machine says leak, inspector ok",
        "0.980",
        "bubbles rise from one point",
        "training set",
        "stops after 2 s",
    ):
        assert word in page
    sha256 = _clip_of(page)
    for name in ("composite", "heat"):
        picture = browser.get(f"/clips/{sha256}/{name}.png")
        assert picture.data.startswith(b"\x89PNG")


def test_a_judged_case_leaves_the_queue_and_the_next_one_follows(site: Site) -> None:
    first, second = site.case(1), site.case(2)
    browser = site.browser()
    assert browser.get("/review/next").headers["Location"] == f"/review/{first}"
    assert browser.judge(first).headers["Location"] == f"/review/next?after={first}&judged={first}"
    assert browser.get(f"/review/next?after={first}").headers["Location"] == f"/review/{second}"
    browser.judge(second)
    assert browser.get("/review/next").headers["Location"] == "/review"
    assert "Nothing is waiting" in browser.text("/review")


def test_a_second_judgement_is_added_and_said_plainly(site: Site) -> None:
    case_id = site.case()
    erna, emil = site.browser("erna"), site.browser("emil")
    erna.judge(case_id, "ok")
    page = emil.text(f"/review/{case_id}")
    assert [word for word in (*TELLTALES, "training set", "erna", "another expert") if word in page] == []
    emil.judge(case_id, "leak")
    erna.judge(case_id, "leak")
    assert "You have judged this case before" in erna.text(f"/review/{case_id}?again=1")
    with site.engine.connect() as connection:
        kept = connection.execute(sa.select(reviews).order_by(reviews.c.revision)).all()
    assert [(row.revision, row.reviewer, row.judgement) for row in kept] == [
        (1, "erna", "ok"),
        (2, "emil", "leak"),
        (3, "erna", "leak"),
    ]


def test_incomplete_and_invented_judgements_are_refused_with_a_word(site: Site) -> None:
    case_id = site.case()
    browser = site.browser()
    for fields, words in (
        ({"judgement": "leak"}, "familiar (F) or unfamiliar (U)"),
        ({"judgement": "maybe", "familiar": "yes"}, "Choose leak, ok or cannot tell"),
        ({"judgement": "ok", "familiar": "yes", "seen": "stream"}, "does not fit the judgement"),
        ({"judgement": "ok", "familiar": "yes", "marks": "[{}]"}, "marks on the picture"),
        ({"judgement": "ok", "familiar": "yes", "marks": "[1e999"}, "marks on the picture"),
        ({"judgement": "ok", "familiar": "yes", "note": "x" * 2001}, "note is too long"),
    ):
        answer = browser.send(f"/review/{case_id}", fields)
        assert (answer.status_code, words in answer.get_data(as_text=True)) == (400, True)
    with site.engine.connect() as connection:
        assert connection.execute(sa.select(reviews)).all() == []


def test_a_form_without_its_token_is_refused(site: Site) -> None:
    case_id = site.case()
    browser = site.browser()
    assert browser.client.post(f"/review/{case_id}", data={"judgement": "ok", "familiar": "yes"}).status_code == 400


def test_a_clip_on_its_way_overdue_or_never_kept_is_shown_as_such(site: Site) -> None:
    coming, none = site.case(1, parts=2), site.case(2, with_clip=False)
    overdue = site.case(3, with_clip=True, parts=0)
    with site.engine.begin() as connection:
        connection.execute(sa.text("UPDATE cases SET received_at = 1000 WHERE case_id = :id"), {"id": overdue})
    browser = site.browser()
    for case_id, words in ((coming, "still on its way"), (none, "no clip of this case"), (overdue, "never arrived")):
        page = browser.text(f"/review/{case_id}")
        assert words in page
        assert 'value="leak"' not in page
    queue = browser.text("/review")
    assert all(words in queue for words in ("on its way", "never arrived", "no video kept"))
    assert browser.judge(none, "leak").status_code == 400
    assert browser.judge(none, "cannot_tell", seen="no_video").status_code == 302


def test_roles_open_what_they_should_and_no_more(site: Site) -> None:
    sha256 = _clip_of(site.browser("quinn").text(f"/review/{site.case()}"))
    expert, quality = site.browser("erna"), site.browser("quinn")
    for path in ("/cases", "/cases.csv", "/datasets", "/stations", f"/clips/{sha256}.twclip"):
        assert (expert.get(path).status_code, quality.get(path).status_code) == (403, 200)


def test_five_wrong_passwords_end_the_trying_for_a_while(site: Site) -> None:
    browser = Browser(site.app.test_client())
    for _ in range(throttle.FAILURES_NAME):
        assert browser.sign_in("erna", "wrong wrong wrong").status_code == 401
    assert browser.sign_in("erna", PASSWORD).status_code == 401
    assert browser.sign_in("emil", PASSWORD).status_code == 302, "others are not locked out"
    later = db.now() + throttle.FAILURES_WITHIN_S + 1
    assert sign_in.attempt(site.engine, "erna", PASSWORD, "127.0.0.1", now=later) is not None
    with site.engine.connect() as connection:
        assert "sign_in_throttled" in connection.scalars(sa.select(audit.c.did)).all()


def test_signing_in_leads_only_to_pages_of_ours(site: Site) -> None:
    for target, goes_to in (
        ("/cases", "/cases"),
        ("//evil.example/x", "/review"),
        ("/\\evil.example", "/review"),
        ("https://x", "/review"),
    ):
        browser = Browser(site.app.test_client())
        answer = browser.send(f"/login?next={target}", {"name": "quinn", "password": PASSWORD})
        assert answer.headers["Location"] == goes_to


def test_pages_allow_no_foreign_scripts_and_no_frames(site: Site) -> None:
    answer = site.browser().get("/review")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "<script>" not in answer.get_data(as_text=True)
    assert "style=" not in answer.get_data(as_text=True)


def test_the_video_comes_in_ranges_and_with_its_frames_times(site: Site) -> None:
    browser = site.browser()
    sha256 = _clip_of(browser.text(f"/review/{site.case()}"))
    whole = browser.get(f"/clips/{sha256}.webm")
    part = browser.get(f"/clips/{sha256}.webm", headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.data) == (206, whole.data[10:20])
    assert browser.get(f"/clips/{sha256}/times.json").json == pytest.approx([0.0, 0.067, 0.133, 0.2], abs=0.002)
    assert browser.get(f"/clips/{'0' * 64}.webm").status_code == 404
    assert browser.get("/clips/../../etc/passwd.webm").status_code == 404


def test_a_clip_that_cannot_be_shown_stays_and_is_no_traceback(site: Site) -> None:
    path = site.folder / "rot.twclip"
    path.write_bytes(b"TWCLIP1\nrot" * 100)
    sha256 = sha256_of(path.read_bytes())
    site.intake.handle(clip_messages(path, "x"), db.now())
    assert site.browser().get(f"/clips/{sha256}.webm").status_code == 404
    assert site.store.clip(sha256).read_bytes() == path.read_bytes()


def test_frame_times_rise_whatever_the_camera_said() -> None:
    assert list(webm.ticks([5.0, 5.1, 5.1, 4.0, 900.0])) == [0, 100, 101, 102, 5102]
    with pytest.raises(StoreError, match="nan"):
        list(webm.ticks([0.0, float("nan")]))


def test_the_summary_counts_what_must_be_reviewed_and_can_be(site: Site) -> None:
    site.case(1)
    site.case(2, parts=1)
    site.case(3, verdict="ok", decision="ok", with_clip=False)
    site.case(5, verdict="ok", decision="ok", sampled=Sampled("audit", 0.02))
    site.intake.handle([Message("tankwatch/v1/plant/TANK1/case", b"{")], 1.0)
    said = cases.summary(site.engine)
    wanted = {"cases": 4, "review_needed": 3, "queued": 2, "awaiting_clip": 1, "without_clip": 0, "reviewed": 0}
    assert said == {**wanted, "duplicated": 0, "missing": 1, "clips": 2, "dead_letters": 1}


def test_a_dataset_is_made_and_shown_on_its_page(site: Site) -> None:
    case_id = site.case()
    quality = site.browser("quinn")
    assert quality.send("/datasets", {"name": "weekly"}).status_code == 400
    quality.judge(case_id, "ok", familiar="no")
    made = quality.send("/datasets", {"name": "weekly"})
    assert made.headers["Location"] == "/datasets/weekly/1"
    assert case_id in quality.text("/datasets/weekly/1")
    assert json.loads(quality.text("/datasets/weekly/1/manifest.jsonl"))["split"] == "test"
    assert quality.get("/datasets/weekly/2").status_code == 404


def test_a_taken_port_and_a_short_password_are_one_clear_line(site: Site) -> None:
    first = make_server(_at_port(site, free_port()))
    with pytest.raises(LinkError, match="choose another port"):
        make_server(_at_port(site, first.effective_port))
    first.close()
    with pytest.raises(ConfigError, match="at least 10"):
        accounts.add_user(site.engine, "erna", "short", "expert", now=1.0)
    with pytest.raises(ConfigError, match="cannot be added"):
        accounts.add_user(site.engine, "e v a", PASSWORD, "expert", now=1.0)


def test_a_user_is_added_from_the_command_line(site: Site, monkeypatch, capsys) -> None:
    path = site.folder / "cloud.toml"
    path.write_bytes(cloud_config.dump(site.config))
    monkeypatch.setenv(user_command.PASSWORD_VARIABLE, PASSWORD)
    assert user_command.user(["add", "nora", "--role", "admin", "--config", str(path)]) == 0
    assert user_command.user(["list", "--config", str(path)]) == 0
    assert "nora\tadmin" in capsys.readouterr().out
    assert site.browser("nora").get("/stations").status_code == 200


def _at_port(site: Site, port: int) -> CloudConfig:
    return CloudConfig(data_dir=site.config.data_dir, web=cloud_config.WebConfig(port=port))


def _clip_of(page: str) -> str:
    found = re.search(r"/clips/([0-9a-f]{64})\.webm", page)
    assert found is not None
    return found[1]
